"""What may be asked of a SQLite ledger from outside, whether or not a server runs on it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Sequence
from pathlib import Path

from lib.store import schema, sqlite_restored
from lib.store.data_directory import LEDGER_FILE
from lib.store.ledger import LedgerUnavailable, Review
from lib.store.sqlite import system_clock_us


def reviews(data_dir: Path, limit: int) -> Sequence[Review]:
    """See `Ledger`. Raises LedgerUnavailable, LedgerNewerThanCode."""
    with _readable(data_dir), contextlib.closing(schema.connect_reader(data_dir / LEDGER_FILE)) as connection:
        schema.require_known(connection)
        return sqlite_restored.reviews(connection, limit)


def approve(data_dir: Path, payment_hash: bytes) -> bool:
    """See `Ledger`. Raises LedgerUnavailable, LedgerNewerThanCode."""
    file = data_dir / LEDGER_FILE
    with _readable(data_dir), contextlib.closing(schema.connect_writer(file, system_clock_us)) as connection:
        schema.require_known(connection)
        connection.execute("BEGIN IMMEDIATE")
        listed = sqlite_restored.approve(connection, payment_hash)
        connection.execute("COMMIT")
        return listed


@contextlib.contextmanager
def _readable(data_dir: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"the ledger in {data_dir} cannot be read: {error}") from error
