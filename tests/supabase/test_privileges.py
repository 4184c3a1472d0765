"""Nobody but the secret key reaches the ledger in a Supabase project, whose public key every visitor has.

The project grants whatever is made in it to its anonymous role, and here even serves the ledger's own schema.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from lib.store import postgres_calls, postgres_schema
from lib.store.postgres_calls import SCANS
from tests.databases.postgres import Postgres
from tests.databases.supabase_api import OWNER, SupabaseApi, make_project
from tests.databases.supabase_gateway import PUBLISHABLE_KEY, SECRET_KEY, key_of
from tests.supabase.catalog import (
    Function,
    Table,
    contents_of,
    functions_of,
    privileges_of,
    refused,
    tables_of,
)

pytestmark = pytest.mark.slow

DATABASE = "closed"
SCHEMA = "alittlebitofmoney"
REFUSED = {401, 403, 404}
STRANGERS = {
    "publishable": {"apikey": PUBLISHABLE_KEY},
    "anon": {"apikey": key_of("anon"), "Authorization": f"Bearer {key_of('anon')}"},
    "authenticated": {"apikey": PUBLISHABLE_KEY, "Authorization": f"Bearer {key_of('authenticated')}"},
}
CALLED = set(re.findall(r"\balb_\w+(?=\()", postgres_calls.__doc__ or ""))
"""What lib/store/postgres_calls.py lists."""
OWN_KEY = {"apikey": SECRET_KEY, "Authorization": f"Bearer {SECRET_KEY}"}


@pytest.fixture(scope="module")
def database(server: Postgres) -> Iterator[str]:
    """A project with a ledger that its owner has migrated."""
    make_project(server, DATABASE)
    server.run_script(f"SET ROLE {OWNER};\n{postgres_schema.script()}", database=DATABASE)
    yield DATABASE
    server.drop_database(DATABASE)


@pytest.fixture(scope="module")
def functions(server: Postgres, database: str) -> list[Function]:
    """All of them."""
    return functions_of(server, database)


@pytest.fixture(scope="module")
def tables(server: Postgres, database: str) -> list[Table]:
    """All of them, and the sequences."""
    return tables_of(server, database)


@pytest.fixture
async def http(server: Postgres, database: str) -> AsyncIterator[httpx.AsyncClient]:
    """The project's API, which also serves the schema that it should not."""
    api = SupabaseApi(server, database, schemas=f"public,{SCHEMA}")
    await api.start()
    async with httpx.AsyncClient(base_url=f"{api.url}/rest/v1/", timeout=30) as client:
        yield client
    await api.stop()


async def _called(http: httpx.AsyncClient, function: Function, key: dict[str, str]) -> int:
    """The status of calling a function with nothing."""
    headers = {**key, "Content-Profile": function.schema}
    return (await http.post(f"rpc/{function.name}", json=function.nothing, headers=headers)).status_code


async def test_strangers_call_no_function(
    server: Postgres, http: httpx.AsyncClient, functions: list[Function], tables: list[Table]
):
    """Each function, through the API, with each key that visitors have: refused, and nothing is written."""
    before = contents_of(server, DATABASE, tables)

    answers = {
        (stranger, function.name): await _called(http, function, key)
        for function in functions
        for stranger, key in STRANGERS.items()
    }

    assert {call: status for call, status in answers.items() if status not in REFUSED} == {}
    assert len(answers) == len(STRANGERS) * len(functions)
    assert contents_of(server, DATABASE, tables) == before


async def test_the_secret_key_calls_what_is_to_be_called_and_no_more(
    http: httpx.AsyncClient, functions: list[Function]
):
    """The same requests with the secret key reach every `alb_` function, and none of the parts they are made of.

    With nothing for arguments most fail inside; that they were let in is what is asked.
    """
    reached = {
        f"{function.schema}.{function.name}": await _called(http, function, OWN_KEY) not in REFUSED
        for function in functions
    }

    assert reached == {name: name.startswith("public.alb_") for name in reached}
    assert {function.name for function in functions if function.schema == "public"} == CALLED


async def test_nobody_reads_or_writes_a_table(server: Postgres, http: httpx.AsyncClient, tables: list[Table]):
    """Not through the API, not even with the secret key, which has the functions for it."""
    before = contents_of(server, DATABASE, tables)
    answers: dict[tuple[str, str, str], int] = {}

    for table in tables:
        for who, key in (*STRANGERS.items(), ("secret", OWN_KEY)):
            headers = {**key, "Accept-Profile": table.schema, "Content-Profile": table.schema}
            for method in ("GET", "POST", "PATCH", "DELETE"):
                row = {table.column: None} if method in {"POST", "PATCH"} else None
                reply = await http.request(method, table.name, headers=headers, json=row)
                answers[who, method, table.name] = reply.status_code

    assert {call: status for call, status in answers.items() if status not in REFUSED} == {}
    assert contents_of(server, DATABASE, tables) == before


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_sql_as_a_stranger_gets_nowhere(server: Postgres, functions: list[Function], tables: list[Table], role: str):
    """Whatever serves the database: the role itself is refused every function, table and sequence."""
    reads = [f"TABLE {table.schema}.{table.name}" for table in tables]
    writes = [f"TRUNCATE {table.schema}.{table.name}" for table in tables if table.kind == "r"]

    refused(server, DATABASE, role, [*(function.call for function in functions), *reads, *writes])


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_strangers_have_no_privilege_at_all(server: Postgres, database: str, role: str):
    """Not even one that the closed schema hides."""
    assert privileges_of(server, database, role) == []
    assert len(privileges_of(server, database, OWNER)) > 100


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_what_is_made_later_is_closed_as_well(server: Postgres, database: str, role: str):
    """A function, table or sequence that a later migration makes, and forgets to close, is closed all the same."""
    server.run_script(
        f"""
        SET ROLE {OWNER};
        CREATE FUNCTION public.alb_made_later() RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
        CREATE FUNCTION {SCHEMA}.made_later() RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
        CREATE TABLE {SCHEMA}.made_later (id bigint GENERATED ALWAYS AS IDENTITY);
        """,
        database=database,
    )
    try:
        assert privileges_of(server, database, role) == []
        refused(server, database, role, ["SELECT public.alb_made_later()"])
    finally:
        server.sql(
            "DROP FUNCTION public.alb_made_later()",
            f"DROP FUNCTION {SCHEMA}.made_later()",
            f"DROP TABLE {SCHEMA}.made_later",
            database=database,
        )


def test_row_level_security_is_on_everywhere(tables: list[Table]):
    """Should a grant ever slip in, it still shows no row."""
    assert [table.name for table in tables if table.kind == "r" and not table.secured] == []
    assert {table.kind for table in tables} <= {"r", "S"}
    assert {table.schema for table in tables} == {SCHEMA}


def test_functions_trust_no_search_path(functions: list[Function]):
    """What runs with the owner's rights names every object in full, and is nothing but the `alb_` functions."""
    definers = [function for function in functions if function.definer]

    assert {function.name for function in definers} == CALLED
    assert [function.name for function in definers if 'search_path=""' not in function.settings] == []


# An upsert's and a lock's UPDATE name no table.
WRITES = re.compile(r"\b(?:UPDATE\s+\w+\.\w+|DELETE\s+FROM)\b[^;]*")


def test_no_statement_writes_to_every_row(functions: list[Function]):
    """Supabase's API refuses an UPDATE or DELETE that has no WHERE, also inside of functions."""
    statements = [(function.name, found) for function in functions for found in WRITES.findall(function.source)]

    assert [name for name, found in statements if "WHERE" not in found] == []
    assert len(statements) >= 20


def test_scans_may_take_their_time(functions: list[Function]):
    """Supabase ends an API's statements after 8 s; PostgREST lets a function that reads everything say otherwise."""
    limited = {function.name for function in functions if "statement_timeout=" in "".join(function.settings)}

    assert limited == SCANS
