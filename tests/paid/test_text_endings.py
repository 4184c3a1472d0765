"""Who pays when a stream of responses or of messages ends otherwise than well: the rows of the table, to the millisat.

gpt-4o-mini costs 0.195 and 0.78 msat per token in and out, claude-haiku-5-5 0.13 and 0.65. An answer whose usage is
unknown costs one token for every 8 bytes of its text: 5 pieces of 80 bytes are 50 tokens, 39 or 32.5 msat.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.core.money import Msat
from lib.store.ledger import Owner
from lib.store.sqlite import SqliteLedger
from tests.paid.books import Books, books
from tests.paid.canned_upstream import End, canned_upstream
from tests.paid.conftest import CannedShop
from tests.paid.raw_client import raw_call
from tests.world import ROOT, Paid, World, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

PIECES: dict[str, Any] = {"chunks": 10, "chunk_bytes": 80}
LONG: dict[str, Any] = {"chunks": 200, "chunk_bytes": 2_000}
"""400,000 bytes, more than all buffers on the way: 200 tokens."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A protocol as a buyer and an upstream speak it."""

    path: str
    body: Mapping[str, Any]
    rates: tuple[Decimal, Decimal]
    piece: bytes
    """80 bytes of text, as an event."""
    usage: bytes
    """The event that says that 8 tokens were read and 500 written."""
    begin: bytes
    end: bytes
    """The last event, where it says nothing of the usage."""
    text_of: str
    """The type of an event of text."""

    @property
    def stream(self) -> dict[str, Any]:
        """The body that asks for a stream."""
        return {**self.body, "stream": True}

    def costs(self, tokens_in: int, tokens_out: int) -> int:
        """In msat, rounded up."""
        return math.ceil(self.rates[0] * tokens_in + self.rates[1] * tokens_out)


def named(payload: dict[str, Any]) -> bytes:
    """An event on the wire."""
    return f"event: {payload['type']}\ndata: {json.dumps(payload)}\n\n".encode()


RESPONSES = Spoken(
    "/openai/v1/responses",
    {"model": "gpt-4o-mini", "input": "Hello"},
    (Decimal("0.195"), Decimal("0.78")),
    piece=named({"type": "response.output_text.delta", "item_id": "msg_1", "delta": "x" * 80}),
    usage=named(
        {
            "type": "response.completed",
            "response": {
                "object": "response",
                "status": "completed",
                "usage": {"input_tokens": 8, "output_tokens": 500, "total_tokens": 508},
            },
        }
    ),
    begin=named({"type": "response.created", "response": {"object": "response", "usage": None}}),
    end=b"",
    text_of="response.output_text.delta",
)
MESSAGES = Spoken(
    "/anthropic/v1/messages",
    {"model": "claude-haiku-5-5", "max_tokens": 2_048, "messages": [{"role": "user", "content": "Hello"}]},
    (Decimal("0.13"), Decimal("0.65")),
    piece=named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 80}}),
    usage=named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 500}}),
    begin=named({"type": "message_start", "message": {"usage": {"input_tokens": 8, "output_tokens": 1}}}),
    end=named({"type": "message_stop"}),
    text_of="content_block_delta",
)
either = pytest.mark.parametrize("spoken", [RESPONSES, MESSAGES], ids=["responses", "messages"])


async def ask(world: World, spoken: Spoken, paid: Paid, **more: Any) -> httpx.Response:
    """Send a call for a stream, or for what `more` says, and read the whole answer."""
    return await world.client.post(spoken.path, json={**spoken.stream, **more}, headers=paid.headers)


async def buy(world: World, spoken: Spoken) -> Paid:
    """A credential for a stream."""
    return await world.pay(await world.client.post(spoken.path, json=spoken.stream))


def events(stream: str) -> list[dict[str, Any]]:
    """The payloads of a stream."""
    return [json.loads(line.removeprefix("data: ")) for line in stream.split("\n") if line.startswith("data: ")]


def assert_told_of_the_break(stream: str) -> None:
    """The last event is an error that the official SDKs raise, named so, in our words and with our code."""
    last = events(stream)[-1]
    assert (set(last), last["type"]) == ({"type", "error"}, "error")
    assert (last["error"]["code"], last["error"]["type"]) == ("upstream_error", "server_error")
    assert stream.rstrip("\n").split("\n")[-2] == "event: error"
    assert not {"response.completed", "message_stop"} & {told["type"] for told in events(stream)}


async def assert_still_good(world: World, spoken: Spoken, paid: Paid) -> None:
    """The same credential buys another answer, without another invoice."""
    invoices = await world.invoices()
    answer = await ask(world, spoken, paid, stream=False)
    assert (answer.status_code, answer.headers["x-charge-msat"]) == (200, str(spoken.costs(8, 17))), answer.text
    assert (await books(world, paid)).endings[-1] == "answered"
    assert await world.invoices() == invoices


@either
async def test_a_stream_costs_its_usage_and_says_so(shop: World, spoken: Spoken) -> None:
    """The event that tells the usage tells what it costs here, under its own name; the end is upstream's own."""
    paid = await buy(shop, spoken)

    told = events((await ask(shop, spoken, paid)).text)

    holders: list[dict[str, Any]] = [one.get("response") or one for one in told]
    [usage] = [holder["usage"] for holder in holders if "charge_msat" in str(holder.get("usage"))]
    assert (usage["output_tokens"], usage["charge_msat"]) == (17, spoken.costs(8, 17))
    assert usage["balance_msat"] == paid.amount.value - spoken.costs(8, 17)
    assert told[-1]["type"] in {"response.completed", "message_stop"}
    assert await books(shop, paid) == Books(["answered"], [("answered", spoken.costs(8, 17))], Decimal(0))
    await assert_still_good(shop, spoken, paid)


@either
@pytest.mark.parametrize("accident", ["cut_after_chunks", "error_in_band_after_chunks"])
async def test_a_broken_stream_costs_what_it_visibly_sent(shop: World, spoken: Spoken, accident: str) -> None:
    """5 of 10 pieces came. The buyer is told, in our words."""
    paid = await buy(shop, spoken)
    shop.parts.scenario(**PIECES, **{accident: 5}, times=1)

    answer = await ask(shop, spoken, paid)

    assert len([one for one in events(answer.text) if one["type"] == spoken.text_of]) == 5
    assert_told_of_the_break(answer.text)
    assert "Overloaded" not in answer.text and "had an error processing" not in answer.text
    assert await books(shop, paid) == Books(["broken"], [("broken", spoken.costs(0, 50))], Decimal(0))
    await assert_still_good(shop, spoken, paid)


@either
@pytest.mark.parametrize("accident", ["cut_after_chunks", "error_in_band_after_chunks"])
async def test_a_stream_that_broke_before_any_text_is_free(shop: World, spoken: Spoken, accident: str) -> None:
    """And counts as the operator's loss."""
    paid = await buy(shop, spoken)
    shop.parts.scenario(**{accident: 0}, times=1)

    answer = await ask(shop, spoken, paid)

    assert_told_of_the_break(answer.text)
    closed = await books(shop, paid)
    assert (closed.endings, closed.charges, closed.lost_usd > 0) == (["broken"], [], True)
    await assert_still_good(shop, spoken, paid)


async def test_a_response_that_failed_costs_what_it_visibly_sent(shop: World) -> None:
    """Whatever it says that it used: it is no answer. Asked for whole it is free."""
    paid = await buy(shop, RESPONSES)
    shop.parts.scenario(**PIECES, error_in_band_after_chunks=5, failed=True)

    answer = await ask(shop, RESPONSES, paid)
    shop.parts.scenario(failed=True)
    whole = await ask(shop, RESPONSES, paid, stream=False)

    assert_told_of_the_break(answer.text)
    assert (whole.status_code, whole.json()["error"]["code"]) == (502, "upstream_error")
    closed = await books(shop, paid)
    assert (closed.endings, closed.charges) == (["broken", "unanswered"], [("broken", RESPONSES.costs(0, 50))])


@either
async def test_a_stream_without_usage_costs_what_it_visibly_holds(shop: World, spoken: Spoken) -> None:
    """The stream itself is complete, and its end reaches the buyer."""
    paid = await buy(shop, spoken)
    shop.parts.scenario(**PIECES, usage_missing=True, times=1)

    answer = await ask(shop, spoken, paid)

    assert events(answer.text)[-1]["type"] in {"response.completed", "message_stop"}
    assert await books(shop, paid) == Books(["unmetered"], [("unmetered", spoken.costs(0, 100))], Decimal(0))
    await assert_still_good(shop, spoken, paid)


@either
async def test_a_usage_that_cannot_be_counts_as_none(shop: World, spoken: Spoken) -> None:
    """Negative tokens pay nobody."""
    paid = await buy(shop, spoken)
    shop.parts.scenario(**PIECES, usage={"input_tokens": -8, "output_tokens": 17}, times=1)

    await ask(shop, spoken, paid)

    assert await books(shop, paid) == Books(["unmetered"], [("unmetered", spoken.costs(0, 100))], Decimal(0))


@either
async def test_a_usage_beyond_the_order_is_cut_off(shop: World, spoken: Spoken) -> None:
    """The buyer pays the ceiling at most, which is what was quoted."""
    quoted = (await shop.client.post(f"/api/quote{spoken.path}", json=spoken.stream)).json()["max_price_msat"]
    paid = await buy(shop, spoken)
    shop.parts.scenario(usage={"input_tokens": 8, "output_tokens": 90_000}, times=1)

    await ask(shop, spoken, paid)

    assert (await books(shop, paid)).charges == [("answered", quoted)]


@either
async def test_usage_counts_also_when_the_stream_dies_after_it(canned: CannedShop, spoken: Spoken) -> None:
    """Upstream said what it will bill: cost(usage), not a guess."""
    paid = await buy(canned.world, spoken)
    canned.upstream.says(spoken.begin, spoken.piece, spoken.usage, end=End.CUT)

    answer = await ask(canned.world, spoken, paid)

    assert '"error"' not in answer.text
    assert await books(canned.world, paid) == Books(["answered"], [("answered", spoken.costs(8, 500))], Decimal(0))


async def test_a_response_repeated_in_a_large_last_event_costs_its_usage(canned: CannedShop) -> None:
    """With log probabilities for all it says, the event that tells the usage has many megabytes."""
    paid = await buy(canned.world, RESPONSES)
    last: dict[str, Any] = json.loads(RESPONSES.usage.split(b"data: ")[1])
    last["response"]["output"] = [
        {"type": "message", "content": [{"type": "output_text", "logprobs": "x" * 5_000_000}]}
    ]
    canned.upstream.says(RESPONSES.begin, RESPONSES.piece, named(last))

    answer = await ask(canned.world, RESPONSES, paid)

    assert events(answer.text)[-1]["type"] == "response.completed"
    assert (await books(canned.world, paid)).charges == [("answered", RESPONSES.costs(8, 500))]


PRIVATE = {"cost": 0.01, "cost_details": {"upstream": 0.009}}


def with_private_usage(spoken: Spoken) -> tuple[bytes, bytes]:
    """The first and the last event with a usage of upstream's, wherever that is in them."""
    begin, end = (json.loads(said.split(b"data: ")[1]) for said in (spoken.begin, spoken.usage))
    for said in (begin, end):
        holder: dict[str, Any] = said.get("response") or said.get("message") or said
        holder["usage"] = {**(holder["usage"] or {}), **PRIVATE}
    return named(begin), named(end)


@either
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "json"])
async def test_what_upstream_takes_is_no_business_of_the_buyers(tmp_path: Path, spoken: Spoken, streamed: bool) -> None:
    """`private_usage` is left out wherever a usage is: in a stream's first event, in its last, in a whole answer."""
    shipped = (ROOT / "config.yaml").read_text(encoding="utf-8")
    changed = re.sub(
        r"( +)(protocol: (?:responses|messages)\n)", r"\1\2\1private_usage: [cost, cost_details]\n", shipped
    )
    (tmp_path / "config.yaml").write_text(changed, encoding="utf-8")
    begin, end = with_private_usage(spoken)
    async with canned_upstream() as upstream:
        env = {"OPENAI_BASE_URL": upstream.url, "ANTHROPIC_BASE_URL": upstream.url}
        env["ALITTLEBITOFMONEY_CONFIG"] = str(tmp_path / "config.yaml")
        async with opened_world(tmp_path, env) as world:
            paid = await buy(world, spoken)
            if streamed:
                upstream.says(begin, spoken.piece, end, spoken.end)
            else:
                told = {"type": "message", "object": "response", "status": "completed"}
                used = {"input_tokens": 8, "output_tokens": 500, **PRIVATE}
                upstream.says(json.dumps({**told, "usage": used}).encode(), content_type="application/json")

            answer = await ask(world, spoken, paid, stream=streamed)

            assert answer.status_code == 200 and "cost" not in answer.text
            assert not streamed or {f"event: {one['type']}" for one in events(answer.text)} <= set(
                answer.text.split("\n")
            )
            assert (await books(world, paid)).charges == [("answered", spoken.costs(8, 500))]


@either
@pytest.mark.parametrize("how", ["leave", "reset"])
async def test_hanging_up_is_never_free_use(shop: World, spoken: Spoken, how: str) -> None:
    """Upstream is read to its end for the real usage, and that is charged."""
    paid = await buy(shop, spoken)
    shop.parts.scenario(**LONG)

    async with raw_call(shop, spoken.stream, paid, spoken.path) as call:
        await call.until(spoken.text_of.encode())
        await (call.leave() if how == "leave" else call.reset())

    assert await books(shop, paid) == Books(["answered"], [("answered", spoken.costs(8, 200))], Decimal(0))
    entry = shop.parts.journal()[-1]
    assert (entry["completed"], entry["disconnected"]) == (True, False)
    shop.parts.scenario()
    await assert_still_good(shop, spoken, paid)


@either
async def test_a_client_that_left_a_stream_that_breaks_pays_what_upstream_sent(
    canned: CannedShop, spoken: Spoken
) -> None:
    """Counted is what upstream sent us, not what was relayed: 10 pieces."""
    paid, gate = await buy(canned.world, spoken), asyncio.Event()
    canned.upstream.says(spoken.begin, *[spoken.piece] * 5, gate, *[spoken.piece] * 5, end=End.CUT)

    async with raw_call(canned.world, spoken.stream, paid, spoken.path) as call:
        await call.until(spoken.text_of.encode())
        await call.reset()
        gate.set()

        closed = await books(canned.world, paid)
    assert closed == Books(["broken"], [("broken", spoken.costs(0, 100))], Decimal(0))


@either
async def test_a_stream_is_cut_at_the_total_limit(tmp_path: Path, spoken: Spoken) -> None:
    """As if upstream had died, and the buyer is told."""
    async with canned_upstream() as upstream:
        env = {"OPENAI_BASE_URL": upstream.url, "ANTHROPIC_BASE_URL": upstream.url}
        async with opened_world(tmp_path, env, total_seconds=1.0) as world:
            paid = await buy(world, spoken)
            upstream.says(spoken.begin, *[spoken.piece] * 5, end=End.HANG)

            answer = await ask(world, spoken, paid)

            assert_told_of_the_break(answer.text)
            assert await books(world, paid) == Books(["cut"], [("cut", spoken.costs(0, 50))], Decimal(0))


@either
async def test_a_server_that_stops_settles_what_runs(tmp_path: Path, spoken: Spoken) -> None:
    """A stream that is cancelled in the middle pays what came, once, and nothing stays held."""
    async with canned_upstream() as upstream:
        upstream.says(spoken.begin, *[spoken.piece] * 5, end=End.HANG)
        env = {"OPENAI_BASE_URL": upstream.url, "ANTHROPIC_BASE_URL": upstream.url}
        async with opened_world(tmp_path, env, stop_seconds=1) as world:
            paid = await buy(world, spoken)
            stack = raw_call(world, spoken.stream, paid, spoken.path)
            call = await stack.__aenter__()
            for _ in range(5):
                await call.until(spoken.text_of.encode())
                await call.until(b"\n\n")
        await stack.__aexit__(None, None, None)

    ledger = await SqliteLedger.open(tmp_path)
    try:
        found = await ledger.balance(Owner.of_payment(paid.payment_hash))
        assert found is not None
        assert (found.balance, found.held) == (paid.amount - Msat(spoken.costs(0, 50)), Msat.ZERO)
        assert await ledger.audit() == []
    finally:
        await ledger.aclose()
