"""The directory that an embedded ledger lives in, owned by one process at a time."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from lib.store.ledger import LedgerUnavailable

if TYPE_CHECKING:
    from pathlib import Path

LEDGER_FILE = "ledger.sqlite"
LOCK_FILE = "ledger.lock"


class LedgerLocked(Exception):
    """Another process runs on this data directory. SQLite means exactly one server process."""

    def __init__(self, directory: Path) -> None:
        """Name the directory, so that the operator sees which of two servers to stop or to move."""
        super().__init__(f"another process already uses the ledger in {directory}: one data directory, one server")
        self.directory = directory


def make_ours(path: Path) -> None:
    """Make the directory (0700) if need be. Raises LedgerUnavailable for root where it is another's."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() == 0 and path.stat().st_uid != 0:
        raise LedgerUnavailable(
            f"{path} belongs to {path.owner()}: what root writes there would lock its server out. "
            f"Say it as that user: runuser -u {path.owner()} -- COMMAND"
        )


class DataDirectory:
    """A claimed data directory. The claim ends with `release()` or with the process, however it dies."""

    def __init__(self, path: Path, lock: int) -> None:
        """Take over an open, locked file descriptor."""
        self._path = path
        self._lock: int | None = lock

    @property
    def ledger_file(self) -> Path:
        """Where the database is. Only this user can read it."""
        return self._path / LEDGER_FILE

    @staticmethod
    def claim(path: Path) -> DataDirectory:
        """Make the directory (0700) and the database file (0600) if need be, and lock them.

        Raises LedgerLocked, and LedgerUnavailable if it is somebody else's.
        """
        make_ours(path)
        lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # SQLite gives its -wal and -shm files the mode of the database file, so that mode is set first.
            os.close(os.open(path / LEDGER_FILE, os.O_RDWR | os.O_CREAT, 0o600))
        except BlockingIOError:
            os.close(lock)
            raise LedgerLocked(path) from None
        except BaseException:
            os.close(lock)
            raise
        return DataDirectory(path, lock)

    def release(self) -> None:
        """Let another process have it. Repeating it changes nothing."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
