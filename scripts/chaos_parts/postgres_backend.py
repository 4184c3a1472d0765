"""A ledger in a real PostgreSQL: servers reach it over a way that can be cut, and it is itself stopped and killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg

from chaos_parts import books
from chaos_parts.books import Books
from chaos_parts.plan import Fault
from chaos_parts.proxy import LOOPBACK, Proxy
from chaos_parts.weather import strike_proxy
from tests.databases.postgres import Postgres, running

DATABASE = "ledger"
SCHEMA = "alittlebitofmoney"


@dataclass(frozen=True, slots=True)
class InPostgres:
    """The database, and the way to it."""

    postgres: Postgres
    way: Proxy
    directory: Path
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """It is not read while it is restarted."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Its address, by the way that can be cut."""
        url = f"postgresql://postgres@{LOOPBACK}:{self.way.port}/{DATABASE}"
        return {"DATABASE_URL": url, "ALITTLEBITOFMONEY_DATA_DIR": str(self.directory / "data")}

    async def strike(self, fault: Fault) -> None:
        """One fault, to its end."""
        match fault.what:
            case "restarted with a fast stop":
                async with self.changing:
                    await asyncio.to_thread(self.postgres.restart)
            case "killed with -9 and started again":
                async with self.changing:
                    await asyncio.to_thread(_killed, self.postgres)
            case _:
                await strike_proxy(self.way, fault)

    async def heal(self) -> None:
        """The way is free; who restarts it has finished."""
        self.way.refuses, self.way.delay_seconds = False, 0.0
        self.way.let_pass()
        async with self.changing:
            pass

    async def books(self) -> Books:
        """One moment of it, read past the way."""
        async with self.changing:
            return await read(self.postgres.url(DATABASE))


async def read(url: str) -> Books:
    """All that a ledger in PostgreSQL says, and its own audit."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"SET LOCAL search_path = {SCHEMA}, public")
            queries = (books.CREDITS, books.ENTRIES, books.HOLDS, books.ACCOUNTS)
            rows: list[list[Any]] = [list(map(tuple, await connection.fetch(query))) for query in queries]
            differences: str = await connection.fetchval("SELECT public.alb_audit()::text")
    finally:
        await connection.close()
    return replace(books.of_rows(*rows), differences=json.loads(differences))


def _killed(postgres: Postgres) -> None:
    postgres.kill()
    postgres.start()


@contextlib.asynccontextmanager
async def opened(directory: Path) -> AsyncGenerator[InPostgres]:
    """Up, with an empty database; gone with the block."""
    with running(durable=True) as postgres:
        postgres.create_database(DATABASE)
        async with Proxy(postgres.port, _nobody).running() as way:
            yield InPostgres(postgres, way, directory)


def _nobody(hold: str) -> None:
    """No call of upstream goes this way."""
    raise ValueError(f"hold {hold} is on the way to the database")
