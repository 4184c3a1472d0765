"""Brings a ledger's schema up to this release outside of a server, or says in SQL what somebody must run for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from lib.core.place import InFile, InPostgres, InSupabase, Place
from lib.store import postgres_pool, postgres_schema, schema
from lib.store.data_directory import LEDGER_FILE, DataDirectory, LedgerLocked
from lib.store.ledger import LedgerUnavailable
from lib.store.sqlite import system_clock_us
from lib.store.supabase_project import NoDirectAddress, direct_database_url


@dataclass(frozen=True, slots=True)
class Script:
    """SQL to be run by hand."""

    text: str
    note: str
    """What is in it."""


async def upgraded(place: Place, data_dir: Path) -> AsyncGenerator[str]:
    """Apply what is missing, and tell each migration's name once it is done. Others may do the same at the same time.

    Raises LedgerUnavailable, LedgerNewerThanCode, NoDirectAddress, and LedgerLocked for a file that lacks something
    while a server runs on it.
    """
    if isinstance(place, InFile):
        for name in await asyncio.to_thread(_upgrade_file, data_dir):
            yield name
        return
    async with postgres_pool.connected(_address(place)) as connection:
        for migration in await postgres_schema.pending(connection):
            await connection.execute(migration.block, timeout=postgres_schema.MIGRATION_LIMIT_SECONDS)
            yield migration.name


async def script(place: Place, data_dir: Path) -> Script:
    """What is missing; everything, where that cannot be found out. Raises LedgerNewerThanCode."""
    if isinstance(place, InFile):
        return await asyncio.to_thread(_script_of_file, data_dir / LEDGER_FILE)
    try:
        async with postgres_pool.connected(_address(place)) as connection:
            version = await postgres_schema.version(connection)
    except (LedgerUnavailable, NoDirectAddress) as error:
        return Script(postgres_schema.script(), f"everything, because the database was not reached: {error}")
    return Script(postgres_schema.script(version), f"what is missing after migration {version}")


def _address(place: InPostgres | InSupabase) -> str:
    if isinstance(place, InPostgres):
        return place.url
    return direct_database_url(place.project_url, place.password)


def _upgrade_file(data_dir: Path) -> list[str]:
    try:
        directory = DataDirectory.claim(data_dir)
    except LedgerLocked:
        if _missing_in(data_dir / LEDGER_FILE):
            raise
        return []  # a server runs on it, and has brought it up to date
    try:
        with contextlib.closing(schema.connect_writer(directory.ledger_file, system_clock_us)) as connection:
            missing = schema.pending(connection)
            schema.migrate(connection)
    finally:
        directory.release()
    return [migration.file.stem for migration in missing]


def _script_of_file(file: Path) -> Script:
    missing = _missing_in(file) if file.exists() else schema.migrations()
    done = len(schema.migrations()) - len(missing)
    return Script("\n".join(migration.text for migration in missing), f"what is missing after migration {done}")


def _missing_in(file: Path) -> list[schema.Migration]:
    try:
        with contextlib.closing(schema.connect_reader(file)) as connection:
            return schema.pending(connection)
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"{file} cannot be read: {error}") from error
