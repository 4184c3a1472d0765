"""Many calls at once on one credential: nothing is overdrawn, nothing is paid twice, nobody is refused without need."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lib.core.money import Msat
from lib.store.lane import Lane
from lib.store.ledger import Owner
from lib.store.sqlite import SqliteLedger
from tests.paid.books import books
from tests.world import CHAT, HELLO, STREAM, Paid, World, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS = 200
WAIT_SECONDS = 20.0
SMALL: dict[str, Any] = {**HELLO, "max_tokens": 20}
"""Its ceiling is so small that a large payment covers 200 of them at once; it costs 15 msat like any HELLO."""
LARGE: dict[str, Any] = {**HELLO, "max_tokens": 16_384, "n": 8}
"""131,072 tokens out: 103 sat."""


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


async def until_landed(world: World, paid: Paid) -> None:
    """Wait until the ledger has heard of a payment."""
    async with asyncio.timeout(WAIT_SECONDS):
        while await world.services.ledger.balance(Owner.of_payment(paid.payment_hash)) is None:
            await asyncio.sleep(0.005)


def writer_of(world: World) -> Lane:
    """The lane that every change of the ledger queues for."""
    ledger = world.services.ledger
    assert isinstance(ledger, SqliteLedger)
    return ledger._writer  # pyright: ignore[reportPrivateUsage]


@asynccontextmanager
async def stopped_writer(world: World) -> AsyncGenerator[None]:
    """The disk does not answer while the block lasts: no change of the ledger is executed or acknowledged."""
    stuck, free = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        stuck.set()
        free.wait(WAIT_SECONDS)

    blocking = asyncio.create_task(writer_of(world).run(wait))
    await until(stuck.is_set)
    try:
        yield
    finally:
        free.set()
        await asyncio.gather(blocking, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one buyer of a crowd got."""

    status: int
    headers: Mapping[str, str]
    text: str


@asynccontextmanager
async def crowd(world: World, paid: Paid, *bodies: Mapping[str, Any]) -> AsyncGenerator[list[asyncio.Task[Answer]]]:
    """Everybody at once, each on a connection of its own. Not httpx: that one is slow with hundreds of connections."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(world.url, connector=connector, headers=paid.headers) as session:

        async def ask(body: Mapping[str, Any]) -> Answer:
            async with session.post(CHAT, json=body) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(answer.status, headers, await answer.text())

        yield [asyncio.create_task(ask(body)) for body in bodies]


def refusals(answers: Iterable[Answer]) -> Counter[tuple[int, str, str | None]]:
    """(status, code, Retry-After) of what was not answered with 200."""
    return Counter(
        (answer.status, json.loads(answer.text)["error"]["code"], answer.headers.get("retry-after"))
        for answer in answers
        if answer.status != 200
    )


async def test_200_calls_that_fit_all_run_at_once(shop: World) -> None:
    """Upstream sees all 200 before it answers one; each pays its 15 msat from the one payment."""
    paid = await shop.buy(LARGE)
    assert paid.amount == Msat(103_000)
    shop.parts.scenario(wait_for=CALLS)

    async with crowd(shop, paid, *[SMALL] * CALLS) as calls:
        answers = await asyncio.gather(*calls)

    assert refusals(answers) == Counter()
    closed = await books(shop, paid)
    assert closed.charges == [("answered", 15)] * CALLS
    assert (await shop.account(paid)).balance == Msat(103_000 - CALLS * 15)


async def test_200_calls_that_do_not_fit_never_overdraw(shop: World) -> None:
    """As many run as are covered; the rest are told to come again, and no second invoice is made."""
    paid, invoices = await shop.buy(LARGE), await shop.invoices()
    shop.parts.scenario(hang_before_answer=True)

    async with crowd(shop, paid, *[HELLO] * CALLS) as calls:
        await until(lambda: len(shop.parts.journal()) + sum(call.done() for call in calls) == CALLS)
        held = (await shop.account(paid)).held
        shop.parts.scenario()
        answers = await asyncio.gather(*calls)

    # HELLO's ceiling is 1,644 msat: 62 of them fit into 103,000.
    assert held == Msat(62 * 1_643)
    assert refusals(answers) == Counter({(409, "payment_in_progress", "1"): CALLS - 62})
    assert (await books(shop, paid)).charges == [("answered", 15)] * 62
    assert await shop.invoices() == invoices


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["json", "stream"])
async def test_200_copies_of_one_paid_request_buy_one_answer(shop: World, body: dict[str, Any]) -> None:
    """The payment is credited once and covers one call: the others wait for it, and nobody is asked to pay again."""
    paid, invoices = await shop.buy(body), await shop.invoices()
    shop.parts.scenario(hang_before_answer=True)

    async with crowd(shop, paid, *[body] * CALLS) as calls:
        await until(lambda: sum(call.done() for call in calls) == CALLS - 1)
        shop.parts.scenario()
        answers = await asyncio.gather(*calls)

    assert sum(answer.status == 200 for answer in answers) == 1
    assert refusals(answers) == Counter({(409, "payment_in_progress", "1"): CALLS - 1})
    assert not any("www-authenticate" in answer.headers for answer in answers)
    assert len(shop.parts.journal()) == 1
    assert await shop.invoices() == invoices
    assert (await books(shop, paid)).charges == [("answered", 15)]


async def test_streams_end_while_the_ledger_stands_still(shop: World) -> None:
    """20 buyers get their whole answers although nothing can be written; later each is charged once."""
    buyers = [await shop.buy(STREAM) for _ in range(20)]
    shop.parts.scenario(hang_before_answer=True)
    calls = [asyncio.create_task(shop.ask(STREAM, paid)) for paid in buyers]
    await until(lambda: len(shop.parts.journal()) == 20)

    async with stopped_writer(shop):
        shop.parts.scenario()
        answers = await asyncio.gather(*calls)
        still_held = [(await shop.account(paid)).held for paid in buyers]

    assert all(answer.text.endswith("data: [DONE]\n\n") for answer in answers)
    assert all(still_held)
    for paid in buyers:
        assert (await books(shop, paid)).charges == [("answered", 15)]


async def test_a_call_that_could_not_wait_for_the_ledger_holds_nothing(tmp_path: Path) -> None:
    """The hold may still land after its caller was told 503: then it is given back, and the credential is good."""
    async with opened_world(tmp_path) as world:
        paid = await world.buy()
        writer_of(world)._limit_seconds = 0.3  # pyright: ignore[reportPrivateUsage]

        async with stopped_writer(world):
            refused = await world.ask(paid=paid)
        writer_of(world)._limit_seconds = WAIT_SECONDS  # pyright: ignore[reportPrivateUsage]

        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ledger_unavailable")
        assert world.parts.journal() == []
        await until_landed(world, paid)
        closed = await books(world, paid)
        assert (closed.endings, closed.charges) == (["unreachable"], [])
        assert (await world.ask(paid=paid)).status_code == 200


async def test_the_next_call_never_meets_the_last_one(shop: World) -> None:
    """The payment covers one call at a time; whoever has the whole answer may call again at once."""
    once: dict[str, Any] = {**HELLO, "max_tokens": 6_000}
    paid = await shop.buy({**HELLO, "max_tokens": 8_192})  # 7 sat: one ceiling of 4,727 msat and 100 calls of 4
    assert paid.amount == Msat(7_000)
    shop.parts.scenario(chunks=3)

    statuses = [
        (await shop.ask({**once, "stream": stream}, paid)).status_code for _ in range(50) for stream in (False, True)
    ]

    assert statuses == [200] * 100
    assert (await books(shop, paid)).charges == [("answered", 4)] * 100


async def test_the_next_call_may_start_at_done(shop: World) -> None:
    """SDKs stop reading a stream at [DONE], before the connection says that it is over."""
    once: dict[str, Any] = {**STREAM, "max_tokens": 6_000}
    paid = await shop.buy({**STREAM, "max_tokens": 8_192})

    for _ in range(50):
        async with shop.client.stream("POST", CHAT, json=once, headers=paid.headers) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                if line == "data: [DONE]":
                    break

    assert (await books(shop, paid)).charges == [("answered", 15)] * 50
