"""Two processes on one PostgreSQL: whatever meets whatever, each msat is where one of them put it, and nobody waits in
a circle.

Each race is run many times over real connections. A wait in a circle is found even though it is repeated and so cured:
the database counts them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import TypeAlias

import pytest

from lib.core.endings import Ending
from lib.core.money import Msat
from lib.store.ledger import (
    AlreadyClaimed,
    Answer,
    AskNodeFirst,
    Balance,
    ClaimAnswer,
    Claimed,
    ClaimKind,
    Gone,
    Held,
    HoldEnded,
    HoldRequest,
    HoldUnknown,
    Kept,
    LeaseExpired,
    LedgerUnavailable,
    Owner,
    Payment,
    PaymentKind,
    Rotated,
    Settled,
    Settlement,
    Short,
    StillRunning,
    UnconfirmedLimits,
    idempotency_digest,
)
from tests.store.conftest import PostgresStore
from tests.store.desk import NO_LIMITS, Desk, carrying, order_digest, owner, payment, refill, token, vouched

Operation: TypeAlias = Callable[[Desk], Awaitable[object]]
ROUNDS = 30
CROWD = 8
"""Of each kind, on each of the two ledgers."""


@dataclass
class Two:
    """Two processes, each with a pool and a lease of its own."""

    store: PostgresStore
    one: Desk
    other: Desk

    async def lease_anew(self, desk: Desk) -> None:
        """After the former one has ended."""
        desk.lease = desk.new_id("lease")
        await desk.ledger.take_lease(desk.lease)

    async def is_clean(self) -> None:
        """Every sum can be recomputed, and nobody ever waited in a circle."""
        assert await self.one.ledger.audit() == []
        db = await self.store.connect()
        try:
            await db.execute("SELECT pg_stat_force_next_flush()")
            said = await db.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        finally:
            await db.close()
        assert said == 0


@pytest.fixture
async def two(postgres_store: PostgresStore) -> AsyncGenerator[Two]:
    """Both are ready to sell."""
    one = Desk(await postgres_store.open(), lease="lease-of-one")
    other = one.beside(await postgres_store.open(), lease="lease-of-other")
    pair = Two(postgres_store, one, other)
    for desk in (one, other):
        await desk.ledger.take_lease(desk.lease)
    yield pair
    await pair.is_clean()


def both(two: Two, n: int) -> Desk:
    """One, the other, one …"""
    return two.one if n % 2 else two.other


async def at_once(*operations: Awaitable[object]) -> list[object]:
    """What each came to, refusals included; a bug is raised."""
    outcomes = await asyncio.gather(*operations, return_exceptions=True)
    expected = (HoldEnded, HoldUnknown, LeaseExpired)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, expected):
            raise outcome
    return list(outcomes)


async def test_first_redemptions_at_once_credit_once(two: Two):
    """However many present a new credential at the same moment: one credit, and holds as far as it reaches."""
    for n in range(ROUNDS):
        paid = payment(f"paid {n}", 1_000)

        outcomes = await at_once(*(both(two, k).redeem(paid, 300) for k in range(CROWD)))

        assert sum(isinstance(outcome, Held) for outcome in outcomes) == 3
        assert sum(isinstance(outcome, Short) for outcome in outcomes) == CROWD - 3
        assert await two.one.purse(paid) == (1_000, 900)
    assert (await two.one.ledger.totals()).credited == Msat(ROUNDS * 1_000)


async def test_two_hundred_parallel_calls_on_one_account_never_overdraw_it(two: Two):
    """To the millisat: what fits is held, and no more."""
    mine = await two.one.token(10_000)

    outcomes = await at_once(
        *(both(two, k).ledger.hold(mine, both(two, k).request(77, order=str(k))) for k in range(200))
    )

    assert sum(isinstance(outcome, Held) for outcome in outcomes) == 10_000 // 77
    assert await two.one.of(mine) == (10_000, 10_000 // 77 * 77)


async def test_a_redemption_racing_a_claim_has_one_winner(two: Two):
    """The money is credited once and has one owner; a call that got its hold runs on the same account."""
    for n in range(ROUNDS):
        paid, new = await two.one.topup(f"paid {n}", 1_000), token(f"t{n}")

        held, claimed = await at_once(two.one.redeem(vouched(paid), 400), two.other.claim(paid, new))

        assert isinstance(claimed, Claimed)
        assert isinstance(held, Held | Gone)
        assert await two.one.of(new) == (1_000, 400 if isinstance(held, Held) else 0)
        assert await two.one.of(owner(paid)) is None


async def test_claims_of_one_payment_at_once_leave_one_token(two: Two):
    """Each claim that succeeds takes the account from the one before; exactly one token owns it at the end."""
    for n in range(ROUNDS):
        paid = await two.one.topup(f"paid {n}", 1_000)
        tokens = [token(f"t{n}.{k}") for k in range(CROWD)]

        outcomes = await at_once(*(both(two, k).claim(paid, new) for k, new in enumerate(tokens)))

        assert all(isinstance(outcome, Claimed) for outcome in outcomes)
        assert sorted(map(str, [await two.one.of(new) for new in tokens])) == ["(1000, 0)"] + ["None"] * (CROWD - 1)


async def test_bare_claims_at_once_have_one_winner(two: Two):
    """A preimage that several know is worth one token."""
    for n in range(ROUNDS):
        paid = await two.one.topup(f"paid {n}", 1_000)

        outcomes = await at_once(*(both(two, k).claim(paid, token(f"t{n}.{k}"), ClaimKind.BARE) for k in range(CROWD)))

        assert sum(isinstance(outcome, Claimed) for outcome in outcomes) == 1
        assert outcomes.count(AlreadyClaimed()) == CROWD - 1


async def test_claims_with_one_idempotency_key_hear_the_same_answer(two: Two):
    """The first claim's answer is kept in the same step, so that all others are told it and take nothing."""
    for n in range(ROUNDS):
        paid, key = await two.one.topup(f"paid {n}", 1_000), idempotency_digest(f"key {n}")

        def claiming(k: int, n: int = n, paid: Payment = paid, key: bytes = key) -> Awaitable[object]:
            keep = ClaimAnswer(key, order_digest("claim"), Answer(f"token {k}".encode(), 600))
            return both(two, k).ledger.claim(f"{n}.{k}", vouched(paid), token(f"t{n}.{k}"), ClaimKind.MACAROON, keep)

        outcomes = await at_once(*(claiming(k) for k in range(CROWD)))

        [winner] = [k for k, outcome in enumerate(outcomes) if isinstance(outcome, Claimed)]
        assert outcomes.count(Kept(f"token {winner}".encode())) == CROWD - 1
        assert await two.one.of(token(f"t{n}.{winner}")) == (1_000, 0)


async def test_a_settlement_racing_the_expiry_of_its_lease_charges_once(two: Two):
    """In time or late, it debits its charge once; nothing stays held."""
    paid = await two.one.account(1_000_000)
    for n in range(1, ROUNDS + 1):
        hold = await two.one.held(paid, 600)

        settled, _ = await at_once(two.one.settle(hold, 250), two.other.ledger.expire(0))

        assert isinstance(settled, Settled)
        assert (settled.charge, settled.shortfall) == (Msat(250), Msat(0))
        assert await two.one.purse(paid) == (1_000_000 - n * 250, 0)
        await two.lease_anew(two.one)
        await two.lease_anew(two.other)


async def test_two_expiries_at_once_return_each_hold_once(two: Two):
    """Over many accounts, in whatever order they were opened."""
    accounts = [await two.one.account(1_000, f"account {k}") for k in range(CROWD)]
    for _ in range(ROUNDS):
        await at_once(*(both(two, k).held(paid, 100) for k, paid in enumerate(accounts)))

        lapsed = await at_once(two.one.ledger.expire(0), two.other.ledger.expire(0))

        assert sum(number for number in lapsed if isinstance(number, int)) == CROWD
        assert {await two.one.purse(paid) for paid in accounts} == {(1_000, 0)}
        await two.lease_anew(two.one)
        await two.lease_anew(two.other)


async def test_a_hold_racing_the_end_of_its_lease_is_refused_or_lapses(two: Two):
    """Either the end of the lease sees the hold, or the hold sees the end of the lease: none is left behind."""
    paid = await two.one.account(1_000)
    for _ in range(ROUNDS):
        outcomes = await at_once(
            *(two.one.hold(paid, 10) for _ in range(CROWD)), two.other.ledger.end_lease(two.one.lease)
        )

        assert all(isinstance(outcome, Held | LeaseExpired) for outcome in outcomes[:-1])
        assert await two.one.purse(paid) == (1_000, 0)
        assert (await two.one.ledger.totals()).live_holds == 0
        await two.lease_anew(two.one)


async def test_leases_that_end_at_once_return_what_both_held_on_the_same_accounts(two: Two):
    """Each gives back its own holds, over the same accounts, without waiting for the other in a circle."""
    accounts = [await two.one.account(1_000, f"account {k}") for k in range(CROWD)]
    for _ in range(ROUNDS):
        await at_once(*(desk.held(paid, 100) for paid in accounts for desk in (two.one, two.other)))

        await at_once(*(desk.ledger.end_lease(desk.lease) for desk in (two.one, two.other)))

        assert {await two.one.purse(paid) for paid in accounts} == {(1_000, 0)}
        await two.lease_anew(two.one)
        await two.lease_anew(two.other)


async def test_a_hold_racing_the_rotation_of_its_token_is_made_before_it_or_not_at_all(two: Two):
    """Who waited for the account while it changed hands finds that its token is nobody."""
    for n in range(ROUNDS):
        old, new = await two.one.token(1_000, f"old {n}"), token(f"new {n}")

        rotated, *held = await at_once(
            two.one.ledger.rotate(f"r{n}", old, new),
            *(two.other.ledger.hold(old, two.other.request(10, order=str(k))) for k in range(CROWD)),
        )

        assert isinstance(rotated, Rotated)
        assert rotated.held == Msat(10 * sum(isinstance(outcome, Held) for outcome in held))
        assert all(isinstance(outcome, Held | Gone) for outcome in held)


async def test_a_carry_racing_the_claim_of_what_it_carries_strands_nothing(two: Two):
    """The difference joins the account that is claimed, or stands for itself: somebody owns all of it."""
    for n in range(ROUNDS):
        old = await two.one.account(400, f"old {n}")
        new = vouched(carrying(payment(f"new {n}", 600), old))

        credited, claimed = await at_once(two.one.credit(new), two.other.claim(old, token(f"t{n}")))

        assert isinstance(claimed, Claimed)
        if isinstance(credited, Balance) and await two.one.of(owner(new)) is not None:
            assert (await two.one.of(token(f"t{n}")), await two.one.of(owner(new))) == ((400, 0), (600, 0))
        else:
            assert await two.one.of(token(f"t{n}")) == (1_000, 0)
    assert (await two.one.ledger.totals()).ownerless == Msat(0)


async def test_carries_at_once_onto_one_account_all_join_it(two: Two):
    """Balances of entries are told in the order in which they were written."""
    old = await two.one.account(1, "old")

    await at_once(
        *(both(two, k).credit(carrying(payment(f"new {k}", 10), old)) for k in range(ROUNDS)),
        *(both(two, k).redeem(old, 1) for k in range(CROWD)),
    )

    assert await two.one.purse(old) == (1 + 10 * ROUNDS, CROWD)


async def test_trust_in_all_is_never_exceeded_by_two_processes(two: Two):
    """The sum of what the node has not confirmed is bounded, to the millisat, whoever credits."""
    limits = UnconfirmedLimits(per_payment=Msat(100), in_all=Msat(1_000))

    outcomes = await at_once(*(both(two, k).ledger.credit(payment(str(k), 90), limits) for k in range(60)))

    assert sum(isinstance(outcome, Balance) for outcome in outcomes) == 11
    assert outcomes.count(AskNodeFirst()) == 49
    assert (await two.one.ledger.totals()).unconfirmed == Msat(990)


async def test_a_refill_racing_the_revocation_of_its_account_strands_nothing(two: Two):
    """It is on the account before the revocation, which is refused then, or finds no owner and opens its own."""
    for n in range(ROUNDS):
        mine = await two.one.token(10, f"t{n}")
        account = await two.one.account_of(mine)
        await two.one.ledger.adjust(f"empty {n}", account, Msat(-10), "a test")
        more = refill(f"refill {n}", 500, account)
        await two.one.write_down(more)

        await at_once(two.one.ledger.credit_topup(more.payment_hash, Msat(500)), two.other.ledger.revoke(f"r{n}", mine))

        alive = [await two.one.of(mine), await two.one.of(owner(more))]
        assert alive in ([(500, 0), None], [None, (500, 0)])


async def test_an_invoice_racing_its_own_payment_is_not_left_open(two: Two):
    """Whichever is written first."""
    for n in range(ROUNDS):
        paid = payment(f"paid {n}", 1_000, PaymentKind.TOPUP)

        await at_once(two.one.write_down(paid), two.other.credit(paid))

    assert await two.one.ledger.open_topups(10) == []


@pytest.mark.parametrize("operation", ["hold", "redeem", "settle", "claim", "rotate", "revoke", "adjust", "credit"])
async def test_an_operation_racing_its_own_repetition_is_done_once(two: Two, operation: str):
    """The same op_id over both processes at once: all hear the first result."""
    for n in range(ROUNDS):
        repeat = await prepared(two, operation, n)

        outcomes = await at_once(*(repeat(both(two, k)) for k in range(CROWD)))

        assert outcomes == outcomes[:1] * CROWD
        assert isinstance(outcomes[0], Held | Settled | Claimed | Rotated | Balance) or operation in "revoke adjust"
    holds = ROUNDS if operation in "hold redeem" else 0
    assert (await two.one.ledger.totals()).live_holds == holds


def operation_of(operation: str, mine: Owner, fresh: Payment, request: HoldRequest, n: int) -> Operation:
    """What to do several times, on either desk."""
    operations: dict[str, Operation] = {
        "hold": lambda desk: desk.ledger.hold(mine, request),
        "redeem": lambda desk: desk.ledger.redeem_and_hold(fresh, request, NO_LIMITS),
        "claim": lambda desk: desk.ledger.claim(f"c{n}", vouched(fresh), token(f"c{n}"), ClaimKind.MACAROON),
        "rotate": lambda desk: desk.ledger.rotate(f"r{n}", mine, token(f"r{n}")),
        "revoke": lambda desk: desk.ledger.revoke(f"v{n}", mine),
        "credit": lambda desk: desk.ledger.credit(fresh, NO_LIMITS),
    }
    return operations[operation]


async def prepared(two: Two, operation: str, n: int) -> Operation:
    """The same, once all that it needs is there."""
    mine = await two.one.token(1_000, f"mine {n}")
    account = await two.one.account_of(mine)
    request, fresh = two.one.request(300, order=str(n)), payment(f"fresh {n}", 1_000, PaymentKind.TOPUP)
    match operation:
        case "settle":
            hold = await two.one.ledger.hold(mine, request)
            assert isinstance(hold, Held)
            settlement = two.one.settlement(hold, 123)
            return lambda desk: desk.ledger.settle(settlement)
        case "adjust":
            return lambda desk: desk.ledger.adjust(f"a{n}", account, Msat(5), "a gift")
        case "revoke":
            await two.one.ledger.adjust(f"empty {n}", account, Msat(-1_000), "a test")
        case _:
            pass
    return operation_of(operation, mine, fresh, request, n)


async def test_one_order_under_one_idempotency_key_is_bought_once(two: Two):
    """Sent through both processes at the same moment: one call runs, the others are told that it does."""
    mine = await two.one.token(1_000_000)
    for n in range(ROUNDS):
        outcomes = await at_once(
            *(both(two, k).ledger.hold(mine, both(two, k).request(10, key=f"key {n}")) for k in range(CROWD))
        )

        assert sum(isinstance(outcome, Held) for outcome in outcomes) == 1
        assert outcomes.count(StillRunning()) == CROWD - 1


async def test_a_hold_given_up_before_it_arrived_reserves_nothing(two: Two):
    """Settled as unknown first, or held first and settled then: never held and forgotten."""
    mine = await two.one.token(1_000_000)
    for n in range(ROUNDS):
        request = two.one.request(10, order=str(n))
        giving_up = Settlement(two.one.new_id("settle"), request.op_id, Ending.UNREACHABLE, Msat(0))

        held, ended = await asyncio.gather(
            two.one.ledger.hold(mine, request), two.other.ledger.settle(giving_up), return_exceptions=True
        )

        assert (type(held), type(ended)) in {(Held, Settled), (LedgerUnavailable, HoldUnknown)}
        assert (await two.one.ledger.totals()).live_holds == 0
    assert await two.one.of(mine) == (1_000_000, 0)


async def one_thing(desk: Desk, random: Random, payments: list[Payment]) -> None:
    """Whatever a busy shop does next."""
    paid, new = random.choice(payments), token(desk.new_id("token"))
    match random.randrange(8):
        case 0 | 1 | 2:
            await sell(desk, random, await desk.redeem(paid, random.randrange(1, 500)))
        case 3:
            await desk.claim(paid, new)
            await sell(desk, random, await desk.ledger.hold(new, desk.request(random.randrange(1, 500))))
        case 4 | 5:
            await desk.redeem(carrying(payment(desk.new_id("more"), 70), paid), 40)
        case 6:
            await desk.ledger.confirm(paid.payment_hash, Msat(5_003))
        case _:
            await desk.ledger.expire(0)


async def sell(desk: Desk, random: Random, outcome: object) -> None:
    """The buyer leaves, the call ends, and its answer is kept; half of the time in vain."""
    if isinstance(outcome, Held):
        await desk.ledger.note_left(outcome.hold_id)
        ended = desk.settlement(outcome, random.randrange(outcome.quote.ceiling.value + 1))
        await desk.ledger.settle(replace(ended, answer=Answer(b"sealed", random.choice((0.0, 600.0)))))


async def test_everything_at_once_ends_in_clean_books(two: Two):
    """Calls, claims, carries and confirmations of four accounts, by both processes, while leases expire under them."""
    random = Random(4)
    payments = [await two.one.topup(f"paid {k}", 5_000) for k in range(4)]
    for paid in payments:
        await two.one.credit(paid)

    async def work(desk: Desk) -> None:
        for _ in range(40):
            try:
                await one_thing(desk, random, payments)
            except LeaseExpired:
                await two.lease_anew(desk)

    await asyncio.gather(*(work(both(two, k)) for k in range(CROWD)))

    await two.one.ledger.expire(0)
    totals = await two.one.ledger.totals()
    assert (totals.held, totals.live_holds, totals.ownerless) == (Msat(0), 0, Msat(0))
    assert totals.credited.value - totals.charged.value == totals.balance.value
    assert totals.charged > Msat(0)
