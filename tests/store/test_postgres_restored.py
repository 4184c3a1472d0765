"""A backup of the database is put back: noticed before anything is done to it; nothing is, until its operator spoke."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from lib.core.money import Msat
from lib.store.ledger import LedgerUnavailable, LedgerWentBack, Restored
from lib.store.postgres import PostgresLedger
from lib.store.watermark import Watermark
from tests.databases import shared
from tests.store.desk import Desk, owner, payment
from tests.store.test_went_back import CHANGES, KEPT, LOST

LEASE = "first"


class Backed:
    """A database, what it was at some moment, and ledgers on it whose watermark is kept in one directory."""

    def __init__(self, directory: Path) -> None:
        self.database = shared.new_database(shared.TEMPLATE)
        self.opened: list[PostgresLedger] = []
        self.directory = directory

    async def open(self) -> PostgresLedger:
        ledger = await PostgresLedger.open(shared.server().url(self.database), Watermark(self.directory))
        self.opened.append(ledger)
        return ledger

    async def back_up(self) -> str:
        """A copy of the database as it is; nobody may be connected."""
        await self.close()
        return shared.new_database(self.database)

    def put_back(self, backup: str) -> None:
        """In place of the database, whoever is connected to it."""
        server = shared.server()
        server.drop_database(self.database)
        server.create_database(self.database, backup)

    async def close(self) -> None:
        for ledger in self.opened:
            await ledger.aclose()


@pytest.fixture
async def backed(tmp_path: Path) -> AsyncGenerator[Backed]:
    database = Backed(tmp_path)
    yield database
    await database.close()


async def sold(backed: Backed) -> tuple[PostgresLedger, str]:
    """A ledger that sold, was backed up, and sold more; and that backup."""
    ledger = await backed.open()
    await Desk(ledger).credit(KEPT)
    backup = await backed.back_up()
    ledger = await backed.open()
    await ledger.take_lease(LEASE)
    await Desk(ledger).credit(LOST)
    await ledger.renew(LEASE)
    return ledger, backup


@pytest.mark.parametrize("change", CHANGES)
async def test_a_database_restored_under_a_running_server_is_not_touched(backed: Backed, change: str):
    """Its connections were cut; the first new one tells, before the operation that wanted it is done."""
    ledger, backup = await sold(backed)
    backed.put_back(backup)

    with pytest.raises(LedgerWentBack, match="a backup was restored"):
        await CHANGES[change](ledger)

    totals = await ledger.totals()
    assert (totals.credited, totals.accounts, totals.live_holds) == (KEPT.amount, 1, 0)
    assert await ledger.audit() == []
    assert (await ledger.position()).generation == 0
    leases = shared.server().sql("SELECT count(*) FROM alittlebitofmoney.leases", database=backed.database)
    assert leases.split() == ["0"]


async def test_a_restored_database_is_noticed_by_a_server_that_starts(backed: Backed):
    """It opens, answers what only reads, and waits."""
    _, backup = await sold(backed)
    await backed.close()
    backed.put_back(backup)

    ledger = await backed.open()

    found = await ledger.balance(owner(KEPT))
    assert found is not None and found.balance == KEPT.amount
    for number in range(2):
        with pytest.raises(LedgerWentBack):
            await ledger.take_lease(f"waiting-{number}")
    leases = shared.server().sql("SELECT count(*) FROM alittlebitofmoney.leases", database=backed.database)
    assert leases.split() == ["0"]


async def test_the_operators_word_reaches_every_process(backed: Backed):
    """One accepts; another, which noticed the restoration too, goes on with its next lease."""
    ledger, backup = await sold(backed)
    backed.put_back(backup)
    with pytest.raises(LedgerWentBack):
        await ledger.renew(LEASE)
    operators = await backed.open()

    await operators.accept_restored(Restored.HONOUR)
    await ledger.take_lease("second")
    await Desk(ledger, lease="second").credit(LOST)

    assert (await ledger.totals()).credited == Msat(7_000)
    assert await ledger.audit() == []


async def test_another_ledger_at_the_same_address_is_refused(backed: Backed):
    """An empty database must not honour what this one sold, nor lose what it is paid."""
    ledger, _ = await sold(backed)
    foreign = shared.new_database("template0")
    await (await PostgresLedger.open(shared.server().url(foreign), Watermark(backed.directory))).aclose()
    backed.put_back(foreign)

    with pytest.raises(LedgerUnavailable, match="another ledger"):
        await Desk(ledger).credit(payment("paid meanwhile", 1_000))
