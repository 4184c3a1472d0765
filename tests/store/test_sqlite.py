"""What the SQLite adapter promises beside the contract: durability, one process, and rules that SQL itself enforces."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from lib.core.money import Msat
from lib.store import lane
from lib.store.ledger import Held, LedgerNewerThanCode, LedgerUnavailable
from lib.store.sqlite import LedgerLocked, SqliteLedger
from tests.store.conftest import SqliteStore
from tests.store.desk import LEASE, Desk, owner, payment

ROOT = Path(__file__).resolve().parents[2]
KILL_AFTER_LINES = 1_500


@pytest.fixture
def store(sqlite_store: SqliteStore) -> SqliteStore:
    """Only SQLite here."""
    return sqlite_store


@contextlib.contextmanager
def a_full_disk() -> Generator[None]:
    """No file may grow: the kernel refuses every write of this process, as it does when a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def a_stalled_writer(store: SqliteStore) -> Generator[None]:
    """Another connection is writing: the ledger's writer waits for it."""
    with contextlib.closing(store.connect()) as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            db.execute("ROLLBACK")


async def test_a_killed_server_loses_nothing_that_it_acknowledged(tmp_path: Path):
    """SIGKILL in the rush: reopened, all that was acknowledged is there, the audit is clean, nothing is held."""
    said = await asyncio.to_thread(rush_and_kill, tmp_path)

    ledger = await SqliteLedger.open(tmp_path)
    try:
        totals = await ledger.totals()
        assert await ledger.audit() == []
    finally:
        await ledger.aclose()

    assert (totals.held, totals.live_holds) == (Msat(0), 0)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        credited = {name for (name,) in db.execute("SELECT lower(hex(payment_hash)) FROM credits")}
        holds = dict(db.execute("SELECT id, charge_msat FROM holds"))
        lapsed = {name for (name,) in db.execute("SELECT id FROM holds WHERE ending = 'lapsed'")}
    assert said["credit"].keys() <= credited
    assert said["hold"].keys() <= holds.keys()
    assert said["settle"].items() <= holds.items()
    assert len(said["settle"]) > 100
    # The call that was left running, at least, and no call that was settled.
    assert len(lapsed) >= 1
    assert not lapsed & said["settle"].keys()


def rush_and_kill(directory: Path) -> dict[str, dict[str, int]]:
    """Run the shop, kill it after so many lines, and return all it said."""
    shop = subprocess.Popen(
        [sys.executable, "-m", "tests.store.busy_shop", str(directory)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert shop.stdout is not None
    with shop:
        lines = [shop.stdout.readline() for _ in range(KILL_AFTER_LINES)]
        shop.send_signal(signal.SIGKILL)
        lines += shop.stdout.readlines()
    said: dict[str, dict[str, int]] = {"credit": {}, "hold": {}, "settle": {}}
    for line in lines:
        what, name, msat = line.split()
        said[what][name] = int(msat)
    return said


async def test_a_commit_is_on_disk_before_it_is_acknowledged(store: SqliteStore, ledger: SqliteLedger):
    """Write-ahead log, flushed at every commit: a power cut takes back nothing (a kill alone could not show that)."""
    with contextlib.closing(store.connect()) as db:
        modes = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")]

    assert modes == ["wal", 2, 1]


async def test_a_failed_commit_fails_the_whole_batch_and_writes_nothing(store: SqliteStore, ledger: SqliteLedger):
    """All who shared the commit hear of it; the same op_ids land once the disk has room again."""
    await ledger.take_lease(LEASE)
    desk = Desk(ledger)
    paid = await desk.account(1_000)
    requests = [desk.request(10) for _ in range(20)]
    before = await ledger.totals()

    with a_full_disk():
        failed = await asyncio.gather(
            *(ledger.hold(owner(paid), request) for request in requests), return_exceptions=True
        )
        meanwhile = await ledger.totals()

    assert [type(outcome) for outcome in failed] == [LedgerUnavailable] * 20
    assert meanwhile == before == await ledger.totals()
    repeated = [await ledger.hold(owner(paid), request) for request in requests]
    assert all(isinstance(outcome, Held) for outcome in repeated)
    assert await desk.purse(paid) == (1_000, 200)
    assert await ledger.audit() == []


async def test_operations_wait_for_a_stalled_writer(store: SqliteStore, desk: Desk):
    """Nothing is done and nothing refused while it stalls; afterwards all of it is done."""
    paid = await desk.account(1_000)

    with a_stalled_writer(store):
        waiting = [asyncio.ensure_future(desk.hold(paid, 10)) for _ in range(50)]
        while_stalled = await desk.purse(paid)
    outcomes = await asyncio.gather(*waiting)

    assert while_stalled == (1_000, 0)
    assert all(isinstance(outcome, Held) for outcome in outcomes)
    assert await desk.purse(paid) == (1_000, 500)


async def test_a_queue_too_long_refuses_at_once(store: SqliteStore, desk: Desk):
    """Beyond the limit the caller hears of it while the disk still stalls; what was queued is done."""
    asked = lane.QUEUE_LIMIT_OPERATIONS + 2 * lane.BATCH_LIMIT_OPERATIONS

    with a_stalled_writer(store):
        waiting = [asyncio.ensure_future(desk.ledger.renew(LEASE)) for _ in range(asked)]
        refused, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert {type(task.exception()) for task in refused} == {LedgerUnavailable}
    # Beside the queue, the writer may have one batch in its hands.
    assert asked - len(refused) - lane.QUEUE_LIMIT_OPERATIONS in range(lane.BATCH_LIMIT_OPERATIONS + 1)
    assert outcomes.count(True) == asked - len(refused)


async def test_one_bad_operation_does_not_spoil_its_batch(store: SqliteStore, desk: Desk):
    """Only its own savepoint is rolled back."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 100)

    with a_stalled_writer(store):
        ends = [asyncio.ensure_future(desk.settle(hold, 101)), asyncio.ensure_future(desk.settle(hold, 60))]
        await asyncio.sleep(0)
    bad, good = await asyncio.gather(*ends, return_exceptions=True)

    assert isinstance(bad, ValueError)
    assert not isinstance(good, BaseException)
    assert await desk.purse(paid) == (940, 0)


async def test_closing_finishes_what_was_begun(store: SqliteStore, desk: Desk):
    """Afterwards the ledger refuses; what was queued before is on disk."""
    paid = await desk.account(1_000)
    holding = asyncio.ensure_future(desk.hold(paid, 10))
    await asyncio.sleep(0)

    await desk.ledger.aclose()

    assert isinstance(await holding, Held)
    with pytest.raises(LedgerUnavailable):
        await desk.hold(paid, 10)
    with pytest.raises(LedgerUnavailable):
        await desk.purse(paid)


async def test_one_data_directory_serves_one_ledger(store: SqliteStore, ledger: SqliteLedger):
    """A second opening names the directory; after the first has closed it succeeds."""
    with pytest.raises(LedgerLocked, match=str(store.directory)):
        await store.open()

    await ledger.aclose()
    await store.open()


async def test_two_processes_cannot_share_a_ledger(store: SqliteStore, ledger: SqliteLedger):
    """The lock is the kernel's: it holds against every other process."""
    other = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.store.busy_shop", str(store.directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert other.returncode != 0
    assert "LedgerLocked" in other.stderr
    assert str(store.directory) in other.stderr


async def test_reopening_gives_back_what_a_former_server_held(store: SqliteStore, desk: Desk):
    """At once, without waiting for any lease to go stale; its leases are dead."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 600)
    await desk.ledger.aclose()

    again = await store.open()
    found = await again.totals()

    assert (found.held, found.live_holds, found.balance) == (Msat(0), 0, Msat(1_000))
    assert not await again.renew(LEASE)
    assert (await again.settle(desk.settlement(hold, 5))).balance == Msat(995)
    assert await again.audit() == []


async def test_a_ledger_keeps_its_id_and_differs_from_every_other(store: SqliteStore, tmp_path: Path):
    """16 random bytes, made once."""
    first = await store.open()
    ledger_id = await first.ledger_id()
    await first.aclose()
    again = await store.open()
    other = await SqliteLedger.open(tmp_path / "other")
    try:
        assert len(ledger_id) == 16
        assert await again.ledger_id() == ledger_id
        assert await other.ledger_id() != ledger_id
    finally:
        await other.aclose()


async def test_only_its_user_can_read_a_ledger(store: SqliteStore, ledger: SqliteLedger):
    """The directory is 0700, every file in it 0600."""
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in store.directory.iterdir()}

    assert oct(store.directory.stat().st_mode & 0o777) == "0o700"
    assert modes.keys() >= {"ledger.sqlite", "ledger.sqlite-wal", "ledger.lock"}
    assert set(modes.values()) == {"0o600"}


async def test_a_database_of_a_newer_release_is_refused(store: SqliteStore):
    """Running old code on it could break promises that the new schema makes. Nothing stays locked."""
    await (await store.open()).aclose()
    with contextlib.closing(store.connect()) as db:
        (known,) = db.execute("PRAGMA user_version").fetchone()
    store.tamper("PRAGMA user_version = 999")

    with pytest.raises(LedgerNewerThanCode, match="999"):
        await store.open()

    store.tamper(f"PRAGMA user_version = {known}")
    await store.open()


@pytest.mark.parametrize("statement", ["UPDATE entries SET amount_msat = 1", "DELETE FROM entries"])
async def test_entries_are_append_only(store: SqliteStore, desk: Desk, statement: str):
    """SQL itself refuses to rewrite history."""
    await desk.account(1_000)

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store.tamper(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET balance_msat = -1",
        "UPDATE accounts SET held_msat = balance_msat + 1",
        "UPDATE accounts SET held_msat = -1",
        "UPDATE accounts SET balance_msat = 0.5",
        "UPDATE holds SET charge_msat = ceiling_msat + 1, ended_at_us = 1, ending = 'answered', settle_op_id = 'x'",
        "UPDATE holds SET lapsed_at_us = 1",
        "UPDATE holds SET ended_at_us = 1",
        "UPDATE holds SET account = 'nobody'",
        "INSERT INTO credits SELECT * FROM credits",
        """INSERT INTO entries (account, at_us, kind, amount_msat, balance_msat, op_id, reason)
        SELECT id, 0, 'adjust', 1, balance_msat + 1, 'x', 'y' FROM accounts""",
        """INSERT INTO entries (account, at_us, kind, amount_msat, balance_msat, hold)
        SELECT account, 0, 'charge', 1, 1000, id FROM holds""",
        """INSERT INTO owners (kind, digest, account, created_at_us)
        SELECT 'token', zeroblob(32), account, 0 FROM owners""",
        """INSERT INTO owners (kind, digest, account, payment_hash, created_at_us)
        SELECT 'payment', zeroblob(32), account, zeroblob(32), 0 FROM owners""",
        "UPDATE owners SET payment_hash = NULL",
        "UPDATE credits SET claimed_by = zeroblob(32)",
        """UPDATE credits SET claimed_by = zeroblob(32), claimed_at_us = 1, claimed_bare = 1,
        macaroon_used_at_us = 1""",
        """INSERT INTO handovers SELECT 'x', 'revoke', id, NULL, 0, balance_msat, held_msat FROM accounts""",
        """INSERT INTO topups SELECT zeroblob(32), 'refill', 1, NULL, 'key', 0, 0, NULL""",
    ],
)
async def test_sql_itself_refuses_what_must_never_happen(store: SqliteStore, desk: Desk, statement: str):
    """No caller's mistake can overdraw, credit twice, or book what did not happen."""
    await desk.held(await desk.account(1_000), 600)

    with pytest.raises(sqlite3.IntegrityError):
        store.tamper(statement)


async def test_a_settled_hold_never_changes(store: SqliteStore, desk: Desk):
    """Not even by hand."""
    await desk.settle(await desk.held(await desk.account(1_000), 600), 5)

    with pytest.raises(sqlite3.IntegrityError, match="settled"):
        store.tamper("UPDATE holds SET charge_msat = 4")


UNGUARDED = (
    "PRAGMA ignore_check_constraints = ON",
    "PRAGMA foreign_keys = OFF",
    "DROP TRIGGER entries_never_change",
    "DROP TRIGGER entries_never_go",
    "DROP TRIGGER holds_settle_once",
)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE accounts SET balance_msat = balance_msat + 1", "entries sum up to"),
        ("UPDATE entries SET amount_msat = amount_msat + 1 WHERE kind = 'credit'", "was credited with"),
        ("UPDATE entries SET balance_msat = balance_msat - 1 WHERE kind = 'charge'", "the entries up to it"),
        ("UPDATE entries SET amount_msat = amount_msat - 1 WHERE kind = 'charge'", "was charged 5 msat"),
        ("UPDATE entries SET amount_msat = amount_msat + 1 WHERE kind = 'over'", "overpaid by 9 msat"),
        ("UPDATE entries SET account = 'x' WHERE kind = 'charge'", "is booked on account x"),
        ("UPDATE entries SET account = 'x' WHERE kind = 'credit'", "books it on account x"),
        ("DELETE FROM entries WHERE kind = 'charge'", "entries were written"),
        ("UPDATE accounts SET held_msat = held_msat + 1", "running calls hold"),
        ("UPDATE accounts SET held_msat = balance_msat + 1", "impossible"),
        ("UPDATE holds SET ceiling_msat = ceiling_msat + 1 WHERE ended_at_us IS NULL", "running calls hold"),
        ("UPDATE holds SET charge_msat = 6 WHERE ended_at_us IS NOT NULL", "was charged 6 msat"),
        ("UPDATE holds SET ceiling_msat = 4 WHERE ended_at_us IS NOT NULL", "outside of 0"),
        ("UPDATE holds SET lapsed_at_us = 1 WHERE ended_at_us IS NULL", "has lapsed and is live"),
        ("UPDATE leases SET ended_at_us = 1", "its lease"),
        ("UPDATE credits SET amount_msat = amount_msat + 1", "was credited with"),
        ("UPDATE accounts SET frozen = 1", "denied payments"),
        ("DELETE FROM leases", "not there"),
        ("DELETE FROM owners WHERE kind = 'token'", "that nobody owns"),
        ("DELETE FROM owners WHERE kind = 'payment'", "is an orphan"),
        ("UPDATE owners SET account = (SELECT account FROM owners WHERE kind = 'token')", "has a token and 2 other"),
        ("UPDATE owners SET account = 'x' WHERE kind = 'payment'", "its credential owns account x"),
        (
            "UPDATE credits SET claimed_by = zeroblob(32), claimed_at_us = 1, claimed_bare = 0",
            "is claimed, but its credential still owns",
        ),
        ("UPDATE topups SET closed_at_us = NULL", "its invoice is still open"),
    ],
)
async def test_the_audit_finds_one_msat(store: SqliteStore, desk: Desk, statement: str, sentence: str):
    """Whatever was changed behind the ledger's back, by however little, is told."""
    paid = await desk.account(1_000)
    overpaid = payment("overpaid", 1_000)
    await desk.credit(overpaid)
    await desk.ledger.confirm(overpaid.payment_hash, Msat(1_009))
    await desk.settle(await desk.held(paid, 600), 5)
    await desk.held(paid, 100)
    await desk.token(500)
    assert await desk.ledger.audit() == []

    store.tamper(*UNGUARDED, statement)

    assert any(sentence in difference for difference in await desk.ledger.audit())


def audit(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the operator's command."""
    return subprocess.run(
        [str(ROOT / "scripts" / "audit"), "--data-dir", str(directory), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


async def test_the_audit_command_runs_beside_a_live_server(store: SqliteStore, desk: Desk):
    """It prints totals as JSON and says that all is well."""
    await desk.settle(await desk.held(await desk.account(1_000), 600), 5)

    report = await asyncio.to_thread(audit, store.directory, "--json")

    assert (report.returncode, report.stderr) == (0, "")
    said = json.loads(report.stdout)
    assert said["differences"] == []
    assert (said["totals"]["balance_msat"], said["totals"]["charged_msat"], said["totals"]["accounts"]) == (995, 5, 1)


async def test_the_audit_command_fails_for_one_msat(store: SqliteStore, desk: Desk):
    """Exit status 1, and every difference in words; also while no server runs."""
    await desk.account(1_000)
    await desk.ledger.aclose()
    assert (await asyncio.to_thread(audit, store.directory)).returncode == 0
    store.tamper("UPDATE accounts SET balance_msat = balance_msat + 1")

    report = await asyncio.to_thread(audit, store.directory)

    assert report.returncode == 1
    assert "has a balance of 1001 msat, but its entries sum up to 1000 msat" in report.stdout


async def test_the_audit_command_reads_what_a_killed_server_left(tmp_path: Path):
    """Before any server has opened it again: holds still run, sums already fit."""
    await asyncio.to_thread(rush_and_kill, tmp_path)

    report = await asyncio.to_thread(audit, tmp_path)

    assert (report.returncode, report.stderr) == (0, "")
    assert "No difference." in report.stdout


async def test_the_audit_command_says_when_there_is_no_ledger(tmp_path: Path):
    """And does not make one."""
    report = await asyncio.to_thread(audit, tmp_path)

    assert report.returncode == 2
    assert "ledger.sqlite" in report.stderr
    assert not await asyncio.to_thread((tmp_path / "ledger.sqlite").exists)
