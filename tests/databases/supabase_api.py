"""A database as a Supabase project has it, and the project's API in front of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.databases.postgres import Postgres
from tests.databases.postgrest import Postgrest
from tests.databases.supabase_gateway import PUBLISHABLE_KEY, SECRET_KEY, Interference, SupabaseGateway

OWNER = "supabase_owner"
"""Who migrates: no superuser, like the role `postgres` of a project."""
ROLES = f"""
    DO $$ BEGIN
        CREATE ROLE anon NOLOGIN NOINHERIT;
        CREATE ROLE authenticated NOLOGIN NOINHERIT;
        CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
        CREATE ROLE authenticator LOGIN NOINHERIT;
        GRANT anon, authenticated, service_role TO authenticator;
        CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE BYPASSRLS;
        GRANT anon, authenticated, service_role TO {OWNER};
    EXCEPTION WHEN duplicate_object THEN NULL;
    END $$;
    ALTER ROLE anon SET statement_timeout = '3s';
    ALTER ROLE authenticated SET statement_timeout = '8s';
    ALTER ROLE authenticator SET statement_timeout = '8s';
    ALTER ROLE authenticator SET lock_timeout = '8s';
"""
PRIVILEGES = "".join(
    f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public "
    f"GRANT ALL ON {what} TO anon, authenticated, service_role;"
    for what in ("TABLES", "FUNCTIONS", "SEQUENCES")
)
"""Whatever is made later, everybody may use: what a ledger's migrations must take back."""


def make_project(server: Postgres, database: str) -> str:
    """An empty database with the roles and privileges of a Supabase project; the address to migrate it through."""
    server.sql(ROLES)
    server.create_database(database)
    server.sql(
        f'ALTER DATABASE "{database}" OWNER TO {OWNER}',
        "GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role",
        f"GRANT ALL ON SCHEMA public TO {OWNER}",
        PRIVILEGES,
        database=database,
    )
    return server.url(database, OWNER)


class SupabaseApi:
    """The API of the project in this database: PostgREST and what stands before it."""

    secret_key = SECRET_KEY
    publishable_key = PUBLISHABLE_KEY

    def __init__(self, server: Postgres, database: str, *, schemas: str = "public") -> None:
        """Nothing runs until `start`. A project serves the schema `public` unless its owner says otherwise."""
        self._directory = tempfile.TemporaryDirectory(prefix="alb-supabase-")
        self.postgrest = Postgrest(server.url(database, "authenticator"), Path(self._directory.name), schemas)
        self.gateway = SupabaseGateway(self.postgrest.socket)

    @property
    def url(self) -> str:
        """The project's URL, the same from one start to the next."""
        return self.gateway.url

    def interfere(self, interference: Interference | None) -> None:
        """From now on this decides what becomes of each request; None ends it."""
        self.gateway.interfere = interference

    async def start(self) -> None:
        """Serve. The database must run and have its functions."""
        self.postgrest.start()
        await self.gateway.start()

    async def stop(self) -> None:
        """Drop every connection."""
        await self.gateway.stop()
        self.postgrest.stop()
        self._directory.cleanup()
