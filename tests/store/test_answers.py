"""Answers kept for their owners, and idempotency keys: nobody pays twice for what was answered once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lib.core.endings import Ending
from lib.core.money import Msat
from lib.store.ledger import (
    Answer,
    Claimed,
    ClaimKind,
    Frozen,
    Gone,
    Held,
    HoldRequest,
    Kept,
    KeyReused,
    Owner,
    PaymentKind,
    Rotated,
    Settlement,
    StillRunning,
    TokenAnswer,
    idempotency_digest,
)
from tests.store.conftest import Store
from tests.store.desk import NO_LIMITS, Desk, order_digest, owner, payment, token, vouched

ANSWER = Answer(b"sealed answer", keep_seconds=600)
COST = 100


async def bought(desk: Desk, by: Owner, request: HoldRequest) -> Held:
    """The call goes upstream."""
    outcome = await desk.ledger.hold(by, request)
    assert isinstance(outcome, Held)
    return outcome


async def undelivered(desk: Desk, by: Owner, request: HoldRequest, answer: Answer = ANSWER) -> Settlement:
    """The call was answered completely, and its buyer was gone."""
    held = await bought(desk, by, request)
    settlement = Settlement(desk.new_id("settle"), held.hold_id, Ending.ANSWERED, Msat(COST), answer=answer)
    await desk.ledger.settle(settlement)
    return settlement


async def test_an_undelivered_answer_is_handed_out_free(desk: Desk):
    """The same owner's same order is Kept: nothing is held, nothing charged."""
    by = await desk.token(1_000)
    await undelivered(desk, by, desk.request(300))

    again = await desk.ledger.hold(by, desk.request(300))

    assert again == Kept(b"sealed answer")
    assert await desk.of(by) == (1_000 - COST, 0)


async def test_an_undelivered_answer_is_handed_out_by_an_l402_credential_too(desk: Desk):
    """Whatever door the owner comes through."""
    paid = payment("first", 1_000)
    request = desk.request(300)
    held = await desk.ledger.redeem_and_hold(paid, request, NO_LIMITS)
    assert isinstance(held, Held)
    settlement = Settlement(desk.new_id("settle"), held.hold_id, Ending.ANSWERED, Msat(COST), answer=ANSWER)
    await desk.ledger.settle(settlement)

    assert await desk.ledger.redeem_and_hold(paid, desk.request(300), NO_LIMITS) == Kept(b"sealed answer")


async def test_a_kept_answer_needs_neither_balance_nor_lease(desk: Desk):
    """It is paid for: an account spent to the last msat still gets it."""
    by = await desk.token(COST)
    await undelivered(desk, by, desk.request(COST))

    again = replace(desk.request(COST), lease="no such lease")

    assert await desk.of(by) == (0, 0)
    assert await desk.ledger.hold(by, again) == Kept(b"sealed answer")


async def test_a_kept_answer_is_for_its_order_alone(desk: Desk):
    """Another order is bought."""
    by = await desk.token(1_000)
    await undelivered(desk, by, desk.request(300, order="one"))

    assert isinstance(await desk.ledger.hold(by, desk.request(300, order="another")), Held)


async def test_a_kept_answer_is_for_its_owner_alone(desk: Desk):
    """Another owner buys the same order; the former credential of the account owns nothing any more."""
    by = await desk.token(1_000)
    await undelivered(desk, by, desk.request(300))
    other = await desk.token(1_000, "other")
    new = token("rotated")
    await desk.ledger.rotate(desk.new_id("rotate"), by, new)

    assert isinstance(await desk.ledger.hold(other, desk.request(300)), Held)
    assert isinstance(await desk.ledger.hold(new, desk.request(300)), Held)
    assert await desk.ledger.hold(by, desk.request(300)) == Gone()


async def test_a_kept_answer_is_found_without_a_call(desk: Desk, store: Store):
    """By its owner, its name and its order, as long as it would be handed out; nothing changes."""
    by = await desk.token(1_000)
    await undelivered(desk, by, desk.request(300))
    await undelivered(desk, by, desk.request(300, order="another", key="key"))
    order, another, key = order_digest("order"), order_digest("another"), idempotency_digest("key")

    assert await desk.ledger.kept_answer(by, order, order) == Kept(b"sealed answer")
    assert await desk.ledger.kept_answer(by, key, another) == Kept(b"sealed answer")
    assert await desk.ledger.kept_answer(by, key, order) == KeyReused()
    assert await desk.ledger.kept_answer(by, another, another) is None
    assert await desk.ledger.kept_answer(token("nobody"), order, order) is None
    await desk.ledger.freeze(await desk.account_of(by), "looked at")
    assert await desk.ledger.kept_answer(by, order, order) is None
    await desk.ledger.unfreeze(await desk.account_of(by))
    store.passes(600)
    assert await desk.ledger.kept_answer(by, order, order) is None


async def test_a_delivered_answer_is_forgotten(desk: Desk):
    """Then the order is bought anew. Forgetting twice changes nothing."""
    by, request = await desk.token(1_000), desk.request(300)
    await undelivered(desk, by, request)

    await desk.ledger.drop_answer(by, request.answer_name)
    await desk.ledger.drop_answer(by, request.answer_name)

    assert isinstance(await desk.ledger.hold(by, desk.request(300)), Held)


async def test_a_kept_answer_has_its_time(desk: Desk, store: Store):
    """It is there to its last moment and not after; `expire` removes it."""
    by = await desk.token(1_000)
    await undelivered(desk, by, desk.request(300))

    store.passes(599)
    assert await desk.ledger.hold(by, desk.request(300)) == Kept(b"sealed answer")
    store.passes(1)
    await desk.ledger.renew(desk.lease)
    await desk.ledger.expire(60)
    assert isinstance(await desk.ledger.hold(by, desk.request(300)), Held)


async def test_a_frozen_account_gets_no_kept_answer(desk: Desk):
    """The node denied its payment: Frozen, as for any call."""
    paid = payment("first", 1_000)
    await desk.credit(paid)
    await undelivered(desk, owner(paid), desk.request(300))
    await desk.ledger.deny(paid.payment_hash, "no")

    assert isinstance(await desk.ledger.hold(owner(paid), desk.request(300)), Frozen)


async def test_keeping_an_answer_is_one_step_with_the_settlement(desk: Desk):
    """A settlement that is refused keeps nothing; a repeated one changes nothing."""
    by, request = await desk.token(1_000), desk.request(300)
    settlement = await undelivered(desk, by, request)
    await desk.ledger.drop_answer(by, request.answer_name)

    first = await desk.ledger.settle(settlement)
    assert first.charge == Msat(COST)
    assert isinstance(await desk.ledger.hold(by, desk.request(300, order="order")), Held)

    held = await bought(desk, by, desk.request(300, order="other"))
    too_dear = Settlement(desk.new_id("settle"), held.hold_id, Ending.ANSWERED, Msat(301), answer=ANSWER)
    with pytest.raises(ValueError, match="ceiling"):
        await desk.ledger.settle(too_dear)
    assert isinstance(await desk.ledger.hold(by, desk.request(300, order="other")), Held)


async def test_an_answer_that_came_after_its_hold_lapsed_is_kept_as_well(desk: Desk, store: Store):
    """A late settlement charges what is free, and keeps what it charged for."""
    by = await desk.token(1_000)
    held = await bought(desk, by, desk.request(300))
    store.passes(60)
    await desk.ledger.expire(60)
    await desk.ledger.settle(
        Settlement(desk.new_id("settle"), held.hold_id, Ending.ANSWERED, Msat(COST), answer=ANSWER)
    )

    assert await desk.ledger.hold(by, replace(desk.request(300), lease="whatever")) == Kept(b"sealed answer")


async def test_an_order_whose_buyer_left_is_not_sold_twice(desk: Desk):
    """While it is read to its end the same order of the same owner must wait; another order and owner need not."""
    by, other = await desk.token(1_000), await desk.token(1_000, "other")
    held = await bought(desk, by, desk.request(300))

    assert isinstance(await desk.ledger.hold(by, desk.request(300)), Held)  # two at once, both wanted
    await desk.ledger.note_left(held.hold_id)

    assert await desk.ledger.hold(by, desk.request(300)) == StillRunning()
    assert isinstance(await desk.ledger.hold(by, desk.request(300, order="another")), Held)
    assert isinstance(await desk.ledger.hold(other, desk.request(300)), Held)

    await desk.settle(held, COST)
    assert isinstance(await desk.ledger.hold(by, desk.request(100)), Held)


async def test_leaving_a_call_that_has_ended_changes_nothing(desk: Desk):
    """Nor does leaving one that never was."""
    by = await desk.token(1_000)
    held = await bought(desk, by, desk.request(300))
    await desk.settle(held, COST)

    await desk.ledger.note_left(held.hold_id)
    await desk.ledger.note_left("no such hold")

    assert isinstance(await desk.ledger.hold(by, desk.request(300)), Held)


async def test_a_repeated_hold_finds_itself_not_its_twin(desk: Desk):
    """Repeating the op_id of a call that runs, was left or was answered returns that very hold."""
    by, request = await desk.token(1_000), desk.request(300, key="k")
    held = await bought(desk, by, request)

    assert await desk.ledger.hold(by, request) == held
    await desk.ledger.note_left(held.hold_id)
    assert await desk.ledger.hold(by, request) == held
    await desk.ledger.settle(
        Settlement(desk.new_id("settle"), held.hold_id, Ending.ANSWERED, Msat(COST), answer=ANSWER)
    )
    assert await desk.ledger.hold(by, request) == held


async def test_a_key_that_runs_waits(desk: Desk):
    """The same Idempotency-Key while its call runs: StillRunning, whether or not anybody left."""
    by = await desk.token(1_000)
    await bought(desk, by, desk.request(300, key="k"))

    assert await desk.ledger.hold(by, desk.request(300, key="k")) == StillRunning()
    assert await desk.ledger.hold(by, desk.request(300, key="k", order="another")) == KeyReused()
    assert isinstance(await desk.ledger.hold(by, desk.request(300, key="other key")), Held)


async def test_a_key_answers_again(desk: Desk):
    """The first answer, again and again, and free; with another order it is refused. Other owners have their own."""
    by, other = await desk.token(1_000), await desk.token(1_000, "other")
    await undelivered(desk, by, desk.request(300, key="k"))

    outcomes = [await desk.ledger.hold(by, desk.request(300, key="k")) for _ in range(3)]
    reused = await desk.ledger.hold(by, desk.request(300, key="k", order="another"))

    assert outcomes == [Kept(b"sealed answer")] * 3
    assert reused == KeyReused()
    assert await desk.of(by) == (1_000 - COST, 0)
    assert isinstance(await desk.ledger.hold(by, desk.request(300)), Held)  # without the key it is another call
    assert isinstance(await desk.ledger.hold(other, desk.request(300, key="k")), Held)


async def test_a_key_whose_call_failed_buys(desk: Desk):
    """What cost nothing and answered nothing leaves the key free."""
    by = await desk.token(1_000)
    held = await bought(desk, by, desk.request(300, key="k"))
    await desk.release(held)

    assert isinstance(await desk.ledger.hold(by, desk.request(300, key="k", order="another")), Held)


async def test_a_digest_of_a_key_is_never_that_of_an_order(desk: Desk):
    """Whoever makes its key of an order's own digest meets nobody's answer."""
    by = await desk.token(1_000)
    await undelivered(desk, by, desk.request(300))

    assert idempotency_digest("order") != order_digest("order")
    assert isinstance(await desk.ledger.hold(by, desk.request(300, key=order_digest("order").hex())), Held)


def claim_answer(key: str = "k", order: str = "claim") -> TokenAnswer:
    """What a claim with this key keeps."""
    return TokenAnswer(idempotency_digest(key), order_digest(order), ANSWER)


async def test_a_claim_with_a_key_is_answered_again_with_the_same(desk: Desk):
    """Even after the token was used; the account does not change hands again."""
    paid = vouched(await desk.topup("topup", 1_000))
    by = token("first")

    first = await desk.ledger.claim("claim-1", paid, by, ClaimKind.MACAROON, claim_answer())
    assert isinstance(first, Claimed)
    assert isinstance(await desk.ledger.hold(by, desk.request(300)), Held)
    again = await desk.ledger.claim("claim-2", paid, token("second"), ClaimKind.MACAROON, claim_answer())
    reused = await desk.ledger.claim("claim-3", paid, token("third"), ClaimKind.MACAROON, claim_answer(order="other"))
    repeated = await desk.ledger.claim("claim-1", paid, by, ClaimKind.MACAROON, claim_answer())

    assert (again, reused, repeated) == (Kept(b"sealed answer", Msat(1_000)), KeyReused(), first)
    assert await desk.of(by) == (1_000, 300)
    assert await desk.of(token("second")) is None


async def test_a_claim_that_failed_keeps_nothing(desk: Desk):
    """The key stays free for a claim that succeeds."""
    paid = vouched(payment("refill", 1_000, PaymentKind.TOPUP))
    await desk.claim(paid, token("first"))
    await desk.ledger.hold(token("first"), desk.request(300))

    refused = await desk.ledger.claim("claim-2", paid, token("second"), ClaimKind.MACAROON, claim_answer())
    again = await desk.ledger.claim("claim-3", paid, token("second"), ClaimKind.MACAROON, claim_answer())

    assert not isinstance(refused, Claimed | Kept)
    assert again == refused


async def test_a_rotation_with_a_key_is_answered_again_with_the_same(desk: Desk):
    """The old token owns nothing by then, and is answered all the same; the account changes hands once."""
    old, by = await desk.token(1_000), token("new")

    first = await desk.ledger.rotate("rotate-1", old, by, claim_answer(order="rotation"))
    again = await desk.ledger.rotate("rotate-2", old, token("newer"), claim_answer(order="rotation"))
    reused = await desk.ledger.rotate("rotate-3", old, token("newer"), claim_answer(order="other"))
    without = await desk.ledger.rotate("rotate-4", old, token("newer"))
    repeated = await desk.ledger.rotate("rotate-1", old, by, claim_answer(order="rotation"))

    assert first == repeated == Rotated(await desk.account_of(by), Msat(1_000), Msat(0))
    assert (again, reused, without) == (Kept(b"sealed answer", Msat(1_000)), KeyReused(), Gone())
    assert await desk.of(by) == (1_000, 0)


async def test_a_bare_claim_keeps_no_answer(desk: Desk):
    """Its preimage is known along the payment's route: who knows that alone must not be told the token."""
    paid = vouched(await desk.topup("topup", 1_000))

    with pytest.raises(ValueError, match="bare"):
        await desk.ledger.claim("claim-1", paid, token("first"), ClaimKind.BARE, claim_answer())

    assert await desk.of(token("first")) is None


async def test_kept_answers_leave_the_audit_clean(desk: Desk):
    """They hold no money."""
    by = await desk.token(1_000)
    await undelivered(desk, by, desk.request(300))

    assert await desk.ledger.audit() == []
