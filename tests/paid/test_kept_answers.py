"""What was paid and not delivered is fetched free; an Idempotency-Key is never charged twice. Over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.core.money import Msat
from lib.demo.parts import demo_parts
from lib.store.sqlite import SqliteLedger
from tests.core.plain_macaroon import appended
from tests.paid.books import all_bytes, books
from tests.paid.raw_client import raw_call
from tests.world import CHAT, HELLO, STREAM, Paid, World, opened_server, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

both_ways = pytest.mark.parametrize("body", [HELLO, STREAM], ids=["json", "stream"])
WAIT_SECONDS = 10.0


class NoPrice:
    """A source that knows no price."""

    def current(self) -> None:
        """Nothing."""


BOUGHT = ("answered", 15)
MANY_CHUNKS = 400
"""With CHUNK_BYTES each: more than the small socket buffers of a test hold."""
CHUNK_BYTES = 2_000


@pytest.fixture
def shop(shared_shop: World) -> World:
    """As it was opened."""
    shared_shop.parts.scenario()
    shared_shop.parts.clear_journal()
    return shared_shop


async def until(true: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not true():
            await asyncio.sleep(0.005)


async def seen_leaving(world: World) -> None:
    """Wait until the ledger knows that somebody left a running call."""
    ledger = world.services.ledger
    assert isinstance(ledger, SqliteLedger)
    query = "SELECT 1 FROM holds WHERE ended_at_us IS NULL AND left_at_us IS NOT NULL"
    async with asyncio.timeout(WAIT_SECONDS):
        while not await ledger._scanner.run(lambda db: db.execute(query).fetchone()):  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0.005)


async def left_before_the_answer(world: World, body: Mapping[str, Any], paid: Paid) -> None:
    """A buyer hangs up while upstream thinks; the call then ends well."""
    world.parts.clear_journal()
    world.parts.scenario(hang_before_answer=True)
    async with raw_call(world, body, paid) as call:
        await until(lambda: len(world.parts.journal()) == 1)
        await call.reset()
    await seen_leaving(world)
    world.parts.scenario()
    await world.settled(paid)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and error code."""
    return answer.status_code, answer.json()["error"]["code"]


# Undelivered answers.


@both_ways
async def test_an_answer_that_could_not_be_delivered_is_fetched_free(shop: World, body: Mapping[str, Any]) -> None:
    """The same request with the same credential gets it, says so, and costs nothing; upstream is not asked again."""
    paid = await shop.buy(body)
    await left_before_the_answer(shop, body, paid)

    again = await shop.ask(body, paid)

    assert again.status_code == 200
    assert (again.headers["x-answer-replayed"], again.headers["x-charge-msat"]) == ("true", "0")
    assert "canned" in again.text
    assert again.text.endswith("data: [DONE]\n\n") == bool(body.get("stream"))
    assert len(shop.parts.journal()) == 1
    assert (await books(shop, paid)).charges == [BOUGHT]


async def test_a_fetched_answer_is_gone(shop: World) -> None:
    """It was paid once and delivered once: the next one is bought."""
    paid = await shop.buy()
    await left_before_the_answer(shop, HELLO, paid)

    answers = [await shop.ask(paid=paid) for _ in range(3)]

    assert [answer.headers["x-charge-msat"] for answer in answers] == ["0", "15", "15"]
    assert (await books(shop, paid)).charges == [BOUGHT] * 3


async def test_another_request_does_not_get_it(shop: World) -> None:
    """What was asked is what is fetched; the kept answer waits."""
    paid = await shop.buy({**HELLO, "max_tokens": 4_000})
    await left_before_the_answer(shop, HELLO, paid)

    other = await shop.ask({**HELLO, "temperature": 1}, paid)
    same = await shop.ask(paid=paid)

    assert (other.headers["x-charge-msat"], same.headers["x-charge-msat"]) == ("15", "0")


async def test_who_asks_to_see_the_usage_does_not_get_an_answer_without_it(shop: World) -> None:
    """Upstream is asked the same, but it is another answer that the buyer wants."""
    paid = await shop.buy({**STREAM, "max_tokens": 4_000})
    await left_before_the_answer(shop, STREAM, paid)

    shown = await shop.ask({**STREAM, "stream_options": {"include_usage": True}}, paid)
    same = await shop.ask(STREAM, paid)

    assert '"charge_msat":15' in shown.text
    assert same.headers["x-answer-replayed"] == "true" and "charge_msat" not in same.text


async def test_a_body_that_means_the_same_gets_it(shop: World) -> None:
    """The order is compared, not its bytes: key order, white space and null fields say nothing."""
    paid = await shop.buy()
    await left_before_the_answer(shop, HELLO, paid)

    spelled = b'{ "messages": [{"content": "Hello", "role": "user"}], "temperature": null, "model": "gpt-4o-mini" }'
    again = await shop.client.post(CHAT, content=spelled, headers=paid.headers)

    assert again.headers["x-charge-msat"] == "0", again.text


async def test_a_stalled_reader_fetches_the_rest_later(tmp_path: Path) -> None:
    """Who stops reading counts as gone after the send limit: upstream is read to its end and the whole is kept."""
    async with opened_world(tmp_path, send_seconds=0.3) as world:
        paid = await world.buy({**STREAM, "max_tokens": 16_000})
        body = {**STREAM, "max_tokens": 16_000}
        world.parts.scenario(chunks=MANY_CHUNKS, chunk_bytes=CHUNK_BYTES)
        async with raw_call(world, body, paid) as call:
            await call.until(b"data: ")
            await world.settled(paid)
        world.parts.scenario()

        again = await world.ask(body, paid)

        assert again.headers["x-answer-replayed"] == "true"
        assert again.text.endswith("data: [DONE]\n\n")
        assert len(again.text) > MANY_CHUNKS * CHUNK_BYTES
        assert len((await books(world, paid)).charges) == 1


@both_ways
@pytest.mark.parametrize("answer_bytes", [40_000, 80_000, 120_000, 400_000])
async def test_what_our_socket_has_not_taken_is_not_delivered(
    shop: World, body: Mapping[str, Any], answer_bytes: int
) -> None:
    """Bytes that wait inside this process are not with the buyer: one who resets before they left fetches them free."""
    body = {**body, "max_tokens": 16_000}
    paid = await shop.buy(body)
    shop.parts.scenario(chunks=answer_bytes // CHUNK_BYTES, chunk_bytes=CHUNK_BYTES)
    async with raw_call(shop, body, paid) as call:
        await call.until(b"HTTP/1.1 200")
        await until(lambda: shop.parts.journal()[0]["completed"])
        await asyncio.sleep(0.05)  # a server that would settle too early does so now
        held = (await shop.account(paid)).held
        await call.reset()
    await shop.settled(paid)
    shop.parts.scenario()

    again = await shop.ask(body, paid)

    assert held > Msat(0)
    assert again.headers["x-answer-replayed"] == "true"
    assert len(again.text) > answer_bytes
    assert len((await books(shop, paid)).charges) == 1


async def test_a_call_that_is_still_read_is_not_sold_again(shop: World) -> None:
    """The buyer left and asks again at once: 409 with Retry-After, and later the one answer."""
    paid = await shop.buy({**HELLO, "max_tokens": 8_000})
    shop.parts.scenario(hang_before_answer=True)
    async with raw_call(shop, HELLO, paid) as call:
        await until(lambda: len(shop.parts.journal()) == 1)
        await call.reset()
    await seen_leaving(shop)

    early = await shop.ask(paid=paid)
    shop.parts.scenario()
    await shop.settled(paid)
    late = await shop.ask(paid=paid)

    assert code_of(early) == (409, "payment_in_progress")
    assert early.headers["retry-after"] == "1"
    assert (late.status_code, late.headers["x-charge-msat"]) == (200, "0")
    assert (await books(shop, paid)).charges == [BOUGHT]


async def test_two_equal_calls_that_are_both_wanted_both_run(shop: World) -> None:
    """Nobody left: equal requests at once are two calls."""
    paid = await shop.buy({**HELLO, "max_tokens": 8_000})
    shop.parts.scenario(wait_for=2)

    answers = await asyncio.gather(shop.ask(paid=paid), shop.ask(paid=paid))

    assert [answer.headers["x-charge-msat"] for answer in answers] == ["15", "15"]


async def test_what_was_delivered_is_not_kept(shop: World) -> None:
    """Also when the buyer closes right after the last byte, as SDKs do at [DONE]."""
    paid = await shop.buy({**STREAM, "max_tokens": 8_000})
    for _ in range(20):
        async with shop.client.stream("POST", CHAT, json=STREAM, headers=paid.headers) as answer:
            async for line in answer.aiter_lines():
                if line == "data: [DONE]":
                    break

    assert (await books(shop, paid)).charges == [BOUGHT] * 20


async def test_half_an_answer_is_not_kept(shop: World) -> None:
    """Upstream died in the middle after the buyer had left: charged for what it sent, and the order is bought anew."""
    body = {**STREAM, "max_tokens": 8_000}
    paid = await shop.buy(body)
    shop.parts.scenario(chunks=4, chunk_bytes=80, chunk_delay_ms=50, cut_after_chunks=3)
    async with raw_call(shop, body, paid) as call:
        await call.until(b"data: ")
        await call.reset()
    await shop.settled(paid)
    shop.parts.scenario()

    again = await shop.ask(body, paid)

    assert "x-answer-replayed" not in again.headers
    assert [ending for ending, _ in (await books(shop, paid)).charges] == ["broken", "answered"]


async def test_a_token_fetches_its_answer_too(shop: World) -> None:
    """Whatever the door; and after a rotation it is another owner's."""
    paid = await shop.buy({**HELLO, "max_tokens": 8_000})
    claimed = await shop.client.post("/topup/claim", headers=paid.headers, json={})
    token = {"Authorization": f"Bearer {claimed.json()['token']}"}
    shop.parts.scenario(hang_before_answer=True)
    with pytest.raises(httpx.ReadTimeout):
        await shop.client.post(CHAT, json=HELLO, headers=token, timeout=0.5)
    shop.parts.scenario()
    await until(lambda: all(entry["completed"] for entry in shop.parts.journal()))

    async with asyncio.timeout(WAIT_SECONDS):
        while (again := await shop.client.post(CHAT, json=HELLO, headers=token)).status_code == 409:
            await asyncio.sleep(0.02)

    assert again.headers["x-charge-msat"] == "0"


async def test_a_macaroon_without_need_of_a_preimage_fetches_its_answer(shop: World) -> None:
    """Sealed under what only the server can derive: the same with and without the preimage."""
    offer = await shop.ask(X_Payment_Proof="node")
    paid = await shop.pay(offer)
    shop.parts.scenario(hang_before_answer=True)
    async with raw_call(shop, HELLO, replace(paid, preimage="")) as call:
        await until(lambda: len(shop.parts.journal()) == 1)
        await call.reset()
    await seen_leaving(shop)
    shop.parts.scenario()
    await shop.settled(paid)

    again = await shop.ask(paid=paid)

    assert again.headers["x-charge-msat"] == "0", again.text


async def test_kept_answers_are_unreadable_in_the_database(tmp_path: Path) -> None:
    """Neither the answer nor the prompt is anywhere in the files."""
    async with opened_world(tmp_path) as world:
        paid = await world.buy()
        await left_before_the_answer(world, HELLO, paid)
        await world.services.ledger.aclose()

    files = all_bytes(tmp_path)
    assert b"answered" in files
    assert b"canned" not in files and b"chat.completion" not in files and b"Hello" not in files


async def test_a_whole_answer_survives_an_orderly_stop(tmp_path: Path) -> None:
    """The server stops while a complete answer waits for a slow reader: the next server hands it out."""
    body = {**STREAM, "max_tokens": 16_000}
    async with demo_parts() as parts, AsyncExitStack() as calls:
        async with opened_server(parts, tmp_path, stop_seconds=1) as world:
            paid = await world.buy(body)
            parts.scenario(chunks=MANY_CHUNKS, chunk_bytes=CHUNK_BYTES)
            call = await calls.enter_async_context(raw_call(world, body, paid))
            await call.until(b"data: ")
            await until(lambda: parts.journal()[0]["completed"])
            parts.scenario()

        async with opened_server(parts, tmp_path) as world:
            again = await world.ask(body, paid)

            assert again.headers["x-answer-replayed"] == "true", again.text
            assert again.text.endswith("data: [DONE]\n\n")
            assert len((await books(world, paid)).charges) == 1
            assert len(parts.journal()) == 1


# Idempotency keys.


@both_ways
async def test_a_key_gets_the_first_answer_again(shop: World, body: Mapping[str, Any]) -> None:
    """Byte for byte, as often as it asks, and pays once."""
    paid = await shop.buy({**body, "max_tokens": 8_000})

    first, *again = [await shop.ask(body, paid, Idempotency_Key="order-1") for _ in range(3)]

    assert "x-answer-replayed" not in first.headers
    assert {answer.content for answer in again} == {first.content}
    assert {(answer.headers["x-answer-replayed"], answer.headers["x-charge-msat"]) for answer in again} == {
        ("true", "0")
    }
    assert (await books(shop, paid)).charges == [BOUGHT]


async def test_a_key_with_another_body_is_refused(shop: World) -> None:
    """422, nothing charged; official SDKs do not repeat it."""
    paid = await shop.buy({**HELLO, "max_tokens": 8_000})
    await shop.ask(HELLO, paid, Idempotency_Key="order-1")

    other = await shop.ask({**HELLO, "temperature": 1}, paid, Idempotency_Key="order-1")

    assert code_of(other) == (422, "idempotency_key_reused")
    assert (await books(shop, paid)).charges == [BOUGHT]


async def test_a_key_whose_call_runs_waits(shop: World) -> None:
    """409 with Retry-After while it runs, though nobody left; one call goes upstream."""
    paid = await shop.buy({**HELLO, "max_tokens": 8_000})
    shop.parts.scenario(hang_before_answer=True)
    running = asyncio.create_task(shop.ask(HELLO, paid, Idempotency_Key="order-1"))
    await until(lambda: len(shop.parts.journal()) == 1)

    twin = await shop.ask(HELLO, paid, Idempotency_Key="order-1")
    other = await shop.ask({**HELLO, "temperature": 1}, paid, Idempotency_Key="order-1")
    shop.parts.scenario()
    answer = await running

    assert code_of(twin) == (409, "payment_in_progress")
    assert twin.headers["retry-after"] == "1"
    assert code_of(other) == (422, "idempotency_key_reused")
    assert answer.status_code == 200
    assert len(shop.parts.journal()) == 1


async def test_a_key_whose_call_failed_buys(shop: World) -> None:
    """An error is not an answer: the key stays free."""
    paid = await shop.buy({**HELLO, "max_tokens": 8_000})
    shop.parts.scenario(status=500, times=1)

    failed = await shop.ask(HELLO, paid, Idempotency_Key="order-1")
    bought = await shop.ask(HELLO, paid, Idempotency_Key="order-1")

    assert failed.status_code == 502
    assert (bought.status_code, bought.headers["x-charge-msat"]) == (200, "15")


async def test_200_copies_with_one_key_buy_one_answer(shop: World) -> None:
    """Whoever is told 409 comes again, and all have the same answer."""
    paid = await shop.buy({**HELLO, "max_tokens": 16_384, "n": 8})

    async def insist() -> bytes:
        async with asyncio.timeout(WAIT_SECONDS * 3):
            while (answer := await shop.ask(HELLO, paid, Idempotency_Key="order-1")).status_code == 409:
                await asyncio.sleep(0.05)
        assert answer.status_code == 200
        return answer.content

    answers = await asyncio.gather(*(insist() for _ in range(50)))

    assert len(set(answers)) == 1
    assert (await books(shop, paid)).charges == [BOUGHT]


async def test_an_answer_too_large_to_keep_is_not_charged_twice(tmp_path: Path) -> None:
    """It was delivered: repeating its key is refused with a sentence that says why."""
    async with opened_world(tmp_path, idempotency_max_bytes=100) as world:
        paid = await world.buy({**HELLO, "max_tokens": 8_000})

        first = await world.ask(HELLO, paid, Idempotency_Key="order-1")
        again = await world.ask(HELLO, paid, Idempotency_Key="order-1")

        assert first.status_code == 200
        assert code_of(again) == (422, "idempotency_key_reused")
        assert "too large" in again.json()["error"]["message"]
        assert (await books(world, paid)).charges == [BOUGHT]


async def test_keys_of_different_owners_are_different_keys(shop: World) -> None:
    """Nobody meets another's answer."""
    one, other = await shop.buy(), await shop.buy()

    answers = [await shop.ask(HELLO, paid, Idempotency_Key="order-1") for paid in (one, other)]

    assert [answer.headers["x-charge-msat"] for answer in answers] == ["15", "15"]


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tinside"])
async def test_a_key_that_cannot_be_read_is_refused(shop: World, key: str) -> None:
    """400 before anything is held."""
    paid = await shop.buy()

    answer = await shop.ask(HELLO, paid, Idempotency_Key=key)

    assert code_of(answer) == (400, "invalid_field_value")
    assert shop.parts.journal() == []


# What is paid needs nothing to be for sale.


@pytest.mark.parametrize("key", [{}, {"Idempotency_Key": "order-1"}], ids=["undelivered", "key"])
async def test_a_kept_answer_is_fetched_while_nothing_is_sold(tmp_path: Path, key: dict[str, str]) -> None:
    """Neither a price, nor upstream, nor a buyer's bound on prices is needed for what was bought before."""
    async with opened_world(tmp_path) as world:
        paid = await world.buy()
        if key:
            await world.ask(HELLO, paid, **key)
        else:
            await left_before_the_answer(world, HELLO, paid)
        world.parts.clear_journal()
        await world.services.ledger.pause("openai", None, "looking at it")
        await world.services.purchase.pauses.refresh(world.services.ledger)
        world.exchange(price=NoPrice())

        other = await world.ask({**HELLO, "temperature": 1}, paid, **key)
        same = await world.ask(HELLO, paid, **key, X_Max_Price_Msat="1")
        unpaid = await world.ask()

        assert (same.status_code, same.headers["x-charge-msat"]) == (200, "0")
        assert other.status_code == (422 if key else 503) and unpaid.status_code == 503
        assert (await books(world, paid)).charges == [BOUGHT]
        assert world.parts.journal() == []


async def test_a_kept_answer_that_costs_nothing_is_within_every_bound(shop: World) -> None:
    """`X-Max-Price-Msat` bounds what is bought, and this is not."""
    paid = await shop.buy()
    await left_before_the_answer(shop, HELLO, paid)

    refused = await shop.ask({**HELLO, "temperature": 1}, paid, X_Max_Price_Msat="1")
    fetched = await shop.ask(HELLO, paid, X_Max_Price_Msat="1")

    assert code_of(refused) == (402, "price_above_limit")
    assert (fetched.status_code, fetched.headers["x-charge-msat"]) == (200, "0")


@pytest.mark.parametrize("limit", ["services=acme:0", "openai_valid_until=1"])
async def test_a_narrowed_credential_fetches_no_more_than_it_may_buy(shop: World, limit: str) -> None:
    """While nothing is sold as at any other time."""
    paid = await shop.buy()
    await left_before_the_answer(shop, HELLO, paid)
    narrowed = replace(paid, macaroon=appended(paid.macaroon, limit))

    answer = await shop.ask(HELLO, narrowed, X_Max_Price_Msat="1")

    assert code_of(answer) == (402, "price_above_limit")


async def test_the_pinned_price_is_not_spent_by_fetching(shop: World) -> None:
    """Fetching is free in every respect: the balance is untouched."""
    paid = await shop.buy()
    await left_before_the_answer(shop, HELLO, paid)
    before = await shop.account(paid)

    await shop.ask(paid=paid)

    assert (await shop.account(paid)).balance == before.balance == paid.amount - Msat(15)
