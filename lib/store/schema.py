"""SQLite connections and the numbered migrations that bring a database file up to this code."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib.store.ledger import LedgerNewerThanCode

if TYPE_CHECKING:
    from collections.abc import Callable

MIGRATIONS = Path(__file__).parent / "migrations" / "sqlite"
OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables."""
BUSY_LIMIT_SECONDS = 5.0
"""How long a transaction waits for a foreign writer (an operator's shell) before it gives up."""
WAL_KEPT_BYTES = 64 * 1024 * 1024
"""A write-ahead log grown larger during a long read is cut back to this at its next checkpoint."""
STATEMENTS_CACHED = 128


class SqliteTooOld(Exception):
    """This Python's SQLite lacks what the ledger's safety is made of."""


def connect_writer(file: Path, now_us: Callable[[], int]) -> sqlite3.Connection:
    """A connection whose commits survive a power cut. `now_us()` is the clock of all its SQL."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise SqliteTooOld(f"SQLite {sqlite3.sqlite_version} is older than 3.37; use a newer Python build")
    connection = _connect(f"{file.resolve().as_uri()}?mode=rw")
    connection.create_function("now_us", 0, now_us)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # Apple's fsync does not reach the disk; everywhere else these two change nothing.
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
    return connection


def connect_reader(file: Path) -> sqlite3.Connection:
    """A connection that cannot write. It never waits for a writer, nor a writer for it."""
    connection = _connect(f"{file.resolve().as_uri()}?mode=ro")
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_LIMIT_SECONDS,
        isolation_level=None,
        # Opened by one thread and handed over to another, never used by two.
        check_same_thread=False,
        cached_statements=STATEMENTS_CACHED,
    )


def migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing, each migration in a transaction of its own. Raises LedgerNewerThanCode."""
    for migration in pending(connection):
        migration.apply(connection)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    file: Path

    @property
    def text(self) -> str:
        """One transaction, its bookkeeping included."""
        script = self.file.read_text("utf-8")
        return f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {self.number};\nCOMMIT;"

    def apply(self, connection: sqlite3.Connection) -> None:
        """Wholly or not at all. Only as the next one: see `pending`."""
        try:
            connection.executescript(self.text)
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def pending(connection: sqlite3.Connection) -> list[Migration]:
    """What the database still lacks, in order. Raises LedgerNewerThanCode."""
    return migrations()[require_known(connection) :]


def migrations() -> list[Migration]:
    """All of them, in order."""
    scripts = sorted(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    for number, script in enumerate(scripts, start=1):
        if int(script.name[:4]) != number:
            raise RuntimeError(f"{script.name} should be number {number:04}: migrations have no gaps")
    return [Migration(number, script) for number, script in enumerate(scripts, start=1)]


def require_known(connection: sqlite3.Connection) -> int:
    """The database's schema number, 0 while it is empty. Raises LedgerNewerThanCode."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    known = len(migrations())
    if version > known:
        raise LedgerNewerThanCode(
            f"the ledger has schema {version}, this release knows {known}: run the release that wrote it"
        )
    return version
