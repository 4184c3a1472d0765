"""Where the ledger of a run lives: how servers reach it, how it is hurt, and how it is read at the end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from chaos_parts import books, database_backends
from chaos_parts.books import Books
from chaos_parts.plan import Fault
from lib.store import schema, sqlite_audit
from lib.store.data_directory import LEDGER_FILE


class Backend(Protocol):
    """One kind of ledger, brought up for a run."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells a server of it."""
        ...

    async def strike(self, fault: Fault) -> None:
        """Make a fault of the database, to its end."""
        ...

    async def heal(self) -> None:
        """It is well again."""
        ...

    async def books(self) -> Books:
        """All it says, and its own audit."""
        ...


@dataclass(frozen=True, slots=True)
class Sqlite:
    """The embedded ledger. Servers hurt it themselves: there is nothing between them and it."""

    directory: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Its directory."""
        return {"ALITTLEBITOFMONEY_DATA_DIR": str(self.directory)}

    async def strike(self, fault: Fault) -> None:
        """Not from outside."""
        raise ValueError(f"an embedded ledger has no {fault.lane}")

    async def heal(self) -> None:
        """Its faults end with the lives of its servers."""

    async def books(self) -> Books:
        """From its file."""
        file = self.directory / LEDGER_FILE
        with closing(schema.connect_reader(file)) as db:
            differences = list(sqlite_audit.differences(db))
        return replace(books.of_sqlite(file), differences=differences)


@contextlib.asynccontextmanager
async def opened(name: str, directory: Path) -> AsyncGenerator[Backend]:
    """Bring it up; it ends with the block."""
    match name:
        case "sqlite":
            yield Sqlite(directory / "ledger")
        case "postgres":
            async with database_backends.opened_postgres(directory) as postgres:
                yield postgres
        case "supabase":
            async with database_backends.opened_supabase(directory) as supabase:
                yield supabase
        case _:
            raise ValueError(f"there is no ledger in {name}")
