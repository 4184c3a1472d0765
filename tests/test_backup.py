"""`scripts/backup`: a copy of the SQLite ledger that adds up, made beside a running server."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

import pytest

from lib.store import backup, schema, sqlite_audit
from lib.store.data_directory import LEDGER_FILE
from lib.store.sqlite import SqliteLedger
from tests.programs import Ended, run
from tests.store.desk import Desk

CALLS_AT_ONCE = 8


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncGenerator[SqliteLedger]:
    opened = await SqliteLedger.open(tmp_path / "data")
    yield opened
    await opened.aclose()


async def back_up(tmp_path: Path, target: Path, **env: str) -> Ended:
    data = {"ALITTLEBITOFMONEY_DATA_DIR": str(tmp_path / "data"), "ALITTLEBITOFMONEY_DEMO": "1"}
    return await run("scripts/backup", str(target), env={**data, **env})


def differences(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as db:
        return list(sqlite_audit.differences(db))


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def sell(desk: Desk, name: str, until: asyncio.Event) -> int:
    """Hold and settle without a pause; how often."""
    paid = await desk.account(1_000_000, name)
    calls = 0
    while not until.is_set():
        await desk.settle(await desk.held(paid, 10), 3)
        calls += 1
    return calls


async def test_a_copy_is_made_while_the_server_sells(tmp_path: Path, ledger: SqliteLedger):
    """Calls go on; the copy is one moment of them, whole, and nobody else can read it."""
    desk, stop, target = Desk(ledger), asyncio.Event(), tmp_path / "copy"
    await ledger.take_lease(desk.lease)
    selling = [asyncio.create_task(sell(desk, f"buyer-{number}", stop)) for number in range(CALLS_AT_ONCE)]

    done = await back_up(tmp_path, target)
    stop.set()
    sold = await asyncio.gather(*selling)

    assert done.code == 0 and f"{target}: " in done.said, done.complained
    assert min(sold) > 0 and differences(target) == []
    assert names_in(tmp_path) == ["copy", "data"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


async def test_a_copy_can_be_put_back(tmp_path: Path, ledger: SqliteLedger):
    """What was in the ledger is in a ledger that is opened on the copy."""
    paid = await Desk(ledger).account(5_000)
    await back_up(tmp_path, tmp_path / "copy")
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(tmp_path / "copy", other / LEDGER_FILE)

    again = await SqliteLedger.open(other)

    assert await Desk(again).purse(paid) == (5_000, 0)
    assert await again.ledger_id() == await ledger.ledger_id()
    await again.aclose()


async def test_nothing_is_overwritten(tmp_path: Path, ledger: SqliteLedger):
    """A backup of yesterday is worth more than a mistyped name."""
    target = tmp_path / "copy"
    target.write_text("yesterday's")

    refused = await back_up(tmp_path, target)

    assert refused.code == 2 and "never overwrites" in refused.complained
    assert target.read_text() == "yesterday's"


async def test_what_cannot_be_copied_leaves_no_file(tmp_path: Path):
    """No ledger, no copy: an empty file would look like one."""
    refused = await back_up(tmp_path, tmp_path / "copy")

    assert refused.code == 2 and "could not be copied" in refused.complained
    assert not (tmp_path / "copy").exists()


async def test_a_copy_that_does_not_add_up_is_told(tmp_path: Path, ledger: SqliteLedger):
    """The copy is kept, the differences are named, and the exit code is not 0."""
    await Desk(ledger).account(5_000)
    with closing(sqlite3.connect(tmp_path / "data" / LEDGER_FILE, isolation_level=None)) as db:
        db.execute("UPDATE accounts SET balance_msat = 6000")

    done = await back_up(tmp_path, tmp_path / "copy")

    assert done.code == 1 and "audit: " in done.complained


async def test_a_ledger_elsewhere_is_not_mistaken_for_a_file(tmp_path: Path):
    """With DATABASE_URL an old file may lie about: its copy would be a backup of nothing."""
    refused = await back_up(tmp_path, tmp_path / "copy", DATABASE_URL="postgresql://db/shop")

    assert refused.code == 2 and "pg_dump" in refused.complained


def test_a_ledger_of_an_older_release_is_copied_before_it_is_brought_up_to_date(tmp_path: Path):
    """The copy keeps its old schema, and its audit knows the rules of that."""
    with closing(schema.connect_writer(_new_file(tmp_path / "old.sqlite"), lambda: 1)) as old:
        for migration in schema.migrations()[:2]:
            migration.apply(old)
        old.execute("INSERT INTO accounts (id, frozen, opened_at_us) VALUES ('frozen by nothing', 1, 1)")

    found = backup.back_up(tmp_path / "old.sqlite", tmp_path / "copy")

    assert found == ["account frozen by nothing is marked frozen=1, but has 0 denied payments"]
    with closing(schema.connect_reader(tmp_path / "copy")) as copy:
        assert schema.require_known(copy) == 2


def _new_file(path: Path) -> Path:
    path.touch()
    return path
