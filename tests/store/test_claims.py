"""Claims, rotation, revocation and adjustments: who owns an account, and that exactly one secret does at the end."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from lib.core.money import Msat
from lib.store.ledger import (
    AccountUnknown,
    Adjusted,
    AlreadyClaimed,
    Claimed,
    ClaimKind,
    EntryKind,
    Frozen,
    Gone,
    Held,
    InDoubt,
    NotClaimable,
    Owed,
    Owner,
    Payment,
    PaymentKind,
    Revoked,
    Rotated,
    Short,
    TooMuch,
)
from tests.store.desk import Desk, carrying, owner, payment, refill, token, vouched

BARE, MACAROON = ClaimKind.BARE, ClaimKind.MACAROON


@pytest.mark.parametrize("how", ClaimKind)
async def test_a_claim_credits_the_payment_and_makes_the_token_its_only_owner(desk: Desk, how: ClaimKind):
    """First seen at the claim: credited, and the credential itself owns nothing any more."""
    paid = await desk.topup("paid", 1_000)

    outcome = await desk.claim(paid, token("t"), how)

    assert isinstance(outcome, Claimed)
    assert (outcome.balance, outcome.held) == (Msat(1_000), Msat(0))
    assert await desk.account_of(token("t")) == outcome.account
    assert await desk.of(owner(paid)) is None
    assert (await desk.ledger.totals()).credited == Msat(1_000)
    assert await desk.ledger.audit() == []


@pytest.mark.parametrize("how", ClaimKind)
async def test_the_first_claim_after_an_automatic_credit_succeeds(desk: Desk, how: ClaimKind):
    """Credited and claimed are separate facts."""
    paid = await desk.topup("paid", 1_000)
    await desk.ledger.credit_topup(paid.payment_hash, Msat(1_000))

    assert isinstance(await desk.claim(paid, token("t"), how), Claimed)

    assert await desk.of(token("t")) == (1_000, 0)
    assert (await desk.ledger.totals()).credited == Msat(1_000)


async def test_a_claim_brings_the_overpayment_along(desk: Desk):
    """What the node says arrived is the token's, once."""
    paid = await desk.topup("paid", 1_000)

    outcome = await desk.ledger.claim("one", vouched(paid, 1_025), token("t"), MACAROON)

    assert isinstance(outcome, Claimed)
    assert outcome.balance == Msat(1_025)
    assert await desk.of(token("t")) == (1_025, 0)
    assert await desk.ledger.audit() == []


async def test_the_change_of_a_call_becomes_a_tokens_balance(desk: Desk):
    """Holds follow the account: the running call is charged to it after the claim."""
    paid = await desk.account(1_000)
    hold = await desk.held(paid, 600)

    outcome = await desk.claim(paid, token("t"))
    await desk.settle(hold, 250)

    assert outcome == Claimed(hold.account, Msat(1_000), Msat(600))
    assert await desk.of(token("t")) == (750, 0)
    assert await desk.redeem(paid, 1) == Gone()
    assert await desk.credit(paid) == Gone()
    assert await desk.ledger.audit() == []


async def test_a_claim_takes_every_payment_that_owned_the_account(desk: Desk):
    """A carried payment and the first: both credentials are spent, one token owns the sum."""
    old = await desk.account(400, "old")
    new = vouched(carrying(payment("new", 600), old))
    await desk.credit(new)

    assert isinstance(await desk.claim(old, token("t")), Claimed)

    assert await desk.of(token("t")) == (1_000, 0)
    assert [await desk.of(owner(paid)) for paid in (old, new)] == [None, None]
    assert await desk.ledger.audit() == []


async def test_a_difference_paid_after_the_claim_opens_its_own_account(desk: Desk):
    """The carried credential owns nothing any more; the new payment stands for itself."""
    old = await desk.account(400, "old")
    await desk.claim(old, token("t"))

    assert isinstance(await desk.redeem(carrying(payment("new", 600), old), 600), Held)

    assert await desk.of(token("t")) == (400, 0)
    assert await desk.ledger.audit() == []


async def test_a_lost_claim_is_repeated_with_the_macaroon_until_the_token_is_used(desk: Desk):
    """Another token each time, and the lost one dies."""
    paid = await desk.topup("paid", 1_000)

    for name in ("a", "b", "c"):
        assert isinstance(await desk.claim(paid, token(name)), Claimed)

    assert [await desk.of(token(name)) for name in ("a", "b", "c")] == [None, None, (1_000, 0)]
    assert await desk.ledger.audit() == []


async def test_any_of_the_claimed_payments_repeats_the_claim(desk: Desk):
    """Both credentials proved the same account, so either may fetch the token that got lost."""
    old = await desk.account(400, "old")
    new = vouched(carrying(payment("new", 600), old))
    await desk.credit(new)
    await desk.claim(old, token("a"))

    assert isinstance(await desk.claim(new, token("b")), Claimed)
    assert isinstance(await desk.claim(old, token("c")), Claimed)

    assert [await desk.of(token(name)) for name in ("a", "b", "c")] == [None, None, (1_000, 0)]


@pytest.mark.parametrize("use", ["call", "call that does not fit", "rotate", "refill", "revoke"])
async def test_after_the_tokens_first_use_the_claim_is_not_repeated(desk: Desk, use: str):
    """Whoever used the token has it: the macaroon's power is over."""
    paid = await desk.topup("paid", 1_000)
    await desk.claim(paid, token("a"))
    alive = token("a")

    match use:
        case "call":
            assert isinstance(await desk.ledger.hold(token("a"), desk.request(1)), Held)
        case "call that does not fit":
            assert isinstance(await desk.ledger.hold(token("a"), desk.request(1_001)), Short)
        case "rotate":
            alive = token("rotated")
            await desk.ledger.rotate("rotate", token("a"), alive)
        case "refill":
            await desk.write_down(refill("refill", 5, await desk.account_of(token("a"))))
        case _:
            assert isinstance(await desk.ledger.revoke("revoke", token("a")), Owed)

    assert await desk.claim(paid, token("b")) == AlreadyClaimed()
    assert await desk.of(token("b")) is None
    assert await desk.of(alive) is not None


async def test_looking_at_the_balance_is_no_use(desk: Desk):
    """Reading writes nothing."""
    paid = await desk.topup("paid", 1_000)
    await desk.claim(paid, token("a"))
    await desk.ledger.balance(token("a"))

    assert isinstance(await desk.claim(paid, token("b")), Claimed)


async def test_a_revoked_token_is_not_claimed_again(desk: Desk):
    """Nor is the payment good for anything else."""
    paid = await desk.topup("paid", 1_000)
    await desk.claim(paid, token("a"))
    held = await desk.ledger.hold(token("a"), desk.request(1_000))
    assert isinstance(held, Held)
    await desk.settle(held, 1_000)
    assert await desk.ledger.revoke("revoke", token("a")) == Revoked()

    assert await desk.claim(paid, token("b")) == AlreadyClaimed()
    assert await desk.redeem(paid, 1) == Gone()


async def test_a_bare_claim_is_never_repeated(desk: Desk):
    """Every node on the route knows the preimage: the first one has it, unless the macaroon comes."""
    paid = await desk.topup("paid", 1_000)
    await desk.claim(paid, token("a"), BARE)

    assert await desk.claim(paid, token("b"), BARE) == AlreadyClaimed()

    assert await desk.of(token("a")) == (1_000, 0)


@pytest.mark.parametrize("door", ["call", "call that does not fit", "balance", "claim"])
async def test_a_bare_claim_is_refused_once_the_macaroon_was_used(desk: Desk, door: str):
    """At whatever door."""
    paid = await desk.topup("paid", 1_000)
    match door:
        case "call":
            await desk.redeem(paid, 1)
        case "call that does not fit":
            await desk.redeem(paid, 1_001)
        case "balance":
            await desk.credit(vouched(paid))
        case _:
            await desk.claim(paid, token("mine"))

    assert await desk.claim(paid, token("thief"), BARE) == AlreadyClaimed()

    assert await desk.of(token("thief")) is None


async def test_a_bare_claim_is_refused_once_the_credential_was_carried(desk: Desk):
    """The difference was asked for by who proved the old credential, so its macaroon was used."""
    old = await desk.topup("old", 400)
    await desk.ledger.credit_topup(old.payment_hash, Msat(400))
    await desk.credit(vouched(carrying(payment("new", 600), old)))

    assert await desk.claim(old, token("thief"), BARE) == AlreadyClaimed()

    assert await desk.purse(old) == (1_000, 0)


@pytest.mark.parametrize("kind", [PaymentKind.CALL, PaymentKind.REFILL])
async def test_a_bare_preimage_claims_nothing_but_top_ups(desk: Desk, kind: PaymentKind):
    """No row of kind topup, no claim; and nothing was credited."""
    account = await desk.account_of(await desk.token(1_000))
    paid = payment("paid", 500, kind)
    if kind is PaymentKind.REFILL:
        paid = replace(paid, account=account)
        await desk.write_down(paid)

    assert await desk.claim(paid, token("thief"), BARE) == NotClaimable()

    assert (await desk.ledger.totals()).credited == Msat(1_000)


async def test_a_bare_claim_is_for_the_amount_that_was_written_down(desk: Desk):
    """A caller's mistake credits nothing."""
    paid = await desk.topup("paid", 1_000)

    assert await desk.claim(replace(paid, amount=Msat(9_000)), token("t"), BARE) == NotClaimable()


async def test_a_refill_is_not_claimable(desk: Desk):
    """Its money is its account's, and who paid it gave."""
    account = await desk.account_of(await desk.token(1_000))
    paid = refill("refill", 500, account)
    await desk.write_down(paid)
    assert await desk.claim(paid, token("thief")) == NotClaimable()
    await desk.ledger.credit_topup(paid.payment_hash, Msat(500))

    assert await desk.claim(paid, token("thief")) == NotClaimable()

    assert await desk.of(token("first")) == (1_500, 0)


@pytest.mark.parametrize("door", ["call", "call that does not fit", "balance"])
async def test_the_macaroons_first_use_takes_back_what_a_bare_claim_left(desk: Desk, door: str):
    """The bare token dies, also one that it was rotated to; its running call settles; later uses are ordinary."""
    paid = await desk.topup("paid", 1_000)
    await desk.claim(paid, token("bare"), BARE)
    running = await desk.ledger.hold(token("bare"), desk.request(600))
    assert isinstance(running, Held)
    await desk.ledger.rotate("rotate", token("bare"), token("rotated"))

    match door:
        case "call":
            assert isinstance(await desk.redeem(paid, 400), Held)
        case "call that does not fit":
            assert isinstance(await desk.redeem(paid, 401), Short)
        case _:
            await desk.credit(paid)
    await desk.settle(running, 100)

    assert (await desk.purse(paid))[0] == 900
    assert [await desk.of(token(name)) for name in ("bare", "rotated")] == [None, None]
    assert await desk.claim(paid, token("thief"), BARE) == AlreadyClaimed()
    assert isinstance(await desk.claim(paid, token("mine")), Claimed)
    assert await desk.credit(paid) == Gone()
    assert await desk.ledger.audit() == []


async def test_a_claim_with_the_macaroon_outranks_a_bare_one_once(desk: Desk):
    """It takes what is left; afterwards its own token's use ends the claiming."""
    paid = await desk.topup("paid", 1_000)
    await desk.claim(paid, token("bare"), BARE)
    spent = await desk.ledger.hold(token("bare"), desk.request(600))
    assert isinstance(spent, Held)
    await desk.settle(spent, 600)

    outcome = await desk.claim(paid, token("mine"))

    assert isinstance(outcome, Claimed)
    assert outcome.balance == Msat(400)
    assert await desk.of(token("bare")) is None
    assert isinstance(await desk.ledger.hold(token("mine"), desk.request(1)), Held)
    assert await desk.claim(paid, token("again")) == AlreadyClaimed()


async def test_nothing_is_claimed_that_the_node_has_not_confirmed(desk: Desk):
    """Neither the payment itself, nor any other of its account: those are named."""
    old = payment("old", 400)
    await desk.credit(old)
    new = carrying(payment("new", 600), old)
    with pytest.raises(ValueError, match="confirmed"):
        await desk.ledger.claim("claim", new, token("t"), MACAROON)

    assert await desk.claim(new, token("t")) == InDoubt((old.payment_hash,))
    await desk.ledger.confirm(old.payment_hash, Msat(400))

    assert isinstance(await desk.claim(new, token("t")), Claimed)
    assert await desk.of(token("t")) == (1_000, 0)


async def test_a_claim_notes_that_the_node_has_said_yes(desk: Desk):
    """Credited on the preimage alone before, even denied: the yes that comes with the claim thaws."""
    paid = payment("paid", 1_000)
    await desk.credit(paid)
    await desk.ledger.deny(paid.payment_hash, "no")

    assert isinstance(await desk.claim(paid, token("t")), Claimed)

    assert await desk.ledger.in_doubt(10) == []
    assert await desk.ledger.audit() == []


async def test_a_frozen_account_is_neither_claimed_nor_rotated(desk: Desk):
    """One denied payment of the account is enough."""
    token_owner = await desk.token(1_000)
    account = await desk.account_of(token_owner)
    forged = refill("forged", 500, account)
    await desk.credit(forged)
    await desk.ledger.deny(forged.payment_hash, "no")
    paid = await desk.account(400, "old")
    denied = carrying(payment("denied", 600), paid)
    await desk.credit(denied)
    await desk.ledger.deny(denied.payment_hash, "no")

    assert await desk.ledger.rotate("rotate", token_owner, token("new")) == Frozen(account)
    assert isinstance(await desk.claim(paid, token("t")), Frozen)

    assert (await desk.of(token_owner), await desk.purse(paid)) == ((1_500, 0), (1_000, 0))


async def test_a_repeated_operation_returns_its_first_result(desk: Desk):
    """Claim, rotate, revoke and adjust: the same op_id changes nothing, whatever happened since."""
    ledger, paid = desk.ledger, await desk.topup("paid", 1_000)
    claimed = await ledger.claim("claim", vouched(paid), token("a"), BARE)
    adjusted = await ledger.adjust("adjust", await desk.account_of(token("a")), Msat(-1_000), "goodwill, undone")
    rotated = await ledger.rotate("rotate", token("a"), token("b"))
    revoked = await ledger.revoke("revoke", token("b"))

    assert claimed == await ledger.claim("claim", vouched(paid), token("a"), BARE)
    assert adjusted == await ledger.adjust("adjust", "whatever", Msat(-1_000), "goodwill, undone")
    assert rotated == await ledger.rotate("rotate", token("a"), token("b"))
    assert revoked == await ledger.revoke("revoke", token("b"))

    assert isinstance(claimed, Claimed)
    assert isinstance(rotated, Rotated)
    assert (claimed.balance, adjusted, rotated.balance, revoked) == (
        Msat(1_000),
        Adjusted(Msat(0)),
        Msat(0),
        Revoked(),
    )
    assert (await ledger.totals()).balance == Msat(0)
    assert await ledger.audit() == []


async def test_rotation_gives_the_account_to_the_new_token_alone(desk: Desk):
    """The running call settles on it; the old token is nobody."""
    old = await desk.token(1_000, "old")
    hold = await desk.ledger.hold(old, desk.request(600))
    assert isinstance(hold, Held)

    outcome = await desk.ledger.rotate("rotate", old, token("new"))
    await desk.settle(hold, 100)

    assert outcome == Rotated(hold.account, Msat(1_000), Msat(600))
    assert await desk.of(token("new")) == (900, 0)
    assert await desk.ledger.hold(old, desk.request(1)) == Gone()
    assert await desk.ledger.rotate("again", old, token("newer")) == Gone()
    assert await desk.ledger.audit() == []


async def test_racing_rotations_leave_one_token(desk: Desk):
    """Twenty at once: one wins, the others hear that their token is gone."""
    old = await desk.token(1_000)

    outcomes = await asyncio.gather(*(desk.ledger.rotate(f"r{n}", old, token(str(n))) for n in range(20)))

    assert sum(isinstance(outcome, Rotated) for outcome in outcomes) == 1
    assert outcomes.count(Gone()) == 19
    assert [await desk.of(token(str(n))) for n in range(20)].count((1_000, 0)) == 1


async def test_revoking_is_refused_while_anything_is_owed(desk: Desk):
    """A balance, or a running call that may leave one."""
    mine = await desk.token(1_000)
    assert await desk.ledger.revoke("first", mine) == Owed(Msat(1_000), Msat(0))
    hold = await desk.ledger.hold(mine, desk.request(1_000))
    assert isinstance(hold, Held)
    assert await desk.ledger.revoke("second", mine) == Owed(Msat(1_000), Msat(1_000))
    await desk.settle(hold, 1_000)

    assert await desk.ledger.revoke("third", mine) == Revoked()

    assert await desk.ledger.revoke("fourth", mine) == Gone()
    assert await desk.of(mine) is None
    assert await desk.ledger.audit() == []


async def test_accounts_are_handed_over_to_tokens_and_between_them_only(desk: Desk):
    """A credential claims; it neither rotates nor is claimed for."""
    paid = await desk.account(1_000)

    with pytest.raises(ValueError, match="token"):
        await desk.ledger.rotate("rotate", owner(paid), token("t"))
    with pytest.raises(ValueError, match="token"):
        await desk.ledger.revoke("revoke", owner(paid))
    with pytest.raises(ValueError, match="token"):
        await desk.claim(paid, owner(paid))


async def test_an_adjustment_is_an_entry_with_its_reason(desk: Desk):
    """Signed, and part of every sum."""
    account = await desk.account_of(await desk.token(1_000))

    assert await desk.ledger.adjust("gift", account, Msat(50), "an outage") == Adjusted(Msat(1_050))
    assert await desk.ledger.adjust("fix", account, Msat(-20), "a mistake") == Adjusted(Msat(1_030))

    entries = await desk.ledger.entries(account, before=None, limit=2)
    assert [(entry.kind, entry.amount.value, entry.balance.value, entry.reason) for entry in entries] == [
        (EntryKind.ADJUST, -20, 1_030, "a mistake"),
        (EntryKind.ADJUST, 50, 1_050, "an outage"),
    ]
    totals = await desk.ledger.totals()
    assert (totals.credited, totals.adjusted, totals.balance) == (Msat(1_000), Msat(30), Msat(1_030))
    assert await desk.ledger.audit() == []


async def test_an_adjustment_leaves_running_calls_their_money(desk: Desk):
    """Down to what is held, and not one msat further."""
    mine = await desk.token(1_000)
    account = await desk.account_of(mine)
    await desk.ledger.hold(mine, desk.request(600))

    assert await desk.ledger.adjust("a", account, Msat(-401), "too much") == TooMuch(Msat(1_000), Msat(600))
    assert await desk.ledger.adjust("b", account, Msat(-400), "just right") == Adjusted(Msat(600))


async def test_an_adjustment_needs_an_owned_account_and_a_reason(desk: Desk):
    """Money that nobody can spend is not made."""
    mine = await desk.token(1_000)
    account = await desk.account_of(mine)
    await desk.ledger.adjust("take", account, Msat(-1_000), "all of it")
    await desk.ledger.revoke("revoke", mine)

    assert await desk.ledger.adjust("give", account, Msat(1), "nobody's") == Gone()
    with pytest.raises(AccountUnknown):
        await desk.ledger.adjust("give", "nowhere", Msat(1), "nobody's")
    for amount, reason in ((Msat(0), "nothing"), (Msat(1), " ")):
        with pytest.raises(ValueError, match="reason"):
            await desk.ledger.adjust("give", account, amount, reason)


async def go_through(desk: Desk, door: str, paid: Payment, new: Owner) -> object:
    """Use a top-up at one of its doors."""
    match door:
        case "bare":
            return await desk.claim(paid, new, BARE)
        case "macaroon":
            return await desk.claim(paid, new, MACAROON)
        case "call":
            return await desk.redeem(vouched(paid), 100)
        case "balance":
            return await desk.credit(vouched(paid))
        case _:
            return await desk.ledger.credit_topup(paid.payment_hash, paid.amount)


DOORS: tuple[str, ...] = ("bare", "macaroon", "call", "balance", "automatic")
OWNS_AFTER: dict[str, dict[str, str]] = {
    "bare": dict(zip(DOORS, ("first", "second", "payment", "payment", "first"), strict=True)),
    "macaroon": dict(zip(DOORS, ("first", "second", "first", "first", "first"), strict=True)),
    "call": dict(zip(DOORS, ("payment", "second", "payment", "payment", "payment"), strict=True)),
    "balance": dict(zip(DOORS, ("payment", "second", "payment", "payment", "payment"), strict=True)),
    "automatic": dict(zip(DOORS, ("second", "second", "payment", "payment", "payment"), strict=True)),
}
"""Who owns the account when the column's door is used right after the row's."""
SWAPPED = {"first": "second", "second": "first", "payment": "payment"}


@pytest.mark.parametrize(("one", "other"), [*itertools.product(DOORS, DOORS)])
async def test_two_doors_at_once_have_one_winner(desk: Desk, one: str, other: str):
    """Whatever the pair: credited once, one owner, no msat lost or made."""
    paid = await desk.topup("paid", 1_000)

    await asyncio.gather(go_through(desk, one, paid, token("first")), go_through(desk, other, paid, token("second")))

    secrets = {"payment": owner(paid), "first": token("first"), "second": token("second")}
    purses = {name: await desk.of(secret) for name, secret in secrets.items()}
    alive = {name: purse[0] for name, purse in purses.items() if purse is not None}
    in_turn, the_other_way_round = OWNS_AFTER[one][other], SWAPPED[OWNS_AFTER[other][one]]
    assert alive in ({in_turn: 1_000}, {the_other_way_round: 1_000})  # a network may deliver the second one first
    totals = await desk.ledger.totals()
    assert (totals.credited, totals.balance, totals.accounts) == (Msat(1_000), Msat(1_000), 1)
    assert await desk.ledger.audit() == []


@pytest.mark.parametrize("turn", range(len(DOORS)))
async def test_a_crowd_at_every_door_has_one_winner(desk: Desk, turn: int):
    """Ten at each door, begun together, from every door first."""
    paid = await desk.topup("paid", 1_000)
    doors = (DOORS[turn:] + DOORS[:turn]) * 10

    await asyncio.gather(*(go_through(desk, door, paid, token(str(n))) for n, door in enumerate(doors)))

    everybody = [owner(paid), *(token(str(n)) for n in range(len(doors)))]
    purses = [await desk.of(secret) for secret in everybody]
    assert [purse[0] for purse in purses if purse is not None] == [1_000]
    assert (await desk.ledger.totals()).credited == Msat(1_000)
    assert await desk.ledger.audit() == []
