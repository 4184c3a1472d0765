"""Who pays, by how the call ends: one test per row of the table, over real sockets, to the millisat.

gpt-4o-mini is sold at 0.195 and 0.78 USD per million tokens in and out; one msat is 10⁻⁶ dollars here. HELLO reads 8
tokens and answers 17: 8 × 0.195 + 17 × 0.78 = 14.82, so 15 msat. A challenge for it asks 2 sat. An answer whose usage
is unknown costs one token for every 8 bytes of its text: 5 chunks of 80 bytes are 50 tokens, 39 msat.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.core.money import Msat
from lib.store.ledger import Owner
from lib.store.sqlite import SqliteLedger
from tests.paid.books import Books, assert_nothing_happened, books
from tests.paid.canned_upstream import (
    DONE,
    CannedUpstream,
    End,
    bound_socket,
    canned_upstream,
    event,
    text,
    url_of,
    used,
)
from tests.paid.conftest import CannedShop
from tests.paid.raw_client import raw_call
from tests.world import CHAT, HELLO, STREAM, Paid, World, changed_config, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOWN_STREAM: dict[str, Any] = {**STREAM, "stream_options": {"include_usage": True}}
CHUNK = "x" * 80
WAIT_SECONDS = 10.0
both_ways = pytest.mark.parametrize("body", [HELLO, STREAM], ids=["json", "stream"])


async def until(true: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not true():
            await asyncio.sleep(0.005)


def payloads(stream: str) -> list[dict[str, Any]]:
    """The JSON events of a stream."""
    lines = [line.removeprefix("data: ") for line in stream.split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def content(stream: str) -> str:
    """All text of a stream."""
    choices = [choice for payload in payloads(stream) for choice in payload.get("choices", [])]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def assert_told_of_the_break(stream: str) -> None:
    """The last event is an error in OpenAI's shape, and nothing says that the answer was complete."""
    last = payloads(stream)[-1]
    assert set(last) == {"error"}
    assert (last["error"]["code"], last["error"]["type"]) == ("upstream_error", "server_error")
    assert "[DONE]" not in stream


async def assert_still_good(world: World, paid: Paid) -> None:
    """The same credential buys another answer, without another invoice, and every msat is accounted for."""
    invoices = await world.invoices()
    answer = await world.ask({**HELLO, "messages": [{"role": "user", "content": "Howdy"}]}, paid)
    assert (answer.status_code, answer.headers.get("x-charge-msat")) == (200, "15"), answer.text
    after = await books(world, paid)
    assert (after.endings[-1], after.charges[-1]) == ("answered", ("answered", 15))
    assert await world.invoices() == invoices


async def once_there_is_room(world: World, paid: Paid) -> httpx.Response:
    """Call until the server is not busy any more."""
    async with asyncio.timeout(WAIT_SECONDS):
        while (answer := await world.ask(paid=paid)).status_code == 429:
            await asyncio.sleep(0.02)
    return answer


# Refused before upstream.


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "gpt-4o-mini"}, 400, "missing_required_field"),
        ({**HELLO, "temperature": 9}, 400, "invalid_field_value"),
        ({**HELLO, "n": "2"}, 400, "invalid_field_type"),
        ({**HELLO, "audio": {}}, 400, "invalid_field_value"),
        ({**HELLO, "max_tokens": 7, "max_completion_tokens": 8}, 400, "invalid_field_value"),
        ({**HELLO, "model": "gpt-99"}, 400, "model_not_supported"),
        ({**HELLO, "user": "x" * 10_500_000}, 413, "request_too_large"),
    ],
    ids=["field missing", "value", "type", "field refused", "two caps", "model", "too large"],
)
async def test_a_request_refused_before_upstream_costs_nothing(
    shop: World, body: dict[str, Any], status: int, code: str
) -> None:
    """Nothing is charged, upstream is not asked, no invoice is made, and the payment is still whole."""
    paid, invoices = await shop.buy(), await shop.invoices()

    refused = await shop.ask(body, paid)
    unpaid = await shop.ask(body)

    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert (unpaid.status_code, unpaid.json()["error"]["code"]) == (status, code)
    assert "www-authenticate" not in unpaid.headers
    assert (shop.parts.journal(), await shop.invoices()) == ([], invoices)
    assert await shop.services.ledger.balance(Owner.of_payment(paid.payment_hash)) is None
    await assert_still_good(shop, paid)


async def test_a_refused_request_leaves_an_empty_ledger_empty(tmp_path: Path) -> None:
    """Validation happens before anything is written."""
    async with opened_world(tmp_path) as world:
        answer = await world.ask({"model": "gpt-4o-mini"})

        assert (answer.status_code, await world.invoices()) == (400, 0)
        await assert_nothing_happened(world)


# Upstream refuses or cannot be reached.


async def test_an_unreachable_upstream_costs_nothing(tmp_path: Path) -> None:
    """502, nothing charged and no loss; the same credential buys the answer once upstream is back."""
    listener = bound_socket()
    async with opened_world(tmp_path) as world:
        paid, settings = await world.buy(), world.services.settings
        urls = {**settings.upstream_urls, "openai": url_of(listener)}
        await world.reload(replace(settings, upstream_urls=urls))

        answers = [await world.ask(body, paid) for body in (HELLO, STREAM)]

        assert [answer.status_code for answer in answers] == [502, 502]
        assert {answer.json()["error"]["code"] for answer in answers} == {"upstream_error"}
        assert await books(world, paid) == Books(["unreachable", "unreachable"], [], Decimal(0))
        async with canned_upstream(listener) as upstream:
            upstream.says(b'{"usage":{"prompt_tokens":8,"completion_tokens":17}}', content_type="application/json")
            await assert_still_good(world, paid)


@pytest.mark.parametrize(
    ("scenario", "status", "code", "headers"),
    [
        ({"status": 400}, 400, "invalid_field_value", {}),
        ({"status": 404}, 502, "upstream_error", {}),
        ({"status": 409}, 502, "upstream_error", {}),
        ({"status": 429, "retry_after": 7}, 429, "rate_limited", {"retry-after": "7"}),
        ({"status": 429, "retry_after": 86_400}, 429, "rate_limited", {"retry-after": "120"}),
        ({"status": 429, "retry_after": "²"}, 429, "rate_limited", {"retry-after": "1"}),
        ({"status": 429}, 429, "rate_limited", {"retry-after": "1"}),
        ({"status": 500}, 502, "upstream_error", {}),
        ({"status": 503}, 502, "upstream_error", {}),
        ({"redirect": True}, 502, "upstream_error", {}),
    ],
    ids=[
        "400",
        "404",
        "409",
        "429",
        "429 for a day",
        "429 for no number",
        "429 without a time",
        "500",
        "503",
        "redirect",
    ],
)
@both_ways
async def test_an_error_status_costs_nothing(
    shop: World, body: Mapping[str, Any], scenario: dict[str, Any], status: int, code: str, headers: dict[str, str]
) -> None:
    """The buyer is told in our words; nothing is charged, nobody lost anything, the credential stays good."""
    paid = await shop.buy(body)
    shop.parts.scenario(**scenario, times=1)

    answer = await shop.ask(body, paid)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert "www-authenticate" not in answer.headers
    assert await books(shop, paid) == Books(["refused"], [], Decimal(0))
    assert [entry["path"] for entry in shop.parts.journal()] == [CHAT.removeprefix("/openai")]
    await assert_still_good(shop, paid)


@pytest.mark.parametrize(
    "scenario",
    [
        {"status": 401},
        {"status": 429, "error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}},
        {"status": 429, "error": {"type": "insufficient_quota", "message": "You exceeded your current quota"}},
        {"status": 429, "error": {"code": "billing_hard_limit_reached", "message": "Billing hard limit"}},
    ],
    ids=["401", "quota by code", "quota by type", "hard limit"],
)
async def test_trouble_with_our_key_is_not_the_buyers(shop: World, scenario: dict[str, Any]) -> None:
    """503 that does not say why; until somebody looks, nobody is asked to pay and upstream is left alone."""
    paid, invoices = await shop.buy(), await shop.invoices()
    shop.parts.scenario(**scenario)

    answer = await shop.ask(paid=paid)
    later = [await shop.ask(), await shop.ask(paid=paid)]

    for refused in (answer, *later):
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "upstream_unavailable")
        assert "www-authenticate" not in refused.headers
        assert not any(word in refused.text.lower() for word in ("key", "quota", "billing", "country"))
    assert [refused.headers["retry-after"] for refused in later] == ["30", "30"]
    asked = [entry for entry in shop.parts.journal() if entry["path"] == CHAT.removeprefix("/openai")]
    assert (len(asked), await shop.invoices()) == (1, invoices)
    assert await books(shop, paid) == Books(["refused"], [], Decimal(0))
    # a minute passes, and upstream has come round
    shop.parts.scenario()
    shop.services.upstream._refused_until.clear()  # pyright: ignore[reportPrivateUsage]
    await assert_still_good(shop, paid)


async def test_a_key_that_is_forbidden_everything_is_trouble_of_ours(tmp_path: Path) -> None:
    """403 to a call, and no good answer to what is free either: off sale, and the buyer keeps its sats."""
    base_url = "    base_url: https://api.openai.com/v1\n"
    unlisted = changed_config(tmp_path, base_url, base_url + "    check_path: /nothing\n")
    async with opened_world(tmp_path, unlisted) as world:
        paid = await world.buy()
        world.parts.scenario(status=403)

        refused = [await world.ask(paid=paid), await world.ask()]

        assert [answer.json()["error"]["code"] for answer in refused] == ["upstream_unavailable"] * 2
        assert await books(world, paid) == Books(["refused"], [], Decimal(0))


async def test_a_forbidden_request_takes_nothing_off_sale(shop: World) -> None:
    """Some providers answer 403 to what a request holds. With our key all is well, so others are served on."""
    paid, other = await shop.buy(), await shop.buy()
    shop.parts.scenario(status=403, error={"code": 403, "message": "The input was flagged"}, times=1)

    flagged = await shop.ask(paid=paid)

    assert (flagged.status_code, flagged.json()["error"]["code"]) == (400, "invalid_field_value")
    assert flagged.json()["error"]["message"] == "The input was flagged"
    assert (await shop.ask(paid=other)).status_code == 200
    assert await books(shop, paid) == Books(["refused"], [], Decimal(0))


async def test_a_refusal_is_passed_on_without_our_names(shop: World) -> None:
    """Upstream's own sentence and the field it names help the buyer; our organisation, keys and pages do not."""
    message = "Bad `stop` in org-AbC123xyz (proj_9f8e7d6c) with sk-proj-abcdef123456: see https://platform.openai.com/x"
    paid = await shop.buy()
    shop.parts.scenario(status=400, error={"message": message, "param": "stop", "code": "invalid_value"})

    error = (await shop.ask(paid=paid)).json()["error"]

    assert (error["message"], error["param"]) == ("Bad `stop` in … (…) with …: see …", "stop")


# Sent, and no answer came.


@pytest.mark.parametrize(
    "scenario",
    [
        {"close_before_answer": True},
        {"not_json": True},
    ],
    ids=["connection closed", "a page of HTML"],
)
@both_ways
async def test_an_order_without_an_answer_is_the_operators_loss(
    shop: World, body: Mapping[str, Any], scenario: dict[str, Any]
) -> None:
    """502, nothing charged; what upstream may bill counts against the stop-loss; the credential stays good."""
    paid = await shop.buy(body)
    shop.parts.scenario(**scenario, times=1)

    answer = await shop.ask(body, paid)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
    closed = await books(shop, paid)
    assert (closed.endings, closed.charges) == (["unanswered"], [])
    assert Decimal("0.00122") < closed.lost_usd < Decimal("0.00132")  # 2,048 tokens at 0.60, and the input
    await assert_still_good(shop, paid)


@both_ways
async def test_silence_ends_at_our_limit(tmp_path: Path, body: Mapping[str, Any]) -> None:
    """A plain answer may take the whole total limit to begin, a stream as long as it may pause: then 502."""
    async with opened_world(tmp_path, total_seconds=0.5, idle_seconds=0.5) as world:
        paid = await world.buy(body)
        world.parts.scenario(hang_before_answer=True)

        answer = await world.ask(body, paid)

        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
        closed = await books(world, paid)
        assert (closed.endings, closed.charges, closed.lost_usd > 0) == (["unanswered"], [], True)
        world.parts.scenario()
        await assert_still_good(world, paid)


@both_ways
async def test_silence_is_waited_out_for_a_client_that_left(tmp_path: Path, body: Mapping[str, Any]) -> None:
    """The call ends when the limit ends upstream's silence, and costs nothing."""
    async with opened_world(tmp_path, total_seconds=0.5, idle_seconds=0.5) as world:
        paid = await world.buy(body)
        world.parts.scenario(hang_before_answer=True)

        async with raw_call(world, body, paid) as call:
            await until(lambda: len(world.parts.journal()) == 1)
            await call.reset()

        closed = await books(world, paid)
        assert (closed.endings, closed.charges, closed.lost_usd > 0) == (["unanswered"], [], True)


@both_ways
async def test_an_answer_that_comes_after_the_client_left_is_paid(shop: World, body: Mapping[str, Any]) -> None:
    """Upstream did the work: cost(usage)."""
    paid = await shop.buy(body)
    shop.parts.scenario(hang_before_answer=True)

    async with raw_call(shop, body, paid) as call:
        await until(lambda: len(shop.parts.journal()) == 1)
        await call.reset()
    shop.parts.scenario()

    assert await books(shop, paid) == Books(["answered"], [("answered", 15)], Decimal(0))
    await assert_still_good(shop, paid)


@pytest.mark.parametrize(
    ("said", "ending"),
    [
        (b"[]", "unanswered"),
        (b'"text"', "unanswered"),
        (b"", "unanswered"),
        (b'{"error": {"message": "overloaded"}}', "unanswered"),
        (b'{"choices": [', "unanswered"),
    ],
    ids=["a list", "a string", "nothing", "an error with status 200", "half an object"],
)
async def test_a_body_that_is_no_answer_costs_nothing(canned: CannedShop, said: bytes, ending: str) -> None:
    """Whatever the status says."""
    paid = await canned.world.buy()
    canned.upstream.says(said, content_type="application/json")

    answer = await canned.world.ask(paid=paid)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
    closed = await books(canned.world, paid)
    assert (closed.endings, closed.charges, closed.lost_usd > 0) == ([ending], [], True)


# Answered, and the usage is known.


async def test_a_plain_answer_costs_its_usage(shop: World) -> None:
    """The headers tell charge and balance; the body is upstream's own, usage included."""
    paid = await shop.buy()

    answer = await shop.ask(paid=paid)

    assert (answer.headers["x-charge-msat"], answer.headers["x-balance-msat"]) == ("15", "1985")
    assert answer.json()["usage"]["completion_tokens"] == 17
    assert await books(shop, paid) == Books(["answered"], [("answered", 15)], Decimal(0))
    assert json.loads((await shop.entries(paid))[-1].usage or "") == {
        "input_tokens": 8,
        "output_tokens": 17,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
    }
    await assert_still_good(shop, paid)


async def test_a_stream_hides_its_usage_from_who_did_not_ask(shop: World) -> None:
    """We ask upstream for it all the same, and charge it."""
    paid = await shop.buy(STREAM)

    answer = await shop.ask(STREAM, paid)

    assert "prompt_tokens" not in answer.text
    assert all(payload["choices"] for payload in payloads(answer.text))
    assert answer.text.endswith("data: [DONE]\n\n")
    assert content(answer.text).startswith("This is a canned answer")
    assert await books(shop, paid) == Books(["answered"], [("answered", 15)], Decimal(0))
    await assert_still_good(shop, paid)


async def test_a_stream_shows_its_usage_and_its_price_to_who_asked(shop: World) -> None:
    """The usage chunk comes once, before the end, with what the call costs here."""
    paid = await shop.buy(SHOWN_STREAM)

    answer = await shop.ask(SHOWN_STREAM, paid)

    shown = [payload["usage"] for payload in payloads(answer.text) if payload.get("usage")]
    assert [(usage["prompt_tokens"], usage["completion_tokens"]) for usage in shown] == [(8, 17)]
    assert [(usage["charge_msat"], usage["balance_msat"]) for usage in shown] == [(15, 1985)]
    assert answer.text.endswith("data: [DONE]\n\n")
    assert await books(shop, paid) == Books(["answered"], [("answered", 15)], Decimal(0))


@pytest.mark.parametrize(
    ("own_cap", "charge", "lost"),
    [({}, 2, "0.0012288"), ({"max_tokens": 100}, 80, "0")],
    ids=["our cap", "own cap"],
)
@both_ways
async def test_an_empty_answer_cut_by_our_cap_costs_its_input_only(
    shop: World, body: Mapping[str, Any], own_cap: dict[str, int], charge: int, lost: str
) -> None:
    """The buyer did not choose that cap. Who did pays the reasoning: 8 × 0.195 + 100 × 0.78 = 79.56.

    What upstream takes for 2,048 tokens is counted as a loss, so that nobody can have it for nothing again and again.
    """
    paid = await shop.buy({**body, "max_tokens": 2_048})
    shop.parts.scenario(reasoning_only=True)

    answer = await shop.ask({**body, **own_cap}, paid)

    assert answer.status_code == 200
    assert await books(shop, paid) == Books(["answered"], [("answered", charge)], Decimal(lost))


# A price per call.

METERED = "tokens: {input: 0.15, output: 0.6, cached_input: 0.075}\n"
FLAT = "flat: {sats: 5}\n"


@both_ways
async def test_a_flat_price_is_for_a_delivered_answer(tmp_path: Path, body: Mapping[str, Any]) -> None:
    """5 sat whatever was used, usage or none; nothing for a broken or a missing answer."""
    async with opened_world(tmp_path, changed_config(tmp_path, METERED, FLAT)) as world:
        challenge = await world.ask({**body, "n": 8})
        paid = await world.pay(challenge)
        assert paid.amount == Msat(5_000)

        world.parts.scenario(cut_after_chunks=3, times=1)
        await world.ask(body, paid)
        world.parts.scenario(status=500, times=1)
        await world.ask(body, paid)
        assert (await books(world, paid)).charges == []

        world.parts.scenario(usage_missing=True)
        await world.ask(body, paid)

        closed = await books(world, paid)
        assert closed.endings == ["broken", "refused", "unmetered"]
        assert closed.charges == [("unmetered", 5_000)]


async def test_a_flat_price_is_shown_as_it_is_charged(tmp_path: Path) -> None:
    """In the usage chunk of a stream as in the headers of a plain answer."""
    async with opened_world(tmp_path, changed_config(tmp_path, METERED, FLAT)) as world:
        plain, streamed = await world.buy(), await world.buy(SHOWN_STREAM)

        headers = (await world.ask(paid=plain)).headers
        usage = payloads((await world.ask(SHOWN_STREAM, streamed)).text)[-1]["usage"]

        assert (headers["x-charge-msat"], headers["x-balance-msat"]) == ("5000", "0")
        assert (usage["charge_msat"], usage["balance_msat"]) == (5_000, 0)
        for paid in (plain, streamed):
            assert (await books(world, paid)).charges == [("answered", 5_000)]


# Upstream stops in the middle.


async def test_a_stream_without_usage_costs_what_it_visibly_holds(shop: World) -> None:
    """800 bytes are 100 tokens out and none in; the stream itself is complete."""
    paid = await shop.buy(STREAM)
    shop.parts.scenario(usage_missing=True, chunks=10, chunk_bytes=80, times=1)

    answer = await shop.ask(STREAM, paid)

    assert answer.text.endswith("data: [DONE]\n\n")
    assert await books(shop, paid) == Books(["unmetered"], [("unmetered", 78)], Decimal(0))
    await assert_still_good(shop, paid)


async def test_a_plain_answer_without_usage_costs_what_it_visibly_holds(shop: World) -> None:
    """The same for JSON, and the header says so."""
    paid = await shop.buy()
    shop.parts.scenario(usage_missing=True, chunks=10, chunk_bytes=80)

    answer = await shop.ask(paid=paid)

    assert answer.headers["x-charge-msat"] == "78"
    assert await books(shop, paid) == Books(["unmetered"], [("unmetered", 78)], Decimal(0))


@pytest.mark.parametrize(
    ("scenario", "ending", "charge"),
    [({}, "answered", 15), ({"usage_missing": True, "chunks": 10, "chunk_bytes": 80}, "unmetered", 78)],
    ids=["with usage", "without usage"],
)
async def test_a_stream_may_lack_its_last_line(shop: World, scenario: dict[str, Any], ending: str, charge: int) -> None:
    """Every choice said why it finished, so only the formality is missing: no error, and none invented."""
    paid = await shop.buy(STREAM)
    shop.parts.scenario(no_done=True, **scenario)

    answer = await shop.ask(STREAM, paid)

    assert "[DONE]" not in answer.text and "error" not in answer.text
    assert await books(shop, paid) == Books([ending], [(ending, charge)], Decimal(0))


@pytest.mark.parametrize("accident", ["cut_after_chunks", "error_in_band_after_chunks"])
async def test_a_broken_stream_costs_what_it_visibly_sent(shop: World, accident: str) -> None:
    """5 of 10 chunks came: 400 bytes, 50 tokens, 39 msat. The buyer is told, in our words."""
    paid = await shop.buy(STREAM)
    shop.parts.scenario(chunks=10, chunk_bytes=80, **{accident: 5}, times=1)

    answer = await shop.ask(STREAM, paid)

    assert (answer.status_code, len(content(answer.text))) == (200, 400)
    assert_told_of_the_break(answer.text)
    assert await books(shop, paid) == Books(["broken"], [("broken", 39)], Decimal(0))
    await assert_still_good(shop, paid)


@pytest.mark.parametrize("accident", ["cut_after_chunks", "error_in_band_after_chunks"])
async def test_a_stream_that_broke_before_any_text_is_free(shop: World, accident: str) -> None:
    """And counts as the operator's loss."""
    paid = await shop.buy(STREAM)
    shop.parts.scenario(**{accident: 0}, times=1)

    answer = await shop.ask(STREAM, paid)

    assert_told_of_the_break(answer.text)
    closed = await books(shop, paid)
    assert (closed.endings, closed.charges, closed.lost_usd > 0) == (["broken"], [], True)
    await assert_still_good(shop, paid)


@pytest.mark.parametrize("end", [End.WELL, End.CUT], ids=["ended", "cut"])
async def test_an_empty_stream_is_free(canned: CannedShop, end: End) -> None:
    """Upstream said 200 and nothing else."""
    paid = await canned.world.buy(STREAM)
    canned.upstream.says(end=end)

    answer = await canned.world.ask(STREAM, paid)

    assert_told_of_the_break(answer.text)
    closed = await books(canned.world, paid)
    assert (closed.endings, closed.charges, closed.lost_usd > 0) == (["broken"], [], True)


async def test_a_stream_that_ends_in_the_middle_of_its_text_is_broken(canned: CannedShop) -> None:
    """A clean end of the connection is no end of the answer: nothing said that the text was finished."""
    paid = await canned.world.buy(STREAM)
    canned.upstream.says(*[text(CHUNK)] * 5)

    answer = await canned.world.ask(STREAM, paid)

    assert_told_of_the_break(answer.text)
    assert await books(canned.world, paid) == Books(["broken"], [("broken", 39)], Decimal(0))


async def test_an_error_in_the_stream_is_the_end_even_if_done_follows(canned: CannedShop) -> None:
    """Some servers close a failed stream with [DONE]; an SDK that read that first would take the rest for all."""
    paid = await canned.world.buy(STREAM)
    error = event({"error": {"message": "Out of memory on gpu-7.internal", "type": "server_error", "code": None}})
    canned.upstream.says(*[text(CHUNK)] * 5, error, DONE)

    answer = await canned.world.ask(STREAM, paid)

    assert_told_of_the_break(answer.text)
    assert "gpu-7" not in answer.text
    assert await books(canned.world, paid) == Books(["broken"], [("broken", 39)], Decimal(0))


async def test_usage_counts_also_when_the_stream_dies_after_it(canned: CannedShop) -> None:
    """Upstream said what it will bill, so the text is complete: cost(usage), not a guess."""
    paid = await canned.world.buy(STREAM)
    canned.upstream.says(text(CHUNK, "stop"), used(8, 17), end=End.CUT)

    await canned.world.ask(STREAM, paid)

    assert await books(canned.world, paid) == Books(["answered"], [("answered", 15)], Decimal(0))


@pytest.mark.parametrize("end", [b"", event({"error": {"message": "gone"}})], ids=["dies", "error"])
async def test_a_usage_so_far_is_not_the_last_word(canned: CannedShop, end: bytes) -> None:
    """Some providers tell in every chunk what was used so far. Then an end in the middle is still one."""
    paid = await canned.world.buy(STREAM)
    so_far = {"prompt_tokens": 2_000, "completion_tokens": 2}
    canned.upstream.says(*[text(CHUNK, usage=so_far)] * 5, end, end=End.CUT)

    answer = await canned.world.ask(STREAM, paid)

    assert_told_of_the_break(answer.text)
    assert await books(canned.world, paid) == Books(["broken"], [("broken", 39)], Decimal(0))


async def test_an_error_after_the_usage_is_still_an_error(canned: CannedShop) -> None:
    """The answer failed, so only what it visibly holds is charged."""
    paid = await canned.world.buy(STREAM)
    canned.upstream.says(*[text(CHUNK)] * 5, text("", "stop"), used(2_000, 50), event({"error": {"message": "gone"}}))

    answer = await canned.world.ask(STREAM, paid)

    assert_told_of_the_break(answer.text)
    assert await books(canned.world, paid) == Books(["broken"], [("broken", 39)], Decimal(0))


@pytest.mark.parametrize("apart", [True, False], ids=["later", "in one piece"])
async def test_what_follows_the_end_is_no_part_of_the_answer(canned: CannedShop, apart: bool) -> None:
    """Neither an error nor another usage changes what a whole answer costs, and the buyer sees nothing of it."""
    paid, late = await canned.world.buy(STREAM), [event({"error": {"message": "gone"}}), used(2_000, 2_000)]
    whole = [text(CHUNK, "stop"), used(8, 17), DONE]
    canned.upstream.says(*whole, *late) if apart else canned.upstream.says(b"".join([*whole, *late]))

    answer = await canned.world.ask(STREAM, paid)

    assert answer.text.endswith("data: [DONE]\n\n") and "error" not in answer.text
    assert await books(canned.world, paid) == Books(["answered"], [("answered", 15)], Decimal(0))


async def test_a_connection_that_dies_after_done_broke_nothing(canned: CannedShop) -> None:
    """The answer was complete: no error is appended to it."""
    paid = await canned.world.buy(STREAM)
    canned.upstream.says(*[text(CHUNK)] * 5, DONE, end=End.CUT)

    answer = await canned.world.ask(STREAM, paid)

    assert answer.text.endswith("data: [DONE]\n\n") and "error" not in answer.text
    assert await books(canned.world, paid) == Books(["unmetered"], [("unmetered", 39)], Decimal(0))


async def test_half_a_plain_answer_is_none(shop: World) -> None:
    """The buyer gets a 502 instead of half a body, and pays nothing; the operator's loss."""
    paid = await shop.buy()
    shop.parts.scenario(cut_after_chunks=1, times=1)

    answer = await shop.ask(paid=paid)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
    closed = await books(shop, paid)
    assert (closed.endings, closed.charges, closed.lost_usd > 0) == (["broken"], [], True)
    await assert_still_good(shop, paid)


# The client leaves, or stalls.

LONG: dict[str, Any] = {"chunks": 200, "chunk_bytes": 2_000}
"""400,000 bytes, more than all buffers on the way: 8 × 0.195 + 200 × 0.78 = 157.56, so 158 msat."""


@pytest.mark.parametrize("how", ["leave", "reset"])
@pytest.mark.parametrize("chunks", [0, 3])
async def test_hanging_up_is_never_free_use(shop: World, how: str, chunks: int) -> None:
    """Upstream is read to its end for the real usage, and that is charged."""
    paid = await shop.buy(STREAM)
    shop.parts.scenario(**LONG)

    async with raw_call(shop, STREAM, paid) as call:
        await call.until(b"\r\n\r\n")
        for _ in range(chunks):
            await call.until(b"\n\n")
        await (call.leave() if how == "leave" else call.reset())

    assert await books(shop, paid) == Books(["answered"], [("answered", 158)], Decimal(0))
    entry = shop.parts.journal()[-1]
    assert (entry["completed"], entry["disconnected"]) == (True, False)
    shop.parts.scenario()
    await assert_still_good(shop, paid)


async def test_a_client_that_left_pays_what_comes_after_it(canned: CannedShop) -> None:
    """It saw 5 chunks; upstream bills 500 tokens: 8 × 0.195 + 500 × 0.78 = 391.56."""
    paid, gate = await canned.world.buy(STREAM), asyncio.Event()
    canned.upstream.says(*[text(CHUNK)] * 5, gate, *[text(CHUNK)] * 5, used(8, 500), DONE)

    async with canned.world.client.stream("POST", CHAT, json=STREAM, headers=paid.headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                break
    gate.set()

    assert await books(canned.world, paid) == Books(["answered"], [("answered", 392)], Decimal(0))


async def test_a_client_that_left_a_stream_that_breaks_pays_what_upstream_sent(canned: CannedShop) -> None:
    """Counted is what upstream sent us, not what was relayed: 10 chunks, 78 msat."""
    paid, gate = await canned.world.buy(STREAM), asyncio.Event()
    canned.upstream.says(*[text(CHUNK)] * 5, gate, *[text(CHUNK)] * 5, end=End.CUT)

    async with raw_call(canned.world, STREAM, paid) as call:
        await call.until(b"\n\n")
        await call.reset()
        gate.set()

        assert await books(canned.world, paid) == Books(["broken"], [("broken", 78)], Decimal(0))


@pytest.mark.parametrize("body", [STREAM, HELLO], ids=["stream", "json"])
async def test_a_client_that_stalls_counts_as_gone(tmp_path: Path, body: Mapping[str, Any]) -> None:
    """It pays for everything, its call ends and makes room for others, and it gets no more when it reads again."""
    async with opened_world(tmp_path, send_seconds=0.5, concurrent_calls=1) as world:
        paid, other = await world.buy(body), await world.buy(body)
        world.parts.scenario(**LONG, times=1)

        async with raw_call(world, body, paid) as call:
            await call.until(b"\r\n\r\n")
            closed = await books(world, paid)
            later = await once_there_is_room(world, other)
            delivered = await call.rest()

        assert closed == Books(["answered"], [("answered", 158)], Decimal(0))
        assert len(delivered) < 400_000
        assert world.parts.journal()[0]["completed"]
        assert (later.status_code, (await once_there_is_room(world, paid)).status_code) == (200, 200)


# We cut it.


@contextlib.asynccontextmanager
async def cut_short(tmp_path: Path, **limits: Any) -> AsyncGenerator[tuple[World, CannedUpstream]]:
    """A world with short limits, and its upstream."""
    async with (
        canned_upstream() as upstream,
        opened_world(tmp_path, {"OPENAI_BASE_URL": upstream.url}, **limits) as world,
    ):
        yield world, upstream


async def test_a_stream_is_cut_at_the_total_limit(tmp_path: Path) -> None:
    """As if upstream had died: 5 chunks, 39 msat, and the buyer is told."""
    async with cut_short(tmp_path, total_seconds=1.0) as (world, upstream):
        paid = await world.buy(STREAM)
        upstream.says(*[text(CHUNK)] * 5, end=End.HANG)

        answer = await world.ask(STREAM, paid)

        assert_told_of_the_break(answer.text)
        assert await books(world, paid) == Books(["cut"], [("cut", 39)], Decimal(0))


async def test_a_stream_that_pauses_too_long_is_cut(tmp_path: Path) -> None:
    """The same at the limit between two pieces."""
    async with cut_short(tmp_path, idle_seconds=1.0) as (world, upstream):
        paid = await world.buy(STREAM)
        upstream.says(*[text(CHUNK)] * 5, end=End.HANG)

        answer = await world.ask(STREAM, paid)

        assert_told_of_the_break(answer.text)
        assert await books(world, paid) == Books(["cut"], [("cut", 39)], Decimal(0))


async def test_half_a_plain_answer_at_the_total_limit_costs_nothing(tmp_path: Path) -> None:
    """502: there is nothing to deliver."""
    async with cut_short(tmp_path, total_seconds=1.0) as (world, upstream):
        paid = await world.buy()
        upstream.says(b'{"choices": [', end=End.HANG, content_type="application/json")

        answer = await world.ask(paid=paid)

        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
        closed = await books(world, paid)
        assert (closed.endings, closed.charges, closed.lost_usd > 0) == (["unanswered"], [], True)


SMALL_REPLIES = ("max_reply_bytes: 33554432", "max_reply_bytes: 10000")


async def test_a_stream_beyond_the_size_limit_is_cut_and_costs_its_usage(tmp_path: Path) -> None:
    """Nobody gets what fits, and all that was read for it, by asking for too much: 8 × 0.195 + 2,000 × 0.78."""
    gate = asyncio.Event()
    async with canned_upstream() as upstream:
        env = {"OPENAI_BASE_URL": upstream.url, **changed_config(tmp_path, *SMALL_REPLIES)}
        async with opened_world(tmp_path, env) as world:
            paid = await world.buy(STREAM)
            upstream.says(*[text(CHUNK)] * 5, gate, text("y" * 20_000), used(8, 2_000), DONE)

            async with raw_call(world, STREAM, paid) as call:
                await call.until(b"\r\n\r\n")
                for _ in range(5):
                    await call.until(b"\n\n")
                gate.set()
                rest = await call.until(b"0\r\n\r\n")

            assert b'"code":"upstream_error"' in rest and b"[DONE]" not in rest and b"yyy" not in rest
            assert await books(world, paid) == Books(["cut"], [("cut", 1_562)], Decimal(0))
            assert (await world.services.ledger.totals()).kept_answers == 0


async def test_a_stream_beyond_the_size_limit_that_says_no_usage_costs_what_it_visibly_held(tmp_path: Path) -> None:
    """5 chunks and 10,000 bytes: 1,300 tokens, 1,014 msat."""
    async with canned_upstream() as upstream:
        env = {"OPENAI_BASE_URL": upstream.url, **changed_config(tmp_path, *SMALL_REPLIES)}
        async with opened_world(tmp_path, env) as world:
            paid = await world.buy(STREAM)
            upstream.says(*[text(CHUNK)] * 5, text("y" * 10_000), DONE)

            answer = await world.ask(STREAM, paid)

            assert_told_of_the_break(answer.text)
            assert (await books(world, paid)).charges == [("cut", 1_014)]


async def test_a_plain_answer_beyond_the_size_limit_costs_nothing(tmp_path: Path) -> None:
    """502, and the operator's loss."""
    async with opened_world(tmp_path, changed_config(tmp_path, *SMALL_REPLIES)) as world:
        paid = await world.buy()
        world.parts.scenario(**LONG, times=1)

        answer = await world.ask(paid=paid)

        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
        closed = await books(world, paid)
        assert (closed.endings, closed.charges, closed.lost_usd > 0) == (["cut"], [], True)
        await assert_still_good(world, paid)


# The server stops.


async def test_a_server_that_stops_settles_what_runs(tmp_path: Path) -> None:
    """20 streams are cancelled in the middle: each pays the 39 msat that came, once, and nothing stays held."""
    async with canned_upstream() as upstream, contextlib.AsyncExitStack() as clients:
        upstream.says(*[text(CHUNK)] * 5, end=End.HANG)
        env = {"OPENAI_BASE_URL": upstream.url}
        async with opened_world(tmp_path, env, stop_seconds=1) as world:
            buyers = [await world.buy(STREAM) for _ in range(20)]
            for paid in buyers:
                call = await clients.enter_async_context(raw_call(world, STREAM, paid))
                await call.until(b"\r\n\r\n")
                for _ in range(5):
                    await call.until(b"\n\n")

    ledger = await SqliteLedger.open(tmp_path)
    try:
        balances = [await ledger.balance(Owner.of_payment(paid.payment_hash)) for paid in buyers]
        assert [(found.balance, found.held) for found in balances if found] == [(Msat(1_961), Msat.ZERO)] * 20
        assert await ledger.audit() == []
    finally:
        await ledger.aclose()
