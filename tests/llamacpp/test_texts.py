"""Responses, messages and vectors by llama.cpp, through the official SDKs: charged to the msat from what it counted.

It reads 24 tokens of "Hello", writes as many as it may, and says how many of those it read it had in its cache.
Streams of messages are proven elsewhere: llama.cpp forgets `message_start` when its first token is half a character.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import MessageParam

from lib.core.money import Msat
from tests.llamacpp.conftest import LlamaCpp, environment_of
from tests.purses import LIMIT_SECONDS, Way, both_ways, extra_of, purse
from tests.world import World, opened_world

pytestmark = pytest.mark.slow

MODEL, CLAUDE = "gpt-4o-mini", "claude-haiku-5-5"
READ_TOKENS, CAP_TOKENS = 24, 40
RESPONSE: dict[str, Any] = {"model": MODEL, "input": "Hello", "max_output_tokens": CAP_TOKENS}
MESSAGES: list[MessageParam] = [{"role": "user", "content": "Hello"}]
MESSAGE: dict[str, Any] = {"model": CLAUDE, "max_tokens": CAP_TOKENS, "messages": MESSAGES}


def price(read: str, cached: str, written: str, *, tokens: int, of_cache: int, out: int) -> Msat:
    """At 100,000 USD a bitcoin, from msat per token; exact, and rounded up once."""
    return Msat(math.ceil(Decimal(read) * (tokens - of_cache) + Decimal(cached) * of_cache + Decimal(written) * out))


def of_response(usage: Any) -> Msat:
    """What gpt-4o-mini costs."""
    cached: int = usage.input_tokens_details.cached_tokens
    assert (usage.input_tokens, usage.output_tokens) == (READ_TOKENS, CAP_TOKENS)
    return price("0.195", "0.0975", "0.78", tokens=usage.input_tokens, of_cache=cached, out=usage.output_tokens)


def of_message(usage: Any) -> Msat:
    """What claude-haiku-5-5 costs; it counts what it had in its cache beside the input."""
    cached: int = usage.cache_read_input_tokens or 0
    assert (usage.input_tokens + cached, usage.output_tokens) == (READ_TOKENS, CAP_TOKENS)
    return price("0.13", "0.013", "0.65", tokens=READ_TOKENS, of_cache=cached, out=usage.output_tokens)


@asynccontextmanager
async def of_openai(shop: World, key: str) -> AsyncGenerator[openai.AsyncOpenAI]:
    """The SDK as it is; only address and key are ours."""
    async with openai.AsyncOpenAI(base_url=f"{shop.url}/v1", api_key=key, timeout=LIMIT_SECONDS) as client:
        yield client


@asynccontextmanager
async def of_anthropic(shop: World, key: str) -> AsyncGenerator[anthropic.AsyncAnthropic]:
    """The SDK as it is; only address and key are ours."""
    url = f"{shop.url}/anthropic"
    async with anthropic.AsyncAnthropic(base_url=url, api_key=key, timeout=LIMIT_SECONDS) as client:
        yield client


@both_ways
async def test_a_response_costs_what_llamacpp_counted(shop: World, way: Way) -> None:
    """Tokens that it had in its cache at the cached price."""
    paid = await purse(shop, way, "/openai/v1/responses", RESPONSE)

    async with of_openai(shop, paid.key) as client:
        answer = await client.responses.create(model=MODEL, input="Hello", max_output_tokens=CAP_TOKENS)

    assert answer.output_text
    assert await paid.charged(shop) == of_response(answer.usage)


@both_ways
async def test_a_stream_of_a_response_costs_what_llamacpp_counted(shop: World, way: Way) -> None:
    """Its last event has the counts, our charge and the balance."""
    paid = await purse(shop, way, "/openai/v1/responses", RESPONSE)

    async with of_openai(shop, paid.key) as client:
        stream = await client.responses.create(model=MODEL, input="Hello", max_output_tokens=CAP_TOKENS, stream=True)
        events = [event async for event in stream]

    last = events[-1]
    assert last.type == "response.completed" and last.response.usage is not None
    charge = of_response(last.response.usage)
    assert extra_of(last.response.usage) == {
        "charge_msat": charge.value,
        "balance_msat": (paid.paid - charge).value,
    }
    assert await paid.charged(shop) == charge


@both_ways
async def test_a_message_costs_what_llamacpp_counted(shop: World, way: Way) -> None:
    """Through Anthropic's own protocol, which llama.cpp speaks too."""
    paid = await purse(shop, way, "/anthropic/v1/messages", MESSAGE)

    async with of_anthropic(shop, paid.key) as client:
        answer = await client.messages.create(model=CLAUDE, max_tokens=CAP_TOKENS, messages=MESSAGES)

    assert (answer.content[0].type, answer.stop_reason) == ("text", "max_tokens")
    assert await paid.charged(shop) == of_message(answer.usage)


@both_ways
async def test_vectors_cost_what_llamacpp_counted(vectors: LlamaCpp, tmp_path: Path, way: Way) -> None:
    """At 0.13 msat a token. Mistral's bound is bytes, which suits llama.cpp here: its tokens are single letters."""
    texts = ["Hello world", "A little bit of money " * 20]
    async with opened_world(tmp_path, environment_of(vectors)) as shop:
        paid = await purse(shop, way, "/mistral/v1/embeddings", {"model": "mistral-embed", "input": texts})

        client = openai.AsyncOpenAI(base_url=f"{shop.url}/mistral/v1", api_key=paid.key, timeout=LIMIT_SECONDS)
        async with client:
            answer = await client.embeddings.create(model="mistral-embed", input=texts)

        assert [len(item.embedding) for item in answer.data] == [64, 64]
        assert answer.usage.prompt_tokens > 400
        assert await paid.charged(shop) == Msat(math.ceil(Decimal("0.13") * answer.usage.prompt_tokens))


async def test_a_message_too_long_for_llamacpp_is_the_sdks_bad_request(shop: World) -> None:
    """With llama.cpp's reason; nothing is charged."""
    long: list[MessageParam] = [{"role": "user", "content": "long " * 1_000}]
    paid = await purse(shop, "token", "/anthropic/v1/messages", MESSAGE)

    async with of_anthropic(shop, paid.key) as client:
        with pytest.raises(anthropic.BadRequestError, match="exceeds the available context size"):
            await client.messages.create(model=CLAUDE, max_tokens=CAP_TOKENS, messages=long)

    assert await paid.charged(shop) == Msat.ZERO
