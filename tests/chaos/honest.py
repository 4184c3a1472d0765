"""A small run as it should have been: one L402 buyer, two calls, every side agreeing; to be tampered with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chaos_parts.books import Account, Books, Credit, Entry, Hold
from chaos_parts.evidence import Evidence, Work
from chaos_parts.prices import PriceList
from chaos_parts.record import Attempt, Call, CallKind, Life, Record

from tests.world import ROOT

PRICES = PriceList.of(ROOT / "config.yaml", 100_000)
PAYMENT = "aa" * 32
MODEL = "gpt-5.4-mini"
CHARGE = 84
"""8 tokens in and 13 out at 0.975 and 5.85 USD per million: 83.85 msat, rounded up."""


def work(hold: str, attempt: str, call: str, **changed: Any) -> Work:
    """A healthy answer."""
    facts: dict[str, Any] = {
        "hold": hold,
        "attempt": attempt,
        "call": call,
        "model": MODEL,
        "streaming": False,
        "capped": True,
        "completed": True,
        "tokens_in": 8,
        "tokens_out": 13,
        "text_bytes": 80,
        "scenario": {},
    }
    return Work(**{**facts, **changed})


def hold(name: str, **changed: Any) -> Hold:
    """One that was charged for a healthy answer."""
    facts: dict[str, Any] = {
        "id": name,
        "account": "account",
        "owner": "owner",
        "lease": "lease",
        "ceiling_msat": 900,
        "request_id": f"req-{name}",
        "model": MODEL,
        "opened_at": 100.0,
        "left_at": None,
        "ended_at": 101.0,
        "lapsed": False,
        "ending": "answered",
        "charge_msat": PRICES.of_usage(MODEL, 8, 13),
        "shortfall_msat": 0,
    }
    return Hold(**{**facts, **changed})


@dataclass
class Sides:
    """Everything that the auditor compares, before it is frozen."""

    record: Record = field(default_factory=lambda: Record("0000"))
    received: dict[str, int] = field(default_factory=dict[str, int])
    credits: list[Credit] = field(default_factory=list[Credit])
    entries: list[Entry] = field(default_factory=list[Entry])
    holds: list[Hold] = field(default_factory=list[Hold])
    accounts: list[Account] = field(default_factory=list[Account])
    work: list[Work] = field(default_factory=list[Work])
    own_differences: list[str] = field(default_factory=list[str])

    def evidence(self) -> Evidence:
        """As the auditor takes it."""
        books = Books(self.credits, self.entries, self.holds, self.accounts, self.own_differences)
        return Evidence(self.record, books, self.received, self.work, PRICES)

    def call(self, name: str) -> Call:
        """By name."""
        return next(call for call in self.record.calls if call.name == name)

    def charge(self, name: str, of_hold: Hold, its_work: Work) -> None:
        """One more charged hold of a call, with its entry and its money."""
        self.holds.append(of_hold)
        self.work.append(its_work)
        self.entries.append(
            Entry(len(self.entries) + 1, of_hold.account, "charge", -of_hold.charge_msat, None, of_hold.id)
        )
        [account] = self.accounts
        self.accounts = [Account(account.id, account.balance_msat - of_hold.charge_msat, account.held_msat)]


def honest() -> Sides:
    """Two calls, one of them with an Idempotency-Key, each answered at the first attempt; one payment of 10 sat."""
    sides = Sides()
    sides.received = {PAYMENT: 10_000}
    sides.credits = [Credit(PAYMENT, 10_000, True)]
    sides.entries = [Entry(1, "account", "credit", 10_000, PAYMENT, None)]
    sides.accounts = [Account("account", 10_000, 0)]
    life = Life(0, 0, leases={"lease"}, status=0)
    sides.record.lives.append(life)
    for number, key in ((1, None), (2, "key")):
        name, own = f"CHAOS-0000-00000{number}", hold(f"hold-{number}")
        call = Call(name, CallKind.JSON, key, most_msat=900)
        call.attempts.append(
            Attempt(
                f"attempt-{number}",
                "owner",
                99.9,
                status=200,
                sent=True,
                whole=True,
                request_id=own.request_id,
                told_msat=own.charge_msat,
                body_digest=f"digest-{number}",
            )
        )
        sides.record.calls.append(call)
        sides.charge(name, own, work(own.id, f"attempt-{number}", name))
    return sides
