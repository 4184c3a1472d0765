"""A shop that runs on each of the three ledgers, and its console: the program as an operator starts it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.databases import shared, shared_supabase
from tests.databases.supabase_api import SupabaseApi
from tests.programs import Ended, run
from tests.world import World, opened_world


@dataclass
class Console:
    """`scripts/admin` beside a running server."""

    world: World
    env: dict[str, str]
    told: list[Ended] = field(default_factory=list[Ended])
    """Everything that it ever said here."""

    async def run(self, *arguments: str) -> Ended:
        """In words."""
        ended = await run("scripts/admin", *arguments, env=self.env)
        self.told.append(ended)
        return ended

    async def ask(self, *arguments: str) -> Any:
        """In JSON, where it succeeds."""
        ended = await self.run("--json", *arguments)
        assert ended.code == 0, ended.complained
        return json.loads(ended.said)


@asynccontextmanager
async def console_on(data_dir: Path, place: dict[str, str]) -> AsyncGenerator[Console]:
    """A server in this process, on a ledger elsewhere, and its console."""
    async with opened_world(data_dir, place) as world:
        env = {
            "ALITTLEBITOFMONEY_DATA_DIR": str(data_dir),
            "ALITTLEBITOFMONEY_DEMO": "1",
            "PHOENIX_URL": world.parts.seller_url,
            "PHOENIX_PASSWORD": world.parts.seller_limited_password,
            "PORT": world.url.rpartition(":")[2],
            **place,
        }
        yield Console(world, env)
        assert await world.services.ledger.audit() == []


@asynccontextmanager
async def in_file(data_dir: Path) -> AsyncGenerator[Console]:
    """SQLite: the server holds the file's lock."""
    async with console_on(data_dir, {}) as console:
        yield console


@asynccontextmanager
async def in_postgres(data_dir: Path) -> AsyncGenerator[Console]:
    """A database of its own."""
    url = shared.server().url(shared.new_database(shared.TEMPLATE))
    async with console_on(data_dir, {"DATABASE_URL": url}) as console:
        yield console


@asynccontextmanager
async def in_supabase(data_dir: Path) -> AsyncGenerator[Console]:
    """A migrated project, through its API."""
    api = SupabaseApi(shared_supabase.server(), shared_supabase.new_project(shared_supabase.MIGRATED))
    await api.start()
    place = {
        "ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL": api.url,
        "ALITTLEBITOFMONEY_SUPABASE_SECRET_KEY": api.secret_key,
        "ALITTLEBITOFMONEY_SUPABASE_PW": "unused by a console",
    }
    async with console_on(data_dir, place) as console:
        yield console
    await api.stop()


PLACES: dict[str, Callable[[Path], Any]] = {"sqlite": in_file, "postgres": in_postgres, "supabase": in_supabase}


@pytest.fixture(params=PLACES)
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Console]:
    """On each ledger."""
    async with PLACES[request.param](tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    """Where it does not matter which: what the ledgers do is tested in tests/store."""
    async with in_file(tmp_path / "data") as opened:
        yield opened
