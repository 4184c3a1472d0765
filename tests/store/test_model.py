"""The ledger against a model of two numbers per account, driven by whatever sequence Hypothesis can think of."""

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
from lib.store.ledger import Balance, Frozen, Held, HoldEnded, HoldRequest, Payment, Settled, Settlement, Short
from tests.store.conftest import STORES
from tests.store.desk import NO_LIMITS, Desk, carrying, owner, payment, quote

T = TypeVar("T")
AMOUNTS = st.integers(min_value=1, max_value=2_000)


@dataclass
class Purse:
    """What the model knows of an account."""

    balance: int = 0
    held: int = 0
    denied: set[str] = field(default_factory=set[str])


@dataclass
class Credited:
    """A payment and where the model books it."""

    name: str
    paid: Payment
    purse: Purse
    told: bool = False


@dataclass
class Call:
    """A hold, and how far it is."""

    credited: Credited
    request: HoldRequest
    held: Held
    lease: str
    lapsed: bool = False
    settlement: Settlement | None = None
    settled: Settled | None = None

    @property
    def purse(self) -> Purse:
        return self.credited.purse


class LedgerMachine(RuleBasedStateMachine):
    """Every operation of the ledger, repeated, raced past expiry and past freezes."""

    payments: Bundle[Credited] = Bundle("payments")
    calls: Bundle[Call] = Bundle("calls")

    adapter: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp())
        self.store = STORES[self.adapter](self.directory)
        self.purses: list[Purse] = []
        self.open_calls: list[Call] = []
        self.credited_msat = 0
        self.charged_msat = 0

    def do(self, operation: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(operation)

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

    @rule(target=payments, amount=AMOUNTS)
    def a_payment_arrives(self, amount: int):
        purse = Purse()
        self.purses.append(purse)
        return self._credit(payment(self.desk.new_id("paid"), amount), purse)

    @rule(target=payments, old=payments, amount=AMOUNTS)
    def a_difference_arrives(self, old: Credited, amount: int):
        return self._credit(carrying(payment(self.desk.new_id("paid"), amount), old.paid), old.purse)

    def _credit(self, paid: Payment, purse: Purse) -> Credited:
        outcome = self.do(self.desk.credit(paid))
        purse.balance += paid.amount.value
        self.credited_msat += paid.amount.value
        assert isinstance(outcome, Balance)
        assert (outcome.balance.value, outcome.held.value) == (purse.balance, purse.held)
        return Credited(paid.payment_hash.hex(), paid, purse)

    @rule(again=payments)
    def a_payment_is_presented_again(self, again: Credited):
        outcome = self.do(self.desk.credit(again.paid))
        assert isinstance(outcome, Balance)
        assert outcome.balance.value == again.purse.balance

    @rule(target=calls, by=payments, ceiling=AMOUNTS, pinned=st.none() | AMOUNTS)
    def a_call_begins(self, by: Credited, ceiling: int, pinned: int | None) -> Call | MultipleResults[Call]:
        request = self.desk.request(ceiling, pinned=None if pinned is None else quote(pinned))
        outcome = self.do(self.desk.ledger.redeem_and_hold(by.paid, request, NO_LIMITS))
        if by.purse.denied:
            assert isinstance(outcome, Frozen)
            return multiple()
        assert isinstance(outcome, Held | Short)
        wanted = outcome.quote.ceiling.value
        assert wanted in {ceiling, pinned}
        fits = by.purse.balance - by.purse.held >= wanted
        assert isinstance(outcome, Held) == fits
        by.purse.held += wanted if fits else 0
        assert (outcome.balance.value, outcome.held.value) == (by.purse.balance, by.purse.held)
        if not isinstance(outcome, Held):
            return multiple()
        call = Call(by, request, outcome, self.desk.lease)
        self.open_calls.append(call)
        return call

    @rule(call=calls)
    def a_hold_is_repeated(self, call: Call):
        request = replace(call.request, lease=self.desk.lease)
        assert self.do(self.desk.ledger.hold(owner(call.credited.paid), request)) == call.held

    @rule(call=calls, share=st.integers(min_value=0, max_value=4))
    def a_call_ends(self, call: Call, share: int):
        settlement = self.desk.settlement(call.held, call.held.quote.ceiling.value * share // 4)
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

    @rule(call=calls)
    def a_settlement_is_repeated(self, call: Call):
        if call.settlement is not None:
            assert self.do(self.desk.ledger.settle(call.settlement)) == call.settled

    @rule()
    def the_lease_goes_stale(self):
        self.store.passes(60)
        assert self.do(self.desk.ledger.expire(60)) == len(self.open_calls)
        for call in self.open_calls:
            call.lapsed = True
            call.purse.held -= call.held.quote.ceiling.value
        self.open_calls.clear()
        self.desk.lease = self.desk.new_id("lease")
        self.do(self.desk.ledger.take_lease(self.desk.lease))

    @rule()
    def time_passes_under_a_renewed_lease(self):
        self.store.passes(45)
        assert self.do(self.desk.ledger.renew(self.desk.lease))
        assert self.do(self.desk.ledger.expire(60)) == 0

    @rule(credited=payments)
    def the_node_says_no(self, credited: Credited):
        self.do(self.desk.ledger.deny(credited.paid.payment_hash, "no"))
        if not credited.told:
            credited.purse.denied.add(credited.name)

    @rule(credited=payments, over=st.integers(min_value=-50, max_value=50))
    def the_node_says_yes(self, credited: Credited, over: int):
        received = max(0, credited.paid.amount.value + over)
        self.do(self.desk.ledger.confirm(credited.paid.payment_hash, Msat(received)))
        if not credited.told:
            credited.told = True
            credited.purse.balance += max(0, over)
            self.credited_msat += max(0, over)
            credited.purse.denied.discard(credited.name)

    @invariant()
    def nothing_is_lost_or_made(self):
        totals = self.do(self.desk.ledger.totals())
        assert totals.balance.value == sum(purse.balance for purse in self.purses)
        assert totals.held.value == sum(purse.held for purse in self.purses)
        assert (totals.credited.value, totals.charged.value) == (self.credited_msat, self.charged_msat)
        assert totals.live_holds == len(self.open_calls)
        assert self.do(self.desk.ledger.audit()) == []


@pytest.mark.parametrize("adapter_name", STORES)
def test_the_ledger_agrees_with_two_numbers_per_account(adapter_name: str):
    """Whatever is done in whatever order: balances and holds are what the model says, and the audit is clean."""

    class Machine(LedgerMachine):
        adapter = adapter_name

    explore(
        Machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
