"""After a backup was restored: what was quoted before is honoured or reviewed, as the operator chose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lib.core.money import Msat
from lib.store.ledger import Balance, Claimed, Held, Ledger, Payment, PaymentKind, Restored, UnderReview
from tests.store.conftest import Store
from tests.store.desk import NO_LIMITS, Desk, payment, refill, token, vouched

DAY_SECONDS = 86_400.0


async def now_of(ledger: Ledger, store: Store) -> float:
    """The database's clock, in Unix seconds, as its newest credit tells."""
    name = f"probe after entry {(await ledger.position()).newest_entry}"
    probe = replace(payment(name, 1), quoted_at=float("inf"))
    await ledger.credit(probe, NO_LIMITS)
    newest = (await ledger.in_doubt(1_000))[-1]
    await ledger.confirm(probe.payment_hash, probe.amount)
    return newest.credited_at.timestamp()


async def quoted(desk: Desk, store: Store, name: str, seconds_ago: float) -> Payment:
    """A call's payment whose macaroon tells when it was quoted."""
    return replace(payment(name, 1_000), quoted_at=await now_of(desk.ledger, store) - seconds_ago)


async def test_the_position_grows_with_every_entry(desk: Desk):
    """And is the same while nothing is booked."""
    before = await desk.ledger.position()
    paid = await desk.account(1_000)
    credited = await desk.ledger.position()
    held = await desk.held(paid, 300)
    still = await desk.ledger.position()
    await desk.settle(held, 100)
    charged = await desk.ledger.position()

    assert before.newest_entry == 0
    assert before.newest_entry < credited.newest_entry < charged.newest_entry
    assert credited == still
    assert {before.generation, charged.generation} == {0}
    assert before.ledger_id == charged.ledger_id == await desk.ledger.ledger_id()


async def test_taking_a_restored_ledger_into_service_begins_a_generation(desk: Desk):
    """So that every process knows that its operator has spoken."""
    await desk.account(1_000)
    before = await desk.ledger.position()

    first = await desk.ledger.accept_restored(Restored.REVIEW)
    second = await desk.ledger.accept_restored(Restored.HONOUR)

    assert (first.generation, second.generation) == (1, 2)
    assert first.newest_entry == before.newest_entry
    assert await desk.ledger.position() == second


async def test_honoured_payments_are_credited_as_any_other(desk: Desk, store: Store):
    """Nobody loses."""
    old = await quoted(desk, store, "old", seconds_ago=60)
    await desk.ledger.accept_restored(Restored.HONOUR)

    assert isinstance(await desk.redeem(old, 300), Held)
    assert await desk.ledger.reviews(10) == []


async def test_payments_under_review_are_credited_at_no_door(desk: Desk, store: Store):
    """A call, a balance, a claim, the node's word: all are UnderReview; nothing is booked; it is listed once."""
    old = await quoted(desk, store, "old", seconds_ago=60)
    topup = await desk.topup("old top-up", 2_000)
    before = await desk.ledger.totals()
    store.passes(1)
    await desk.ledger.accept_restored(Restored.REVIEW)

    assert await desk.redeem(old, 300) == UnderReview()
    assert await desk.credit(old) == UnderReview()
    assert await desk.claim(old, token("new")) == UnderReview()
    assert await desk.claim(topup, token("new")) == UnderReview()
    assert await desk.ledger.credit_topup(topup.payment_hash, topup.amount) == UnderReview()

    assert await desk.ledger.totals() == before
    listed = await desk.ledger.reviews(10)
    assert {(row.payment_hash, row.amount.value, row.approved) for row in listed} == {
        (old.payment_hash, 1_000, False),
        (topup.payment_hash, 2_000, False),
    }


async def test_a_top_up_whose_row_was_lost_is_reviewed(desk: Desk, store: Store):
    """Every top-up is written down before it is offered: no row means that it was offered in the lost part."""
    by = await desk.token(1_000)
    await desk.ledger.accept_restored(Restored.REVIEW)

    lost = vouched(payment("lost", 500, PaymentKind.TOPUP))
    lost_refill = vouched(refill("lost refill", 500, await desk.account_of(by)))

    assert await desk.claim(lost, token("new")) == UnderReview()
    assert await desk.credit(lost_refill) == UnderReview()


async def test_what_is_quoted_afterwards_needs_no_review(desk: Desk, store: Store):
    """Calls and top-ups go on as ever."""
    await desk.account(1_000)
    await desk.ledger.accept_restored(Restored.REVIEW)
    store.passes(1)

    new = await quoted(desk, store, "new", seconds_ago=0)
    topup = await desk.topup("new top-up", 2_000)

    assert isinstance(await desk.redeem(new, 300), Held)
    assert isinstance(await desk.claim(topup, token("new")), Claimed)
    assert await desk.ledger.reviews(10) == []


async def test_what_was_credited_before_the_backup_needs_no_review(desk: Desk, store: Store):
    """Its credit is in the ledger, so nothing about it was lost."""
    old = await quoted(desk, store, "old", seconds_ago=60)
    await desk.credit(old)
    await desk.ledger.accept_restored(Restored.REVIEW)

    assert isinstance(await desk.redeem(old, 300), Held)


async def test_an_approved_payment_is_credited(desk: Desk, store: Store):
    """When its credential comes again, once, and for ever."""
    old = await quoted(desk, store, "old", seconds_ago=60)
    await desk.ledger.accept_restored(Restored.REVIEW)
    assert await desk.redeem(old, 300) == UnderReview()

    assert await desk.ledger.approve(old.payment_hash)
    assert await desk.ledger.approve(old.payment_hash)
    held = await desk.redeem(old, 300)

    assert isinstance(held, Held)
    assert (held.balance, held.held) == (Msat(1_000), Msat(300))
    assert [row.approved for row in await desk.ledger.reviews(10)] == [True]
    assert await desk.ledger.audit() == []


async def test_only_a_listed_payment_can_be_approved(desk: Desk):
    """A mistyped hash approves nothing."""
    assert not await desk.ledger.approve(payment("never seen", 1).payment_hash)


@pytest.mark.parametrize("choice", list(Restored))
async def test_running_accounts_go_on(desk: Desk, choice: Restored):
    """Balances that the backup holds can be spent at once."""
    by = await desk.token(1_000)
    await desk.ledger.accept_restored(choice)

    assert isinstance(await desk.ledger.hold(by, desk.request(300)), Held)


async def test_a_later_choice_replaces_the_former(desk: Desk, store: Store):
    """An operator who has reviewed enough honours the rest."""
    old = await quoted(desk, store, "old", seconds_ago=DAY_SECONDS)
    await desk.ledger.accept_restored(Restored.REVIEW)
    assert await desk.credit(old) == UnderReview()

    await desk.ledger.accept_restored(Restored.HONOUR)

    assert isinstance(await desk.credit(old), Balance)
