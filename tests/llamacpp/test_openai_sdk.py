"""The official openai SDK, unchanged, buys from us what llama.cpp answers: only its address and key are ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from openai.types.completion_usage import CompletionUsage

from lib.core.money import Msat
from tests.world import Paid, World

pytestmark = pytest.mark.slow

MODEL = "gpt-4o-mini"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
CAP_TOKENS = 40
LIMIT_SECONDS = 30.0
UNPAID_KEY = "l402"

Opened = AbstractAsyncContextManager[openai.AsyncOpenAI]


@asynccontextmanager
async def sdk(shop: World, api_key: str, headers: dict[str, str] | None = None) -> AsyncGenerator[openai.AsyncOpenAI]:
    """The SDK with its own retries as they are by default."""
    client = openai.AsyncOpenAI(
        base_url=f"{shop.url}/v1", api_key=api_key, default_headers=headers, timeout=LIMIT_SECONDS
    )
    async with client:
        yield client


def by_header(shop: World, paid: Paid) -> Opened:
    """The credential in a header of its own; the SDK's obligatory key says that nothing else pays."""
    return sdk(shop, UNPAID_KEY, {"Authorization": paid.authorization})


def by_key(shop: World, paid: Paid) -> Opened:
    """The credential as the API key, which the SDK sends as Bearer: no line of the program changes."""
    return sdk(shop, f"{paid.macaroon}:{paid.preimage}")


ways = pytest.mark.parametrize("opened", [by_header, by_key], ids=["header", "key"])
Way = Callable[[World, Paid], Opened]


async def buy(shop: World) -> Paid:
    """A credential for the very call that the SDK makes."""
    return await shop.buy({"model": MODEL, "messages": MESSAGES, "max_completion_tokens": CAP_TOKENS})


def charge_of(usage: CompletionUsage) -> Msat:
    """What the SDK's user reads of our price: a member that the SDK does not know and keeps all the same."""
    extra: dict[str, Any] = usage.model_extra or {}
    return Msat(extra["charge_msat"])


@ways
async def test_the_sdk_asks_and_is_answered(shop: World, opened: Way):
    """One call, one answer in the SDK's own types, charged as the header says."""
    paid = await buy(shop)

    async with opened(shop, paid) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model=MODEL, messages=MESSAGES, max_completion_tokens=CAP_TOKENS
        )

    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == CAP_TOKENS
    charge = Msat(int(raw.headers["x-charge-msat"]))
    assert Msat(32) <= charge <= Msat(36)  # 40 × 0.78 for the answer, 24 × 0.0975 to 0.195 for the question
    assert (await shop.settled(paid)).balance == paid.amount - charge
    assert await shop.services.ledger.audit() == []


@ways
async def test_the_sdk_streams_and_sees_what_it_cost(shop: World, opened: Way):
    """The last chunk's usage has our charge and balance beside the counts that the SDK knows."""
    paid = await buy(shop)

    async with opened(shop, paid) as client:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=MESSAGES,
            max_completion_tokens=CAP_TOKENS,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]

    [usage] = [chunk.usage for chunk in chunks if chunk.usage is not None]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert (usage.prompt_tokens, usage.completion_tokens) == (24, CAP_TOKENS)
    assert (usage.model_extra or {})["balance_msat"] == (paid.amount - charge_of(usage)).value
    assert (await shop.settled(paid)).balance == paid.amount - charge_of(usage)
    assert await shop.services.ledger.audit() == []


async def test_an_sdk_that_has_not_paid_is_told_so_once(shop: World):
    """An unpaid call raises one 402 with its code and challenge; the SDK's retries add no request and no invoice."""
    async with sdk(shop, UNPAID_KEY) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.chat.completions.create(model=MODEL, messages=MESSAGES, max_completion_tokens=CAP_TOKENS)

    refused = raised.value
    offer: dict[str, Any] = refused.response.json()
    assert (refused.status_code, refused.code) == (402, "payment_required")
    assert refused.response.headers["www-authenticate"].startswith(
        f'L402 macaroon="{offer["macaroon"]}", invoice="{offer["invoice"]}"'
    )
    assert await shop.invoices() == 1


async def test_a_refusal_can_be_paid_and_the_same_client_goes_on(shop: World):
    """What the SDK's exception carries is enough to pay, and the next call of the program is answered."""
    async with sdk(shop, UNPAID_KEY) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.chat.completions.create(model=MODEL, messages=MESSAGES, max_completion_tokens=CAP_TOKENS)
        offer: dict[str, Any] = raised.value.response.json()
        preimage = await shop.parts.pay(offer["invoice"])
        paying = client.with_options(api_key=f"{offer['macaroon']}:{preimage}")
        answer = await paying.chat.completions.create(model=MODEL, messages=MESSAGES, max_completion_tokens=CAP_TOKENS)

    paid = Paid(offer["macaroon"], preimage, Msat(offer["amount_sats"] * 1_000))
    assert answer.choices[0].finish_reason == "length"
    assert (await shop.settled(paid)).balance < paid.amount
    assert await shop.services.ledger.audit() == []


async def test_what_llamacpp_refuses_is_the_sdks_bad_request(shop: World):
    """A conversation beyond llama.cpp's context raises BadRequestError with its reason; nothing is charged."""
    long: list[ChatCompletionMessageParam] = [{"role": "user", "content": "long " * 1_000}]
    paid = await shop.buy({"model": MODEL, "messages": long, "max_completion_tokens": CAP_TOKENS})

    async with by_key(shop, paid) as client:
        with pytest.raises(openai.BadRequestError, match="exceeds the available context size"):
            await client.chat.completions.create(model=MODEL, messages=long, max_completion_tokens=CAP_TOKENS)

    assert (await shop.settled(paid)).balance == paid.amount
