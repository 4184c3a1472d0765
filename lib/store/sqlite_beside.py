"""A SQLite ledger as its operator sees it from outside, whether or not a server runs on it.

Each operation has a connection of its own. What writes takes the same lock of the file that the server's writer takes,
for some milliseconds; the server waits that long.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lib.store import schema, sqlite_restored
from lib.store.data_directory import LEDGER_FILE
from lib.store.ledger import LedgerOlderThanCode, LedgerUnavailable, LedgerWentBack
from lib.store.sqlite import system_clock_us
from lib.store.sqlite_console import SqliteConsole
from lib.store.watermark import WENT_BACK, Watermark, is_below

if TYPE_CHECKING:
    from lib.store.lane import Operation

T = TypeVar("T")


class SqliteBeside(SqliteConsole):
    """The `OperatorsLedger` in somebody else's file.

    Raises LedgerUnavailable where it cannot be read, LedgerNewerThanCode, and LedgerOlderThanCode before a server of
    this release has brought it up to date. What writes raises LedgerWentBack after a backup was put back.
    """

    def __init__(self, data_dir: Path) -> None:
        """Nothing is opened yet."""
        self._data_dir = data_dir

    async def _read(self, operation: Operation[T]) -> T:
        with self._readable(), contextlib.closing(schema.connect_reader(self._file)) as connection:
            connection.create_function("now_us", 0, system_clock_us)
            _require_this_release(connection)
            connection.execute("BEGIN")
            return operation(connection)

    async def _scan(self, operation: Operation[T]) -> T:
        return await self._read(operation)

    async def _write(self, operation: Operation[T]) -> T:
        with self._readable(), contextlib.closing(schema.connect_writer(self._file, system_clock_us)) as connection:
            _require_this_release(connection)
            mark = Watermark(self._data_dir).mark()
            connection.execute("BEGIN IMMEDIATE")
            if is_below(sqlite_restored.position(connection), mark):
                raise LedgerWentBack(WENT_BACK)
            outcome = operation(connection)
            connection.execute("COMMIT")
            return outcome

    @property
    def _file(self) -> Path:
        return self._data_dir / LEDGER_FILE

    @contextlib.contextmanager
    def _readable(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"the ledger in {self._data_dir} cannot be reached: {error}") from error


def _require_this_release(connection: sqlite3.Connection) -> None:
    number, known = schema.require_known(connection), len(schema.migrations())
    if number < known:
        raise LedgerOlderThanCode(
            f"the ledger has schema {number}, this release needs {known}: start its server, or run scripts/migrate"
        )
