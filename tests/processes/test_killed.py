"""kill -9 in the middle of everything: nothing is charged for what nobody got, and nothing that was paid is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from lib.demo.parts import demo_parts
from lib.store.postgres import PostgresLedger
from lib.store.sqlite import SqliteLedger
from lib.store.watermark import Watermark
from tests.databases import shared
from tests.paid.raw_client import raw_call
from tests.prepaid.counter import asked, balance, bearer, claim, new_token, token_of
from tests.processes.shops import QUICK, Street
from tests.world import STREAM, World

pytestmark = pytest.mark.slow

FIRST = b'"content":'
ENDLESS = {"chunks": 2_000, "chunk_delay_ms": 50}
SURVIVAL_SECONDS = 20.0


@pytest.fixture(params=["sqlite", "postgres"])
async def street(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Street]:
    env: dict[str, str] = {}
    if request.param == "postgres":
        env = {"DATABASE_URL": shared.server().url(shared.new_database(shared.TEMPLATE))}
    async with demo_parts() as parts:
        yield Street(parts, tmp_path, env)


async def audit(street: Street) -> None:
    """Once nobody runs: the ledger adds up, holds nothing, and credits what the node received."""
    url = street.env.get("DATABASE_URL")
    if url is None:
        ledger: SqliteLedger | PostgresLedger = await SqliteLedger.open(street.directory / "shop")
    else:
        ledger = await PostgresLedger.open(url, Watermark(street.directory / "audit"))
    try:
        totals = await ledger.totals()
        received = sum(payment["received_msat"] for payment in street.parts.ledger("seller")["incoming"])
        assert await ledger.audit() == []
        assert (totals.held.value, totals.live_holds, totals.credited.value) == (0, 0, received)
    finally:
        await ledger.aclose()


async def told(world: World, headers: dict[str, str]) -> dict[str, Any]:
    """What a buyer is told of its balance."""
    answer = await world.client.get("/api/balance", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def until_free(world: World, headers: dict[str, str]) -> int:
    """Wait until nothing of an account is held; its balance in msat."""
    async with asyncio.timeout(SURVIVAL_SECONDS):
        while (found := await told(world, headers))["held_msat"]:
            await asyncio.sleep(0.05)
    return found["balance_msat"]


async def test_what_a_killed_server_held_is_free_again(street: Street):
    """A stream dies with its server: nothing is charged, and a new server sells from the whole payment."""
    street.parts.scenario(**ENDLESS)
    async with street.opened(*QUICK) as shop:
        paid = await shop.world.buy(STREAM)
        async with raw_call(shop.world, STREAM, paid) as call:
            await call.until(FIRST)
            assert (await told(shop.world, paid.headers))["held_msat"] > 0
            await shop.kill()
    street.parts.scenario()

    async with street.opened(*QUICK) as shop:
        assert await until_free(shop.world, paid.headers) == paid.amount.value
        answer = await shop.world.ask(paid=paid)
        assert answer.status_code == 200
        assert await shop.stop() == 0
    await audit(street)


async def test_what_was_paid_while_no_server_ran_is_credited(street: Street):
    """A top-up and a refill are paid after the kill: the next server credits both by itself."""
    async with street.opened(*QUICK) as shop:
        token = await new_token(shop.world)
        topup, refill = await asked(shop.world), await asked(shop.world, token=token)
        await shop.kill()
    paid = await shop.world.pay(topup)
    await shop.world.pay(refill)

    async with street.opened(*QUICK) as shop:
        async with asyncio.timeout(SURVIVAL_SECONDS):
            while await balance(shop.world, bearer(token)) != 240_000:
                await asyncio.sleep(0.05)
        claimed = token_of(await claim(shop.world, paid))
        assert await balance(shop.world, bearer(claimed)) == 120_000
        assert await shop.stop() == 0
    await audit(street)


async def test_credits_in_doubt_are_asked_for_again(street: Street):
    """The node was silent when its server was killed: the next one asks, and the account is active."""
    async with street.opened(*QUICK) as shop:
        paid = await shop.world.buy()
        await street.parts.knobs("seller", error_500="away")
        assert (await shop.world.ask(paid=paid)).status_code == 200
        assert (await told(shop.world, paid.headers))["status"] == "unconfirmed"
        await shop.kill()
    await street.parts.reset_knobs("seller")

    async with street.opened(*QUICK) as shop:
        async with asyncio.timeout(SURVIVAL_SECONDS):
            while (await told(shop.world, paid.headers))["status"] != "active":
                await asyncio.sleep(0.05)
        await until_free(shop.world, paid.headers)  # the kill may have come before the call was settled
        assert await shop.stop() == 0
    await audit(street)


async def test_a_survivor_frees_what_a_dead_process_held(tmp_path: Path):
    """Two processes, one is killed in the middle of a stream: the other frees its hold, charges nothing, sells on."""
    env = {"DATABASE_URL": shared.server().url(shared.new_database(shared.TEMPLATE))}
    async with demo_parts() as parts:
        street = Street(parts, tmp_path, env)
        async with street.opened(*QUICK, name="dying") as dying, street.opened(*QUICK, name="survivor") as survivor:
            parts.scenario(**ENDLESS)
            paid = await dying.world.buy(STREAM)
            async with raw_call(dying.world, STREAM, paid) as call:
                await call.until(FIRST)
                await dying.kill()
            parts.scenario()
            assert (await told(survivor.world, paid.headers))["held_msat"] > 0

            assert await until_free(survivor.world, paid.headers) == paid.amount.value
            assert (await survivor.world.ask(paid=paid)).status_code == 200
            assert await survivor.stop() == 0
        await audit(street)


async def test_a_survivor_leaves_the_living_alone(tmp_path: Path):
    """A stream longer than a lease lasts goes on while its process renews, whoever else looks for dead ones."""
    env = {"DATABASE_URL": shared.server().url(shared.new_database(shared.TEMPLATE))}
    async with demo_parts() as parts:
        street = Street(parts, tmp_path, env)
        async with street.opened(*QUICK, name="one") as one, street.opened(*QUICK, name="other") as other:
            parts.scenario(chunks=100, chunk_delay_ms=60)
            paid = await one.world.buy(STREAM)
            answer = await one.world.ask(STREAM, paid)

            assert answer.status_code == 200 and "data: [DONE]" in answer.text
            assert await until_free(other.world, paid.headers) < paid.amount.value
            assert [await shop.stop() for shop in (one, other)] == [0, 0]
        await audit(street)
