"""Where the ledger is kept: decided from names and values of the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

DATABASE_URL = "DATABASE_URL"
PROJECT_URL = "ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL"
PASSWORD = "ALITTLEBITOFMONEY_SUPABASE_PW"  # noqa: S105 - a variable's name
SECRET_KEY = "ALITTLEBITOFMONEY_SUPABASE_SECRET_KEY"  # noqa: S105 - a variable's name


class PlaceUnclear(ValueError):
    """The environment does not say where the ledger is. The text says what to change, and holds no secret."""


@dataclass(frozen=True, slots=True)
class InFile:
    """Embedded, in the data directory: one server process."""

    kind: ClassVar[str] = "SQLite"


@dataclass(frozen=True, slots=True)
class InPostgres:
    """In a PostgreSQL that is reached directly, by as many processes as there are."""

    url: str = field(repr=False)
    """Holds the password."""
    kind: ClassVar[str] = "PostgreSQL"


@dataclass(frozen=True, slots=True)
class InSupabase:
    """In a Supabase project, reached through its API."""

    project_url: str
    secret_key: str = field(repr=False)
    password: str = field(repr=False)
    """The database's own, for migrations alone."""
    kind: ClassVar[str] = "Supabase"


Place: TypeAlias = InFile | InPostgres | InSupabase


def place_of(env: Mapping[str, str]) -> Place:
    """`DATABASE_URL` before Supabase's three variables, else the file. Raises PlaceUnclear."""
    if url := env.get(DATABASE_URL):
        if not url.startswith(("postgresql://", "postgres://")):
            raise PlaceUnclear(f"{DATABASE_URL} must start with postgresql://")
        return InPostgres(url)
    names = (PROJECT_URL, SECRET_KEY, PASSWORD)
    missing = [name for name in names if not env.get(name)]
    if len(missing) == len(names):
        return InFile()
    if missing:
        there = " and ".join(name for name in names if name not in missing)
        raise PlaceUnclear(f"{' and '.join(missing)} must be set, too: a ledger in Supabase needs it beside {there}")
    if not env[PROJECT_URL].startswith(("https://", "http://")):
        raise PlaceUnclear(f"{PROJECT_URL} must start with https://")
    return InSupabase(env[PROJECT_URL].rstrip("/"), env[SECRET_KEY], env[PASSWORD])
