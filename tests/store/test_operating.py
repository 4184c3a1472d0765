"""What an operator asks of a ledger and decides, on every ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from lib.core.endings import Ending
from lib.core.money import BtcPrice, Msat, UsdPicos
from lib.store.ledger import (
    AccountUnknown,
    Answer,
    Balance,
    Frozen,
    Gone,
    Held,
    Owed,
    OwnerKind,
    PaymentKind,
    Revoked,
)
from lib.store.operating import Debt
from tests.store.conftest import Store
from tests.store.desk import Desk, owner, payment, token

EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
DAY_SECONDS = 86_400


async def account_of(desk: Desk, name: str = "first", credit_msat: int = 1_000) -> str:
    """The id of a new account."""
    return await desk.account_of(owner(await desk.account(credit_msat, name)))


async def test_earnings_are_told_by_day_and_model(store: Store, desk: Desk):
    """Charges, their dollars at each call's price, what upstream takes, and what nobody paid."""
    paid = await desk.account(10_000_000)
    for model, charge, cost in (("small", 300, 200_000_000), ("small", 100, None), ("large", 0, None)):
        hold = await desk.held(paid, 1_000, model=model)
        settlement = desk.settlement(hold, charge, Ending.ANSWERED if charge else Ending.UNANSWERED)
        priced = None if cost is None else UsdPicos(cost)
        lost = UsdPicos(7_000) if not charge else None
        await desk.ledger.settle(replace(settlement, upstream_cost=priced, loss=lost))
    store.passes(DAY_SECONDS)
    await desk.ledger.take_lease("next day")
    later = await desk.beside(desk.ledger, "next day").held(paid, 1_000)
    await desk.ledger.settle(replace(desk.settlement(later, 50), clamped=Msat(9)))

    told = await desk.ledger.earned(*EVER)

    assert [(row.model, row.calls, row.charged.value) for row in told] == [
        ("large", 1, 0),
        ("small", 2, 400),
        ("small", 1, 50),
    ]
    assert told[2].day.toordinal() - told[0].day.toordinal() == 1
    large, small, next_day = told
    # At 100,000 USD a bitcoin, 1 msat is a millionth of a dollar.
    assert (small.charged_usd, small.upstream_cost, small.unpriced) == (UsdPicos(400_000_000), UsdPicos(200_000_000), 1)
    assert (small.margin, large.margin) == (UsdPicos(200_000_000), UsdPicos(-7_000))
    assert (large.upstream_cost, large.loss) == (UsdPicos(7_000), UsdPicos(7_000))
    assert (next_day.clamped, next_day.api, next_day.path) == (Msat(9), "openai", "/v1/chat/completions")


async def test_earnings_begin_and_end_at_moments(store: Store, desk: Desk):
    """From `since` on, before `until`; a call that runs is not among them."""
    paid = await desk.account(1_000)
    await desk.settle(await desk.held(paid, 10), 10)
    await desk.held(paid, 10)
    [ended] = [
        call.ended_at for call in await desk.ledger.calls_of(await desk.account_of(owner(paid)), 2) if call.ending
    ]
    assert ended is not None

    assert [row.calls for row in await desk.ledger.earned(ended, EVER[1])] == [1]
    assert list(await desk.ledger.earned(EVER[0], ended)) == []


async def test_dollars_of_a_charge_are_rounded_down_and_never_overflow(desk: Desk):
    """A charge of a million sats at a hundred million dollars a bitcoin is told to the pico."""
    most, price = 10**9, BtcPrice(99_999_999_999_999)
    paid = await desk.account(most)
    request = desk.request(most)
    quote = replace(request.quote, btc_price=price)
    hold = await desk.ledger.hold(owner(paid), replace(request, quote=quote))
    assert isinstance(hold, Held)
    await desk.settle(hold, most)

    [row] = await desk.ledger.earned(*EVER)

    assert row.charged_usd == price.picos_rounded_down(Msat(most)) == UsdPicos(999_999_999_999_990_000)


async def test_a_payment_tells_its_whole_story(desk: Desk):
    """Invoice, credit, confirmation, claim; of an unknown one nothing."""
    paid = await desk.topup("topup", 1_000)
    opened = await desk.ledger.payment(paid.payment_hash)
    await desk.credited(paid, 1_500)
    await desk.claim(paid, token("t"))
    told = await desk.ledger.payment(paid.payment_hash)
    nothing = await desk.ledger.payment(b"\0" * 32)

    assert opened.credited is None and opened.invoiced is not None and opened.invoiced.closed_at is None
    assert told.invoiced is not None and told.invoiced.closed_at is not None
    assert told.credited is not None and told.review is None
    assert (told.credited.kind, told.credited.amount, told.credited.received) == (
        PaymentKind.TOPUP,
        Msat(1_000),
        Msat(1_500),
    )
    assert told.credited.confirmed_at is not None and told.credited.claimed_at is not None
    assert (told.credited.key_id, told.credited.claimed_bare, told.credited.denied_at) == ("key-1", False, None)
    assert (nothing.invoiced, nothing.credited, nothing.review) == (None, None, None)


async def test_a_call_is_found_by_its_request(desk: Desk):
    """From hold to end, with what is kept of its answer; an unknown request made none."""
    paid = await desk.account(1_000)
    running = await desk.held(paid, 100)
    hold = await desk.held(paid, 200)
    kept = replace(desk.settlement(hold, 30), answer=Answer(b"sealed", 600), usage='{"input_tokens":1}')
    await desk.ledger.settle(kept)

    [told] = await desk.ledger.calls(f"req-{hold.hold_id}")
    [runs] = await desk.ledger.calls(f"req-{running.hold_id}")

    assert (told.hold_id, told.account, told.owner, told.model) == (
        hold.hold_id,
        hold.account,
        OwnerKind.PAYMENT,
        "small",
    )
    assert (told.ceiling, told.charge, told.ending, told.usage) == (
        Msat(200),
        Msat(30),
        Ending.ANSWERED,
        '{"input_tokens":1}',
    )
    assert told.kept_until is not None and told.ended_at is not None
    assert (told.kept_until - told.ended_at).total_seconds() == pytest.approx(600, abs=60)
    assert (runs.ended_at, runs.charge, runs.ending, runs.kept_until) == (None, None, None, None)
    assert list(await desk.ledger.calls("req-of-nobody")) == []


async def test_an_accounts_calls_are_told_newest_first(store: Store, desk: Desk):
    """As many as are asked for, and only its own."""
    paid, other = await desk.account(1_000), await desk.account(1_000, "other")
    holds: list[Held] = []
    for _ in range(3):
        holds.append(await desk.held(paid, 10))
        store.passes(1)
    await desk.held(other, 10)

    told = await desk.ledger.calls_of(holds[0].account, 2)

    assert [call.hold_id for call in told] == [holds[2].hold_id, holds[1].hold_id]


async def test_an_account_tells_who_owns_it_and_who_did(desk: Desk):
    """Owners by their kind, payments, handovers, kept answers: no digest of a secret anywhere."""
    paid = await desk.account(1_000)
    account = await desk.account_of(owner(paid))
    hold = await desk.held(paid, 100)
    await desk.ledger.settle(replace(desk.settlement(hold, 30), answer=Answer(b"sealed", 600)))
    before = await desk.ledger.account(account)
    await desk.claim(paid, token("t"))
    after = await desk.ledger.account(account)

    assert before is not None and after is not None
    assert [(own.kind, own.payment_hash) for own in before.owners] == [(OwnerKind.PAYMENT, paid.payment_hash)]
    assert [(own.kind, own.payment_hash) for own in after.owners] == [(OwnerKind.TOKEN, None)]
    assert (before.handovers, [change.kind for change in after.handovers]) == ((), ["claim"])
    assert (after.balance, after.held, after.frozen, after.denied) == (Msat(970), Msat(0), False, 0)
    assert (after.payments, after.kept_answers) == ((paid.payment_hash,), 1)
    assert token("t").digest not in repr(after).encode() and owner(paid).digest.hex() not in repr(before)
    assert await desk.ledger.account("nobody") is None


async def test_what_is_owed_is_told_per_root_key(desk: Desk):
    """Credentials under their key, open invoices beside them, tokens last; a key without debts may go."""
    old = replace(payment("old", 300), key_id="key-0")
    await desk.credit(old)
    await desk.account(1_000)
    await desk.token(500, "t")
    await desk.topup("open", 70)

    assert list(await desk.ledger.debts()) == [
        Debt("key-0", 1, Msat(300), Msat(0)),
        Debt("key-1", 1, Msat(1_000), Msat(70)),
        Debt(None, 1, Msat(500), Msat(0)),
    ]


async def test_an_operators_freeze_stops_an_account_and_thaws(desk: Desk):
    """Running calls settle, new ones are refused, its story says why; repeating either changes nothing."""
    paid = await desk.account(1_000)
    account = await desk.account_of(owner(paid))
    running = await desk.held(paid, 100)

    assert await desk.ledger.freeze(account, "asked by its owner")
    assert not await desk.ledger.freeze(account, "again")
    refused = await desk.hold(paid, 10)
    settled = await desk.settle(running, 40)
    told = await desk.ledger.account(account)

    assert isinstance(refused, Frozen) and settled.charge == Msat(40)
    assert told is not None and told.frozen and [freeze.reason for freeze in told.freezes] == ["asked by its owner"]
    assert await desk.ledger.audit() == []
    assert await desk.ledger.unfreeze(account)
    assert not await desk.ledger.unfreeze(account)
    assert isinstance(await desk.hold(paid, 10), Held)
    thawed = await desk.ledger.account(account)
    assert thawed is not None and thawed.freezes[0].ended_at is not None
    assert await desk.ledger.audit() == []


async def test_a_denial_and_an_operators_freeze_do_not_undo_each_other(desk: Desk):
    """The node's later yes leaves an account that an operator stopped, and an operator one that the node denies."""
    forged = payment("forged", 1_000)
    credited = await desk.credit(forged)
    assert isinstance(credited, Balance)
    await desk.ledger.deny(forged.payment_hash, "isPaid is false")
    await desk.ledger.freeze(credited.account, "looked at")
    await desk.ledger.unfreeze(credited.account)
    denied = await desk.hold(forged, 10)
    await desk.ledger.freeze(credited.account, "looked at again")
    await desk.ledger.confirm(forged.payment_hash, Msat(1_000))
    stopped = await desk.hold(forged, 10)
    await desk.ledger.unfreeze(credited.account)

    assert isinstance(denied, Frozen) and isinstance(stopped, Frozen)
    assert isinstance(await desk.hold(forged, 10), Held)
    assert await desk.ledger.audit() == []


async def test_an_operator_takes_a_token_away_only_from_an_empty_account(desk: Desk):
    """Owed until it is spent or adjusted; then nobody owns it; repeating it returns the same."""
    owned_by = await desk.token(500, "t")
    account = await desk.account_of(owned_by)

    owed = await desk.ledger.revoke_account("op-1", account)
    await desk.ledger.adjust("op-2", account, Msat(-500), "paid back by other means")

    assert owed == Owed(Msat(500), Msat(0))
    assert await desk.ledger.revoke_account("op-3", account) == Revoked()
    assert await desk.ledger.revoke_account("op-3", account) == Revoked()
    assert await desk.of(owned_by) is None
    assert await desk.ledger.revoke_account("op-4", account) == Gone()
    assert await desk.ledger.audit() == []


async def test_a_payments_credential_cannot_be_taken_away(desk: Desk):
    """Whoever knows its preimage proves it again: such an account is frozen instead."""
    assert await desk.ledger.revoke_account("op", await account_of(desk)) == Gone()


async def test_pauses_are_known_until_they_are_taken_back(store: Store, desk: Desk):
    """A model or a whole API, each once; every process reads the same."""
    assert await desk.ledger.pause("openai", "gpt-4o", "prices are being looked at")
    assert not await desk.ledger.pause("openai", "gpt-4o", "again")
    store.passes(1)
    assert await desk.ledger.pause("openai", None, "key is being replaced")

    told = await desk.ledger.pauses()

    assert [(pause.api, pause.model, pause.reason) for pause in told] == [
        ("openai", "gpt-4o", "prices are being looked at"),
        ("openai", None, "key is being replaced"),
    ]
    assert (told[1].at - told[0].at).total_seconds() >= 1
    assert await desk.ledger.resume("openai", None)
    assert not await desk.ledger.resume("openai", None)
    assert not await desk.ledger.resume("openai", "gpt-4o-mini")
    assert [pause.model for pause in await desk.ledger.pauses()] == ["gpt-4o"]
    assert await desk.ledger.pause("openai", None, "once more")


@pytest.mark.parametrize("reason", ["", "  "])
async def test_nothing_is_stopped_without_a_reason(desk: Desk, reason: str):
    """Whoever looks later wants to know why."""
    with pytest.raises(ValueError, match="reason"):
        await desk.ledger.freeze(await account_of(desk), reason)
    with pytest.raises(ValueError, match="reason"):
        await desk.ledger.pause("openai", None, reason)


async def test_an_account_that_does_not_exist_is_told(desk: Desk):
    """Not as a success."""
    for operation in (
        desk.ledger.freeze("nobody", "why"),
        desk.ledger.unfreeze("nobody"),
        desk.ledger.revoke_account("op", "nobody"),
    ):
        with pytest.raises(AccountUnknown):
            await operation


async def test_a_page_of_calls_has_a_size(desk: Desk):
    """Nobody reads all of them at once."""
    with pytest.raises(ValueError, match="page"):
        await desk.ledger.calls_of("any", 0)


async def test_totals_count_payments_and_kept_answers(desk: Desk):
    """Beside the sums."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 100)
    await desk.ledger.settle(replace(desk.settlement(hold, 30), answer=Answer(b"sealed", 600)))
    await desk.account(1_000, "second")

    totals = await desk.ledger.totals()

    assert (totals.payments, totals.kept_answers) == (2, 1)
    assert (await desk.ledger.earned(*EVER))[0].day > date(2020, 1, 1)
