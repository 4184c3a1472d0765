"""The limits on what is free, counted by all processes together in PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from lib.store.postgres import PostgresLedger
from tests.databases import shared
from tests.store.conftest import PostgresStore

LIMIT = 10
Share = tuple[str, str, int]
ADDRESS: Share = ("challenge per address", "203.0.113.7", LIMIT)


@pytest.fixture
def store(postgres_store: PostgresStore) -> PostgresStore:
    """Only PostgreSQL here."""
    return postgres_store


@pytest.fixture
async def ledger(store: PostgresStore) -> PostgresLedger:
    return await store.open()


async def test_a_crowd_at_two_processes_gets_what_is_allowed_and_no_more(store: PostgresStore, ledger: PostgresLedger):
    """The first ten of sixty, whichever process they come to."""
    other = await store.open()

    waits = await asyncio.gather(*((ledger, other)[n % 2].count_free([ADDRESS]) for n in range(60)))

    assert waits.count(0) == LIMIT
    assert all(1 <= wait <= 120 for wait in waits if wait)


async def test_after_the_wait_that_it_was_told_the_next_request_fits(store: PostgresStore, ledger: PostgresLedger):
    """The told wait is enough, and a second less would not have been."""
    for _ in range(LIMIT):
        assert await ledger.count_free([ADDRESS]) == 0
    wait = await ledger.count_free([ADDRESS])

    store.passes(wait - 1)
    early = await ledger.count_free([ADDRESS])
    store.passes(1)

    assert (early, await ledger.count_free([ADDRESS])) == (1, 0)


@pytest.mark.parametrize("begin", [0, 20, 45, 59])
async def test_no_minute_of_the_clock_sees_more_than_the_limit(
    store: PostgresStore, ledger: PostgresLedger, begin: int
):
    """Whoever comes as fast as he may: that limit in each of them, less than twice as much in any 60 seconds."""
    store.passes(begin)
    allowed: list[int] = []
    for second in range(begin, begin + 180, 5):
        while await ledger.count_free([ADDRESS]) == 0:
            allowed.append(second)
        store.passes(5)

    minutes = [sum(at // 60 == minute for at in allowed) for minute in range(4)]
    assert max(minutes) == LIMIT
    assert all(sum(start <= at < start + 60 for at in allowed) < 2 * LIMIT for start in range(begin, begin + 120))


async def test_counting_stops_at_the_first_share_that_is_full(ledger: PostgresLedger):
    """Those before it are counted, those after it are not: an address that is refused uses up nobody else's budget."""
    whole: Share = ("all challenges", "", 100)
    narrow: Share = ("one address", "a", 1)
    assert await ledger.count_free([narrow, whole]) == 0

    refused = [await ledger.count_free([narrow, whole]) for _ in range(5)]

    assert all(refused)
    assert [await ledger.count_free([("all challenges", "", 2)]) for _ in range(2)] == [0, 90]


async def test_shares_are_apart_by_name_and_by_key(ledger: PostgresLedger):
    """What one may, another may too."""
    shares: list[Share] = [("a", "x", 1), ("a", "y", 1), ("b", "x", 1)]

    assert [await ledger.count_free([share]) for share in shares] == [0, 0, 0]


async def test_no_address_is_written_down_and_old_counts_go(store: PostgresStore, ledger: PostgresLedger):
    """Digests only, for two minutes."""
    await ledger.count_free([ADDRESS])
    table = "alittlebitofmoney.free_requests"
    written = shared.server().sql(f"SELECT * FROM {table}", database=store.database)  # noqa: S608 - its own name
    assert written.count("|") == 2
    assert "203.0.113.7" not in written
    assert b"203.0.113.7".hex() not in written

    store.passes(60)
    await ledger.expire(60)
    kept = shared.server().sql(f"SELECT count(*) FROM {table}", database=store.database)  # noqa: S608 - the same
    store.passes(60)
    await ledger.expire(60)
    gone = shared.server().sql(f"SELECT count(*) FROM {table}", database=store.database)  # noqa: S608 - the same

    assert (kept.split(), gone.split()) == (["1"], ["0"])
