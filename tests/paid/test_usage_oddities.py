"""Upstream's usage is not trusted: what it says is charged within the ceiling, and what cannot be is not charged.

Answers here visibly hold 400 bytes: 50 tokens out, 39 msat, if nothing believable is said.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.paid.books import Books, books
from tests.paid.canned_upstream import DONE, canned_upstream, event, text, used
from tests.paid.conftest import CannedShop
from tests.world import CHAT, HELLO, STREAM, World, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOWN_STREAM: dict[str, Any] = {**STREAM, "stream_options": {"include_usage": True}}
VISIBLE: dict[str, Any] = {"chunks": 5, "chunk_bytes": 80}
UNMETERED = Books(["unmetered"], [("unmetered", 39)], Decimal(0))
both_ways = pytest.mark.parametrize("body", [HELLO, STREAM, SHOWN_STREAM], ids=["json", "stream", "shown stream"])


def usage(tokens_in: Any, tokens_out: Any, **more: Any) -> dict[str, Any]:
    """A usage as a scenario says it."""
    return {"usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, **more}}


@pytest.mark.parametrize(
    "said",
    [
        {"usage_missing": True},
        {"usage": None},
        {"usage": "many"},
        {"usage": []},
        {"usage": {}},
        {"usage": 25},
        {"usage": {"prompt_tokens": 8}},
        usage(-8, 17),
        usage(8, -17),
        usage("8", "17"),
        usage(8.0, 17.0),
        usage(True, True),
        usage(None, None),
        usage(8, 100_000_001),
        usage(8, 10**30),
        usage(8, 17, prompt_tokens_details={"cached_tokens": -1}),
        usage(8, 17, prompt_tokens_details={"cached_tokens": "all"}),
        usage(8, 17, completion_tokens_details={"reasoning_tokens": 0.5}),
        {"usage_raw": "[[[]]]"},
    ],
    ids=json.dumps,
)
@both_ways
async def test_a_usage_that_cannot_be_believed_is_none(
    shop: World, body: Mapping[str, Any], said: dict[str, Any]
) -> None:
    """The answer is delivered all the same and costs what it visibly holds."""
    paid = await shop.buy(body)
    shop.parts.scenario(**VISIBLE, **said)

    answer = await shop.ask(body, paid)

    assert answer.status_code == 200
    assert body is HELLO or answer.text.endswith("data: [DONE]\n\n")
    assert await books(shop, paid) == UNMETERED


@pytest.mark.parametrize("raw", ['{"prompt_tokens": NaN, "completion_tokens": 1}', "Infinity", "-NaN", "{,}", '"'])
async def test_a_usage_chunk_that_is_no_json_is_none(shop: World, raw: str) -> None:
    """It reaches the buyer as it came, and counts for nothing."""
    paid = await shop.buy(STREAM)
    shop.parts.scenario(**VISIBLE, usage_raw=raw)

    answer = await shop.ask(STREAM, paid)

    assert answer.text.endswith("data: [DONE]\n\n")
    assert await books(shop, paid) == UNMETERED


async def test_a_plain_answer_that_is_no_json_is_no_answer(shop: World) -> None:
    """NaN makes the whole body unreadable to strict clients: 502, and nothing is charged."""
    paid = await shop.buy()
    shop.parts.scenario(**VISIBLE, usage_raw="NaN")

    answer = await shop.ask(paid=paid)

    assert answer.status_code == 502
    closed = await books(shop, paid)
    assert (closed.endings, closed.charges) == (["unanswered"], [])


@both_ways
async def test_usage_said_twice_is_charged_once(shop: World, body: Mapping[str, Any]) -> None:
    """The last believable one counts."""
    paid = await shop.buy(body)
    shop.parts.scenario(usage_twice=True)

    await shop.ask(body, paid)

    assert await books(shop, paid) == Books(["answered"], [("answered", 15)], Decimal(0))


@pytest.mark.parametrize(
    ("said", "charge"),
    [
        (usage(0, 0), 0),
        (usage(8, 17, prompt_tokens_details=None, completion_tokens_details=None), 15),
        (usage(8, 17, prompt_tokens_details={"cached_tokens": None}), 15),
        # 100 × 0.195 + 1 × 0.78 = 20.28; with all of it cached 100 × 0.0975 + 0.78 = 10.53
        (usage(100, 1), 21),
        (usage(100, 1, prompt_tokens_details={"cached_tokens": 100}), 11),
        (usage(100, 1, prompt_tokens_details={"cached_tokens": 10_000}), 11),
        (usage(100, 1, prompt_tokens_details={"cached_tokens": 60, "cache_write_tokens": 10_000}), 15),
        (usage(8, 17, something_new={"tokens": 10**6}), 15),
        (usage(8, 17, total_tokens=-1), 15),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
@both_ways
async def test_usage_is_read_as_it_is_meant(
    shop: World, body: Mapping[str, Any], said: dict[str, Any], charge: int
) -> None:
    """Parts of a whole never exceed it; nulls and what we do not know change nothing."""
    paid = await shop.buy(body)
    shop.parts.scenario(**said)

    await shop.ask(body, paid)

    assert (await books(shop, paid)).charges == ([("answered", charge)] if charge else [])


@both_ways
async def test_a_gigantic_usage_is_charged_with_the_ceiling(tmp_path: Path, body: Mapping[str, Any]) -> None:
    """The buyer never pays more than was held; what is above counts against the stop-loss."""
    async with opened_world(tmp_path) as world:
        challenge = await world.ask(body)
        paid, ceiling = await world.pay(challenge), challenge.json()["max_price_msat"]
        world.parts.scenario(**usage(8, 1_000_000))

        answer = await world.ask(body, paid)

        # 8 × 0.195 + 1,000,000 × 0.78 = 780,001.56 msat, each 10⁻⁶ USD.
        lost = Decimal(780_002 - ceiling).scaleb(-6)
        assert await books(world, paid) == Books(["answered"], [("answered", ceiling)], lost)
        if body is HELLO:
            assert (ceiling, answer.headers["x-charge-msat"]) == (1_643, "1643")
        elif body is SHOWN_STREAM:
            assert f'"charge_msat":{ceiling},' in answer.text


async def test_usage_in_a_chunk_with_text_loses_neither(canned: CannedShop) -> None:
    """Who did not ask gets the text without the usage."""
    paid = await canned.world.buy(STREAM)
    counts = {"prompt_tokens": 8, "completion_tokens": 17}
    canned.upstream.says(text("Hello"), text(" there", "stop", usage=counts), DONE)

    answer = await canned.world.ask(STREAM, paid)

    assert "there" in answer.text and "prompt_tokens" not in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")
    assert await books(canned.world, paid) == Books(["answered"], [("answered", 15)], Decimal(0))


async def test_usage_in_every_chunk_counts_as_its_last(canned: CannedShop) -> None:
    """Some servers count along; each chunk shows what the call costs as far as it is known."""
    paid = await canned.world.buy(SHOWN_STREAM)
    counts = [{"prompt_tokens": 8, "completion_tokens": so_far} for so_far in (5, 10, 17)]
    canned.upstream.says(*[text("Hello ", usage=count) for count in counts], DONE)

    answer = await canned.world.ask(SHOWN_STREAM, paid)

    shown = [json.loads(line[6:])["usage"]["charge_msat"] for line in answer.text.split("\n") if "{" in line]
    assert (len(shown), shown[-1], shown == sorted(shown)) == (3, 15, True)
    assert await books(canned.world, paid) == Books(["answered"], [("answered", 15)], Decimal(0))


async def test_an_unbelievable_usage_does_not_undo_a_good_one(canned: CannedShop) -> None:
    """Of several the last believable one counts."""
    paid = await canned.world.buy(STREAM)
    canned.upstream.says(text("Hello", "stop"), used(8, 17), used(-1, -1), used(None, "x"), DONE)

    await canned.world.ask(STREAM, paid)

    assert await books(canned.world, paid) == Books(["answered"], [("answered", 15)], Decimal(0))


TRICKY = (
    text("a\u2028b\u2029c\x0bd\u0085e") + b": a comment\n\nevent: ping\ndata: {}\n\n" + text("", "stop") + used(8, 17)
)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("size", [1, 7, 100_000], ids=["byte by byte", "by sevens", "at once"])
async def test_the_wire_may_cut_a_stream_anywhere(canned: CannedShop, size: int, line_end: bytes) -> None:
    """Every event arrives whole, separators inside of texts included, and the usage is read."""
    paid = await canned.world.buy(STREAM)
    stream = (TRICKY + DONE).replace(b"\n", line_end)
    canned.upstream.says(*[stream[at : at + size] for at in range(0, len(stream), size)])

    answer = await canned.world.ask(STREAM, paid)

    expected = (TRICKY + DONE).replace(used(8, 17), b"").replace(b"\n", line_end)
    assert answer.content == expected
    assert await books(canned.world, paid) == Books(["answered"], [("answered", 15)], Decimal(0))


@pytest.mark.parametrize("split_bytes", [1, 3])
async def test_a_plain_answer_may_come_in_pieces_too(shop: World, split_bytes: int) -> None:
    """The same for JSON."""
    paid = await shop.buy()
    shop.parts.scenario(split_bytes=split_bytes, content="\u2028 \U0001f600 ü")

    answer = await shop.ask(paid=paid)

    assert answer.json()["choices"][0]["message"]["content"] == "\u2028 \U0001f600 ü"
    assert (await books(shop, paid)).endings == ["answered"]


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "r" * 400},
        {"refusal": "r" * 400},
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"arguments": "a" * 400}}]},
        {"content": "ü" * 200},
        {"content": [{"type": "text", "text": "t" * 400}]},
    ],
    ids=["reasoning", "refusal", "tool call", "two bytes each", "parts"],
)
async def test_every_kind_of_generated_text_is_visible(canned: CannedShop, delta: dict[str, Any]) -> None:
    """Labels are not."""
    paid = await canned.world.buy(STREAM)
    head = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None}}]})
    canned.upstream.says(head, event({"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]}), DONE)

    await canned.world.ask(STREAM, paid)

    assert await books(canned.world, paid) == UNMETERED


async def test_a_bottomless_delta_is_counted_like_any_other(canned: CannedShop) -> None:
    """Nesting deeper than our own stack would bear ends no call."""
    paid = await canned.world.buy(STREAM)
    deep = b'{"a":' * 900 + b'"' + b"x" * 400 + b'"' + b"}" * 900
    canned.upstream.says(b'data: {"choices":[{"delta":' + deep + b',"finish_reason":"stop"}]}\n\n', DONE)

    answer = await canned.world.ask(STREAM, paid)

    assert answer.text.endswith("data: [DONE]\n\n")
    assert await books(canned.world, paid) == UNMETERED


async def test_done_is_the_end_although_the_connection_stays(tmp_path: Path) -> None:
    """What was charged at [DONE] stands, and what comes after it changes nothing."""
    gate = asyncio.Event()
    async with canned_upstream() as upstream, opened_world(tmp_path, {"OPENAI_BASE_URL": upstream.url}) as world:
        paid = await world.buy(STREAM)
        upstream.says(text("x" * 400, "stop"), used(8, 17), DONE, gate, used(8, 2_000))

        async with world.client.stream("POST", CHAT, json=STREAM, headers=paid.headers) as answer:
            async for line in answer.aiter_lines():
                if line == "data: [DONE]":
                    break
            closed = await books(world, paid)
        gate.set()

        assert closed == Books(["answered"], [("answered", 15)], Decimal(0))
        assert await books(world, paid) == closed
