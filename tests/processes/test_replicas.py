"""Two real processes on one PostgreSQL: one shop, whoever answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lib.demo.parts import demo_parts
from lib.store.ledger import EntryKind, Owner
from lib.store.postgres import PostgresLedger
from lib.store.watermark import Watermark
from tests.databases import shared
from tests.prepaid.counter import balance, bearer, claim, is_dead, new_token, token_of, topped_up
from tests.processes.shops import Shop, Street, free_port
from tests.world import CHAT, HELLO

pytestmark = pytest.mark.slow

CALLS = 200
CEILING_HELD = {**HELLO, "max_tokens": 20}
LARGE = {**HELLO, "max_tokens": 16_384}
"""Holds 13 sats, costs a few msat: a balance of 120 sats covers nine at once, not two hundred."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one of a crowd got."""

    status: int
    charge_msat: int


@pytest.fixture
async def street(tmp_path: Path) -> AsyncGenerator[Street]:
    env = {"DATABASE_URL": shared.server().url(shared.new_database(shared.TEMPLATE))}
    async with demo_parts() as parts:
        yield Street(parts, tmp_path, env)


async def opened_pair(street: Street, stack: AsyncExitStack) -> list[Shop]:
    """Two replicas, as two machines would run them: each with a data directory of its own."""
    return [await stack.enter_async_context(street.opened(name=name)) for name in ("one", "other")]


async def crowd(shops: list[Shop], headers: Mapping[str, str], body: Mapping[str, Any]) -> list[Answer]:
    """Two hundred calls at once, every other one at the other replica, each on a connection of its own."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def ask(number: int) -> Answer:
            url = shops[number % len(shops)].world.url
            async with session.post(f"{url}{CHAT}", json=body) as answer:
                await answer.read()
                return Answer(answer.status, int(answer.headers.get("x-charge-msat", "0")))

        return await asyncio.gather(*(ask(number) for number in range(CALLS)))


async def booked_msat(street: Street, owner: Owner) -> tuple[int, list[int]]:
    """The balance, and every charge, in the ledger's word; its audit finds nothing."""
    ledger = await PostgresLedger.open(street.env["DATABASE_URL"], Watermark(street.directory / "audit"))
    try:
        assert await ledger.audit() == [] and (await ledger.totals()).held.value == 0
        found = await ledger.balance(owner)
        assert found is not None
        entries = await ledger.entries(found.account, before=None, limit=1_000)
        return found.balance.value, [-entry.amount.value for entry in entries if entry.kind is EntryKind.CHARGE]
    finally:
        await ledger.aclose()


@pytest.mark.parametrize("body", [CEILING_HELD, LARGE], ids=["all fit", "most do not fit"])
async def test_two_hundred_calls_on_one_account_never_overdraw(street: Street, body: Mapping[str, Any]):
    """Spread over both, all at once: who is served is charged exactly, who does not fit is told to come again."""
    async with AsyncExitStack() as stack:
        shops = await opened_pair(street, stack)
        token = await new_token(shops[0].world)
        answers = await crowd(shops, bearer(token), body)
        left = await balance(shops[1].world, bearer(token))
        assert [await shop.stop() for shop in shops] == [0, 0]

    statuses = Counter(answer.status for answer in answers)
    charges = sorted(answer.charge_msat for answer in answers if answer.status == 200)
    assert statuses[200] > 0 and statuses[200] + statuses[409] == CALLS, statuses
    assert (statuses[409] == 0) == (body is CEILING_HELD)
    assert min(charges) > 0 and left == 120_000 - sum(charges)
    booked, debits = await booked_msat(street, Owner.of_token(token))
    assert (booked, sorted(debits)) == (left, charges)


async def test_a_payment_first_seen_by_both_at_once_is_credited_once(street: Street):
    """Two hundred first uses of one credential, at both doors: one credit, and every call paid from it."""
    async with AsyncExitStack() as stack:
        shops = await opened_pair(street, stack)
        paid = await shops[0].world.buy(LARGE)
        answers = await crowd(shops, paid.headers, CEILING_HELD)
        left = await balance(shops[1].world, paid.headers)

    charges = [answer.charge_msat for answer in answers if answer.status == 200]
    assert {answer.status for answer in answers} <= {200, 409} and charges
    assert left == paid.amount.value - sum(charges)
    booked, debits = await booked_msat(street, Owner.of_payment(paid.payment_hash))
    assert (booked, sorted(debits)) == (left, sorted(charges))


async def test_a_token_claimed_at_one_works_at_the_other_at_once(street: Street):
    """And the token that a second claim replaces is dead at both."""
    async with AsyncExitStack() as stack:
        one, other = [shop.world for shop in await opened_pair(street, stack)]
        topup = await topped_up(one)
        first = token_of(await claim(one, topup))
        second = token_of(await claim(other, topup))

        spent = await one.client.post(CHAT, json=HELLO, headers=bearer(second))
        assert spent.status_code == 200 and await is_dead(one, first) and await is_dead(other, first)
        assert await balance(other, bearer(second)) == 120_000 - int(spent.headers["x-charge-msat"])


async def test_what_is_free_is_shared(street: Street):
    """One address has one share, whichever replica it asks."""
    limited = Street(street.parts, street.directory, street.env, limits={"unpaid_per_ip_per_minute": 4})
    async with AsyncExitStack() as stack:
        one, other = [shop.world for shop in await opened_pair(limited, stack)]
        answers = [await world.ask() for world in (one, other, one, other, one, other)]

    assert [answer.status_code for answer in answers] == [402] * 4 + [429] * 2


async def test_workers_of_one_command_are_replicas(street: Street):
    """`uvicorn server:app --workers 2` on one PostgreSQL sells, and every worker gives its lease back at the end."""
    port = free_port()
    workers = ("-m", "uvicorn", "server:app", "--workers", "2", "--port", "{port}", "--timeout-graceful-shutdown", "5")
    async with street.opened(*workers, name=f"workers-{port}") as shop:
        paid = await shop.world.buy()
        answers = await crowd([shop], paid.headers, CEILING_HELD)
        left = await balance(shop.world, paid.headers)
        await shop.stop()

    charges = [answer.charge_msat for answer in answers if answer.status == 200]
    assert charges and left == paid.amount.value - sum(charges)
    booked, debits = await booked_msat(street, Owner.of_payment(paid.payment_hash))
    assert (booked, sorted(debits)) == (left, sorted(charges))
    assert leases_alive(street) == 0


def leases_alive(street: Street) -> int:
    """Of the database, as it is told by its tables."""
    database = street.env["DATABASE_URL"].rpartition("/")[2]
    return int(
        shared.server().sql(
            "SELECT count(*) FROM alittlebitofmoney.leases WHERE ended_at_us IS NULL", database=database
        )
    )
