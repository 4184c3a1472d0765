"""What a wallet owns and remembers: its key, balance, invoices and payments. No HTTP in here.

All amounts are integers of msat unless a name says sat; times are milliseconds since 1970.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field

import coincurve

from lib.demo.invoice import InvoiceTerms, sign_invoice
from lib.demo.knobs import KnobBoard

MSAT_PER_SAT = 1_000


class Clock:
    """The time of the doubles' world: the real one, plus what was added by hand."""

    def __init__(self) -> None:
        self._ahead_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000 + self._ahead_ms

    def advance(self, seconds: float) -> None:
        """Move the doubles' time on; invoices age, nothing waits."""
        self._ahead_ms += int(seconds * 1000)


@dataclass(slots=True)
class Incoming:
    """An invoice of ours. `paid_msat` is what its payer sent, `received_msat` what was left of it after our fees."""

    payment_hash: str
    preimage: str
    bolt11: str
    requested_sat: int | None
    description: str | None
    expires_at_ms: int
    created_at_ms: int
    external_id: str | None = None
    paid_msat: int = 0
    received_msat: int = 0
    fees_msat: int = 0
    completed_at_ms: int | None = None


@dataclass(slots=True)
class Outgoing:
    """One attempt to pay. Pending until `completed_at_ms`; it succeeded if and only if it then has a preimage."""

    payment_id: str
    payment_hash: str
    bolt11: str
    amount_msat: int
    fees_msat: int
    created_at_ms: int
    preimage: str | None = None
    completed_at_ms: int | None = None

    @property
    def rank(self) -> int:
        """Succeeded before pending before failed: the order in which phoenixd prefers attempts of one hash."""
        if self.preimage is not None:
            return 2
        return 1 if self.completed_at_ms is None else 0


@dataclass
class Wallet:
    """One node. Made with a random key."""

    name: str
    clock: Clock
    balance_msat: int = 0
    fee_credit_msat: int = 0
    private_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    knobs: KnobBoard = field(default_factory=KnobBoard)
    incoming: dict[str, Incoming] = field(default_factory=dict[str, Incoming])
    outgoing: list[Outgoing] = field(default_factory=list[Outgoing])

    def __post_init__(self) -> None:
        self.node_id = coincurve.PublicKey.from_secret(self.private_key).format().hex()

    def create_invoice(
        self, *, asked_sat: int | None, description: str | None, description_hash: str | None, expiry_seconds: int
    ) -> Incoming:
        """A new invoice with a new preimage. Asking for 0 sat or less makes one that any amount settles."""
        preimage = secrets.token_bytes(32)
        amount_sat = asked_sat if asked_sat is not None and asked_sat > 0 else None
        now_ms = self.clock.now_ms()
        terms = InvoiceTerms(
            payment_hash=hashlib.sha256(preimage).hexdigest(),
            amount_msat=None if amount_sat is None else amount_sat * MSAT_PER_SAT,
            description=description,
            description_hash=description_hash,
            expiry_seconds=expiry_seconds,
            timestamp_seconds=now_ms // 1000,
        )
        zero_amount = asked_sat is not None and amount_sat is None
        text = sign_invoice(terms, node_id=self.node_id, private_key=self.private_key.hex(), zero_amount=zero_amount)
        made = Incoming(
            payment_hash=terms.payment_hash,
            preimage=preimage.hex(),
            bolt11=text,
            requested_sat=amount_sat,
            description=description,
            expires_at_ms=now_ms + expiry_seconds * 1000,
            created_at_ms=now_ms,
        )
        self.incoming[made.payment_hash] = made
        return made

    def accepts(self, payment_hash: str, amount_msat: int) -> bool:
        """Would we take these HTLCs? Once only, in time, and from what is asked up to twice that."""
        invoice, knobs = self.incoming.get(payment_hash), self.knobs.current
        if invoice is None or invoice.completed_at_ms is not None:
            return False
        if self.clock.now_ms() > invoice.expires_at_ms and not knobs.allow_pay_after_expiry:
            return False
        if invoice.requested_sat is None:
            return amount_msat > 0
        asked_msat = invoice.requested_sat * MSAT_PER_SAT
        return asked_msat <= amount_msat <= 2 * asked_msat

    def receive(self, payment_hash: str, amount_msat: int) -> str:
        """Take the payment and give its preimage, hex. Liquidity fees or fee credit apply as the knobs say."""
        invoice, knobs = self.incoming[payment_hash], self.knobs.current
        invoice.paid_msat = amount_msat
        invoice.fees_msat = 0 if knobs.fee_credit else knobs.received_short_sat * MSAT_PER_SAT
        invoice.received_msat = amount_msat - invoice.fees_msat
        invoice.completed_at_ms = self.clock.now_ms()
        if knobs.fee_credit:
            self.fee_credit_msat += invoice.received_msat
        else:
            self.balance_msat += invoice.received_msat
        return invoice.preimage

    def attempts(self, payment_hash: str) -> list[Outgoing]:
        """Our attempts to pay this hash, the best first."""
        found = [payment for payment in self.outgoing if payment.payment_hash == payment_hash]
        return sorted(found, key=lambda payment: payment.rank, reverse=True)
