"""What the ledger in PostgreSQL promises beside the contract: rules that SQL itself enforces, and its migrations."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from lib.core.money import Msat
from lib.store import postgres_pool, postgres_schema
from lib.store.ledger import LedgerNewerThanCode, Owner
from lib.store.postgres import PostgresLedger
from lib.store.postgres_calls import ANSWERED_THOUGH_GONE_BACK
from lib.store.watermark import Watermark
from tests.databases import shared
from tests.store.conftest import PostgresStore
from tests.store.desk import Desk, owner, payment, token


@pytest.fixture
def store(postgres_store: PostgresStore) -> PostgresStore:
    """Only PostgreSQL here."""
    return postgres_store


async def run(store: PostgresStore, *statements: str) -> None:
    """As an operator with a shell would, so that what refuses is told by its class."""
    db = await store.connect()
    try:
        await db.execute("SET search_path = alittlebitofmoney")
        for statement in statements:
            await db.execute(statement)
    finally:
        await db.close()


@pytest.mark.parametrize(
    "statement", ["UPDATE entries SET amount_msat = 1", "DELETE FROM entries", "TRUNCATE entries CASCADE"]
)
async def test_entries_are_append_only(store: PostgresStore, desk: Desk, statement: str):
    """SQL itself refuses to rewrite history."""
    await desk.account(1_000)

    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="append-only"):
        await run(store, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET balance_msat = -1",
        "UPDATE accounts SET held_msat = balance_msat + 1",
        "UPDATE accounts SET held_msat = -1",
        "UPDATE holds SET charge_msat = ceiling_msat + 1, ended_at_us = 1, ending = 'answered', settle_op_id = 'x'",
        "UPDATE holds SET lapsed_at_us = 1",
        "UPDATE holds SET ended_at_us = 1",
        "UPDATE holds SET account = 'nobody'",
        """INSERT INTO credits (payment_hash, kind, amount_msat, account, key_id, credited_at_us)
        SELECT payment_hash, kind, amount_msat, account, key_id, credited_at_us FROM credits""",
        """INSERT INTO entries (account, at_us, kind, amount_msat, balance_msat, op_id, reason)
        SELECT id, 0, 'adjust', 1, balance_msat + 1, 'x', 'y' FROM accounts""",
        """INSERT INTO entries (account, at_us, kind, amount_msat, balance_msat, payment_hash)
        SELECT account, 0, 'credit', 1000, 1000, payment_hash FROM credits""",
        """INSERT INTO owners (kind, digest, account, created_at_us)
        SELECT 'token', sha256('x'), account, 0 FROM owners""",
        """INSERT INTO owners (kind, digest, account, payment_hash, created_at_us)
        SELECT 'payment', sha256('x'), account, sha256('y'), 0 FROM owners""",
        "UPDATE owners SET payment_hash = NULL",
        "UPDATE credits SET claimed_by = sha256('x')",
        """UPDATE credits SET claimed_by = sha256('x'), claimed_at_us = 1, claimed_bare = true,
        macaroon_used_at_us = 1""",
        """INSERT INTO handovers SELECT 'x', 'revoke', id, NULL, 0, balance_msat, held_msat FROM accounts""",
        """INSERT INTO topups (payment_hash, kind, amount_msat, key_id, opened_at_us, expires_at_us)
        VALUES (sha256('x'), 'refill', 1, 'key', 0, 0)""",
        "INSERT INTO meta (one, ledger_id, created_at_us) SELECT 2, ledger_id, 0 FROM meta",
        "UPDATE meta SET restored = 'review'",
    ],
)
async def test_sql_itself_refuses_what_must_never_happen(store: PostgresStore, desk: Desk, statement: str):
    """No caller's mistake can overdraw, credit twice, or book what did not happen."""
    await desk.held(await desk.account(1_000), 600)

    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await run(store, statement)


async def test_a_settled_hold_never_changes(store: PostgresStore, desk: Desk):
    """Not even by hand."""
    await desk.settle(await desk.held(await desk.account(1_000), 600), 5)

    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="settled"):
        await run(store, "UPDATE holds SET charge_msat = 4")


# An intruder who owns the tables: no trigger, no foreign key, no check.
UNGUARDED = (
    "SET session_replication_role = replica",
    """DO $$ DECLARE v_check record; BEGIN
        FOR v_check IN SELECT conrelid::regclass AS on_table, conname FROM pg_constraint
            WHERE contype = 'c' AND connamespace = 'alittlebitofmoney'::regnamespace
        LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', v_check.on_table, v_check.conname); END LOOP;
    END $$""",
)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE accounts SET balance_msat = balance_msat + 1", "entries sum up to"),
        ("UPDATE entries SET amount_msat = amount_msat + 1 WHERE kind = 'credit'", "was credited with"),
        ("UPDATE entries SET balance_msat = balance_msat - 1 WHERE kind = 'charge'", "the entries up to it"),
        ("UPDATE entries SET amount_msat = amount_msat - 1 WHERE kind = 'charge'", "was charged 5 msat"),
        ("UPDATE entries SET amount_msat = amount_msat + 1 WHERE kind = 'over'", "overpaid by 9 msat"),
        ("UPDATE entries SET account = 'x' WHERE kind = 'charge'", "is booked on account x"),
        ("UPDATE entries SET account = 'x' WHERE kind = 'credit'", "books it on account x"),
        ("DELETE FROM entries WHERE kind = 'charge'", "but its entry says 0 msat"),
        ("UPDATE accounts SET held_msat = held_msat + 1", "running calls hold"),
        ("UPDATE accounts SET held_msat = balance_msat + 1", "impossible"),
        ("UPDATE holds SET ceiling_msat = ceiling_msat + 1 WHERE ended_at_us IS NULL", "running calls hold"),
        ("UPDATE holds SET charge_msat = 6 WHERE ended_at_us IS NOT NULL", "was charged 6 msat"),
        ("UPDATE holds SET ceiling_msat = 4 WHERE ended_at_us IS NOT NULL", "outside of 0"),
        ("UPDATE holds SET lapsed_at_us = 1 WHERE ended_at_us IS NULL", "has lapsed and is live"),
        ("UPDATE leases SET ended_at_us = 1", "its lease"),
        ("UPDATE credits SET amount_msat = amount_msat + 1", "was credited with"),
        ("UPDATE accounts SET frozen = true", "is marked frozen=1, but has 0 denied payments and 0 freezes"),
        ("DELETE FROM leases", "that points to a row of leases that is not there"),
        ("DELETE FROM holds", "table entries has a row"),
        ("DELETE FROM owners WHERE kind = 'token'", "that nobody owns"),
        ("DELETE FROM owners WHERE kind = 'payment'", "is an orphan"),
        (
            "UPDATE owners SET account = (SELECT account FROM owners WHERE kind = 'token') WHERE kind = 'payment'",
            "has a token and 2 other",
        ),
        ("UPDATE owners SET account = 'x' WHERE kind = 'payment'", "its credential owns account x"),
        (
            "UPDATE credits SET claimed_by = sha256('x'), claimed_at_us = 1, claimed_bare = false",
            "is claimed, but its credential still owns",
        ),
        ("UPDATE topups SET closed_at_us = NULL", "its invoice is still open"),
    ],
)
async def test_the_audit_finds_one_msat(store: PostgresStore, desk: Desk, statement: str, sentence: str):
    """Whatever was changed behind the ledger's back, by however little, is told."""
    paid = await desk.account(1_000)
    overpaid = payment("overpaid", 1_000)
    await desk.credit(overpaid)
    await desk.ledger.confirm(overpaid.payment_hash, Msat(1_009))
    await desk.settle(await desk.held(paid, 600), 5)
    await desk.held(paid, 100)
    await desk.token(500)
    assert await desk.ledger.audit() == []

    store.tamper(*UNGUARDED, statement)

    assert any(sentence in difference for difference in await desk.ledger.audit())


async def test_both_count_owners_alike(store: PostgresStore):
    """The database tells a payment's owner by the digest that the server would."""
    paid = payment("paid", 1)
    db = await store.connect()
    try:
        counted = await db.fetchval("SELECT alittlebitofmoney.owner_of($1)", paid.payment_hash)
    finally:
        await db.close()

    assert counted == Owner.of_payment(paid.payment_hash).digest


async def test_migrating_again_changes_nothing(store: PostgresStore, desk: Desk):
    """Neither a server that starts, nor an operator who runs the script once more."""
    paid = await desk.account(1_000)
    ledger_id = await desk.ledger.ledger_id()

    await postgres_pool.migrate(store.url)
    shared.server().run_script(postgres_schema.script(), store.database)

    assert (await desk.ledger.position()).ledger_id == ledger_id
    assert await desk.purse(paid) == (1_000, 0)


async def test_many_servers_that_start_at_once_migrate_once(tmp_path: Path):
    """Whoever comes first does it, the others wait for it; all of them open the same ledger."""
    database = shared.new_database("template0")
    url = shared.server().url(database)

    ledgers = await asyncio.gather(*(PostgresLedger.open(url, Watermark(tmp_path / str(n))) for n in range(6)))

    assert len({await ledger.ledger_id() for ledger in ledgers}) == 1
    await asyncio.gather(*(ledger.aclose() for ledger in ledgers))
    applied = shared.server().sql("SELECT count(*), max(number) FROM alittlebitofmoney.migrations", database=database)
    count = len(list(postgres_schema.MIGRATIONS.glob("*.sql")))
    assert applied.split() == [f"{count}|{count}"]


async def test_a_migration_that_fails_leaves_nothing_of_itself(tmp_path: Path):
    """Each is whole or not at all, and those before it stay."""
    database = shared.new_database("template0")
    server = shared.server()
    server.run_script("CREATE FUNCTION public.alb_audit() RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'", database)

    with pytest.raises(asyncpg.PostgresError, match="alb_audit"):
        await PostgresLedger.open(server.url(database), Watermark(tmp_path))

    [last] = server.sql("SELECT max(number) FROM alittlebitofmoney.migrations", database=database).split()
    assert postgres_schema.script(int(last)).startswith("-- 0006_audit")
    there = server.sql("SELECT to_regproc('alittlebitofmoney.differences_of_holds') IS NULL", database=database)
    assert there.split() == ["t"]
    server.sql("DROP FUNCTION public.alb_audit()", database=database)
    await (await PostgresLedger.open(server.url(database), Watermark(tmp_path))).aclose()


async def test_a_database_of_a_newer_release_is_refused(store: PostgresStore):
    """Running old code on it could break promises that the new schema makes."""
    store.tamper("INSERT INTO migrations (number, name) VALUES (999, 'of tomorrow')")

    with pytest.raises(LedgerNewerThanCode, match="999"):
        await store.open()

    store.tamper("DELETE FROM migrations WHERE number = 999")
    await store.open()


async def test_only_the_owner_reaches_anything(store: PostgresStore):
    """A role that may log in and nothing else can call no function and read no table: what is open was opened."""
    shared.server().run_script(
        "DO $$ BEGIN CREATE ROLE passer_by LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$", store.database
    )
    functions = shared.server().sql(
        "SELECT oid::regprocedure FROM pg_proc WHERE proname LIKE 'alb\\_%'"
        " AND has_function_privilege('passer_by', oid, 'EXECUTE')",
        database=store.database,
    )
    tables = shared.server().sql(
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'alittlebitofmoney'::regnamespace"
        " AND relkind IN ('r', 'S') AND has_table_privilege('passer_by', oid, 'SELECT')",
        database=store.database,
    )
    unprotected = shared.server().sql(
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'alittlebitofmoney'::regnamespace"
        " AND relkind = 'r' AND NOT relrowsecurity",
        database=store.database,
    )

    assert (functions, tables, unprotected) == ("", "", "")


async def test_a_function_made_later_is_closed_until_it_is_opened(store: PostgresStore):
    """A migration that forgets to close its doors opens none."""
    shared.server().run_script(
        "DO $$ BEGIN CREATE ROLE passer_by LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$", store.database
    )
    store.tamper("CREATE FUNCTION public.alb_forgotten() RETURNS integer LANGUAGE sql AS 'SELECT 1'")

    open_to_all = shared.server().sql(
        "SELECT has_function_privilege('passer_by', 'public.alb_forgotten()', 'EXECUTE')", database=store.database
    )

    assert open_to_all.split() == ["f"]


async def test_every_function_that_is_called_is_known_and_runs_with_the_owners_rights(store: PostgresStore):
    """By the names in the adapters; with an empty search path, so that nobody can slip something under a name."""
    listed = (
        shared.server()
        .sql(
            "SELECT proname, prosecdef, coalesce(array_to_string(proconfig, ','), '') LIKE '%search_path=\"\"%'"
            " FROM pg_proc WHERE proname LIKE 'alb\\_%' ORDER BY proname",
            database=store.database,
        )
        .split()
    )
    folder = Path(postgres_pool.__file__).parent
    source = "".join(
        (folder / name).read_text("utf-8") for name in ("postgres.py", "postgres_console.py", "supabase.py")
    )
    called = {word for word in source.split('"') if word.startswith("alb_")}

    assert listed == [f"{name}|t|t" for name in sorted(called)]
    assert called > ANSWERED_THOUGH_GONE_BACK


async def test_a_token_is_not_an_owner_of_another_kind(store: PostgresStore, desk: Desk):
    """A database with both holds them apart by kind alone, so a second token is refused by an index, too."""
    await desk.token(1_000, "first")

    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await run(
            store,
            "SET session_replication_role = replica",
            "INSERT INTO owners (kind, digest, account, created_at_us)"
            " SELECT 'token', sha256('x'), account, 0 FROM owners WHERE kind = 'token'",
        )

    assert await desk.of(token("first")) == (1_000, 0)
    assert await desk.of(owner(payment("x", 1))) is None
