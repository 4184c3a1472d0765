"""A copy of a SQLite ledger, made while a server runs on it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from lib.store import schema, sqlite_audit
from lib.store.data_directory import DataDirectory
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


def put_back(copy: Path, data_dir: Path) -> Path | None:
    """Put a copy in the ledger's place, on the disk; where what was there before is kept now, if anything was.

    Raises LedgerLocked while a server runs, and LedgerUnavailable for what is no whole ledger: then nothing changed.
    """
    with contextlib.closing(_opened(copy)) as source:
        try:
            if not schema.require_known(source):
                raise LedgerUnavailable(f"{copy} is no ledger")
            if differences := sqlite_audit.differences(source):
                raise LedgerUnavailable(f"{copy} does not add up, so it was left alone: {differences[0]}")
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"{copy} is no ledger: {error}") from error
        directory = DataDirectory.claim(data_dir)
        try:
            return _replaced(source, directory.ledger_file)
        finally:
            directory.release()


def _opened(copy: Path) -> sqlite3.Connection:
    try:
        return schema.connect_reader(copy)
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{copy} cannot be read: {error}") from error


def _replaced(source: sqlite3.Connection, ledger: Path) -> Path | None:
    """The copy is whole and on the disk before it takes the place; the log beside the old one goes with that."""
    fresh = ledger.with_suffix(".restoring")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    _reach_the_disk(fresh)
    aside = _set_aside(ledger)
    fresh.replace(ledger)
    _reach_the_disk(ledger)
    return aside


def _set_aside(ledger: Path) -> Path | None:
    """What was there, as one file under another name; nothing of an empty one."""
    if not ledger.stat().st_size:
        return None
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode = DELETE")  # its log is folded into it
    aside = ledger.with_suffix(f".before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    ledger.replace(aside)
    return aside
