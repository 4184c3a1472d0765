"""The ledgers that the contract is tested on. Another adapter joins by one more parameter of `store`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest

from lib.store import schema
from lib.store.ledger import Ledger
from lib.store.postgres import PostgresLedger
from lib.store.sqlite import SqliteLedger
from lib.store.watermark import Watermark
from tests.databases import shared
from tests.store.desk import Desk

MICROS_PER_SECOND = 1_000_000


class Store(Protocol):
    """A database that ledgers can be opened on, its clock, and a way past all its rules."""

    async def open(self) -> Ledger:
        """Start a server's ledger on it."""
        ...

    def passes(self, seconds: float) -> None:
        """Move the database's clock."""
        ...

    def tamper(self, *statements: str) -> None:
        """Run SQL as an intruder with the file would."""
        ...

    async def close(self) -> None:
        """Stop whatever was opened."""
        ...


@dataclass
class SqliteStore:
    """A directory, and a clock that stands still until it is moved."""

    directory: Path
    now_us: int = 1_800_000_000 * MICROS_PER_SECOND
    _opened: list[SqliteLedger] = field(default_factory=list[SqliteLedger])

    async def open(self) -> SqliteLedger:
        ledger = await SqliteLedger.open(self.directory, clock=lambda: self.now_us)
        self._opened.append(ledger)
        return ledger

    def passes(self, seconds: float) -> None:
        self.now_us += round(seconds * MICROS_PER_SECOND)

    def tamper(self, *statements: str) -> None:
        with closing(self.connect()) as db:
            for statement in statements:
                db.execute(statement)

    def connect(self) -> Any:
        return schema.connect_writer(self.directory / "ledger.sqlite", lambda: self.now_us)

    async def close(self) -> None:
        for ledger in self._opened:
            await ledger.aclose()


@dataclass
class PostgresStore:
    """A database of its own in this process's PostgreSQL, and a clock that stands still until it is moved."""

    directory: Path
    database: str = field(default_factory=shared.new_database)
    _opened: list[PostgresLedger] = field(default_factory=list[PostgresLedger])

    @property
    def url(self) -> str:
        return shared.server().url(self.database)

    async def open(self) -> PostgresLedger:
        ledger = await PostgresLedger.open(self.url, Watermark(self.directory))
        self._opened.append(ledger)
        return ledger

    def passes(self, seconds: float) -> None:
        shared.pass_seconds(self.database, seconds)

    def tamper(self, *statements: str) -> None:
        shared.server().sql("SET search_path = alittlebitofmoney", *statements, database=self.database)

    async def connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self.url)

    async def close(self) -> None:
        for ledger in self._opened:
            await ledger.aclose()
        shared.server().drop_database(self.database)


STORES: dict[str, Callable[[Path], Store]] = {"sqlite": SqliteStore, "postgres": PostgresStore}
"""For tests that open many ledgers of their own."""


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """For what only the SQLite adapter promises."""
    store = SqliteStore(tmp_path / "data")
    yield store
    await store.close()


@pytest.fixture
async def postgres_store(tmp_path: Path) -> AsyncIterator[PostgresStore]:
    """For what only the ledger in PostgreSQL promises."""
    store = PostgresStore(tmp_path / "data")
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    """For what every ledger promises."""
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
async def ledger(store: Store) -> Ledger:
    """An empty ledger."""
    return await store.open()


@pytest.fixture
async def desk(ledger: Ledger) -> Desk:
    """A process with a fresh lease on an empty ledger."""
    await ledger.take_lease("lease-of-this-process")
    return Desk(ledger)
