"""The ledger in Supabase where it differs from the one in PostgreSQL: how it is opened, and what outages do to it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest
from aiohttp import web

from lib.core.money import Msat
from lib.store import supabase
from lib.store.ledger import (
    Answer,
    Held,
    Kept,
    Ledger,
    LedgerNewerThanCode,
    LedgerOlderThanCode,
    LedgerUnavailable,
    Settled,
    Settlement,
)
from lib.store.supabase_calls import Patience
from lib.store.watermark import Watermark
from tests.databases import postgres, shared_supabase
from tests.databases.postgres import Postgres
from tests.databases.supabase_api import SupabaseApi, serving_ledger
from tests.databases.supabase_gateway import Forward
from tests.store.desk import LEASE, Desk, owner, payment, vouched
from tests.supabase.conftest import SHORT

pytestmark = pytest.mark.slow

BEYOND_FLOATS = 2**53 + 1
LARGE_ANSWER_BYTES = 4_000_000
STUBBORN = Patience(pauses_seconds=(0.05,) * 40)
"""For a server that is killed more often than anybody's."""


@pytest.fixture
async def project(server: Postgres) -> AsyncIterator[SupabaseApi]:
    """A migrated project and its API."""
    served = SupabaseApi(server, shared_supabase.new_project(shared_supabase.MIGRATED))
    await served.start()
    yield served
    await served.stop()
    server.drop_database(served.database)


@pytest.fixture
async def ledger(project: SupabaseApi, watermark: Watermark) -> AsyncIterator[Ledger]:
    """Opened, by somebody stubborn."""
    opened = await supabase.open_ledger(project.url, project.secret_key, watermark, STUBBORN)
    yield opened
    await opened.aclose()


@pytest.fixture
async def desk(ledger: Ledger) -> Desk:
    """With a lease."""
    await ledger.take_lease(LEASE)
    return Desk(ledger)


async def test_a_project_without_a_ledger_asks_for_a_migration(api: SupabaseApi, watermark: Watermark):
    """The server does not start, and says what to run."""
    with pytest.raises(LedgerOlderThanCode, match="run scripts/migrate"):
        await supabase.open_ledger(api.url, api.secret_key, watermark, SHORT)


@pytest.mark.parametrize(
    ("statement", "refusal", "words"),
    [
        ("DELETE FROM migrations WHERE number > 2", LedgerOlderThanCode, "has schema 2, .* run scripts/migrate"),
        ("INSERT INTO migrations (number, name) VALUES (9999, 'later')", LedgerNewerThanCode, "has schema 9999"),
    ],
    ids=["older", "newer"],
)
async def test_another_release_s_schema_is_refused(
    project: SupabaseApi, server: Postgres, watermark: Watermark, statement: str, refusal: type[Exception], words: str
):
    """A server cannot migrate through an API, so it starts on its own schema alone."""
    server.sql("SET search_path = alittlebitofmoney", statement, database=project.database)

    with pytest.raises(refusal, match=words):
        await supabase.open_ledger(project.url, project.secret_key, watermark, SHORT)


async def test_an_amount_beyond_floats_is_kept_to_the_msat(desk: Desk):
    """Credited, held, charged and summed up through JSON, without a float on the way."""
    paid = vouched(payment("first", BEYOND_FLOATS))
    await desk.credit(paid)
    hold = await desk.held(paid, BEYOND_FLOATS)

    assert await desk.settle(hold, 2) == Settled(Msat(2), Msat(0), Msat(BEYOND_FLOATS - 2), Msat(0))
    assert await desk.purse(paid) == (BEYOND_FLOATS - 2, 0)
    assert (await desk.ledger.totals()).balance == Msat(BEYOND_FLOATS - 2)


async def test_a_large_answer_is_kept_and_handed_out(desk: Desk):
    """Megabytes of any bytes, such as an image."""
    sealed = random.Random(1).randbytes(LARGE_ANSWER_BYTES)
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 500)
    await desk.ledger.settle(replace(desk.settlement(hold, 5), answer=Answer(sealed, keep_seconds=600)))

    outcome = await desk.hold(paid, 500)

    assert isinstance(outcome, Kept)
    assert outcome.sealed == sealed


CALLS = 12
SELLERS = 8


async def _sell(desk: Desk, name: str) -> None:
    """A payment, then one call after another, each acknowledged."""
    paid = await desk.account(1_000, name)
    for _ in range(CALLS):
        await desk.settle(await desk.held(paid, 60), 7)


async def test_nothing_is_lost_or_doubled_while_the_api_dies_again_and_again(desk: Desk, project: SupabaseApi):
    """PostgREST is killed, answers are lost after the database's commit, requests before it: each call is made once."""
    chance = random.Random(2)

    async def unreliable(request: web.Request, forward: Forward) -> web.StreamResponse:
        fate = chance.random()
        if fate < 0.1:
            return web.Response(status=503)
        answer = await forward()
        if fate < 0.25:
            assert request.transport is not None
            request.transport.abort()
        return answer

    project.interfere(unreliable)
    selling = asyncio.gather(*(_sell(desk, f"seller-{number}") for number in range(SELLERS)))
    kills = 0
    while not selling.done():
        await asyncio.wait([selling], timeout=0.5)
        if not selling.done():
            project.postgrest.kill()
            await asyncio.to_thread(project.postgrest.start)
            kills += 1
    await selling
    project.interfere(None)

    totals = await desk.ledger.totals()
    assert (totals.credited.value, totals.charged.value) == (SELLERS * 1_000, SELLERS * CALLS * 7)
    assert (totals.held.value, totals.live_holds) == (0, 0)
    assert await desk.ledger.audit() == []
    assert kills > 1
    assert project.gateway.asked["alb_settle"] > SELLERS * CALLS


async def test_a_database_that_is_down_loses_nothing(watermark: Watermark):
    """PostgreSQL stops behind the API: refused within seconds; back again, the same operations are done once."""
    with postgres.running(version=shared_supabase.VERSION) as own_server:
        async with serving_ledger(own_server) as api:
            ledger = await supabase.open_ledger(api.url, api.secret_key, watermark, SHORT)
            await ledger.take_lease(LEASE)
            desk = Desk(ledger)
            paid = await desk.account(1_000)
            request, running = desk.request(300), await desk.held(paid, 200)
            settlement = desk.settlement(running, 20)

            await asyncio.to_thread(own_server.kill)
            async with asyncio.timeout(SHORT.call_seconds):
                for operation in (ledger.hold(owner(paid), request), ledger.settle(settlement), ledger.totals()):
                    with pytest.raises(LedgerUnavailable):
                        await operation
            await asyncio.to_thread(own_server.start)

            settled = await _until_it_answers(ledger, settlement)
            assert isinstance(await ledger.hold(owner(paid), request), Held)
            assert settled == await ledger.settle(settlement) == Settled(Msat(20), Msat(0), Msat(980), Msat(0))
            assert await desk.purse(paid) == (980, 300)
            assert await ledger.audit() == []
            await ledger.aclose()


async def _until_it_answers(ledger: Ledger, settlement: Settlement) -> Settled:
    """As a server does it with a settlement: repeated with its op_id until it is written."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await ledger.settle(settlement)
            except LedgerUnavailable:
                await asyncio.sleep(0.2)


async def test_an_account_that_is_locked_for_long_is_waited_for(desk: Desk, project: SupabaseApi, server: Postgres):
    """Another transaction keeps a row longer than the API waits for it: the call comes again, and is done once."""
    paid = await desk.account(1_000)
    server.sql(f'ALTER ROLE authenticator IN DATABASE "{project.database}" SET lock_timeout = 200')
    project.postgrest.stop()
    await asyncio.to_thread(project.postgrest.start)
    other = await asyncpg.connect(server.url(project.database))
    try:
        await other.execute("BEGIN; SELECT FROM alittlebitofmoney.accounts FOR UPDATE")
        holding = asyncio.create_task(desk.held(paid, 400))
        while project.gateway.asked["alb_hold"] < 3:
            await asyncio.sleep(0.01)
        await other.execute("COMMIT")
        await holding
    finally:
        await other.close()

    assert await desk.purse(paid) == (1_000, 400)


async def test_two_servers_share_an_account(desk: Desk, project: SupabaseApi, watermark: Watermark):
    """Two clients of one project, two hundred calls at once on one account: never more is held than there is."""
    other = Desk(await supabase.open_ledger(project.url, project.secret_key, watermark, STUBBORN), "other-lease")
    await other.ledger.take_lease(other.lease)
    paid = await desk.account(7_050)

    outcomes = await asyncio.gather(
        *(
            (desk, other)[number % 2].ledger.hold(
                owner(paid), (desk, other)[number % 2].request(100, op_id=f"call-{number}")
            )
            for number in range(200)
        )
    )

    assert sum(isinstance(outcome, Held) for outcome in outcomes) == 70
    assert await desk.purse(paid) == (7_050, 7_000)
    assert await desk.ledger.audit() == []
    await other.ledger.aclose()
