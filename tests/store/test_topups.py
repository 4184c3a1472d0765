"""Top-up and refill invoices: written down before they are shown, credited once, by whatever door."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lib.core.money import Msat
from lib.store.ledger import (
    TOPUP_GRACE_SECONDS,
    AccountStatus,
    AccountUnknown,
    Balance,
    ClaimKind,
    EntryKind,
    Gone,
    Held,
    Owner,
    Payment,
    PaymentKind,
    Topup,
    TopupState,
    TopupStatus,
    TopupUnknown,
)
from tests.store.conftest import Store
from tests.store.desk import Desk, owner, payment, refill, token, vouched


def written(paid: Payment) -> Topup:
    """The row of this payment's invoice."""
    return Topup(paid.payment_hash, paid.kind, paid.amount, paid.key_id, paid.account)


async def state(desk: Desk, paid: Payment) -> TopupState:
    """How far the ledger has got with it."""
    found = await desk.ledger.find_topup(paid.payment_hash)
    assert found is not None
    return found.state


async def test_an_invoice_is_found_with_all_that_crediting_it_needs(store: Store, desk: Desk):
    """Kind, amount, key and account, and how long it is still good for."""
    paid = await desk.topup("paid", 1_000, expires_in_seconds=600)
    store.passes(60.5)

    found = await desk.ledger.find_topup(paid.payment_hash)

    assert found == TopupStatus(written(paid), TopupState.OPEN, expires_in_seconds=539)
    assert await desk.ledger.open_topups(10) == [written(paid)]
    assert await desk.ledger.find_topup(payment("other", 1).payment_hash) is None


async def test_writing_an_invoice_down_again_changes_nothing(store: Store, desk: Desk):
    """The reply may have been lost; the first row stands."""
    paid = await desk.topup("paid", 1_000, expires_in_seconds=600)

    await desk.write_down(replace(paid, amount=Msat(5)), expires_in_seconds=9_999)

    found = await desk.ledger.find_topup(paid.payment_hash)
    assert found == TopupStatus(written(paid), TopupState.OPEN, expires_in_seconds=600)


@pytest.mark.parametrize(
    ("kind", "account"), [(PaymentKind.REFILL, None), (PaymentKind.TOPUP, "some"), (PaymentKind.CALL, None)]
)
async def test_only_refills_have_an_account_and_calls_are_not_written_down(
    desk: Desk, kind: PaymentKind, account: str | None
):
    """A caller's mistake is refused before it is written."""
    with pytest.raises(ValueError, match="refill"):
        await desk.write_down(replace(payment("paid", 1_000, kind), account=account))


async def test_a_refill_of_no_account_is_refused(desk: Desk):
    """Nobody is asked to pay for an account that is not there."""
    with pytest.raises(AccountUnknown):
        await desk.write_down(refill("refill", 500, "nowhere"))


async def test_open_invoices_are_listed_oldest_first_until_one_is_closed_after_its_grace(store: Store, desk: Desk):
    """A payment may have been on its way when the invoice expired, or the server away: only a late no closes it."""
    old = await desk.topup("old", 1, expires_in_seconds=600)
    store.passes(1)
    new = await desk.topup("new", 2, expires_in_seconds=600)

    assert await desk.ledger.open_topups(10) == [written(old), written(new)]
    assert await desk.ledger.open_topups(1) == [written(old)]
    store.passes(599 + TOPUP_GRACE_SECONDS)
    await desk.ledger.close_topup(old.payment_hash)
    assert await desk.ledger.open_topups(10) == [written(old), written(new)]
    store.passes(0.5)
    assert await desk.ledger.open_topups(10) == [written(old), written(new)]
    await desk.ledger.close_topup(old.payment_hash)
    await desk.ledger.close_topup(new.payment_hash)
    assert await desk.ledger.open_topups(10) == [written(new)]
    found = await desk.ledger.find_topup(old.payment_hash)
    assert found is not None
    assert (found.state, found.expires_in_seconds) == (TopupState.OPEN, 0)
    late = await desk.credited(old, 1)
    assert late.balance == Msat(1)  # closing ended the asking, never the payment


async def test_a_paid_top_up_is_credited_though_its_payer_never_comes_back(desk: Desk):
    """Confirmed at once, the overpayment its own entry, the invoice no longer asked for; repeating changes nothing."""
    paid = await desk.topup("paid", 1_000)

    first = await desk.credited(paid, 1_009)
    again = await desk.credited(paid, 2_000)

    assert first == again
    assert (first.status, first.balance) == (AccountStatus.ACTIVE, Msat(1_009))
    entries = await desk.ledger.entries(first.account, before=None, limit=10)
    assert [(entry.kind, entry.amount.value, entry.payment_hash) for entry in entries] == [
        (EntryKind.OVER, 9, paid.payment_hash),
        (EntryKind.CREDIT, 1_000, paid.payment_hash),
    ]
    assert await desk.ledger.open_topups(10) == []
    assert await state(desk, paid) is TopupState.CREDITED
    assert await desk.purse(paid) == (1_009, 0)
    assert await desk.ledger.in_doubt(10) == []
    assert await desk.ledger.audit() == []


async def test_only_what_was_written_down_is_credited_by_itself(desk: Desk):
    """A hash alone proves nothing."""
    with pytest.raises(TopupUnknown):
        await desk.ledger.credit_topup(payment("paid", 1).payment_hash, Msat(1))


@pytest.mark.parametrize("door", ["balance", "call", "claim", "bare claim"])
async def test_crediting_by_any_door_closes_the_invoice(desk: Desk, door: str):
    """Nothing is asked for that is credited already."""
    paid = await desk.topup("paid", 1_000)

    match door:
        case "balance":
            await desk.credit(paid)
        case "call":
            await desk.redeem(paid, 10)
        case "claim":
            await desk.claim(paid, token("t"))
        case _:
            await desk.claim(paid, token("t"), ClaimKind.BARE)

    assert await desk.ledger.open_topups(10) == []
    assert await state(desk, paid) is (TopupState.CLAIMED if "claim" in door else TopupState.CREDITED)
    assert await desk.ledger.audit() == []


async def test_an_invoice_written_down_after_its_payment_was_credited_is_not_asked_for(desk: Desk):
    """However the two race."""
    paid = payment("paid", 1_000, PaymentKind.TOPUP)
    await desk.credit(paid)

    await desk.write_down(paid)

    assert await desk.ledger.open_topups(10) == []
    assert await desk.ledger.audit() == []


async def test_a_refill_reaches_its_account_after_the_token_was_rotated(desk: Desk):
    """The account is what is refilled, whoever owns it by then; the refill itself spends nothing."""
    account = await desk.account_of(await desk.token(1_000, "a"))
    paid = refill("refill", 500, account)
    await desk.write_down(paid)
    await desk.ledger.rotate("rotate", token("a"), token("b"))

    found = await desk.credited(paid, 500)

    assert (found.account, found.balance) == (account, Msat(1_500))
    assert await desk.of(token("b")) == (1_500, 0)
    assert await desk.redeem(paid, 1) == Gone()
    assert await state(desk, paid) is TopupState.CREDITED
    assert await desk.ledger.audit() == []


async def test_a_refill_of_a_revoked_account_never_strands(desk: Desk):
    """It opens its own account, whose owner is the refill's credential: that one can be claimed."""
    account = await desk.account_of(await emptied(desk))
    paid = refill("refill", 500, account)
    await desk.write_down(paid)
    await desk.ledger.revoke("revoke", token("first"))

    await desk.ledger.credit_topup(paid.payment_hash, Msat(500))
    assert await desk.purse(paid) == (500, 0)
    await desk.claim(paid, token("new"))
    await desk.claim(paid, token("newer"))

    assert await desk.of(token("newer")) == (500, 0)
    assert await desk.ledger.audit() == []


async def test_an_overpayment_told_after_its_account_was_revoked_never_strands(desk: Desk):
    """Its credential owns the account again, and may claim it."""
    paid = await desk.topup("paid", 1_000)
    await desk.ledger.claim("claim", replace(paid, confirmed=True), token("a"), ClaimKind.MACAROON)
    await spend(desk, token("a"), 1_000)
    await desk.ledger.revoke("revoke", token("a"))

    await desk.ledger.confirm(paid.payment_hash, Msat(1_030))

    assert await desk.of(owner(paid)) == (30, 0)
    await desk.claim(paid, token("b"))
    assert await desk.of(token("b")) == (30, 0)
    assert await desk.ledger.audit() == []


async def test_a_payment_that_the_node_vouches_for_brings_its_overpayment_along(desk: Desk):
    """One step: no crash can come between the credit and what exceeds it."""
    paid = payment("paid", 1_000)

    found = await desk.credit(vouched(paid, 1_200))

    assert isinstance(found, Balance)
    assert (found.status, found.balance) == (AccountStatus.ACTIVE, Msat(1_200))
    await desk.ledger.confirm(paid.payment_hash, Msat(1_200))
    assert await desk.purse(paid) == (1_200, 0)


async def spend(desk: Desk, by: Owner, msat: int) -> None:
    """One call that costs exactly this."""
    held = await desk.ledger.hold(by, desk.request(msat))
    assert isinstance(held, Held)
    await desk.settle(held, msat)


async def emptied(desk: Desk) -> Owner:
    """A token whose balance is spent."""
    first = await desk.token(1_000)
    await spend(desk, first, 1_000)
    return first
