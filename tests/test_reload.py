"""A reload inside one process: which parts are taken over, and what is cured by it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lib import config
from lib.config import NEEDS_RESTART, Settings
from lib.core.l402 import RootKey
from lib.core.money import BtcPrice
from lib.core.place import InPostgres
from tests.world import HELLO, World, opened_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with opened_world(tmp_path) as opened:
        yield opened


def with_keys(settings: Settings, **keys: str) -> Settings:
    return replace(settings, secrets=replace(settings.secrets, upstream_keys=keys))


def with_config(settings: Settings, **parts: Any) -> Settings:
    return replace(settings, config=settings.config.model_copy(update=parts))


async def test_a_new_upstream_key_sells_again(world: World):
    """An API is off sale after upstream refused our key; the right key, reloaded, puts it on sale at once."""
    good = world.services.settings
    await world.reload(with_keys(good, openai="sk-wrong"))
    paid = await world.buy()
    assert (await world.ask(paid=paid)).status_code == 503
    assert (await world.ask()).status_code == 503

    await world.reload(good)

    assert (await world.ask(paid=paid)).status_code == 200
    assert (await world.ask()).status_code == 402


async def test_an_api_without_its_key_is_not_sold(world: World, caplog: pytest.LogCaptureFixture):
    """A key that was taken away ends the sale before any invoice; the log names it."""
    await world.reload(with_keys(world.services.settings))

    answer = await world.ask()

    assert answer.status_code == 503 and "not set up to sell it" in answer.json()["error"]["message"]
    assert "openai (OPENAI_API_KEY is not set)" in caplog.text


async def test_limits_and_topup_rules_hold_at_once(world: World):
    """The next request is under the new rules."""
    old = world.services.settings
    topup = old.config.topup.model_copy(update={"min_sats": 5_000})

    await world.reload(with_config(old, topup=topup))

    assert (await world.client.post("/topup", json={"amount_sats": 4_999})).status_code == 400
    assert (await world.client.post("/topup", json={"amount_sats": 5_000})).status_code == 402


async def test_what_the_stop_loss_refuses_stays_refused(world: World):
    """A reload does not forget what loses: nothing is on sale again until the losses were looked at under new rules."""
    bounds = {"per_model_usd": Decimal("0.001")}
    old = world.services.settings
    strict = with_config(old, stop_loss=old.config.stop_loss.model_copy(update=bounds))
    paid = await world.buy()
    world.parts.scenario(close_before_answer=True, times=1)
    await world.ask(paid=paid)
    await world.settled(paid)
    await world.reload(strict)
    await world.newest.stop_loss.refresh(world.services.ledger)
    assert (await world.ask()).status_code == 503

    await world.reload(old)
    assert (await world.ask()).status_code == 503

    await world.newest.stop_loss.refresh(world.services.ledger)
    assert (await world.ask(HELLO)).status_code == 402


OTHER: dict[str, Callable[[Settings], Settings]] = {
    "L402_ROOT_KEY": lambda old: replace(old, secrets=replace(old.secrets, root_keys=(RootKey(bytes(32)),))),
    "PHOENIX_URL": lambda old: replace(old, phoenix_url="http://127.0.0.1:1"),
    "PHOENIX_PASSWORD": lambda old: replace(old, secrets=replace(old.secrets, phoenix_password="x")),
    "where the ledger is": lambda old: replace(old, ledger=InPostgres("postgresql://elsewhere")),
    "BTC_USD": lambda old: replace(old, fixed_btc_price=BtcPrice.from_usd(Decimal(1))),
    "btc_price": lambda old: with_config(old, btc_price=old.config.btc_price.model_copy(update={"quorum": 7})),
    "limits.drain_seconds": lambda old: with_config(
        old, limits=old.config.limits.model_copy(update={"drain_seconds": 7})
    ),
}


@pytest.mark.parametrize("name", NEEDS_RESTART)
async def test_what_needs_a_restart_keeps_its_value(world: World, name: str):
    """Each of these is named when it changes, and the running server goes on with what it began with."""
    old = world.services.settings
    new = OTHER[name](old)

    assert config.waiting_for_restart(old, new) == [name]
    assert config.succeeding(old, new) == old


def test_nothing_else_is_kept(world: World):
    """A part of the settings that is no exception is the new one."""
    kept = {"phoenix_url", "ledger", "data_dir", "fixed_btc_price", "config", "secrets"}
    old = world.services.settings
    marked = replace(old, **{field.name: object() for field in fields(old) if field.name not in kept})

    taken = config.succeeding(old, marked)

    assert all(
        getattr(taken, field.name) is getattr(marked, field.name) for field in fields(old) if field.name not in kept
    )
