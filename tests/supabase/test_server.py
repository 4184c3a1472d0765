"""The whole server on a ledger in Supabase, which `scripts/migrate` made there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from lib import jobs, services
from lib.core.place import place_of
from lib.store.ledger import LedgerOlderThanCode
from lib.throttle import SharedThrottle
from tests.databases import shared_supabase
from tests.databases.postgres import Postgres
from tests.databases.supabase_api import OWNER, SupabaseApi, make_project
from tests.prepaid.counter import balance, bearer, booked, claim, token_of, topped_up
from tests.programs import run
from tests.world import CHAT, HELLO, STREAM, World, opened_server, opened_world

pytestmark = pytest.mark.slow

DATABASE = "whole_server"


@pytest.fixture
async def empty(server: Postgres) -> AsyncIterator[SupabaseApi]:
    """A project without a ledger, served."""
    make_project(server, DATABASE)
    api = SupabaseApi(server, DATABASE)
    await api.start()
    yield api
    await api.stop()
    server.drop_database(DATABASE)


@pytest.fixture
async def project(server: Postgres) -> AsyncIterator[SupabaseApi]:
    """A migrated project, served; its clock runs."""
    api = SupabaseApi(server, shared_supabase.new_project(shared_supabase.MIGRATED))
    await api.start()
    yield api
    await api.stop()
    server.drop_database(api.database)


def _environment(api: SupabaseApi) -> dict[str, str]:
    return {
        "ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL": api.url,
        "ALITTLEBITOFMONEY_SUPABASE_SECRET_KEY": api.secret_key,
        "ALITTLEBITOFMONEY_SUPABASE_PW": "unused by a server",
    }


@pytest.fixture
async def shop(tmp_path: Path, project: SupabaseApi) -> AsyncGenerator[World]:
    async with opened_world(tmp_path / "data", _environment(project)) as world:
        yield world
        assert await world.services.ledger.audit() == []


async def test_a_project_is_migrated_then_sold_from(tmp_path: Path, empty: SupabaseApi, server: Postgres):
    """A new project: the server says what to run and does not start; `scripts/migrate`; then it sells.

    PostgREST is not restarted in between: the migrations tell it that there are new functions.
    """
    environment = _environment(empty)
    with pytest.raises(LedgerOlderThanCode, match="scripts/migrate"):
        await services.ledger_at(place_of(environment), tmp_path / "before")
    demo = {**environment, "ALITTLEBITOFMONEY_DEMO": "1", "ALITTLEBITOFMONEY_DATA_DIR": str(tmp_path / "migrating")}

    lost = await run("scripts/migrate", env=demo)
    done = await run("scripts/migrate", "--database-url", server.url(DATABASE, OWNER), env=demo)

    assert lost.code == 1 and "--database-url" in lost.complained
    assert done.code == 0, done.complained
    async with opened_world(tmp_path / "after", environment) as shop:
        paid = await shop.buy()
        assert (await shop.ask(paid=paid)).status_code == 200


async def test_calls_and_tokens_are_bought_and_spent(shop: World):
    """402, pay, 200, a stream from the change; a top-up, its claim, a refill, a call: all to the msat."""
    paid = await shop.buy()
    answers = [await shop.ask(paid=paid), await shop.ask(STREAM, paid)]
    token = token_of(await claim(shop, await topped_up(shop, 120)))
    await topped_up(shop, 180, token)
    await jobs.credit_topups(shop.services)
    spent = await shop.client.post(CHAT, json=HELLO, headers=bearer(token))
    charged = int(spent.headers["x-charge-msat"])

    assert [answer.status_code for answer in (*answers, spent)] == [200] * 3
    entries = await shop.entries(paid)
    assert [entry.kind.value for entry in entries] == ["credit", "charge", "charge"]
    assert sum(entry.amount.value for entry in entries) == (await shop.settled(paid)).balance.value
    assert await booked(shop, token) == [("credit", 120_000), ("credit", 180_000), ("charge", -charged)]
    assert await balance(shop, bearer(token)) == 300_000 - charged


async def test_two_servers_are_one_shop(tmp_path: Path, project: SupabaseApi):
    """What one sold the other knows, and what is free is counted by both together."""
    env = _environment(project)
    async with (
        opened_world(tmp_path / "one", env, unpaid_per_ip_per_minute=3) as one,
        opened_server(one.parts, tmp_path / "other", env, unpaid_per_ip_per_minute=3) as other,
    ):
        assert isinstance(one.services.throttle, SharedThrottle)
        paid = await one.buy()
        calls = [await one.ask(paid=paid), await other.ask(paid=paid)]
        free = [(await world.ask()).status_code for world in (one, other, one, other)]

        charges = sum(int(answer.headers["x-charge-msat"]) for answer in calls)
        assert [answer.status_code for answer in calls] == [200] * 2
        assert (await one.settled(paid)).balance.value == paid.amount.value - charges
        assert free == [402, 402, 429, 429]


async def test_health_names_supabase_and_no_more(shop: World, project: SupabaseApi):
    """Neither the project nor its key."""
    await jobs.look_around(shop.services)

    told = (await shop.client.get("/api/health")).text

    assert "Supabase: holds a lease" in told
    assert project.url not in told and project.secret_key not in told
