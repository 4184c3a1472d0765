"""A Supabase project: a real PostgreSQL behind a real PostgREST. Where that is missing, skipped; in CI, a failure."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lib.store.supabase_calls import Patience, SupabaseCalls
from lib.store.watermark import Watermark
from tests.databases import postgres
from tests.databases.postgres import Postgres
from tests.databases.postgrest import EXECUTABLE, MISSING
from tests.databases.supabase_api import SupabaseApi, make_project

SHORT = Patience(pauses_seconds=(0.05, 0.1, 0.2, 0.4, 0.8))


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A server whose databases are made by the tests."""
    if not EXECUTABLE.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with postgres.running() as started:
        yield started


PLAIN_FUNCTIONS = """
    CREATE TABLE done (op_id text PRIMARY KEY);
    CREATE SEQUENCE tries;
    CREATE FUNCTION echo(p_number bigint, p_document jsonb, p_bytes bytea) RETURNS jsonb LANGUAGE sql
        AS $$ SELECT jsonb_build_object('number', p_number, 'document', p_document, 'bytes', encode(p_bytes, 'hex')) $$;
    CREATE TABLE place (ledger_id text, generation int, newest_entry int);
    INSERT INTO place VALUES ('00', 0, 7);
    CREATE FUNCTION alb_position() RETURNS jsonb LANGUAGE sql STABLE AS 'SELECT to_jsonb(place) FROM place';
    -- Does something once per op_id, after some time; tells how often it was asked, which no rollback undoes.
    CREATE FUNCTION once(p_op_id text, p_ms int) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
        PERFORM nextval('tries'), pg_sleep(p_ms / 1000.0);
        INSERT INTO done VALUES (p_op_id) ON CONFLICT DO NOTHING;
        RETURN jsonb_build_object('done', (SELECT count(*) FROM done));
    END $$;
    -- Fails in the same way so often, then does it.
    CREATE FUNCTION fails(p_sqlstate text, p_times int) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('tries') <= p_times THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = p_sqlstate; END IF;
        RETURN jsonb_build_object('tries', currval('tries'));
    END $$;
    CREATE FUNCTION nothing() RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
    REVOKE EXECUTE ON FUNCTION echo, alb_position FROM public, anon, authenticated;
"""


@pytest.fixture
async def api(server: Postgres) -> AsyncIterator[SupabaseApi]:
    """A project whose functions are none of the ledger's, but as easily counted."""
    make_project(server, "plain")
    server.run_script(f"SET ROLE supabase_owner; {PLAIN_FUNCTIONS}", database="plain")
    served = SupabaseApi(server, "plain")
    await served.start()
    yield served
    await served.stop()
    server.drop_database("plain")


@pytest.fixture
def watermark(tmp_path: Path) -> Watermark:
    """Remembers nothing yet."""
    return Watermark(tmp_path)


@pytest.fixture
async def calls(api: SupabaseApi, watermark: Watermark) -> AsyncIterator[SupabaseCalls]:
    """The project's functions through Supabase's client, by somebody in a hurry."""
    opened = await SupabaseCalls.open(api.url, api.secret_key, watermark, SHORT)
    yield opened
    await opened.aclose()
