"""Payments: credited once, for ever, to the right account, and confirmed or denied by the node afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lib.core.money import Msat
from lib.store.ledger import (
    AccountStatus,
    AskNodeFirst,
    Balance,
    CreditUnknown,
    EntryKind,
    Frozen,
    Gone,
    Held,
    PaymentKind,
    Short,
    UnconfirmedLimits,
)
from tests.store.conftest import Store
from tests.store.desk import NO_LIMITS, Desk, carrying, owner, payment, short_of, token


async def amounts(desk: Desk, account: str) -> list[tuple[str, int, int]]:
    """The account's history, oldest first."""
    entries = await desk.ledger.entries(account, before=None, limit=100)
    return [(entry.kind.value, entry.amount.value, entry.balance.value) for entry in reversed(entries)]


async def test_the_first_use_of_a_payment_credits_it_and_holds(desk: Desk):
    """One operation: an account with what was paid, less what the call holds."""
    paid = payment("paid", 1_000)

    outcome = await desk.redeem(paid, 600)

    assert isinstance(outcome, Held)
    assert await desk.ledger.balance(owner(paid)) == Balance(
        outcome.account, AccountStatus.UNCONFIRMED, balance=Msat(1_000), held=Msat(600)
    )


async def test_a_payment_is_credited_once_for_ever(desk: Desk):
    """Fifty parallel uses through both doors: one credit."""
    paid = payment("paid", 1_000)

    await asyncio.gather(*(desk.redeem(paid, 100) for _ in range(25)), *(desk.credit(paid) for _ in range(25)))

    assert await desk.purse(paid) == (1_000, 1_000)
    assert (await desk.ledger.totals()).credited == Msat(1_000)


async def test_a_payment_too_small_for_its_call_is_credited_all_the_same(desk: Desk):
    """The hold does not fit; the money stays its payer's."""
    paid = payment("paid", 1_000)

    outcome = await desk.redeem(paid, 1_500)

    assert short_of(outcome) == (1_500, 1_000, 0)
    assert await desk.purse(paid) == (1_000, 0)


async def test_a_repeated_redemption_returns_the_first(desk: Desk):
    """The same op_id holds once, also when another payment would do."""
    paid = payment("paid", 1_000)
    request = desk.request(600, op_id="one")

    first = await desk.ledger.redeem_and_hold(paid, request, NO_LIMITS)
    again = await desk.ledger.redeem_and_hold(paid, request, NO_LIMITS)

    assert isinstance(first, Held)
    assert again == first
    assert await desk.purse(paid) == (1_000, 600)


async def test_a_difference_tops_up_the_account_that_it_carries(desk: Desk):
    """No money moves between accounts: both payments own one account."""
    old = payment("old", 400)
    new = carrying(payment("new", 600), old)
    assert isinstance(await desk.redeem(old, 1_000), Short)

    outcome = await desk.redeem(new, 1_000)

    assert isinstance(outcome, Held)
    assert await desk.purse(old) == await desk.purse(new) == (1_000, 1_000)
    assert await amounts(desk, outcome.account) == [("credit", 400, 400), ("credit", 600, 1_000)]
    assert (await desk.ledger.totals()).accounts == 1


async def test_a_carry_that_owns_nothing_opens_an_account(desk: Desk):
    """The old credential was never redeemed: the new payment stands for itself."""
    new = carrying(payment("new", 600), payment("old", 400))

    assert isinstance(await desk.redeem(new, 600), Held)

    assert await desk.purse(new) == (600, 600)


async def test_a_payment_whose_account_has_other_owners_now_is_gone(desk: Desk):
    """Claimed: the old credential neither holds nor is credited again."""
    paid = await desk.account(1_000)
    await desk.claim(paid, token("t"))

    assert await desk.redeem(paid, 100) == Gone()
    assert await desk.credit(paid) == Gone()
    assert (await desk.ledger.totals()).credited == Msat(1_000)


async def test_a_payment_carried_onto_a_frozen_account_is_never_lost(desk: Desk):
    """It is booked there and waits for the thaw."""
    old, new = payment("old", 400), payment("new", 600)
    await desk.credit(old)
    await desk.ledger.deny(old.payment_hash, "isPaid is false")

    outcome = await desk.redeem(carrying(new, old), 100)

    assert isinstance(outcome, Frozen)
    assert await desk.purse(new) == (1_000, 0)


async def test_a_refill_goes_to_its_account_and_owns_nothing(desk: Desk):
    """Who pays a refill gives; only the account's owners spend."""
    paid = await desk.account(1_000)
    account = (await desk.held(paid, 1)).account
    refill = replace(payment("refill", 500, PaymentKind.REFILL), account=account)

    first = await desk.credit(refill)
    again = await desk.credit(refill)

    assert first == again == Balance(account, AccountStatus.UNCONFIRMED, balance=Msat(1_500), held=Msat(1))
    assert await desk.redeem(refill, 1) == Gone()
    assert await desk.purse(paid) == (1_500, 1)


async def test_a_refill_of_an_account_without_owners_opens_its_own(store: Store, desk: Desk):
    """Money booked where nobody can spend it would be lost."""
    account = (await desk.held(await desk.account(1_000), 1)).account
    store.tamper("DELETE FROM owners")
    refill = replace(payment("refill", 500, PaymentKind.REFILL), account=account)

    await desk.credit(refill)

    assert await desk.purse(refill) == (500, 0)


async def test_a_large_payment_is_not_credited_on_trust(desk: Desk):
    """Above the limit per payment the node is asked first, and nothing has changed until it says yes."""
    limits = UnconfirmedLimits(per_payment=Msat(1_000), in_all=Msat(10_000))
    paid = payment("paid", 1_001)

    assert await desk.ledger.redeem_and_hold(paid, desk.request(1), limits) == AskNodeFirst()
    assert await desk.ledger.credit(paid, limits) == AskNodeFirst()
    assert await desk.ledger.balance(owner(paid)) is None

    confirmed = await desk.ledger.credit(replace(paid, confirmed=True), limits)
    assert isinstance(confirmed, Balance)
    assert (confirmed.status, confirmed.balance) == (AccountStatus.ACTIVE, Msat(1_001))


async def test_trust_in_all_is_bounded_and_comes_back_with_confirmation(desk: Desk):
    """The sum of what the node has not confirmed never exceeds the limit, to the millisat."""
    limits = UnconfirmedLimits(per_payment=Msat(1_000), in_all=Msat(2_500))
    first, second, third = (payment(name, amount) for name, amount in (("a", 1_000), ("b", 1_000), ("c", 501)))
    await desk.ledger.credit(first, limits)
    await desk.ledger.credit(second, limits)

    assert await desk.ledger.credit(third, limits) == AskNodeFirst()
    assert isinstance(await desk.ledger.credit(payment("d", 500), limits), Balance)
    await desk.ledger.confirm(first.payment_hash, Msat(1_000))
    assert isinstance(await desk.ledger.credit(third, limits), Balance)


async def test_trust_in_all_holds_against_a_crowd(desk: Desk):
    """A hundred payments at once: as many as fit are credited."""
    limits = UnconfirmedLimits(per_payment=Msat(100), in_all=Msat(1_000))

    await asyncio.gather(*(desk.ledger.credit(payment(str(n), 100), limits) for n in range(100)))

    assert (await desk.ledger.totals()).unconfirmed == Msat(1_000)


async def test_an_overpayment_is_booked_once_as_its_own_entry(desk: Desk):
    """What arrived beyond what was asked is the payer's, however often the node is asked."""
    paid = payment("paid", 1_000)
    credited = await desk.credit(paid)
    assert isinstance(credited, Balance)

    await desk.ledger.confirm(paid.payment_hash, Msat(1_300))
    await desk.ledger.confirm(paid.payment_hash, Msat(1_900))

    assert await amounts(desk, credited.account) == [("credit", 1_000, 1_000), ("over", 300, 1_300)]
    assert await desk.ledger.audit() == []


async def test_the_nodes_fees_are_not_taken_from_the_payer(desk: Desk):
    """Received less than asked, because the node deducted a fee: the credit stands."""
    paid = await desk.account(1_000)

    await desk.ledger.confirm(payment("first", 1_000).payment_hash, Msat(990))

    assert await desk.purse(paid) == (1_000, 0)


async def test_an_overpayment_of_a_credit_that_came_confirmed_is_booked_too(desk: Desk):
    """The node was asked first; how much arrived is told afterwards."""
    paid = replace(payment("paid", 1_000), confirmed=True)
    await desk.credit(paid)

    await desk.ledger.confirm(paid.payment_hash, Msat(1_200))

    assert await desk.purse(paid) == (1_200, 0)


async def test_a_denial_freezes_and_a_later_yes_thaws(desk: Desk):
    """Frozen while the node says no; nothing of the balance is touched."""
    paid = payment("paid", 1_000)
    await desk.credit(paid)

    await desk.ledger.deny(paid.payment_hash, "isPaid is false")
    frozen = await desk.ledger.balance(owner(paid))
    await desk.ledger.confirm(paid.payment_hash, Msat(1_000))
    thawed = await desk.ledger.balance(owner(paid))

    assert frozen is not None
    assert (frozen.status, frozen.balance) == (AccountStatus.FROZEN, Msat(1_000))
    assert thawed is not None
    assert (thawed.status, thawed.balance) == (AccountStatus.ACTIVE, Msat(1_000))
    assert isinstance(await desk.hold(paid, 1_000), Held)


async def test_an_account_thaws_only_when_no_denial_is_left(desk: Desk):
    """Two denied payments: one yes is not enough."""
    old, new = payment("old", 400), payment("new", 600)
    await desk.credit(old)
    await desk.credit(carrying(new, old))
    await desk.ledger.deny(old.payment_hash, "no")
    await desk.ledger.deny(new.payment_hash, "no")

    await desk.ledger.confirm(old.payment_hash, Msat(400))
    assert isinstance(await desk.hold(old, 1), Frozen)
    await desk.ledger.confirm(new.payment_hash, Msat(600))
    assert isinstance(await desk.hold(old, 1), Held)


async def test_a_confirmed_payment_is_never_denied(desk: Desk):
    """Lightning takes nothing back: a node that says otherwise later has forgotten."""
    paid = await desk.account(1_000)

    await desk.ledger.deny(paid.payment_hash, "404")

    assert isinstance(await desk.hold(paid, 1), Held)


async def test_the_status_tells_the_worst_of_an_accounts_payments(desk: Desk):
    """One payment in doubt makes the account unconfirmed."""
    paid = await desk.account(400)
    await desk.credit(carrying(payment("new", 600), paid))

    found = await desk.ledger.balance(owner(paid))

    assert found is not None
    assert found.status is AccountStatus.UNCONFIRMED


async def test_nobody_confirms_or_denies_what_was_never_credited(desk: Desk):
    """An unknown payment hash is an error of the caller, not a silent success."""
    unknown = payment("unknown", 1).payment_hash

    with pytest.raises(CreditUnknown):
        await desk.ledger.confirm(unknown, Msat(1))
    with pytest.raises(CreditUnknown):
        await desk.ledger.deny(unknown, "no")


async def test_credits_in_doubt_are_listed_oldest_first(store: Store, desk: Desk):
    """Denied ones included, confirmed ones not."""
    for name in ("a", "b", "c"):
        await desk.credit(payment(name, 100))
        store.passes(1)
    await desk.ledger.confirm(payment("b", 100).payment_hash, Msat(100))
    await desk.ledger.deny(payment("a", 100).payment_hash, "no")

    doubts = await desk.ledger.in_doubt(10)

    assert [(doubt.payment_hash, doubt.amount, doubt.denied) for doubt in doubts] == [
        (payment("a", 100).payment_hash, Msat(100), True),
        (payment("c", 100).payment_hash, Msat(100), False),
    ]
    assert (doubts[1].credited_at - doubts[0].credited_at).total_seconds() == 2
    assert len(await desk.ledger.in_doubt(1)) == 1


async def test_the_newest_confirmed_payment_is_known(store: Store, desk: Desk):
    """By the moment of its confirmation, not of its credit."""
    assert await desk.ledger.newest_confirmed() is None
    a, b = payment("a", 100), payment("b", 100)
    await desk.credit(a)
    await desk.credit(b)
    await desk.ledger.confirm(b.payment_hash, Msat(100))
    store.passes(1)
    await desk.ledger.confirm(a.payment_hash, Msat(100))

    assert await desk.ledger.newest_confirmed() == a.payment_hash


async def test_the_history_tells_every_call_and_pages_backwards(desk: Desk):
    """Newest first; a charge names its call, a credit its payment."""
    paid = await desk.account(1_000)
    holds = [await desk.held(paid, 100) for _ in range(3)]
    for cost, hold in enumerate(holds, start=1):
        await desk.ledger.settle(replace(desk.settlement(hold, cost), usage='{"input_tokens":1}'))

    newest = await desk.ledger.entries(holds[0].account, before=None, limit=2)
    rest = await desk.ledger.entries(holds[0].account, before=newest[-1].id, limit=2)

    assert [(entry.amount, entry.balance) for entry in (*newest, *rest)] == [
        (Msat(-3), Msat(994)),
        (Msat(-2), Msat(997)),
        (Msat(-1), Msat(999)),
        (Msat(1_000), Msat(1_000)),
    ]
    assert newest[0].call is not None
    assert (newest[0].call.request_id, newest[0].call.model) == (f"req-{holds[2].hold_id}", "small")
    assert (newest[0].ending, newest[0].usage, newest[0].payment_hash) == ("answered", '{"input_tokens":1}', None)
    assert (rest[1].kind, rest[1].payment_hash, rest[1].call) == (EntryKind.CREDIT, paid.payment_hash, None)


@pytest.mark.parametrize("limit", [0, -1, 1_001])
async def test_a_page_has_a_size(desk: Desk, limit: int):
    """Nobody reads the whole history at once."""
    with pytest.raises(ValueError, match="page"):
        await desk.ledger.entries("any", before=None, limit=limit)
    with pytest.raises(ValueError, match="page"):
        await desk.ledger.in_doubt(limit)


async def test_totals_add_everything_up(desk: Desk):
    """And say how much a forger has got away with: what was spent of a denied credit."""
    honest = await desk.account(1_000)
    forged = payment("forged", 500)
    await desk.credit(forged)
    await desk.settle(await desk.held(forged, 300), 200)
    await desk.credit(payment("in doubt", 70))
    await desk.ledger.deny(forged.payment_hash, "isPaid is false")
    await desk.held(honest, 40)

    totals = await desk.ledger.totals()

    assert (totals.accounts, totals.live_holds) == (3, 1)
    assert (totals.credited, totals.charged, totals.balance) == (Msat(1_570), Msat(200), Msat(1_370))
    assert (totals.held, totals.unconfirmed) == (Msat(40), Msat(70))
    assert (totals.denied, totals.denied_spent) == (Msat(500), Msat(200))


async def test_an_empty_ledger_sums_up_to_nothing(desk: Desk):
    """No row, no difference, no error."""
    totals = await desk.ledger.totals()

    assert (totals.accounts, totals.credited, totals.denied_spent) == (0, Msat(0), Msat(0))
    assert await desk.ledger.audit() == []
    assert (await desk.ledger.losses(3_600)).by_account == {}
