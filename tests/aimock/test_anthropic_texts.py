"""The official anthropic SDK, unchanged, buys from us what aimock answers as Anthropic; charged to the msat.

At 100,000 USD a bitcoin a token read by claude-haiku-5-5 costs 0.13 msat, one written 0.65: 40 and 150 cost 102.7.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam

from lib.core.money import Msat
from tests.aimock.server import AiMock
from tests.purses import LIMIT_SECONDS, UNPAID_KEY, Purse, Way, both_ways, extra_of, purse
from tests.world import World

pytestmark = pytest.mark.slow

MODEL = "claude-haiku-5-5"
PATH = "/anthropic/v1/messages"
MESSAGES: list[MessageParam] = [{"role": "user", "content": "Hello"}]
BODY: dict[str, Any] = {"model": MODEL, "max_tokens": 200, "messages": MESSAGES}
SAID = "Hello there, how are you today?"
USED = {"input_tokens": 40, "output_tokens": 150}
COST = Msat(103)


def said_hello(aimock: AiMock, **more: Any) -> None:
    """What it says, and that it used so much."""
    aimock.answers({"userMessage": "Hello"}, {"content": SAID, "usage": USED}, **more)


@asynccontextmanager
async def sdk(shop: World, key: str) -> AsyncGenerator[anthropic.AsyncAnthropic]:
    """The SDK as it is, its repetitions included; only address and key are ours."""
    url = f"{shop.url}/anthropic"
    async with anthropic.AsyncAnthropic(base_url=url, api_key=key, timeout=LIMIT_SECONDS) as client:
        yield client


async def enough(shop: World, way: Way) -> Purse:
    """For one message."""
    return await purse(shop, way, PATH, BODY)


@both_ways
async def test_a_message_costs_what_aimock_counted(shop: World, aimock: AiMock, way: Way) -> None:
    """The SDK's own type, our header and the ledger agree; upstream has our key, not the buyer's."""
    said_hello(aimock)
    paid = await enough(shop, way)

    async with sdk(shop, paid.key) as client:
        raw = await client.messages.with_raw_response.create(model=MODEL, max_tokens=200, messages=MESSAGES)

    answer = await raw.parse()
    assert [block.text for block in answer.content if block.type == "text"] == [SAID]
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.stop_reason) == (40, 150, "end_turn")
    assert (raw.headers["x-charge-msat"], await paid.charged(shop)) == (str(COST.value), COST)
    [asked] = aimock.journal()
    assert (asked["path"], asked["headers"]["x-api-key"]) == ("/v1/messages", "[REDACTED]")
    assert "authorization" not in asked["headers"]


@both_ways
async def test_a_stream_of_a_message_tells_its_cost(shop: World, aimock: AiMock, way: Way) -> None:
    """The SDK puts the message together; the usage of its last word has our charge and balance beside the counts."""
    said_hello(aimock, chunkSize=4)
    paid = await enough(shop, way)

    async with sdk(shop, paid.key) as client:
        stream = await client.messages.create(model=MODEL, max_tokens=200, messages=MESSAGES, stream=True)
        events = [event async for event in stream]

    told = [event.usage for event in events if event.type == "message_delta"]
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    assert "".join(delta.text for delta in deltas if delta.type == "text_delta") == SAID
    assert (events[0].type, events[-1].type) == ("message_start", "message_stop")
    assert [usage.output_tokens for usage in told] == [150]
    assert extra_of(told[0]) == {"charge_msat": COST.value, "balance_msat": (paid.paid - COST).value}
    assert await paid.charged(shop) == COST


async def test_the_sdks_own_way_of_streaming_works(shop: World, aimock: AiMock) -> None:
    """`messages.stream` with its text and its final message."""
    said_hello(aimock, chunkSize=4)
    paid = await enough(shop, "token")

    async with (
        sdk(shop, paid.key) as client,
        client.messages.stream(model=MODEL, max_tokens=200, messages=MESSAGES) as stream,
    ):
        text = "".join([piece async for piece in stream.text_stream])
        whole = await stream.get_final_message()

    assert (text, whole.usage.input_tokens, whole.usage.output_tokens) == (SAID, 40, 150)
    assert await paid.charged(shop) == COST


async def test_a_tool_is_called_and_its_result_sent_back(shop: World, aimock: AiMock) -> None:
    """Blocks of tools go up and come back as the SDK has them."""
    tools: list[Any] = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
    call = {"name": "weather", "arguments": {"city": "Berlin"}, "id": "toolu_1"}
    aimock.answers({"toolCallId": "toolu_1"}, {"content": "Rain.", "usage": USED})
    aimock.answers({"userMessage": "Weather?"}, {"toolCalls": [call], "usage": USED})
    asked: list[Any] = [{"role": "user", "content": "Weather?"}]
    paid = await purse(shop, "token", PATH, BODY)

    async with sdk(shop, paid.key) as client:
        first = await client.messages.create(model=MODEL, max_tokens=200, messages=asked, tools=tools)
        [wish] = [block for block in first.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": wish.id, "content": "wet"}
        asked += [{"role": "assistant", "content": [wish.to_dict()]}, {"role": "user", "content": [result]}]
        second = await client.messages.create(model=MODEL, max_tokens=200, messages=asked, tools=tools)

    assert (first.stop_reason, wish.input) == ("tool_use", {"city": "Berlin"})
    assert [block.text for block in second.content if block.type == "text"] == ["Rain."]
    assert await paid.charged(shop) == Msat(2 * COST.value)


async def test_a_message_that_was_not_paid_for_raises_one_402(shop: World, aimock: AiMock) -> None:
    """The SDK's own class for it, with the challenge; it does not try again, and upstream is not asked."""
    async with sdk(shop, UNPAID_KEY) as client:
        with pytest.raises(anthropic.PaymentRequiredError) as raised:
            await client.messages.create(model=MODEL, max_tokens=200, messages=MESSAGES)

    body: Any = raised.value.body
    assert body["error"]["code"] == "payment_required"
    assert raised.value.response.headers["www-authenticate"].startswith('L402 macaroon="')
    assert (await shop.invoices(), aimock.journal()) == (1, [])


async def test_a_402_can_be_paid_and_the_same_client_goes_on(shop: World, aimock: AiMock) -> None:
    """What the exception carries is enough to pay, and what it buys works as the SDK's key."""
    said_hello(aimock)
    async with sdk(shop, UNPAID_KEY) as client:
        with pytest.raises(anthropic.PaymentRequiredError) as raised:
            await client.messages.create(model=MODEL, max_tokens=200, messages=MESSAGES)
        offer: Any = raised.value.body
        preimage = await shop.parts.pay(offer["invoice"])
        paying = client.with_options(api_key=f"{offer['macaroon']}:{preimage}")
        answer = await paying.messages.create(model=MODEL, max_tokens=200, messages=MESSAGES)

    assert answer.stop_reason == "end_turn"
    paid = Purse(f"{offer['macaroon']}:{preimage}", Msat(offer["amount_sats"] * 1_000))
    assert await paid.charged(shop) == COST


async def test_a_key_that_is_not_ours_raises_an_authentication_error(shop: World) -> None:
    """401 as the SDK knows it, with nothing to pay."""
    async with sdk(shop, "sk-ant-somebody-elses") as client:
        with pytest.raises(anthropic.AuthenticationError) as raised:
            await client.messages.create(model=MODEL, max_tokens=200, messages=MESSAGES)

    body: Any = raised.value.body
    assert (body["error"]["code"], await shop.invoices()) == ("invalid_token", 0)


DOCUMENT: dict[str, Any] = {"type": "document", "source": {}}


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"container": "c"}, "container"),
        ({"tools": [{"type": "web_search_20260101", "name": "web_search"}]}, "tools[0].type"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "cache_control.ttl"),
        ({"messages": [{"role": "user", "content": [DOCUMENT]}]}, "messages[0].content"),
    ],
    ids=["container", "hosted tool", "dearer cache", "document"],
)
async def test_what_is_not_sold_raises_a_bad_request(shop: World, wrong: dict[str, Any], param: str) -> None:
    """400 that names the field, before there is anything to pay."""
    async with sdk(shop, UNPAID_KEY) as client:
        with pytest.raises(anthropic.BadRequestError) as raised:
            await client.messages.create(model=MODEL, max_tokens=200, messages=MESSAGES, extra_body=wrong)

    body: Any = raised.value.body
    assert body["error"]["param"].startswith(param)
    assert await shop.invoices() == 0


async def test_a_stream_that_aimock_cuts_raises_in_the_sdk(shop: World, aimock: AiMock) -> None:
    """The text that came is there, then the SDK's error with our code; only what was visible is charged."""
    said_hello(aimock, chunkSize=16, truncateAfterChunks=4, latency=20)
    paid, heard = await enough(shop, "token"), list[str]()

    async with sdk(shop, paid.key) as client:
        stream = await client.messages.create(model=MODEL, max_tokens=200, messages=MESSAGES, stream=True)
        with pytest.raises(anthropic.APIStatusError) as raised:
            await listen(stream, heard)

    body: Any = raised.value.body
    assert (body["type"], body["error"]["code"]) == ("error", "upstream_error")
    visible = len("".join(heard))
    assert 0 < visible <= len(SAID)
    assert await paid.charged(shop) == Msat(math.ceil(Decimal("0.65") * (visible // 8)))


async def listen(stream: anthropic.AsyncStream[Any], heard: list[str]) -> None:
    """Take a stream's text down until it ends, or fails."""
    async for event in stream:
        if event.type == "content_block_delta":
            heard.append(event.delta.text)  # noqa: PERF401 - what comes before a failure must be kept


async def test_an_overloaded_upstream_is_tried_again_by_the_sdk(shop: World, aimock: AiMock) -> None:
    """529 becomes our 502, which the SDK repeats; nothing is charged however often."""
    aimock.answers(
        {"userMessage": "Hello"}, {"error": {"message": "Overloaded", "type": "overloaded_error"}, "status": 529}
    )
    paid = await enough(shop, "l402")

    async with sdk(shop, paid.key) as client:
        with pytest.raises(anthropic.InternalServerError) as raised:
            await client.with_options(max_retries=1).messages.create(model=MODEL, max_tokens=200, messages=MESSAGES)

    body: Any = raised.value.body
    assert (raised.value.status_code, body["error"]["code"]) == (502, "upstream_error")
    assert len(aimock.journal()) == 2
    assert await paid.charged(shop) == Msat.ZERO
