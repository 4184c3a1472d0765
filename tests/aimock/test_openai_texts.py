"""The official openai SDK, unchanged, buys from us what aimock answers as OpenAI; charged to the msat from its usage.

At 100,000 USD a bitcoin a token read by gpt-4o-mini costs 0.195 msat, one written 0.78: 40 and 150 cost 124.8.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseStreamEvent

from lib.core.money import Msat
from tests.aimock.server import AiMock
from tests.purses import LIMIT_SECONDS, UNPAID_KEY, Purse, Way, both_ways, extra_of, purse
from tests.world import World

pytestmark = pytest.mark.slow

MODEL = "gpt-4o-mini"
RESPONSES = "/openai/v1/responses"
ASKED: dict[str, Any] = {"model": MODEL, "input": "Hello", "max_output_tokens": 200}
SAID = "Hello there, how are you today?"
USED = {"input_tokens": 40, "output_tokens": 150}
COST = Msat(125)


def said_hello(aimock: AiMock, **more: Any) -> None:
    """What it says, and that it used so much."""
    aimock.answers({"userMessage": "Hello"}, {"content": SAID, "usage": USED}, **more)


@asynccontextmanager
async def sdk(shop: World, key: str) -> AsyncGenerator[openai.AsyncOpenAI]:
    """The SDK as it is, its repetitions included; only address and key are ours."""
    async with openai.AsyncOpenAI(base_url=f"{shop.url}/v1", api_key=key, timeout=LIMIT_SECONDS) as client:
        yield client


async def enough(shop: World, way: Way) -> Purse:
    """For one response."""
    return await purse(shop, way, RESPONSES, ASKED)


async def listen(stream: AsyncIterable[ResponseStreamEvent], heard: list[str]) -> None:
    """Take a stream's text down until it ends, or fails."""
    async for event in stream:
        if event.type == "response.output_text.delta":
            heard.append(event.delta)  # noqa: PERF401 - what comes before a failure must be kept


@both_ways
async def test_a_response_costs_what_aimock_counted(shop: World, aimock: AiMock, way: Way) -> None:
    """The SDK's own type, our header and the ledger agree; upstream has been given our key and not the buyer's."""
    said_hello(aimock)
    paid = await enough(shop, way)

    async with sdk(shop, paid.key) as client:
        raw = await client.responses.with_raw_response.create(model=MODEL, input="Hello", max_output_tokens=200)

    answer = raw.parse()
    assert (answer.output_text, answer.status) == (SAID, "completed")
    assert answer.usage is not None and answer.usage.total_tokens == 190
    assert (raw.headers["x-charge-msat"], await paid.charged(shop)) == (str(COST.value), COST)
    assert raw.headers["x-balance-msat"] == str((paid.paid - COST).value)
    [asked] = aimock.journal()
    assert (asked["path"], asked["headers"]["authorization"]) == ("/v1/responses", "[REDACTED]")


@both_ways
async def test_a_stream_of_a_response_tells_its_cost_in_its_last_event(shop: World, aimock: AiMock, way: Way) -> None:
    """All events of the SDK are there in order; the last one's usage has our charge and balance beside the counts."""
    said_hello(aimock, chunkSize=4)
    paid = await enough(shop, way)

    async with sdk(shop, paid.key) as client:
        stream = await client.responses.create(model=MODEL, input="Hello", max_output_tokens=200, stream=True)
        events = [event async for event in stream]

    last = events[-1]
    assert last.type == "response.completed" and last.response.usage is not None
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == SAID
    assert extra_of(last.response.usage) == {"charge_msat": 125, "balance_msat": (paid.paid - COST).value}
    assert await paid.charged(shop) == COST


@both_ways
async def test_a_stream_of_a_chat_costs_what_aimock_counted(shop: World, aimock: AiMock, way: Way) -> None:
    """As a response does."""
    used = {"prompt_tokens": 40, "completion_tokens": 150}
    aimock.answers({"userMessage": "Hello"}, {"content": SAID, "usage": used})
    messages: list[Any] = [{"role": "user", "content": "Hello"}]
    paid = await purse(shop, way, "/v1/chat/completions", {"model": MODEL, "messages": messages, "max_tokens": 200})

    async with sdk(shop, paid.key) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=messages, max_tokens=200, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
    assert extra_of(chunks[-1].usage)["charge_msat"] == 125
    assert await paid.charged(shop) == COST


@both_ways
async def test_a_moderation_costs_its_flat_price(shop: World, way: Way) -> None:
    """One sat, whatever it reads."""
    paid = await purse(shop, way, "/openai/v1/moderations", {"input": "A walk"})

    async with sdk(shop, paid.key) as client:
        answer = await client.moderations.create(model="omni-moderation-latest", input=["A walk", "Another"])

    assert answer.results[0].flagged is False
    assert await paid.charged(shop) == Msat(1_000)


@both_ways
async def test_vectors_of_nothing_counted_cost_nothing(shop: World, aimock: AiMock, way: Way) -> None:
    """aimock says that it read no tokens: that is what is charged. llama.cpp counts, in the folder beside."""
    aimock.answers({"inputText": "Hello", "endpoint": "embedding"}, {"embedding": [0.25, 0.5]})
    paid = await purse(shop, way, "/openai/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hello"})

    async with sdk(shop, paid.key) as client:
        answer = await client.embeddings.create(model="text-embedding-3-small", input="Hello")

    assert answer.data[0].embedding == [0.25, 0.5]
    assert await paid.charged(shop) == Msat.ZERO


async def test_a_response_that_was_not_paid_for_raises_one_402(shop: World, aimock: AiMock) -> None:
    """With code and challenge; the SDK does not try again, so there is one invoice, and upstream is not asked."""
    async with sdk(shop, UNPAID_KEY) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.responses.create(model=MODEL, input="Hello", stream=True)

    refused = raised.value
    assert (refused.status_code, refused.code, refused.type) == (402, "payment_required", "payment_required")
    assert refused.response.headers["www-authenticate"].startswith('L402 macaroon="')
    assert (await shop.invoices(), aimock.journal()) == (1, [])


async def test_a_key_that_is_not_ours_raises_an_authentication_error(shop: World) -> None:
    """401 as the SDK knows it, with nothing to pay."""
    async with sdk(shop, "sk-proj-somebody-elses") as client:
        with pytest.raises(openai.AuthenticationError) as raised:
            await client.responses.create(model=MODEL, input="Hello")

    assert (raised.value.code, await shop.invoices()) == ("invalid_token", 0)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"store": True}, "store"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
    ],
    ids=["stored response", "background", "store", "hosted tool", "stored item"],
)
async def test_what_is_not_sold_raises_a_bad_request(shop: World, wrong: dict[str, Any], param: str) -> None:
    """400 that names the field, before there is anything to pay."""
    async with sdk(shop, UNPAID_KEY) as client:
        with pytest.raises(openai.BadRequestError) as raised:
            await client.responses.create(model=MODEL, input="Hello", extra_body=wrong)

    assert (raised.value.code, raised.value.param) == ("invalid_field_value", param)
    assert await shop.invoices() == 0


async def test_a_stream_that_aimock_cuts_raises_in_the_sdk(shop: World, aimock: AiMock) -> None:
    """The text that came is there, then the SDK's APIError with our code; only what was visible is charged."""
    said_hello(aimock, chunkSize=16, truncateAfterChunks=6, latency=20)
    paid, heard = await enough(shop, "token"), list[str]()

    async with sdk(shop, paid.key) as client:
        stream = await client.responses.create(model=MODEL, input="Hello", stream=True)
        with pytest.raises(openai.APIError) as raised:
            await listen(stream, heard)

    assert (raised.value.code, raised.value.type) == ("upstream_error", "server_error")
    visible = len("".join(heard))
    assert 0 < visible <= len(SAID)
    assert await paid.charged(shop) == Msat(math.ceil(Decimal("0.78") * (visible // 8)))


async def test_what_aimock_refuses_is_not_charged(shop: World, aimock: AiMock) -> None:
    """Its 400 is the SDK's BadRequestError with its own sentence."""
    aimock.answers({"userMessage": "Hello"}, {"error": {"message": "No such voice", "code": "x"}, "status": 400})
    paid = await enough(shop, "l402")

    async with sdk(shop, paid.key) as client:
        with pytest.raises(openai.BadRequestError, match="No such voice"):
            await client.responses.create(model=MODEL, input="Hello", max_output_tokens=200)

    assert await paid.charged(shop) == Msat.ZERO
