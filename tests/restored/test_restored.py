"""Backups end to end: made by the documented commands, put back, refused, accepted; nobody pays twice."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from lib import jobs
from lib.core.money import Msat
from lib.demo.parts import DemoParts, demo_parts
from tests.databases import shared
from tests.prepaid.counter import balance, bearer, claim, is_dead, retried_later, token_of
from tests.restored.backups import InFile, InPostgres, Place, Sold, migrate, sold_and_restored
from tests.world import World, opened_server


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return InFile(tmp_path)
    return InPostgres(tmp_path, shared.server().url(shared.new_database(shared.TEMPLATE)))


def received(parts: DemoParts) -> Msat:
    """All that ever arrived at the seller's node."""
    return Msat(sum(payment["received_msat"] for payment in parts.ledger("seller")["incoming"]))


async def next_second() -> None:
    """A macaroon tells its time in whole seconds: what is quoted in this one still counts as before."""
    second = int(time.time())
    while int(time.time()) == second:
        await asyncio.sleep(0.01)


async def test_a_restored_ledger_is_refused_then_honoured(place: Place):
    """503 until it is accepted; then every payment of the lost part works again and adds up with the node's books."""
    async with demo_parts() as parts:
        sold = await sold_and_restored(parts, place)
        async with opened_server(parts, place.data_dir, place.env) as world:
            for answer in (await world.ask(), await world.ask(paid=sold.kept), await claim(world, sold.topup)):
                retried_later(answer, "ledger_restored")
        accepted = await migrate(place, "--restored", "honour")
        invoices = len(parts.ledger("seller")["incoming"])
        async with opened_server(parts, place.data_dir, place.env) as world:
            await honoured(world, sold)
            assert len(parts.ledger("seller")["incoming"]) == invoices
            totals = await world.services.ledger.totals()
            assert totals.credited == received(parts) and await world.services.ledger.audit() == []

    assert accepted.code == 0 and "can be spent again" in accepted.said, accepted.complained
    seen, before, *_ = accepted.said.splitlines()
    assert seen.startswith("last seen  generation 0, entry ") and seen.split()[-1] > before.split()[-1]


async def honoured(world: World, sold: Sold) -> None:
    """Everybody has what was paid, and nobody is asked to pay again."""
    assert await balance(world, sold.kept.headers) == sold.kept_msat.value
    assert await balance(world, bearer(sold.kept_token)) == 120_000
    assert await is_dead(world, sold.token)

    again = await world.ask(paid=sold.call)
    assert again.status_code == 200
    charged = int(again.headers["x-charge-msat"])
    assert await balance(world, sold.call.headers) == sold.call.amount.value - charged
    for lost in (sold.topup, sold.claimed):
        assert await balance(world, bearer(token_of(await claim(world, lost)))) == 120_000
    refilled = await claim(world, sold.refill, sold.kept_token)
    assert refilled.json() == {
        "kind": "refill",
        "credited_sats": 120,
        "credited_msat": 120_000,
        "balance_sats": 240,
        "balance_msat": 240_000,
    }


async def test_a_restored_ledger_under_review(place: Place):
    """Payments of the lost part are 503 until each is approved; what was there and what is new is sold at once."""
    async with demo_parts() as parts:
        sold = await sold_and_restored(parts, place)
        accepted = await migrate(place, "--restored", "review")
        await next_second()
        async with opened_server(parts, place.data_dir, place.env) as world:
            old, new = await world.ask(paid=sold.kept), await world.ask(paid=await world.buy())
            assert (accepted.code, old.status_code, new.status_code) == (0, 200, 200)
            waiting = [await world.ask(paid=sold.call)]
            waiting += [await claim(world, paid) for paid in (sold.topup, sold.claimed, sold.refill)]
            for answer in waiting:
                assert "do not pay again" in retried_later(answer, "ledger_restored")["message"].lower()
            lost = [paid.payment_hash.hex() for paid in (sold.call, sold.topup, sold.claimed, sold.refill)]
            listed = await migrate(place, "--reviews")
            assert [line.split()[0] for line in listed.said.splitlines()[1:]] == lost

            approved = await migrate(place, "--approve", lost[0])
            assert approved.code == 0, approved.complained
            assert (await world.ask(paid=sold.call)).status_code == 200
            retried_later(await claim(world, sold.topup), "ledger_restored")
            for payment_hash in lost[1:]:
                assert (await migrate(place, "--approve", payment_hash)).code == 0
            for paid in (sold.topup, sold.claimed, sold.refill):
                assert (await claim(world, paid)).status_code == 200
            totals = await world.services.ledger.totals()
            assert totals.credited == received(parts) and await world.services.ledger.audit() == []


async def test_a_running_server_on_postgres_takes_up_work_once_it_is_accepted(tmp_path: Path):
    """Its lease job sees the operator's word: no restart, and the alarm is gone."""
    place = InPostgres(tmp_path, shared.server().url(shared.new_database(shared.TEMPLATE)))
    async with demo_parts() as parts:
        sold = await sold_and_restored(parts, place)
        async with opened_server(parts, place.data_dir, place.env) as world:
            retried_later(await world.ask(), "ledger_restored")

            accepted = await migrate(place, "--restored", "honour")
            await jobs.LeaseKeeper(world.services).step()
            await jobs.look_around(world.services)

            assert accepted.code == 0 and (await world.ask(paid=sold.call)).status_code == 200
            assert world.services.health.alarms == {}
