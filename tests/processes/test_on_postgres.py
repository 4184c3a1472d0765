"""The whole server on a ledger in PostgreSQL: everything that it sells on SQLite, it sells there."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from lib import jobs, services
from lib.core.money import Msat
from lib.core.place import InPostgres
from lib.store.ledger import LedgerUnavailable
from lib.throttle import SharedThrottle
from tests.databases import shared
from tests.prepaid.counter import balance, bearer, booked, claim, new_token, token_of, topped_up
from tests.world import CHAT, HELLO, STREAM, World, opened_server, opened_world

WINDOWS_SECONDS = 120
"""A minute is judged together with the one before."""
BIGGER = {**HELLO, "max_completion_tokens": 16_384}


@pytest.fixture
def url() -> str:
    """A ledger of its own, whose clock runs."""
    return shared.server().url(shared.new_database(shared.TEMPLATE))


@pytest.fixture
async def shop(tmp_path: Path, url: str) -> AsyncGenerator[World]:
    async with opened_world(tmp_path / "data", {"DATABASE_URL": url}) as world:
        yield world
        assert await world.services.ledger.audit() == []


async def test_a_call_is_bought_and_its_change_pays_the_next_one(shop: World):
    """402, pay, 200; then a stream from the change; a larger call is challenged for the difference."""
    paid = await shop.buy()
    first, second = await shop.ask(paid=paid), await shop.ask(STREAM, paid)
    carried = await shop.pay(await shop.ask(BIGGER, paid))
    third = await shop.ask(BIGGER, carried)

    assert [answer.status_code for answer in (first, second, third)] == [200] * 3
    assert (await shop.account(paid)).account == (await shop.account(carried)).account
    entries = await shop.entries(paid)
    assert [entry.kind.value for entry in entries] == ["credit", "charge", "charge", "credit", "charge"]
    assert sum(entry.amount.value for entry in entries) == (await shop.settled(paid)).balance.value


async def test_a_token_is_topped_up_claimed_refilled_and_spent(shop: World):
    """The life of a token, to the msat."""
    token = token_of(await claim(shop, await topped_up(shop, 120)))
    await topped_up(shop, 180, token)
    await jobs.credit_topups(shop.services)
    answer = await shop.client.post(CHAT, json=HELLO, headers=bearer(token))
    charged = int(answer.headers["x-charge-msat"])

    assert answer.status_code == 200 and charged > 0
    assert await balance(shop, bearer(token)) == 300_000 - charged
    assert await booked(shop, token) == [("credit", 120_000), ("credit", 180_000), ("charge", -charged)]


async def test_what_is_free_is_counted_in_the_database(tmp_path: Path, url: str):
    """Two servers on one ledger have one share of what is free between them."""
    env = {"DATABASE_URL": url}
    async with (
        opened_world(tmp_path / "one", env, unpaid_per_ip_per_minute=3) as one,
        opened_server(one.parts, tmp_path / "other", env, unpaid_per_ip_per_minute=3) as other,
    ):
        assert isinstance(one.services.throttle, SharedThrottle)
        first = [(await world.ask()).status_code for world in (one, other, one)]
        after = [await world.ask() for world in (one, other)]

        assert first == [402] * 3
        assert [answer.status_code for answer in after] == [429] * 2
        assert all(0 < int(answer.headers["retry-after"]) <= WINDOWS_SECONDS for answer in after)


async def test_what_one_server_does_the_other_knows_at_once(tmp_path: Path, url: str):
    """A credential first used, a token claimed, at one: spent at the other, from the same balance."""
    env = {"DATABASE_URL": url}
    async with (
        opened_world(tmp_path / "one", env) as one,
        opened_server(one.parts, tmp_path / "other", env) as other,
    ):
        paid, token = await one.buy(), await new_token(one)
        calls = [await one.ask(paid=paid), await other.ask(paid=paid)]
        spent = await other.client.post(CHAT, json=HELLO, headers=bearer(token))

        charges = sum(int(answer.headers["x-charge-msat"]) for answer in calls)
        assert [answer.status_code for answer in [*calls, spent]] == [200] * 3
        assert (await one.settled(paid)).balance == paid.amount - Msat(charges)
        assert await balance(one, bearer(token)) == 120_000 - int(spent.headers["x-charge-msat"])


async def test_health_names_the_kind_of_ledger_and_nothing_more(shop: World, url: str):
    """PostgreSQL, and neither its address nor its user."""
    await jobs.look_around(shop.services)

    told = (await shop.client.get("/api/health")).text

    assert "PostgreSQL: holds a lease" in told
    assert url not in told and "127.0.0.1" not in told


async def test_a_database_that_does_not_answer_is_waited_for_and_then_named(
    tmp_path: Path, shop: World, caplog: pytest.LogCaptureFixture
):
    """Each attempt is told; after the limit it is LedgerUnavailable and a sentence, without the password."""
    nowhere = replace(shop.services.settings, ledger=InPostgres("postgresql://shop:secret-word@127.0.0.1:9/shop"))

    with pytest.raises(LedgerUnavailable):
        await services.open_ledger(replace(nowhere, data_dir=tmp_path), wait_seconds=0.3)

    assert "PostgreSQL cannot be reached, 0 s left" in caplog.text
    assert "no server without its ledger: PostgreSQL cannot be reached" in caplog.text
    assert "secret-word" not in caplog.text
