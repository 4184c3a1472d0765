"""The ledger against a model of two numbers per account and who owns it, driven by whatever Hypothesis can think of."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, initialize, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as explore

from lib.core.money import Msat
from lib.store.ledger import (
    Adjusted,
    AlreadyClaimed,
    Answer,
    Balance,
    Claimed,
    ClaimKind,
    Frozen,
    Gone,
    Held,
    HoldEnded,
    HoldOutcome,
    HoldRequest,
    InDoubt,
    Kept,
    KeyReused,
    NotClaimable,
    Owed,
    Owner,
    Payment,
    PaymentKind,
    RedeemOutcome,
    Revoked,
    Rotated,
    Settled,
    Settlement,
    Short,
    StillRunning,
    TooMuch,
)
from tests.store.conftest import ADAPTERS, STORES
from tests.store.desk import NO_LIMITS, Desk, carrying, owner, payment, quote, refill, token, vouched

T = TypeVar("T")
AMOUNTS = st.integers(min_value=1, max_value=2_000)
KEPT_SECONDS = 100.0
OVER = st.integers(min_value=-50, max_value=50)


@dataclass
class Purse:
    """What the model knows of an account."""

    id: str
    balance: int = 0
    held: int = 0
    denied: set[str] = field(default_factory=set[str])
    doubted: set[str] = field(default_factory=set[str])
    owners: set[str] = field(default_factory=set[str])
    """Payments, by name."""
    token: Owner | None = None
    token_used: bool = False

    @property
    def owned(self) -> bool:
        return bool(self.owners) or self.token is not None


@dataclass
class Paid:
    """A payment, where the model books it, and how its credential was used."""

    name: str
    payment: Payment
    carries: Paid | None = None
    into: Purse | None = None
    purse: Purse | None = None
    told: bool = False
    macaroon_used: bool = False
    claimed: Owner | None = None
    bare: bool = False

    @property
    def booked(self) -> Purse:
        assert self.purse is not None
        return self.purse

    @property
    def owns(self) -> bool:
        return self.name in self.booked.owners


@dataclass
class Call:
    """A hold, and how far it is."""

    purse: Purse
    by: Owner
    request: HoldRequest
    held: Held
    left: bool = False
    lapsed: bool = False
    settlement: Settlement | None = None
    settled: Settled | None = None


class LedgerMachine(RuleBasedStateMachine):
    """Every operation of the ledger, repeated, raced past expiry, past freezes and past claims."""

    payments: Bundle[Paid] = Bundle("payments")
    calls: Bundle[Call] = Bundle("calls")
    tokens: Bundle[Owner] = Bundle("tokens")

    adapter: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp())
        self.store = STORES[self.adapter](self.directory)
        self.purses: list[Purse] = []
        self.all_paid: list[Paid] = []
        self.open_calls: list[Call] = []
        self.kept: dict[tuple[Owner, bytes], tuple[bytes, bytes, float]] = {}
        """By owner and name: the order, what is sealed, and until when on the model's clock."""
        self.now = 0.0
        self.credited_msat = 0
        self.charged_msat = 0
        self.adjusted_msat = 0

    def do(self, operation: Coroutine[Any, Any, T]) -> T:
        # Not the runner's own `run`: that looks at SIGINT's handler each time, and names with it whatever ran before.
        return self.runner.get_loop().run_until_complete(operation)

    @initialize()
    def opens(self):
        async def begin() -> Desk:
            ledger = await self.store.open()
            await ledger.take_lease("lease-first")
            return Desk(ledger, lease="lease-first")

        self.desk = self.do(begin())

    def teardown(self):
        self.do(self.store.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    # What the model believes.

    def _is_booked(self, paid: Paid) -> None:
        if paid.purse is not None:
            return
        home = paid.into if paid.into is not None and paid.into.owned else None
        if paid.carries is not None and paid.carries.purse is not None and paid.carries.owns:
            home = paid.carries.purse
            paid.carries.macaroon_used = True
        purse = home or Purse(id="")
        if home is None:
            self.purses.append(purse)
        if home is None or paid.into is None:
            purse.owners.add(paid.name)
        paid.purse = purse
        purse.doubted.add(paid.name)
        purse.balance += paid.payment.amount.value
        self.credited_msat += paid.payment.amount.value
        self.all_paid.append(paid)

    def _is_presented(self, paid: Paid) -> None:
        self._is_booked(paid)
        if not paid.macaroon_used and paid.bare:
            paid.booked.token, paid.booked.owners = None, {paid.name}
            paid.claimed, paid.bare = None, False
        paid.macaroon_used = True

    def _is_told(self, paid: Paid, over: int) -> None:
        if paid.told:
            return
        paid.told = True
        purse = paid.booked
        purse.denied.discard(paid.name)
        purse.doubted.discard(paid.name)
        purse.balance += max(0, over)
        self.credited_msat += max(0, over)
        if over > 0 and not purse.owned:
            purse.owners.add(paid.name)
            paid.claimed, paid.bare = None, False

    def _purse_of(self, secret: Owner) -> Purse | None:
        return next((purse for purse in self.purses if purse.token == secret), None)

    def _agrees(self, outcome: Balance | Claimed, purse: Purse) -> None:
        purse.id = purse.id or outcome.account
        assert (outcome.account, outcome.balance.value, outcome.held.value) == (purse.id, purse.balance, purse.held)

    # What happens.

    @rule(target=payments, amount=AMOUNTS)
    def a_payment_is_made(self, amount: int):
        name = self.desk.new_id("paid")
        return Paid(name, payment(name, amount))

    @rule(target=payments, amount=AMOUNTS)
    def a_top_up_is_written_down(self, amount: int):
        name = self.desk.new_id("paid")
        return Paid(name, self.do(self.desk.topup(name, amount)))

    @rule(target=payments, old=payments, amount=AMOUNTS)
    def a_difference_is_paid(self, old: Paid, amount: int):
        name = self.desk.new_id("paid")
        return Paid(name, carrying(payment(name, amount), old.payment), carries=old)

    @rule(target=payments, by=tokens, amount=AMOUNTS)
    def a_refill_is_written_down(self, by: Owner, amount: int) -> Paid | MultipleResults[Paid]:
        purse = self._purse_of(by)
        if purse is None:
            return multiple()
        name = self.desk.new_id("paid")
        paid = refill(name, amount, purse.id)
        self.do(self.desk.write_down(paid))
        purse.token_used = True
        return Paid(name, paid, into=purse)

    @rule(paid=payments)
    def a_credential_asks_for_its_balance(self, paid: Paid):
        outcome = self.do(self.desk.credit(paid.payment))
        self._is_presented(paid)
        if paid.owns or paid.payment.kind is PaymentKind.REFILL:
            assert isinstance(outcome, Balance)
            self._agrees(outcome, paid.booked)
        else:
            assert outcome == Gone()

    @rule(paid=payments, over=OVER)
    def a_paid_invoice_is_credited_by_itself(self, paid: Paid, over: int):
        if paid.payment.kind is PaymentKind.CALL:
            return
        received = Msat(max(0, paid.payment.amount.value + over))
        outcome = self.do(self.desk.credited(paid.payment, received.value))
        self._is_booked(paid)
        self._is_told(paid, over)
        self._agrees(outcome, paid.booked)

    @rule(target=tokens, paid=payments, how=st.sampled_from(ClaimKind), over=OVER)
    def a_payment_is_claimed(self, paid: Paid, how: ClaimKind, over: int) -> Owner | MultipleResults[Owner]:
        new = token(self.desk.new_id("token"))
        over = max(over, 1 - paid.payment.amount.value)
        asked = vouched(paid.payment, paid.payment.amount.value + over)
        op_id = self.desk.new_id("claim")
        outcome = self.do(self.desk.ledger.claim(op_id, asked, new, how))
        expected = self._claim(paid, how, over)
        if expected is not Claimed:
            assert type(outcome) is expected
            return multiple()
        purse = paid.booked
        assert isinstance(outcome, Claimed)
        self._agrees(outcome, purse)
        for other in self.all_paid:
            if other.purse is purse and (other.owns or (other.claimed and other.claimed == purse.token)):
                other.claimed, other.bare = new, how is ClaimKind.BARE
        purse.owners, purse.token, purse.token_used = set(), new, False
        assert self.do(self.desk.ledger.claim(op_id, asked, new, how)) == outcome
        return new

    def _claim(self, paid: Paid, how: ClaimKind, over: int) -> type:
        kind, bare = paid.payment.kind, how is ClaimKind.BARE
        spent = paid.purse is None or not (paid.owns or paid.claimed)
        if (bare and kind is not PaymentKind.TOPUP) or (kind is PaymentKind.REFILL and spent):
            return NotClaimable
        self._is_booked(paid)
        self._is_told(paid, over)
        if not bare:
            self._is_presented(paid)
        purse = paid.booked
        repeatable = paid.claimed is not None and paid.claimed == purse.token and not purse.token_used
        if (bare and (paid.claimed or paid.macaroon_used)) or (paid.claimed and not repeatable):
            return AlreadyClaimed
        if not paid.claimed and not paid.owns:
            return Gone
        if purse.denied:
            return Frozen
        return InDoubt if purse.doubted else Claimed

    @rule(target=tokens, old=tokens)
    def a_token_is_rotated(self, old: Owner) -> Owner | MultipleResults[Owner]:
        new, op_id, purse = token(self.desk.new_id("token")), self.desk.new_id("rotate"), self._purse_of(old)
        outcome = self.do(self.desk.ledger.rotate(op_id, old, new))
        if purse is None:
            assert outcome == Gone()
            return multiple()
        purse.token_used = True
        if purse.denied:
            assert outcome == Frozen(purse.id)
            return multiple()
        purse.token = new
        assert outcome == Rotated(purse.id, Msat(purse.balance), Msat(purse.held))
        assert self.do(self.desk.ledger.rotate(op_id, old, new)) == outcome
        return new

    @rule(old=tokens)
    def a_token_is_revoked(self, old: Owner):
        op_id, purse = self.desk.new_id("revoke"), self._purse_of(old)
        outcome = self.do(self.desk.ledger.revoke(op_id, old))
        if purse is None:
            assert outcome == Gone()
            return
        purse.token_used = True
        if purse.balance or purse.held:
            assert outcome == Owed(Msat(purse.balance), Msat(purse.held))
            return
        purse.token = None
        assert outcome == Revoked()
        assert self.do(self.desk.ledger.revoke(op_id, old)) == Revoked()

    @rule(by=tokens, amount=AMOUNTS, sign=st.sampled_from([-1, 1, None]))
    def the_operator_adjusts(self, by: Owner, amount: int, sign: int | None):
        """Without a sign: takes exactly what is free, so that tokens run empty and can be revoked."""
        purse = self._purse_of(by)
        if purse is None:
            return
        free = purse.balance - purse.held
        change = -free if sign is None else sign * amount
        if change == 0:
            return
        op_id = self.desk.new_id("adjust")
        outcome = self.do(self.desk.ledger.adjust(op_id, purse.id, Msat(change), "because"))
        if free + change < 0:
            assert outcome == TooMuch(Msat(purse.balance), Msat(purse.held))
            return
        purse.balance += change
        self.adjusted_msat += change
        assert outcome == Adjusted(Msat(purse.balance))
        assert self.do(self.desk.ledger.adjust(op_id, purse.id, Msat(change), "because")) == outcome

    @rule(target=calls, by=payments, ceiling=AMOUNTS, pinned=st.none() | AMOUNTS)
    def a_credential_calls(self, by: Paid, ceiling: int, pinned: int | None) -> Call | MultipleResults[Call]:
        order = self.desk.new_id("order")
        request = self.desk.request(ceiling, pinned=None if pinned is None else quote(pinned), order=order)
        outcome = self.do(self.desk.ledger.redeem_and_hold(by.payment, request, NO_LIMITS))
        self._is_presented(by)
        return self._call(by.booked if by.owns else None, owner(by.payment), request, outcome, {ceiling, pinned})

    @rule(target=calls, by=tokens, ceiling=AMOUNTS)
    def a_token_calls(self, by: Owner, ceiling: int) -> Call | MultipleResults[Call]:
        request, purse = self.desk.request(ceiling, order=self.desk.new_id("order")), self._purse_of(by)
        outcome = self.do(self.desk.ledger.hold(by, request))
        if purse is not None:
            purse.token_used = True
        return self._call(purse, by, request, outcome, {ceiling})

    @rule(target=calls, by=tokens, ceiling=AMOUNTS, order=st.sampled_from("ab"), key=st.none() | st.sampled_from("kl"))
    def a_token_asks_what_was_asked_before(
        self, by: Owner, ceiling: int, order: str, key: str | None
    ) -> Call | MultipleResults[Call]:
        request, purse = self.desk.request(ceiling, order=order, key=key), self._purse_of(by)
        outcome = self.do(self.desk.ledger.hold(by, request))
        if purse is not None:
            purse.token_used = True
        recalled = self._recalled(by, request)
        if purse is None or purse.denied or recalled is None:
            return self._call(purse, by, request, outcome, {ceiling})
        assert outcome == recalled
        return multiple()

    def _recalled(self, by: Owner, request: HoldRequest) -> Kept | StillRunning | KeyReused | None:
        order = request.call.order_digest
        kept = self.kept.get((by, request.answer_name))
        if kept is not None and self.now < kept[2]:
            return Kept(kept[1]) if kept[0] == order else KeyReused()
        key = request.idempotency
        twins = [call.request for call in self.open_calls if call.by == by and key and call.request.idempotency == key]
        if twins:
            return StillRunning() if twins[0].call.order_digest == order else KeyReused()
        same = [call for call in self.open_calls if call.by == by and call.request.call.order_digest == order]
        return StillRunning() if any(call.left for call in same) else None

    @rule(call=calls)
    def a_buyer_leaves(self, call: Call):
        self.do(self.desk.ledger.note_left(call.held.hold_id))
        call.left = True

    @rule(call=calls)
    def a_kept_answer_is_delivered(self, call: Call):
        self.do(self.desk.ledger.drop_answer(call.by, call.request.answer_name))
        self.kept.pop((call.by, call.request.answer_name), None)

    def _call(
        self,
        purse: Purse | None,
        by: Owner,
        request: HoldRequest,
        outcome: HoldOutcome | RedeemOutcome,
        ceilings: set[int | None],
    ) -> Call | MultipleResults[Call]:
        if purse is None:
            assert outcome == Gone()
            return multiple()
        if purse.denied:
            assert isinstance(outcome, Frozen)
            return multiple()
        assert isinstance(outcome, Held | Short)
        wanted = outcome.quote.ceiling.value
        assert wanted in ceilings
        fits = purse.balance - purse.held >= wanted
        assert isinstance(outcome, Held) == fits
        purse.held += wanted if fits else 0
        purse.id = purse.id or outcome.account
        assert (outcome.account, outcome.balance.value, outcome.held.value) == (purse.id, purse.balance, purse.held)
        if not isinstance(outcome, Held):
            return multiple()
        call = Call(purse, by, request, outcome)
        self.open_calls.append(call)
        return call

    @rule(call=calls)
    def a_hold_is_repeated(self, call: Call):
        request = replace(call.request, lease=self.desk.lease)
        assert self.do(self.desk.ledger.hold(token("nobody"), request)) == call.held

    @rule(call=calls, share=st.integers(min_value=0, max_value=4), keeps=st.booleans())
    def a_call_ends(self, call: Call, share: int, keeps: bool):
        settlement = self.desk.settlement(call.held, call.held.quote.ceiling.value * share // 4)
        if keeps:
            settlement = replace(settlement, answer=Answer(settlement.op_id.encode(), KEPT_SECONDS))
        if call.settlement is not None:
            with pytest.raises(HoldEnded):
                self.do(self.desk.ledger.settle(settlement))
            return
        purse, asked = call.purse, settlement.charge.value
        if call.lapsed:
            charge = min(asked, purse.balance - purse.held)
        else:
            charge = asked
            purse.held -= call.held.quote.ceiling.value
            self.open_calls.remove(call)
        purse.balance -= charge
        self.charged_msat += charge
        settled = self.do(self.desk.ledger.settle(settlement))
        assert settled == Settled(Msat(charge), Msat(asked - charge), Msat(purse.balance), Msat(purse.held))
        call.settlement, call.settled = settlement, settled
        if settlement.answer is not None:
            order, sealed = call.request.call.order_digest, settlement.answer.sealed
            self.kept[call.by, call.request.answer_name] = (order, sealed, self.now + KEPT_SECONDS)

    @rule(call=calls)
    def a_settlement_is_repeated(self, call: Call):
        if call.settlement is not None:
            assert self.do(self.desk.ledger.settle(call.settlement)) == call.settled

    @rule()
    def the_lease_goes_stale(self):
        self._passes(60)
        assert self.do(self.desk.ledger.expire(60)) == len(self.open_calls)
        for call in self.open_calls:
            call.lapsed = True
            call.purse.held -= call.held.quote.ceiling.value
        self.open_calls.clear()
        self.desk.lease = self.desk.new_id("lease")
        self.do(self.desk.ledger.take_lease(self.desk.lease))

    @rule()
    def time_passes_under_a_renewed_lease(self):
        self._passes(45)
        assert self.do(self.desk.ledger.renew(self.desk.lease))
        assert self.do(self.desk.ledger.expire(60)) == 0

    def _passes(self, seconds: float) -> None:
        self.store.passes(seconds)
        self.now += seconds

    @rule(paid=payments)
    def the_node_says_no(self, paid: Paid):
        if paid.purse is None:
            return
        self.do(self.desk.ledger.deny(paid.payment.payment_hash, "no"))
        if not paid.told:
            paid.booked.denied.add(paid.name)

    @rule(paid=payments, over=OVER)
    def the_node_says_yes(self, paid: Paid, over: int):
        if paid.purse is None:
            return
        received = max(0, paid.payment.amount.value + over)
        self.do(self.desk.ledger.confirm(paid.payment.payment_hash, Msat(received)))
        self._is_told(paid, over)

    @rule(paid=payments)
    def a_credential_owns_what_the_model_says(self, paid: Paid):
        owns = paid.purse is not None and paid.owns
        expected = (paid.booked.balance, paid.booked.held) if owns else None
        assert self.do(self.desk.of(owner(paid.payment))) == expected

    @rule(by=tokens)
    def a_token_owns_what_the_model_says(self, by: Owner):
        purse = self._purse_of(by)
        assert self.do(self.desk.of(by)) == (None if purse is None else (purse.balance, purse.held))

    @invariant()
    def nothing_is_lost_or_made(self):
        totals = self.do(self.desk.ledger.totals())
        assert totals.balance.value == sum(purse.balance for purse in self.purses)
        assert totals.held.value == sum(purse.held for purse in self.purses)
        assert (totals.credited.value, totals.charged.value) == (self.credited_msat, self.charged_msat)
        assert (totals.adjusted.value, totals.ownerless) == (self.adjusted_msat, Msat(0))
        assert totals.live_holds == len(self.open_calls)
        assert all(purse.owned for purse in self.purses if purse.balance)
        assert self.do(self.desk.ledger.audit()) == []


EXAMPLES = {"sqlite": 25, "postgres": 25, "supabase": 8}
"""Through an API an operation takes milliseconds, and what decides there is the same SQL as in `postgres`: fewer do."""


@pytest.mark.parametrize("adapter_name", ADAPTERS)
def test_the_ledger_agrees_with_two_numbers_and_the_owners_of_each_account(adapter_name: str):
    """Whatever is done in whatever order: balances and holds are what the model says, and the audit is clean."""

    class Machine(LedgerMachine):
        adapter = adapter_name

    explore(
        Machine,
        settings=settings(
            max_examples=EXAMPLES[adapter_name],
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
