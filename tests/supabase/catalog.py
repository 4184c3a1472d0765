"""Every function and table that a ledger's migrations made, as PostgreSQL's own catalog has them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.databases.postgres import Postgres

FUNCTIONS = """
    SELECT json_agg(json_build_object(
        'schema', nspname, 'name', proname, 'arguments', coalesce(proargnames[:pronargs], '{}'),
        'types', ARRAY(
            SELECT format_type(kind, NULL)
            FROM unnest(proargtypes) WITH ORDINALITY AS given (kind, place) ORDER BY place
        ),
        'definer', prosecdef, 'settings', coalesce(proconfig, '{}'), 'source', prosrc
    ) ORDER BY nspname, proname)
    FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
    WHERE nspname = 'alittlebitofmoney' OR pg_get_userbyid(proowner) = 'supabase_owner'
"""
TABLES = """
    SELECT json_agg(json_build_object(
        'schema', nspname, 'name', relname, 'kind', relkind, 'secured', relrowsecurity,
        'column', (SELECT attname FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum = 1)
    ) ORDER BY nspname, relname)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND (nspname = 'alittlebitofmoney' OR pg_get_userbyid(relowner) = 'supabase_owner')
"""
# Asked by a role about itself. Schemas are left aside at first: one may be opened by a mistake.
PRIVILEGES = (
    """
    SELECT 'EXECUTE ' || pg_proc.oid::regprocedure FROM pg_proc
    WHERE pg_get_userbyid(proowner) = 'supabase_owner' AND has_function_privilege(pg_proc.oid, 'EXECUTE')
    """,
    """
    SELECT what || ' ' || pg_class.oid::regclass
    FROM pg_class, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS what
    WHERE relkind = 'r' AND pg_get_userbyid(relowner) = 'supabase_owner'
        AND has_table_privilege(pg_class.oid, what)
    """,
    """
    SELECT what || ' ' || pg_class.oid::regclass FROM pg_class, unnest('{USAGE,SELECT,UPDATE}'::text[]) AS what
    WHERE relkind = 'S' AND pg_get_userbyid(relowner) = 'supabase_owner'
        AND has_sequence_privilege(pg_class.oid, what)
    """,
    """
    SELECT nspname FROM pg_namespace
    WHERE nspname = 'alittlebitofmoney' AND has_schema_privilege(oid, 'USAGE, CREATE')
    """,
)
# Run by a role: each statement must be refused for want of a privilege, and for nothing else.
ALL_REFUSED = """
    SET ROLE {role};
    DO $do$
    DECLARE
        v_statement text;
    BEGIN
        FOREACH v_statement IN ARRAY ARRAY[{statements}] LOOP
            BEGIN
                EXECUTE v_statement;
                RAISE EXCEPTION 'not refused: %', v_statement;
            EXCEPTION WHEN insufficient_privilege THEN
            END;
        END LOOP;
    END
    $do$;
"""


@dataclass(frozen=True)
class Function:
    """One function."""

    schema: str
    name: str
    arguments: list[str]
    types: list[str]
    definer: bool
    """It runs with its owner's rights."""
    settings: list[str]
    source: str

    @property
    def call(self) -> str:
        """SQL that calls it with nothing."""
        return f'SELECT "{self.schema}"."{self.name}"({", ".join(f"NULL::{kind}" for kind in self.types)})'

    @property
    def nothing(self) -> dict[str, None]:
        """The same for an API."""
        return dict.fromkeys(self.arguments)


@dataclass(frozen=True)
class Table:
    """One table (`r`), sequence (`S`), or view."""

    schema: str
    name: str
    kind: str
    secured: bool
    """Row-level security is on."""
    column: str
    """Its first one."""


def functions_of(server: Postgres, database: str) -> list[Function]:
    """Also those that no API serves."""
    return [Function(**found) for found in json.loads(server.sql(FUNCTIONS, database=database))]


def tables_of(server: Postgres, database: str) -> list[Table]:
    """Whatever holds data."""
    return [Table(**found) for found in json.loads(server.sql(TABLES, database=database))]


def contents_of(server: Postgres, database: str, tables: list[Table]) -> str:
    """Everything that is in the tables, as text."""
    everything = (f"TABLE {table.schema}.{table.name} ORDER BY 1" for table in tables if table.kind == "r")
    return server.sql(*everything, database=database)


def privileges_of(server: Postgres, database: str, role: str) -> list[str]:
    """What the role may do with any of them."""
    return server.sql(f"SET ROLE {role}", *PRIVILEGES, database=database).splitlines()


def refused(server: Postgres, database: str, role: str, statements: list[str]) -> None:
    """Asserts that the role is refused each statement."""
    listed = ", ".join(f"$q${statement}$q$" for statement in statements)
    server.run_script(ALL_REFUSED.format(role=role, statements=listed), database=database)
