"""PostgreSQL stalls, restarts, dies and comes back; connections break at the worst moment. No call is done twice, none
that was acknowledged is lost.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from lib.core.endings import Ending
from lib.core.money import Msat
from lib.store.ledger import (
    Balance,
    Claimed,
    ClaimKind,
    Held,
    Ledger,
    LedgerUnavailable,
    Rotated,
    Settled,
    Settlement,
)
from lib.store.postgres import PostgresLedger
from lib.store.postgres_pool import PoolLimits
from lib.store.watermark import Watermark
from tests.databases import shared
from tests.databases.cutter import cutter
from tests.databases.postgres import Postgres, running
from tests.store.conftest import PostgresStore
from tests.store.desk import LEASE, NO_LIMITS, Desk, owner, payment, token, vouched

ROOT = Path(__file__).resolve().parents[2]
KILL_AFTER_LINES = 600
IMPATIENT = PoolLimits(connections=2, acquire_seconds=0.5, statement_seconds=0.5, pauses_seconds=(0.05, 0.1))


@pytest.fixture
def store(postgres_store: PostgresStore) -> PostgresStore:
    """Only PostgreSQL here."""
    return postgres_store


@asynccontextmanager
async def opened(url: str, directory: Path, limits: PoolLimits = IMPATIENT) -> AsyncGenerator[PostgresLedger]:
    """A server's ledger."""
    ledger = await PostgresLedger.open(url, Watermark(directory), limits=limits)
    try:
        yield ledger
    finally:
        await ledger.aclose()


@asynccontextmanager
async def a_stalled_account(store: PostgresStore) -> AsyncGenerator[None]:
    """Somebody's shell has locked all accounts."""
    db = await store.connect()
    try:
        async with db.transaction():
            await db.execute("SELECT FROM alittlebitofmoney.accounts FOR UPDATE")
            yield
    finally:
        await db.close()


async def test_what_does_not_get_its_turn_in_time_is_not_done(store: PostgresStore, desk: Desk, tmp_path: Path):
    """The server gives the statement up, so nothing of it happens later; the same op_id lands afterwards."""
    paid = await desk.account(1_000)
    request = desk.request(100)
    async with opened(store.url, tmp_path) as impatient:
        async with a_stalled_account(store):
            with pytest.raises(LedgerUnavailable, match="57014"):
                await impatient.hold(owner(paid), request)
        assert await desk.purse(paid) == (1_000, 0)

        assert isinstance(await impatient.hold(owner(paid), request), Held)

    assert await desk.purse(paid) == (1_000, 100)


async def test_more_calls_than_connections_wait_and_then_are_refused(store: PostgresStore, desk: Desk, tmp_path: Path):
    """A process never takes more of the database than its share, and says so instead of waiting for ever."""
    paid = await desk.account(1_000)
    limits = replace(IMPATIENT, statement_seconds=5.0)
    async with opened(store.url, tmp_path, limits) as ledger:
        async with a_stalled_account(store):
            holding = [asyncio.ensure_future(ledger.hold(owner(paid), desk.request(10))) for _ in range(3)]
            refused, _ = await asyncio.wait(holding, return_when=asyncio.FIRST_COMPLETED)
            [error] = [task.exception() for task in refused]
        outcomes = await asyncio.gather(*holding, return_exceptions=True)

    assert isinstance(error, LedgerUnavailable)
    assert "became free" in str(error)
    assert [type(outcome) for outcome in outcomes].count(Held) == 2
    assert await desk.purse(paid) == (1_000, 20)


async def test_a_cancelled_caller_neither_undoes_nor_loses_its_operation(store: PostgresStore, desk: Desk):
    """A buyer may leave at any moment; what was begun for it is finished, and found by its op_id."""
    paid, request = await desk.account(1_000), desk.request(100)
    async with a_stalled_account(store):
        holding = asyncio.ensure_future(desk.ledger.hold(owner(paid), request))
        await asyncio.sleep(0)
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding

    await desk.ledger.aclose()

    again = await store.open()
    assert (await again.totals()).live_holds == 1
    assert isinstance(await again.hold(owner(paid), request), Held)
    assert (await again.totals()).held == Msat(100)


async def test_closing_finishes_what_was_begun(store: PostgresStore, desk: Desk):
    """Afterwards the ledger refuses; what was asked before is done."""
    paid = await desk.account(1_000)
    holding = asyncio.ensure_future(desk.hold(paid, 10))
    await asyncio.sleep(0)

    await desk.ledger.aclose()

    assert isinstance(await holding, Held)
    with pytest.raises(LedgerUnavailable, match="closed"):
        await desk.hold(paid, 10)
    await desk.ledger.aclose()


async def test_a_mistake_is_not_taken_for_an_outage(desk: Desk):
    """What a constraint refuses is refused for ever: it is raised as it is, and not repeated."""
    mine, other = await desk.token(1_000, "mine"), await desk.token(1_000, "other")

    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await desk.ledger.rotate("rotate", mine, other)

    assert (await desk.of(mine), await desk.of(other)) == ((1_000, 0), (1_000, 0))


async def test_a_database_that_is_away_is_unavailable(tmp_path: Path):
    """Nothing listens there."""
    with pytest.raises(LedgerUnavailable):
        await PostgresLedger.open("postgresql://postgres@127.0.0.1:1/nowhere", Watermark(tmp_path), limits=IMPATIENT)


async def test_old_connections_are_replaced(store: PostgresStore, tmp_path: Path):
    """None is used beyond its lifetime, so a process finds its way to a new address by itself."""
    async with (
        cutter(shared.server().port) as (wire, port),
        opened(through(store, port), tmp_path, replace(IMPATIENT, lifetime_seconds=0.0)) as ledger,
    ):
        before = wire.connections
        for _ in range(3):
            await ledger.totals()

    assert wire.connections - before >= 3


def through(store: PostgresStore, port: int) -> str:
    """The store's URL by way of a cutter."""
    return f"postgresql://postgres@127.0.0.1:{port}/{store.database}"


OPERATIONS: dict[str, Callable[[Ledger, Desk, Held], Awaitable[object]]] = {
    "hold": lambda ledger, desk, _: ledger.hold(token("mine"), desk.request(10, op_id="one")),
    "redeem": lambda ledger, desk, _: ledger.redeem_and_hold(
        payment("new", 500), desk.request(10, op_id="one"), NO_LIMITS
    ),
    "settle": lambda ledger, _, held: ledger.settle(Settlement("one", held.hold_id, Ending.ANSWERED, Msat(7))),
    "credit": lambda ledger, _, __: ledger.credit(payment("new", 500), NO_LIMITS),
    "claim": lambda ledger, _, __: ledger.claim("one", vouched(payment("new", 500)), token("new"), ClaimKind.MACAROON),
    "rotate": lambda ledger, _, __: ledger.rotate("one", token("mine"), token("new")),
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_answer_lost_after_the_commit_is_asked_for_again(
    store: PostgresStore, desk: Desk, tmp_path: Path, operation: str
):
    """Done once, and heard at the second attempt: a lost connection is never guessed about."""
    mine = await desk.token(1_000, "mine")
    running_call = await desk.ledger.hold(mine, desk.request(100, order="another"))
    assert isinstance(running_call, Held)
    async with cutter(shared.server().port) as (wire, port), opened(through(store, port), tmp_path) as ledger:
        await warm_up(ledger, desk, operation)
        before = await desk.ledger.totals()
        wire.lose_answers()

        outcome = await OPERATIONS[operation](ledger, desk, running_call)
        again = await OPERATIONS[operation](ledger, desk, running_call)

    assert isinstance(outcome, Held | Settled | Balance | Claimed | Rotated)
    assert again == outcome
    after = await desk.ledger.totals()
    assert after.live_holds - before.live_holds == {"hold": 1, "redeem": 1, "settle": -1}.get(operation, 0)
    assert after.charged - before.charged == Msat(7 if operation == "settle" else 0)
    assert after.credited - before.credited == Msat(500 if operation in "redeem credit claim" else 0)
    assert await desk.ledger.audit() == []


async def warm_up(ledger: Ledger, desk: Desk, operation: str) -> None:
    """Do the operation once for somebody else: its statement is prepared then, and the next answer follows a commit."""
    other, paid = await desk.token(50, "other"), payment("of other", 50)
    match operation:
        case "hold":
            await ledger.hold(other, desk.request(1))
        case "redeem":
            await ledger.redeem_and_hold(paid, desk.request(1), NO_LIMITS)
        case "settle":
            held = await ledger.hold(other, desk.request(1))
            assert isinstance(held, Held)
            await ledger.settle(desk.settlement(held, 0))
        case "credit":
            await ledger.credit(paid, NO_LIMITS)
        case "claim":
            await ledger.claim("warm", vouched(paid), token("warm"), ClaimKind.MACAROON)
        case _:
            await ledger.rotate("warm", other, token("warm"))


async def test_a_connection_killed_in_the_middle_of_a_commit_is_asked_again(store: PostgresStore, desk: Desk):
    """An operator ends the backend while it commits: what was rolled back is done by the repetition, once."""
    mine = await desk.token(1_000)
    store.tamper(
        "CREATE FUNCTION public.wait_once() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON holds DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION public.wait_once()",
    )
    db = await store.connect()
    try:
        await db.execute("SELECT pg_advisory_lock(7)")
        holding = asyncio.ensure_future(desk.ledger.hold(mine, desk.request(300)))
        while not await db.fetchval(_END_WHO_WAITS):
            await asyncio.sleep(0.01)
        await db.execute("SELECT pg_advisory_unlock(7)")
        outcome = await holding
    finally:
        await db.close()

    assert isinstance(outcome, Held)
    assert await desk.of(mine) == (1_000, 300)
    assert (await desk.ledger.totals()).live_holds == 1


_END_WHO_WAITS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event = 'advisory' AND query LIKE '%alb_hold%'
"""


async def sell_through_outages(desk: Desk, paid_name: str, calls: int) -> None:
    """Call after call, each repeated with its own ids until it lands, as a server does."""
    paid = payment(paid_name, 1_000_000)
    for _ in range(calls):
        request = desk.request(100, order=desk.new_id("order"))
        hold = await until_it_lands(lambda request=request: desk.ledger.hold(owner(paid), request))
        assert isinstance(hold, Held)
        settlement = desk.settlement(hold, 7)
        settled = await until_it_lands(lambda settlement=settlement: desk.ledger.settle(settlement))
        assert isinstance(settled, Settled)


async def until_it_lands(operation: Callable[[], Awaitable[object]]) -> object:
    for _ in count():
        try:
            return await operation()
        except LedgerUnavailable:
            await asyncio.sleep(0.05)
    raise AssertionError


@pytest.mark.slow
async def test_restarts_and_kills_under_load_lose_nothing_and_double_nothing(tmp_path: Path):
    """In order, and with SIGKILL to every process of it: each call is charged exactly once."""
    sellers, calls = 8, 60
    with running(durable=True) as server:
        async with opened(server.url(), tmp_path, PoolLimits(connections=8)) as ledger:
            await ledger.take_lease(LEASE)
            desk = Desk(ledger)
            names = [f"seller {n}" for n in range(sellers)]
            for name in names:
                await desk.account(1_000_000, name)
            selling = asyncio.gather(*(sell_through_outages(desk, name, calls) for name in names))
            for outage in (server.restart, lambda: (server.kill(), server.start()), server.restart):
                await asyncio.sleep(0.3)
                await asyncio.to_thread(outage)
            await selling

            totals = await ledger.totals()
            assert totals.charged == Msat(sellers * calls * 7)
            assert (totals.held, totals.live_holds) == (Msat(0), 0)
            assert await ledger.audit() == []


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["server", "database"])
async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, victim: str):
    """SIGKILL in the rush, to the server process or to all of PostgreSQL: what it said before is there afterwards."""
    with running(durable=True) as database:
        said = await asyncio.to_thread(rush_and_kill, tmp_path, database, victim)
        async with opened(database.url(), tmp_path) as ledger:
            await ledger.expire(0)
            totals = await ledger.totals()
            assert await ledger.audit() == []
        db = await asyncpg.connect(database.url())
        try:
            credited = await db.fetch("SELECT encode(payment_hash, 'hex') FROM alittlebitofmoney.credits")
            holds = dict(await db.fetch("SELECT id, charge_msat FROM alittlebitofmoney.holds"))
            lapsed = await db.fetch("SELECT id FROM alittlebitofmoney.holds WHERE ending = 'lapsed'")
        finally:
            await db.close()

    assert (totals.held, totals.live_holds) == (Msat(0), 0)
    assert said["credit"].keys() <= {name for (name,) in credited}
    assert said["hold"].keys() <= holds.keys()
    assert said["settle"].items() <= holds.items()
    assert len(said["settle"]) > 100
    # The call that was left running, at least, and no call that was settled.
    assert len(lapsed) >= 1
    assert not {name for (name,) in lapsed} & said["settle"].keys()


def rush_and_kill(directory: Path, database: Postgres, victim: str) -> dict[str, dict[str, int]]:
    """Run the shop, kill it or its database after so many lines, and return all it said."""
    shop = subprocess.Popen(
        [sys.executable, "-m", "tests.store.busy_shop", str(directory), database.url()],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shop.stdout is not None
    with shop:
        lines = [shop.stdout.readline() for _ in range(KILL_AFTER_LINES)]
        if victim == "database":
            database.kill()
            database.start()
        shop.kill()
        lines += shop.stdout.readlines()
    said: dict[str, dict[str, int]] = {"credit": {}, "hold": {}, "settle": {}}
    for line in lines:
        what, name, msat = line.split()
        said[what][name] = int(msat)
    return said
