"""A copy of a SQLite ledger, made while a server runs on it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from lib.store import schema, sqlite_audit
from lib.store.ledger import LedgerUnavailable


def back_up(ledger: Path, target: Path) -> list[str]:
    """Copy the ledger as it was at one moment into a new file (0600) that reached the disk, and audit the copy.

    Returns the audit's differences. Raises FileExistsError, and LedgerUnavailable; then no file is left behind.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with (
            contextlib.closing(schema.connect_reader(ledger)) as source,
            contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            schema.require_known(source)
            # In one step: in pieces it would begin anew after each commit. A reader keeps no writer waiting.
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            differences = list(sqlite_audit.differences(copy))
        _reach_the_disk(target)
    except sqlite3.Error as error:
        target.unlink()
        raise LedgerUnavailable(f"{ledger} could not be copied: {error}") from error
    except BaseException:
        target.unlink()
        raise
    return differences


def _reach_the_disk(file: Path) -> None:
    for path in (file, file.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
