"""A ledger in a real PostgreSQL, which is itself killed; servers reach it, or Supabase's API, by a way that is cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg

from chaos_parts import books
from chaos_parts.books import Books
from chaos_parts.plan import Fault
from chaos_parts.proxy import LOOPBACK, Proxy
from chaos_parts.weather import strike_proxy
from lib.store import postgres_pool
from tests.databases.postgres import Postgres, running
from tests.databases.supabase_api import SupabaseApi, make_project

DATABASE = "ledger"
DATA_DIR = "ALITTLEBITOFMONEY_DATA_DIR"
SCHEMA = "alittlebitofmoney"


@dataclass(frozen=True, slots=True)
class InDatabase:
    """The database, and the servers' way to it."""

    postgres: Postgres
    way: Proxy
    environment: Mapping[str, str]
    """What tells a server of it."""
    restarts: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    """One that has begun is brought to its end, whoever waits for it."""

    async def strike(self, fault: Fault) -> None:
        """One fault, to its end."""
        match fault.what:
            case "restarted with a fast stop":
                await self._through(self.postgres.restart)
            case "killed with -9 and started again":
                await self._through(lambda: _killed(self.postgres))
            case _:
                await strike_proxy(self.way, fault)

    async def heal(self) -> None:
        """The way is free; who restarts it has finished."""
        self.way.refuses, self.way.delay_seconds = False, 0.0
        self.way.let_pass()
        await asyncio.gather(*self.restarts)

    async def _through(self, restart: Callable[[], None]) -> None:
        task = asyncio.create_task(asyncio.to_thread(restart))
        self.restarts.add(task)
        task.add_done_callback(self.restarts.discard)
        await asyncio.shield(task)

    async def books(self) -> Books:
        """One moment of it, read past the way."""
        await asyncio.gather(*self.restarts)
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
async def opened_postgres(directory: Path) -> AsyncGenerator[InDatabase]:
    """Up, with an empty database; gone with the block."""
    with running(durable=True) as postgres:
        postgres.create_database(DATABASE)
        async with Proxy(postgres.port, _nobody).running() as way:
            url = f"postgresql://postgres@{LOOPBACK}:{way.port}/{DATABASE}"
            yield InDatabase(postgres, way, {"DATABASE_URL": url, DATA_DIR: str(directory / "data")})


@contextlib.asynccontextmanager
async def opened_supabase(directory: Path) -> AsyncGenerator[InDatabase]:
    """A project with its API up, and its schema up to date; gone with the block."""
    with running(durable=True) as postgres:
        await postgres_pool.migrate(make_project(postgres, DATABASE))
        api = SupabaseApi(postgres, DATABASE)
        await api.start()
        try:
            async with Proxy(int(api.url.rpartition(":")[2]), _nobody).running() as way:
                project = {
                    "ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL": f"http://{LOOPBACK}:{way.port}",
                    "ALITTLEBITOFMONEY_SUPABASE_SECRET_KEY": api.secret_key,
                    "ALITTLEBITOFMONEY_SUPABASE_PW": "of-no-use-here",
                }
                yield InDatabase(postgres, way, {**project, DATA_DIR: str(directory / "data")})
        finally:
            await api.stop()


def _nobody(hold: str) -> None:
    """No call of upstream goes this way."""
    raise ValueError(f"hold {hold} is on the way to the database")
