"""Holding, settling, releasing and lapsing: where a call's money is at every moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lib.core.endings import Ending
from lib.core.money import Msat, UsdPicos
from lib.store.ledger import Frozen, Gone, Held, HoldEnded, HoldUnknown, LeaseExpired, Owner, Settled, Short
from tests.store.conftest import Store
from tests.store.desk import LEASE, NO_LIMITS, Desk, owner, payment, quote, short_of


async def test_a_hold_reserves_its_ceiling_and_spends_nothing(desk: Desk):
    """The balance stays; what is held cannot be held again."""
    paid = await desk.account(1_000)

    first = await desk.hold(paid, 600)
    second = await desk.hold(paid, 600)

    assert isinstance(first, Held)
    assert (first.balance, first.held, first.quote) == (Msat(1_000), Msat(600), quote(600))
    assert short_of(second) == (600, 1_000, 600)
    assert await desk.purse(paid) == (1_000, 600)


async def test_a_hold_may_take_the_last_msat_and_not_one_more(desk: Desk):
    """balance − held ≥ ceiling, to the millisat."""
    paid = await desk.account(1_000)
    await desk.held(paid, 1)

    assert short_of(await desk.hold(paid, 1_000)) == (1_000, 1_000, 1)
    assert isinstance(await desk.hold(paid, 999), Held)
    assert isinstance(await desk.hold(paid, 1), Short)


async def test_a_secret_that_owns_nothing_holds_nothing(desk: Desk):
    """An unknown token is Gone, whatever accounts there are."""
    await desk.account(1_000)

    outcome = await desk.ledger.hold(Owner.of_token("alb_unknown"), desk.request(1))

    assert outcome == Gone()


async def test_digests_of_different_kinds_never_meet(desk: Desk):
    """A token whose text is a payment hash's bytes does not own that payment's account."""
    paid = await desk.account(1_000)
    stolen = replace(Owner.of_token("x"), digest=owner(paid).digest)

    assert await desk.ledger.hold(stolen, desk.request(1)) == Gone()
    assert await desk.ledger.balance(stolen) is None


async def test_settling_debits_the_charge_and_frees_the_rest(desk: Desk):
    """Change goes back to the account at once."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 600)

    settled = await desk.settle(hold, 250)

    assert settled == Settled(charge=Msat(250), shortfall=Msat(0), balance=Msat(750), held=Msat(0))
    assert await desk.purse(paid) == (750, 0)
    assert await desk.ledger.audit() == []


async def test_a_call_that_costs_nothing_writes_no_entry(desk: Desk):
    """A release leaves the history as if the call had not been."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 600)

    await desk.release(hold)

    assert [entry.amount.value for entry in await desk.ledger.entries(hold.account, before=None, limit=10)] == [1_000]
    assert await desk.purse(paid) == (1_000, 0)


async def test_a_charge_above_the_ceiling_is_refused(desk: Desk):
    """No caller can charge more than was held; the hold stays for a right settlement."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 600)

    with pytest.raises(ValueError, match="ceiling"):
        await desk.settle(hold, 601)
    with pytest.raises(ValueError, match="negative"):
        await desk.settle(hold, -1)

    assert await desk.purse(paid) == (1_000, 600)
    assert (await desk.settle(hold, 600)).balance == Msat(400)


async def test_nobody_settles_as_lapsed(desk: Desk):
    """That word belongs to the expiry of leases."""
    hold = await desk.held(await desk.account(1_000), 600)

    with pytest.raises(ValueError, match="lease"):
        await desk.ledger.settle(desk.settlement(hold, 0, Ending.LAPSED))


async def test_a_repeated_hold_returns_the_first_and_holds_once(desk: Desk):
    """A caller who lost the reply repeats, also after the call has ended."""
    paid = await desk.account(1_000)
    request = desk.request(600, op_id="one")

    first = await desk.ledger.hold(owner(paid), request)
    again = await desk.ledger.hold(owner(paid), request)
    assert isinstance(first, Held)
    await desk.settle(first, 100)
    after_its_end = await desk.ledger.hold(owner(paid), request)

    assert first == again == after_its_end
    assert await desk.purse(paid) == (900, 0)


async def test_a_repeated_settlement_returns_the_first_and_debits_once(desk: Desk):
    """Also when the account has moved on in between."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 600)
    settlement = desk.settlement(hold, 250)

    first = await desk.ledger.settle(settlement)
    await desk.held(paid, 300)
    again = await desk.ledger.settle(settlement)

    assert again == first == Settled(Msat(250), Msat(0), Msat(750), Msat(0))
    assert await desk.purse(paid) == (750, 300)


async def test_a_second_settlement_of_a_hold_is_refused(desk: Desk):
    """Exactly one ends a hold; the loser hears of it and changes nothing."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 600)
    await desk.settle(hold, 250)

    with pytest.raises(HoldEnded):
        await desk.settle(hold, 100)

    assert await desk.purse(paid) == (750, 0)


async def test_settling_a_hold_that_never_was_is_refused(desk: Desk):
    """Its request did not land: there is nothing to end."""
    hold = replace(await desk.held(await desk.account(1_000), 600), hold_id="never")

    with pytest.raises(HoldUnknown):
        await desk.settle(hold, 1)


async def test_racing_ends_of_one_hold_debit_once(desk: Desk):
    """Twenty different settlements at once: one wins, the account pays one charge."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 600)

    ends = await asyncio.gather(*(desk.settle(hold, 100) for _ in range(20)), return_exceptions=True)

    assert sum(isinstance(end, Settled) for end in ends) == 1
    assert sum(isinstance(end, HoldEnded) for end in ends) == 19
    assert await desk.purse(paid) == (900, 0)


async def test_two_hundred_parallel_holds_never_overdraw(desk: Desk):
    """An account good for seventy calls gets seventy, whatever the crowd."""
    paid = await desk.account(7_000)

    outcomes = await asyncio.gather(*(desk.hold(paid, 100) for _ in range(200)))
    holds = [outcome for outcome in outcomes if isinstance(outcome, Held)]
    assert (len(holds), await desk.purse(paid)) == (70, (7_000, 7_000))
    await asyncio.gather(*(desk.settle(hold, 37) for hold in holds))

    assert await desk.purse(paid) == (7_000 - 70 * 37, 0)
    assert await desk.ledger.audit() == []


async def test_a_cancelled_caller_does_not_undo_its_settlement(desk: Desk):
    """What was begun is done: the client who leaves changes nobody's money."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 600)
    settling = asyncio.create_task(desk.settle(hold, 250))
    await asyncio.sleep(0)

    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)

    async with asyncio.timeout(10):
        while await desk.purse(paid) != (750, 0):
            await asyncio.sleep(0.01)


async def test_without_a_lease_nothing_is_held_or_credited(desk: Desk):
    """A process that lost its lease finds out before it changes anything."""
    paid, new = await desk.account(1_000), payment("new", 500)
    await desk.ledger.end_lease(LEASE)

    with pytest.raises(LeaseExpired):
        await desk.hold(paid, 1)
    with pytest.raises(LeaseExpired):
        await desk.redeem(new, 1)

    assert await desk.ledger.balance(owner(new)) is None


async def test_a_lease_lives_as_long_as_it_is_renewed(store: Store, desk: Desk):
    """Renewed within the time it lives on; not renewed it ends, and never comes back."""
    store.passes(59)
    assert await desk.ledger.expire(60) == 0
    assert await desk.ledger.renew(LEASE)
    store.passes(59)
    assert await desk.ledger.expire(60) == 0
    store.passes(1)
    await desk.ledger.expire(60)

    assert not await desk.ledger.renew(LEASE)
    with pytest.raises(LeaseExpired):
        await desk.ledger.take_lease(LEASE)


async def test_taking_ones_own_live_lease_again_is_harmless(desk: Desk):
    """The reply may have been lost."""
    await desk.ledger.take_lease(LEASE)

    assert await desk.ledger.renew(LEASE)


async def test_an_expired_lease_gives_its_holds_back(store: Store, desk: Desk):
    """Only its own: another process's calls run on."""
    paid = await desk.account(1_000)
    await desk.held(paid, 600)
    store.passes(60)
    await desk.ledger.take_lease("other")
    await Desk(desk.ledger, lease="other").ledger.hold(owner(paid), replace(desk.request(300), lease="other"))

    lapsed = await desk.ledger.expire(60)

    assert lapsed == 1
    assert await desk.purse(paid) == (1_000, 300)
    assert await desk.ledger.audit() == []


async def test_an_orderly_stop_gives_holds_back(desk: Desk):
    """Ending a lease lapses what is open under it."""
    paid = await desk.account(1_000)
    await desk.held(paid, 600)

    await desk.ledger.end_lease(LEASE)

    assert await desk.purse(paid) == (1_000, 0)


async def lapsed_hold(store: Store, desk: Desk, credit_msat: int, ceiling_msat: int) -> Held:
    """A hold whose process was thought dead; the process has a new lease by now."""
    hold = await desk.held(await desk.account(credit_msat), ceiling_msat)
    store.passes(60)
    await desk.ledger.expire(60)
    desk.lease = "next"
    await desk.ledger.take_lease("next")
    return hold


async def test_a_late_settlement_still_debits_what_is_free(store: Store, desk: Desk):
    """The answer was delivered after all: it is paid for, once."""
    hold = await lapsed_hold(store, desk, 1_000, 600)
    settlement = desk.settlement(hold, 250)

    first = await desk.ledger.settle(settlement)
    again = await desk.ledger.settle(settlement)

    assert first == again == Settled(Msat(250), Msat(0), Msat(750), Msat(0))
    with pytest.raises(HoldEnded):
        await desk.settle(hold, 1)
    assert await desk.ledger.audit() == []


async def test_a_late_settlement_leaves_other_calls_their_money(store: Store, desk: Desk):
    """It takes min(charge, balance − held) and says what is missing."""
    hold = await lapsed_hold(store, desk, 1_000, 600)
    paid = payment("first", 1_000)
    other = await desk.held(paid, 900)

    late = await desk.settle(hold, 250)

    assert late == Settled(charge=Msat(100), shortfall=Msat(150), balance=Msat(900), held=Msat(900))
    assert (await desk.settle(other, 900)).balance == Msat(0)
    assert await desk.ledger.audit() == []


async def test_a_frozen_account_holds_nothing_but_running_calls_settle(desk: Desk):
    """A denial stops new calls, not the accounts of those that run."""
    paid = payment("paid", 1_000)
    await desk.credit(paid)
    hold = await desk.held(paid, 300)

    await desk.ledger.deny(paid.payment_hash, "isPaid is false")

    assert await desk.hold(paid, 1) == Frozen(hold.account)
    assert (await desk.settle(hold, 200)).balance == Msat(800)


async def test_losses_count_what_nobody_paid(store: Store, desk: Desk):
    """Per account and model, in dollars, and only of calls that ended within the time asked for."""
    paid = await desk.account(10_000)
    old, clamped, unanswered, fine = [
        await desk.held(paid, 1_000, model=model) for model in ("small", "small", "large", "large")
    ]
    unknown = replace(desk.settlement(old, 0, Ending.UNANSWERED), loss=UsdPicos(9_000))
    await desk.ledger.settle(unknown)
    store.passes(3_601)
    # At 100,000 USD per bitcoin 1,000 msat are 0.001 USD.
    await desk.ledger.settle(
        replace(desk.settlement(clamped, 1_000), clamped=Msat(1_000), upstream_cost=UsdPicos(5_000))
    )
    await desk.ledger.settle(replace(desk.settlement(unanswered, 0, Ending.UNANSWERED), loss=UsdPicos(700)))
    await desk.ledger.settle(replace(desk.settlement(fine, 10), clamped=Msat(0), upstream_cost=UsdPicos(40)))

    losses = await desk.ledger.losses(3_600)

    assert losses.upstream_cost == UsdPicos(5_000 + 700 + 40)
    assert losses.by_account == {clamped.account: UsdPicos(1_000_000_000 + 700)}
    assert losses.by_model == {
        ("openai", "small"): UsdPicos(1_000_000_000),
        ("openai", "large"): UsdPicos(700),
    }


async def test_what_upstream_did_not_say_counts_as_spent_at_its_most(store: Store, desk: Desk):
    """A call that was paid without its usage, or died with its server, may have cost all that was held for it."""
    paid = await desk.account(10_000)
    for ending in (Ending.UNMETERED, Ending.BROKEN, Ending.CUT):
        held = await desk.held(paid, 1_000)
        await desk.ledger.settle(desk.settlement(held, 10, ending))
    for ending, charge_msat in ((Ending.ANSWERED, 500), (Ending.REFUSED, 0), (Ending.UNREACHABLE, 0)):
        held = await desk.held(paid, 1_000)
        await desk.ledger.settle(desk.settlement(held, charge_msat, ending))
    await desk.held(paid, 2_000)
    await desk.ledger.end_lease(desk.lease)

    losses = await desk.ledger.losses(3_600)

    # At 100,000 USD per bitcoin 1,000 msat are 0.001 USD: three calls of 1,000 msat and one of 2,000.
    assert (losses.upstream_cost, losses.by_account) == (UsdPicos(5_000_000_000), {})


async def test_the_pinned_quote_serves_until_it_has_paid_for_an_answer(desk: Desk):
    """A call that cost nothing leaves the quote firm; the first charge ends it."""
    paid, pinned = payment("paid", 1_000), quote(500)
    first = await desk.redeem(paid, 900, pinned=pinned)
    assert isinstance(first, Held)
    assert first.quote == pinned
    await desk.release(first)
    second = await desk.redeem(paid, 900, pinned=pinned)
    assert isinstance(second, Held)
    assert second.quote == pinned
    await desk.settle(second, 1)

    third = await desk.redeem(paid, 900, pinned=pinned)

    assert isinstance(third, Held)
    assert third.quote == quote(900)


async def test_a_refusal_names_the_quote_it_was_judged_by(desk: Desk):
    """So that the difference is asked at the pinned price."""
    outcome = await desk.redeem(payment("paid", 400), 900, pinned=quote(500))

    assert short_of(outcome) == (500, 400, 0)


async def test_a_late_charge_spends_the_pinned_quote_too(store: Store, desk: Desk):
    """A settlement after a lapse is a settlement."""
    paid = payment("paid", 1_000)
    hold = await desk.redeem(paid, 900, pinned=quote(500))
    assert isinstance(hold, Held)
    store.passes(60)
    await desk.ledger.expire(60)
    await desk.ledger.settle(desk.settlement(hold, 10))
    await desk.ledger.take_lease("next")

    again = await desk.ledger.redeem_and_hold(
        paid, replace(desk.request(900, pinned=quote(500)), lease="next"), NO_LIMITS
    )

    assert isinstance(again, Held)
    assert again.quote == quote(900)
