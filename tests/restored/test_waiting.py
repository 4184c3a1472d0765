"""A backup of the ledger was put back: the server runs, sells nothing and asks nobody to pay until it is accepted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from lib import jobs
from lib.demo.parts import demo_parts
from lib.store.ledger import Restored
from tests.prepaid.counter import bearer, claim, claim_bare, retried_later, topped_up
from tests.restored.backups import InFile, Sold, sold_and_restored
from tests.world import HELLO, World, opened_server


@asynccontextmanager
async def waiting(directory: Path) -> AsyncGenerator[tuple[World, Sold]]:
    """A server on a ledger that went back."""
    async with demo_parts() as parts:
        place = InFile(directory)
        sold = await sold_and_restored(parts, place)
        async with opened_server(parts, directory) as world:
            yield world, sold


async def everything_that_moves_money(world: World, sold: Sold) -> dict[str, httpx.Response]:
    """Each door at which money would come in, go out or be looked at."""
    return {
        "a call unpaid": await world.ask(),
        "a call paid in the lost part": await world.ask(paid=sold.call),
        "a call by a token of the lost part": await world.client.post(
            "/v1/chat/completions", json=HELLO, headers=bearer(sold.token)
        ),
        "a top-up": await world.client.post("/topup", json={"amount_sats": 120}),
        "a refill": await world.client.post("/topup", json={"amount_sats": 120}, headers=bearer(sold.token)),
        "a claim": await claim(world, sold.topup),
        "a claim of a refill": await claim(world, sold.refill),
        "a bare claim": await claim_bare(world, sold.topup.preimage),
        "a call's balance": await world.client.get("/api/balance", headers=sold.call.headers),
        "a token's balance": await world.client.get("/api/balance", headers=bearer(sold.token)),
        "a token's history": await world.client.get("/api/usage", headers=bearer(sold.token)),
        "a rotation": await world.client.post("/api/token/rotate", headers=bearer(sold.token)),
        "a revocation": await world.client.request("DELETE", "/api/token", headers=bearer(sold.token)),
    }


async def test_every_door_says_that_the_ledger_was_restored(tmp_path: Path):
    """503 ledger_restored, that nobody shall pay again, and no invoice: whoever comes, with whatever it holds."""
    async with waiting(tmp_path) as (world, sold):
        invoices = await world.invoices()

        answers = await everything_that_moves_money(world, sold)

        told = {door: retried_later(answer, "ledger_restored") for door, answer in answers.items()}
        assert {"Do not pay again" in error["next_action"] for error in told.values()} == {True}
        assert await world.invoices() == invoices
        assert await world.services.ledger.audit() == []


async def test_site_catalog_and_health_are_served(tmp_path: Path):
    """The server runs, and says what is wrong: not ready, and an alarm that names the command."""
    async with waiting(tmp_path) as (world, _):
        await jobs.look_around(world.services)

        catalog, live = await world.client.get("/api/catalog"), await world.client.get("/api/health/live")
        ready, health = await world.client.get("/api/health/ready"), await world.client.get("/api/health")

        assert (catalog.status_code, live.status_code, ready.status_code) == (200, 200, 503)
        assert not health.json()["parts"]["ledger"]["ok"]
        assert "scripts/migrate --restored" in health.json()["alarms"]["ledger restored"]


async def test_work_is_taken_up_by_itself_once_it_is_accepted(tmp_path: Path):
    """The next look at the ledger takes a lease, clears the alarm, and what was paid in the lost part pays again."""
    async with waiting(tmp_path) as (world, sold):
        with pytest.raises(Exception, match="a backup was restored"):
            await jobs.LeaseKeeper(world.services).step()

        await world.services.ledger.accept_restored(Restored.HONOUR)
        await jobs.LeaseKeeper(world.services).step()
        await jobs.look_around(world.services)

        assert (await world.ask(paid=sold.call)).status_code == 200
        assert (await claim(world, sold.topup)).status_code == 200
        assert world.services.health.alarms == {} and world.services.health.parts["ledger"].ok


async def test_the_top_up_job_goes_on_beside_what_is_under_review(tmp_path: Path):
    """A top-up from before the restoration is listed and left; the next one is credited all the same."""
    async with demo_parts() as parts, opened_server(parts, tmp_path) as world:
        services = world.services
        before = await topped_up(world)
        await services.ledger.accept_restored(Restored.REVIEW)
        after = await topped_up(world)
        await jobs.credit_topups(services)

        assert retried_later(await claim(world, before), "ledger_restored")["message"].count("payment hash") == 1
        assert (await claim(world, after)).status_code == 200
        [review] = await services.ledger.reviews(10)
        assert review.payment_hash == before.payment_hash and not review.approved
