"""`scripts/migrate`: run as an operator runs it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lib.core.money import Msat
from lib.store import postgres_schema, schema
from lib.store.data_directory import LEDGER_FILE
from lib.store.ledger import Balance, Payment, PaymentKind, Restored, UnconfirmedLimits, UnderReview
from lib.store.postgres import PostgresLedger
from lib.store.sqlite import SqliteLedger
from lib.store.watermark import Watermark
from tests.databases import shared
from tests.programs import Ended, run
from tests.world import ROOT

HASH = b"\x5a" * 32
WAITING = Payment(HASH, PaymentKind.CALL, Msat(21_000), "key", confirmed=True, quoted_at=0.0)
NO_LIMITS = UnconfirmedLimits(Msat(10**12), Msat(10**12))
UNREACHABLE = "postgresql://shop:secret-word@127.0.0.1:9/shop"


class Place:
    """A ledger that the program finds by its environment."""

    def __init__(self, directory: Path, url: str | None) -> None:
        self.directory, self.url = directory, url

    async def migrate(self, *arguments: str) -> Ended:
        env = {"ALITTLEBITOFMONEY_DATA_DIR": str(self.directory), "ALITTLEBITOFMONEY_DEMO": "1"}
        return await run("scripts/migrate", *arguments, env=env | ({"DATABASE_URL": self.url} if self.url else {}))

    async def open(self) -> SqliteLedger | PostgresLedger:
        if self.url is None:
            return await SqliteLedger.open(self.directory)
        return await PostgresLedger.open(self.url, Watermark(self.directory))

    @property
    def names(self) -> list[str]:
        """Its migrations."""
        folder = "sqlite" if self.url is None else "postgres"
        return sorted(file.stem for file in (ROOT / "lib/store/migrations" / folder).glob("*.sql"))


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty one."""
    if request.param == "sqlite":
        return Place(tmp_path, None)
    return Place(tmp_path, shared.server().url(shared.new_database("template0")))


async def test_it_brings_an_empty_ledger_up_to_date_and_tells_each_step(place: Place):
    """Every migration is named as it is done; the second time there is nothing to do."""
    first, second = await place.migrate(), await place.migrate()

    assert (first.code, second.code) == (0, 0), first.complained + second.complained
    assert [line.split()[0] for line in first.said.splitlines()[:-1]] == place.names
    assert "is up to date, nothing was missing" in second.said
    ledger = await place.open()
    assert await ledger.audit() == []
    await ledger.aclose()


async def test_printed_sql_is_what_is_missing_and_does_the_same(tmp_path: Path):
    """For whoever may not connect: psql runs what it prints, and then nothing is missing; again changes nothing."""
    name = shared.new_database("template0")
    place = Place(tmp_path, shared.server().url(name))

    before = await place.migrate("--print")
    shared.server().run_script(before.said, name)
    shared.server().run_script(before.said, name)
    after = await place.migrate("--print")

    assert before.said.strip() == postgres_schema.script().strip()
    assert (after.code, after.said) == (0, "-- nothing is missing\n")


async def test_printed_sql_for_sqlite_does_the_same(tmp_path: Path):
    """The sqlite3 shell runs it as well."""
    place = Place(tmp_path, None)
    printed = await place.migrate("--print")
    with closing(sqlite3.connect(tmp_path / LEDGER_FILE)) as db:
        db.executescript(printed.said)
        assert schema.pending(db) == []


async def test_everything_is_printed_where_the_database_cannot_be_reached(tmp_path: Path):
    """And that this is so is said beside it, without the password."""
    printed = await Place(tmp_path, UNREACHABLE).migrate("--print")

    assert printed.code == 0 and printed.said.strip() == postgres_schema.script().strip()
    assert "everything, because the database was not reached" in printed.complained
    assert "secret-word" not in printed.complained + printed.said


async def test_a_database_that_cannot_be_reached_is_a_failure(tmp_path: Path):
    """One sentence, no traceback, no password."""
    failed = await Place(tmp_path, UNREACHABLE).migrate()

    assert failed.code == 1 and "Traceback (" not in failed.complained and "cannot be reached" in failed.complained
    assert "secret-word" not in failed.complained


async def test_another_address_can_be_given(tmp_path: Path):
    """`--database-url` goes before the environment."""
    url = shared.server().url(shared.new_database("template0"))

    done = await Place(tmp_path, UNREACHABLE).migrate("--database-url", url)

    assert done.code == 0 and done.said.endswith("the ledger in PostgreSQL is up to date\n")


async def test_a_restored_ledger_is_taken_into_service(place: Place):
    """It says what was seen last, where the ledger is before and after, and what that means."""
    ledger = await place.open()
    await ledger.take_lease("lease")
    await ledger.credit(WAITING, NO_LIMITS)
    await ledger.renew("lease")
    await ledger.aclose()

    done = await place.migrate("--restored", "review")

    assert done.code == 0, done.complained
    seen, before, after, *meaning = done.said.splitlines()
    assert seen == "last seen  generation 0, entry 1"
    assert before == "before     generation 0, entry 1"
    assert after == "after      generation 1, entry 1"
    assert "503 ledger_restored" in meaning[0] and "--approve HASH" in meaning[1]


async def test_payments_under_review_are_listed_and_approved(place: Place):
    """Listed once asked for; after the operator's word the payment is credited."""
    await place.migrate("--restored", "review")
    ledger = await place.open()
    nothing = await place.migrate("--reviews") if place.url else None
    assert isinstance(await ledger.credit(WAITING, NO_LIMITS), UnderReview)

    listed = await place.migrate("--reviews")
    approved = await place.migrate("--approve", HASH.hex().upper())
    again = await place.migrate("--reviews")
    credited = await ledger.credit(WAITING, NO_LIMITS)
    await ledger.aclose()

    assert nothing is None or nothing.said == "no payment is under review\n"
    assert [line.split()[:2] for line in listed.said.splitlines()[1:]] == [[HASH.hex(), "21.000"]]
    assert listed.said.endswith("  no\n") and again.said.endswith("  yes\n")
    assert approved.code == 0 and "credited when its credential comes again" in approved.said
    assert isinstance(credited, Balance) and credited.balance == Msat(21_000)


async def test_a_payment_that_is_not_listed_cannot_be_approved(place: Place):
    """A typing mistake is a failure, and a malformed hash is not understood."""
    await place.migrate("--restored", "review")

    unknown, malformed = await place.migrate("--approve", HASH.hex()), await place.migrate("--approve", "5a")

    assert unknown.code == 1 and "not under review" in unknown.complained
    assert malformed.code == 2 and "64 hex digits" in malformed.complained


async def test_sqlite_is_taken_into_service_only_while_no_server_runs(tmp_path: Path):
    """One process writes a SQLite ledger: the server is to be stopped first, and nothing was changed."""
    place = Place(tmp_path, None)
    ledger = await place.open()

    refused = await place.migrate("--restored", "honour")
    up_to_date = await place.migrate()

    assert refused.code == 1 and "Stop the server first" in refused.complained
    assert (await ledger.position()).generation == 0
    assert up_to_date.code == 0 and "nothing was missing" in up_to_date.said
    await ledger.aclose()


async def test_postgres_is_taken_into_service_beside_a_running_server(tmp_path: Path):
    """Its lease sees the new generation with the next renewal."""
    place = Place(tmp_path, shared.server().url(shared.new_database("template0")))
    ledger = await place.open()
    await ledger.take_lease("lease")

    done = await place.migrate("--restored", Restored.HONOUR)

    assert done.code == 0 and "within ten seconds" in done.said
    assert await ledger.renew("lease") and (await ledger.position()).generation == 1
    await ledger.aclose()


async def test_several_may_migrate_at_once(tmp_path: Path):
    """Each step is done by one of them; all succeed."""
    url = shared.server().url(shared.new_database("template0"))
    places = [Place(tmp_path / str(number), url) for number in range(3)]

    done = await asyncio.gather(*(place.migrate() for place in places))

    assert [ended.code for ended in done] == [0] * 3, [ended.complained for ended in done]


async def test_a_ledger_of_a_newer_release_is_left_alone(place: Place):
    """An older release could break its promises: say so, change nothing."""
    await place.migrate()
    if place.url is None:
        with closing(sqlite3.connect(place.directory / LEDGER_FILE)) as db:
            db.execute("PRAGMA user_version = 99")
    else:
        newer = "INSERT INTO alittlebitofmoney.migrations (number, name) VALUES (99, 'newer')"
        shared.server().sql(newer, database=place.url.rpartition("/")[2])

    for arguments in ([], ["--print"], ["--restored", "honour"], ["--reviews"]):
        refused = await place.migrate(*arguments)
        assert refused.code == 1 and "run the release that wrote it" in refused.complained, arguments


async def test_the_audit_command_audits_the_ledger_that_the_environment_names(place: Place):
    """Totals and no difference from either; beside a running server, which it does not disturb."""
    ledger = await place.open()
    assert isinstance(await ledger.credit(replace(WAITING, quoted_at=None), NO_LIMITS), Balance)
    env = {"ALITTLEBITOFMONEY_DATA_DIR": str(place.directory), "ALITTLEBITOFMONEY_DEMO": "1"}

    report = await run("scripts/audit", "--json", env=env | ({"DATABASE_URL": place.url} if place.url else {}))
    await ledger.aclose()

    assert report.code == 0, report.complained
    said = json.loads(report.said)
    assert (said["totals"]["credited_msat"], said["differences"]) == (21_000, [])
