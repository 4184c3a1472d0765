"""Selling stops where it loses: one account, one model, everything. Nothing that buyers own is touched."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from lib.core.schema import StopLoss as Rules
from lib.stop_loss import StopLoss
from tests.world import HELLO, World, opened_world

NEVER = Decimal(1_000)
OTHER_MODEL = {**HELLO, "model": "gpt-4.1-mini"}


async def lose_once(world: World):
    """A paid call that upstream reads and never answers: at most 2048 tokens of gpt-4o-mini, over 0.0012 dollars."""
    paid = await world.buy()
    world.parts.scenario(close_before_answer=True, times=1)
    assert (await world.ask(paid=paid)).status_code == 502
    await world.settled(paid)
    return paid


async def with_rules(world: World, **bounds: Decimal) -> StopLoss:
    """The shop under these bounds, its losses just read."""
    rules = Rules(
        per_account_usd=NEVER, per_model_usd=NEVER, max_upstream_usd_per_hour=NEVER, max_upstream_usd_per_day=NEVER
    )
    stop_loss = StopLoss(rules.model_copy(update=bounds))
    await stop_loss.refresh(world.services.ledger)
    world.exchange(stop_loss=stop_loss)
    return stop_loss


async def test_an_account_that_only_loses_is_refused_and_keeps_its_balance(world: World):
    """One buyer's lost calls end that buyer's calls; others go on, and no sat is taken."""
    loser, other = await lose_once(world), await world.buy()

    await with_rules(world, per_account_usd=Decimal("0.001"))

    assert (await world.ask(paid=loser)).status_code == 503
    assert (await world.settled(loser)).balance == loser.amount
    assert (await world.ask(paid=other)).status_code == 200


async def test_a_model_that_loses_is_off_sale_before_any_invoice(world: World):
    """The model is refused, paid or not; another one is sold."""
    await lose_once(world)
    paid = await world.buy(OTHER_MODEL)
    before = await world.invoices()

    stop_loss = await with_rules(world, per_model_usd=Decimal("0.001"))

    assert (await world.ask()).status_code == 503
    assert await world.invoices() == before
    assert (await world.ask(OTHER_MODEL, paid)).status_code == 200
    assert stop_loss.alarm == "model gpt-4o-mini of openai is off sale after losses"


@pytest.mark.parametrize("span", ["hour", "day"])
async def test_spending_at_upstream_is_bounded(tmp_path: Path, span: str):
    """Past the bound of an hour or a day nothing is sold, whatever the prices; what buyers have is theirs."""
    async with opened_world(tmp_path) as world:
        paid = await world.buy()
        assert (await world.ask(paid=paid)).status_code == 200  # 11.4 millionths of a dollar at upstream's prices

        await world.settled(paid)

        stop_loss = await with_rules(world, **{f"max_upstream_usd_per_{span}": Decimal("0.000011")})

        assert (await world.ask(paid=paid)).status_code == 503
        assert stop_loss.alarm == f"upstream spending of the last {span} is above 0.000011 USD"
        assert (await world.settled(paid)).balance.value == 2_000 - 15


async def test_within_its_bounds_nothing_is_refused(world: World):
    """One loss is not an alarm."""
    loser = await lose_once(world)

    stop_loss = await with_rules(world)

    assert stop_loss.alarm is None
    assert (await world.ask(paid=loser)).status_code == 200


async def test_a_call_that_nobody_answered_counts_as_spent(world: World):
    """Upstream may bill what it never answered: the bound on spending counts it at its ceiling."""
    await lose_once(world)

    stop_loss = await with_rules(world, max_upstream_usd_per_hour=Decimal("0.001"))

    assert stop_loss.alarm == "upstream spending of the last hour is above 0.001 USD"
    assert (await world.ask(OTHER_MODEL)).status_code == 503
