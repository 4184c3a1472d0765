"""Calls bought by L402 and answered by llama.cpp: charged to the millisat from what it counted, however they end."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lib.core.endings import Ending
from lib.core.money import Msat
from lib.store.ledger import Entry, EntryKind
from tests.llamacpp.conftest import LlamaCpp
from tests.world import CHAT, World, opened_world

pytestmark = pytest.mark.slow

CALL: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hello"}],
    "max_completion_tokens": 40,
}
PROMPT_TOKENS = 24
"""What llama.cpp makes of it with the tiny model's template and vocabulary."""
STREAM: dict[str, Any] = {**CALL, "stream": True}
WITH_USAGE: dict[str, Any] = {**STREAM, "stream_options": {"include_usage": True}}
LONG: dict[str, Any] = {**WITH_USAGE, "max_completion_tokens": 900}
TOO_LONG: dict[str, Any] = {**CALL, "messages": [{"role": "user", "content": "long " * 1_000}]}


def price(usage: dict[str, Any]) -> Msat:
    """What gpt-4o-mini costs at 100,000 USD a bitcoin, in msat: 0.195 a token read,
    half of it if cached, 0.78 a token written.

    Exact, and rounded up once at the end.
    """
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    read = Decimal("0.195") * (usage["prompt_tokens"] - cached) + Decimal("0.0975") * cached
    return Msat(math.ceil(read + Decimal("0.78") * usage["completion_tokens"]))


def price_of_entry(entry: Entry) -> Msat:
    """The price of what the ledger says was used."""
    used = json.loads(entry.usage or "")
    cached = {"cached_tokens": used["cached_input_tokens"]}
    return price(
        {
            "prompt_tokens": used["input_tokens"],
            "completion_tokens": used["output_tokens"],
            "prompt_tokens_details": cached,
        }
    )


def events(text: str) -> list[dict[str, Any]]:
    """The JSON of a stream's events, which must close with [DONE]."""
    datas = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert datas.pop() == "[DONE]"
    return [json.loads(data) for data in datas]


async def test_an_answer_costs_what_llamacpp_counted(shop: World):
    """The reply, its header, the ledger and llama.cpp's own usage agree to the millisat, and the rest stays."""
    paid = await shop.buy(CALL)

    reply = await shop.ask(CALL, paid)

    usage = reply.json()["usage"]
    assert (reply.status_code, usage["prompt_tokens"], usage["completion_tokens"]) == (200, PROMPT_TOKENS, 40)
    assert reply.headers["x-charge-msat"] == str(price(usage).value)
    assert (await shop.settled(paid)).balance == paid.amount - price(usage)
    assert [(entry.kind, entry.amount) for entry in await shop.entries(paid)] == [
        (EntryKind.CREDIT, paid.amount),
        (EntryKind.CHARGE, -price(usage)),
    ]
    assert await shop.services.ledger.audit() == []


async def test_a_prompt_in_llamacpps_cache_is_cheaper(shop: World):
    """Tokens that llama.cpp took from its cache cost the cached price: here half of the input's."""
    paid = await shop.buy(CALL)
    await shop.ask(CALL, paid)

    again = await shop.ask(CALL, paid)

    usage = again.json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == PROMPT_TOKENS - 1
    assert price(usage) == Msat(34)  # 1 × 0.195 + 23 × 0.0975 + 40 × 0.78 = 33.6375
    assert again.headers["x-charge-msat"] == "34"


async def test_a_stream_with_usage_tells_what_it_cost(shop: World):
    """The usage chunk that the buyer asked for carries llama.cpp's counts, our charge and the balance after it."""
    paid = await shop.buy(WITH_USAGE)

    reply = await shop.ask(WITH_USAGE, paid)

    *words, last = events(reply.text)
    assert last["usage"]["completion_tokens"] == 40
    assert last["usage"]["charge_msat"] == price(last["usage"]).value
    assert last["usage"]["balance_msat"] == (paid.amount - price(last["usage"])).value
    assert all("usage" not in word for word in words)
    assert (await shop.settled(paid)).balance == paid.amount - price(last["usage"])
    assert await shop.services.ledger.audit() == []


async def test_a_stream_without_usage_is_metered_all_the_same(shop: World):
    """A buyer who did not ask for usage sees none, and pays exactly what it was."""
    paid = await shop.buy(STREAM)

    reply = await shop.ask(STREAM, paid)

    chunks = events(reply.text)
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert all("usage" not in chunk for chunk in chunks)
    balance = (await shop.settled(paid)).balance
    charge = (await shop.entries(paid))[-1]
    used = json.loads(charge.usage or "")
    assert (charge.ending, used["input_tokens"], used["output_tokens"]) == (Ending.ANSWERED, PROMPT_TOKENS, 40)
    assert balance == paid.amount - price_of_entry(charge)


@pytest.mark.parametrize("asked", [CALL, WITH_USAGE], ids=["json", "stream"])
async def test_two_answers_cost_what_llamacpp_says_they_used(shop: World, asked: dict[str, Any]):
    """With n=2 the charge is llama.cpp's last word on usage (it counts one of the answers), never more than it says."""
    order = {**asked, "n": 2}
    paid = await shop.buy(order)

    reply = await shop.ask(order, paid)

    chunks = events(reply.text) if order.get("stream") else [reply.json()]
    usage = [chunk["usage"] for chunk in chunks if "usage" in chunk][-1]
    assert {choice["index"] for chunk in chunks for choice in chunk["choices"]} == {0, 1}
    assert (await shop.settled(paid)).balance == paid.amount - price(usage)
    assert await shop.services.ledger.audit() == []


async def test_a_conversation_too_long_for_llamacpp_costs_nothing(shop: World):
    """llama.cpp's refusal reaches the buyer as a 400 in our shape, and the credential is as good as before."""
    paid = await shop.buy(TOO_LONG)

    refused = await shop.ask(TOO_LONG, paid)

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "invalid_field_value")
    assert "exceeds the available context size (1024 tokens)" in error["message"]
    assert (await shop.settled(paid)).balance == paid.amount
    assert (await shop.services.ledger.losses(within_seconds=60)).by_account == {}
    assert (await shop.ask(CALL, paid)).status_code == 200
    assert await shop.services.ledger.audit() == []


async def test_leaving_a_stream_costs_what_llamacpp_wrote_after_all(shop: World, llamacpp: LlamaCpp):
    """A buyer who hangs up after the first words pays for all that llama.cpp went on to write; nothing stays held."""
    paid = await shop.buy(LONG)
    before = llamacpp.counted("tokens_predicted_total")

    async with shop.client.stream("POST", CHAT, json=LONG, headers=paid.headers) as reply:
        heard = await anext(reply.aiter_bytes())

    left = await shop.settled(paid)
    charge = (await shop.entries(paid))[-1]
    used = json.loads(charge.usage or "")
    assert b"[DONE]" not in heard
    assert used["output_tokens"] == llamacpp.counted("tokens_predicted_total") - before == 900
    assert charge.ending is Ending.ANSWERED
    assert charge.amount == -price_of_entry(charge)
    assert (left.balance, left.held) == (paid.amount + charge.amount, Msat.ZERO)
    assert await shop.services.ledger.audit() == []


async def test_a_key_that_llamacpp_refuses_costs_the_buyer_nothing(llamacpp: LlamaCpp, tmp_path: Path):
    """Our own trouble with the upstream is a 503 that says nothing of keys; what was paid stays the buyer's."""
    env = {"OPENAI_BASE_URL": f"{llamacpp.url}/v1", "OPENAI_API_KEY": llamacpp.key}
    async with opened_world(tmp_path, env) as shop:
        paid = await shop.buy(CALL)
        old = shop.newest.settings
        keys = {**old.secrets.upstream_keys, "openai": "not-its-key"}
        await shop.reload(replace(old, secrets=replace(old.secrets, upstream_keys=keys)))

        refused = await shop.ask(CALL, paid)

        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "upstream_unavailable")
        assert "key" not in refused.text.lower()
        balance = await shop.client.get("/api/balance", headers=paid.headers)
        assert balance.json()["available_msat"] == paid.amount.value
