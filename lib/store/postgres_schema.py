"""The numbered migrations of a ledger in PostgreSQL, applied by a server or, as a script, by hand.

Both ways run the same text: one `DO` block a migration, which waits for a lock, looks whether the migration is still
missing, applies it and writes its number down. A block is one statement, so it is done wholly or not at all, however
it is sent; running it again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib.store.ledger import LedgerNewerThanCode, LedgerOlderThanCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

MIGRATIONS = Path(__file__).parent / "migrations" / "postgres"
LOCK = 4_020_001
"""The number of the advisory lock that all who migrate wait for."""
MIGRATION_LIMIT_SECONDS = 600.0

_VERSION = "SELECT coalesce(max(number), 0) FROM alittlebitofmoney.migrations"

# The table is made by the first migration, so until then it cannot be named in a plain statement.
_BLOCK = """\
-- {name}
DO $block$
DECLARE
    v_version integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock({lock});
    -- Asked of the tables themselves: what this session has cached may be older than the wait for the lock.
    IF EXISTS (
        SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'alittlebitofmoney' AND c.relname = 'migrations'
    ) THEN
        EXECUTE '{version}' INTO v_version;
    END IF;
    IF v_version >= {number} THEN
        RETURN;
    ELSIF v_version <> {number} - 1 THEN
        RAISE EXCEPTION 'migration {number} follows {number} - 1, but this database is at %', v_version;
    END IF;
    EXECUTE $migration$
{text}
$migration$;
    EXECUTE $migration$
INSERT INTO alittlebitofmoney.migrations (number, name) VALUES ({number}, '{name}')
$migration$;
END
$block$;
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    text: str

    @property
    def block(self) -> str:
        """The statement that applies it where it is missing."""
        return _BLOCK.format(name=self.name, number=self.number, text=self.text, lock=LOCK, version=_VERSION)


def script(after: int = 0) -> str:
    """All migrations above a number as one script, to be run by hand as the role that is to own the ledger.

    Running it on a database that has some or all of them changes nothing that is there.
    """
    return "\n".join(migration.block for migration in _migrations()[after:])


async def version(connection: asyncpg.Connection) -> int:
    """The database's schema number, 0 while the ledger is not there. Raises LedgerNewerThanCode."""
    there: bool = await connection.fetchval("SELECT to_regclass('alittlebitofmoney.migrations') IS NOT NULL")
    number: int = await connection.fetchval(_VERSION) if there else 0
    _refuse_newer(number)
    return number


def require(number: int) -> None:
    """For a server that cannot migrate: raises LedgerOlderThanCode or LedgerNewerThanCode for any schema but ours."""
    _refuse_newer(number)
    known = len(_migrations())
    if number < known:
        raise LedgerOlderThanCode(f"the ledger has schema {number}, this release needs {known}: run scripts/migrate")


async def pending(connection: asyncpg.Connection) -> Sequence[Migration]:
    """What the database still lacks. Raises LedgerNewerThanCode."""
    return _migrations()[await version(connection) :]


async def migrate(connection: asyncpg.Connection) -> None:
    """Apply what is missing, each migration whole or not at all. Of several who migrate at once, one does.

    Raises LedgerNewerThanCode.
    """
    for migration in await pending(connection):
        await connection.execute(migration.block, timeout=MIGRATION_LIMIT_SECONDS)


def _refuse_newer(number: int) -> None:
    known = len(_migrations())
    if number > known:
        raise LedgerNewerThanCode(
            f"the ledger has schema {number}, this release knows {known}: run the release that wrote it"
        )


def _migrations() -> list[Migration]:
    migrations = [
        Migration(int(file.name[:4]), file.stem, file.read_text("utf-8"))
        for file in sorted(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    ]
    if [migration.number for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise RuntimeError(f"the numbers of the files in {MIGRATIONS} have gaps")
    return migrations
