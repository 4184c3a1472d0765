"""What an operator asks of a ledger, and decides, while servers run on it.

Every reader here sees one moment, and nothing it tells is a secret: owners are told by their kind, answers by their
number. What changes something is as atomic as everything else in a ledger and keeps the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from lib.core.endings import Ending
    from lib.core.money import BtcPrice, Msat, UsdPicos
    from lib.store.ledger import (
        Adjusted,
        CreditInDoubt,
        Entry,
        Gone,
        Owed,
        OwnerKind,
        PaymentKind,
        Position,
        Review,
        Revoked,
        TooMuch,
        Totals,
    )


@dataclass(frozen=True, slots=True)
class Earned:
    """What calls of one endpoint and model that ended on one day brought and cost."""

    day: date
    """By UTC."""
    api: str
    path: str
    model: str
    calls: int
    charged: Msat
    charged_usd: UsdPicos
    """Each charge at the bitcoin price of its call, rounded down."""
    upstream_cost: UsdPicos
    """What upstream charges us; where that is not known, the upper bound of a call that nobody paid."""
    unpriced: int
    """Calls that were charged although it is not known what they cost."""
    clamped: Msat
    """What calls cost above their ceilings."""
    shortfall: Msat
    """What calls that were settled late could no longer be charged."""
    loss: UsdPicos
    """The upper bound of what upstream may bill for calls that nobody paid."""

    @property
    def margin(self) -> UsdPicos:
        """What is left; below zero at a loss."""
        return self.charged_usd - self.upstream_cost


@dataclass(frozen=True, slots=True)
class Invoiced:
    """A top-up or refill whose invoice was written down."""

    kind: PaymentKind
    amount: Msat
    account: str | None
    key_id: str
    opened_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    """Credited, or given up because the node said that nobody paid."""


@dataclass(frozen=True, slots=True)
class Credited:
    """A payment that was booked."""

    kind: PaymentKind
    amount: Msat
    account: str
    key_id: str
    credited_at: datetime
    confirmed_at: datetime | None
    received: Msat | None
    denied_at: datetime | None
    denied_reason: str | None
    quote_spent: bool
    macaroon_used_at: datetime | None
    claimed_at: datetime | None
    claimed_bare: bool | None


@dataclass(frozen=True, slots=True)
class PaymentStory:
    """All that is known of one payment hash. With nothing of it, no payment of this hash ever came here."""

    payment_hash: bytes
    invoiced: Invoiced | None
    credited: Credited | None
    review: Review | None


@dataclass(frozen=True, slots=True)
class CallStory:
    """One paid call, from its hold to its end."""

    hold_id: str
    request_id: str
    account: str
    owner: OwnerKind
    payment_hash: bytes | None
    """The payment it was made through, by L402."""
    api: str
    path: str
    model: str
    lease: str
    ceiling: Msat
    btc_price: BtcPrice
    opened_at: datetime
    left_at: datetime | None
    """When its buyer left."""
    ended_at: datetime | None
    lapsed_at: datetime | None
    ending: Ending | None
    charge: Msat | None
    shortfall: Msat
    usage: str | None
    upstream_cost: UsdPicos | None
    clamped: Msat | None
    loss: UsdPicos | None
    kept_until: datetime | None
    """Its answer is kept for its buyer until then."""


@dataclass(frozen=True, slots=True)
class OwnerFact:
    """One owner of an account, by its kind. Never its digest."""

    kind: OwnerKind
    payment_hash: bytes | None
    created_at: datetime
    first_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Handover:
    """An account changed hands."""

    kind: str
    """claim, rotate or revoke."""
    payment_hash: bytes | None
    at: datetime
    balance: Msat


@dataclass(frozen=True, slots=True)
class Freeze:
    """An operator stopped an account."""

    reason: str
    at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountStory:
    """An account, who owns it and who did. Its entries are told by `entries`, its calls by `calls_of`."""

    account: str
    balance: Msat
    held: Msat
    frozen: bool
    """By the node's denial of one of its payments, or by an operator."""
    opened_at: datetime
    owners: tuple[OwnerFact, ...]
    payments: tuple[bytes, ...]
    """What was booked on it, oldest first."""
    denied: int
    """How many of them the node denies."""
    handovers: tuple[Handover, ...]
    freezes: tuple[Freeze, ...]
    kept_answers: int


@dataclass(frozen=True, slots=True)
class Debt:
    """What is owed to credentials that one root key signed."""

    key_id: str | None
    """None: to tokens, which no key signs."""
    accounts: int
    balance: Msat
    open_invoices: Msat
    """Top-ups that were never credited: each may have been paid, or still be."""


@dataclass(frozen=True, slots=True)
class Pause:
    """An operator does not sell something for a while."""

    api: str
    model: str | None
    """None: nothing of the API."""
    reason: str
    at: datetime


class OperatorsLedger(Protocol):
    """The part of a ledger that may be used beside running servers. Every method may raise LedgerUnavailable."""

    async def position(self) -> Position:
        """How far the ledger has got."""
        ...

    async def totals(self) -> Totals:
        """Sums over everything."""
        ...

    async def audit(self) -> Sequence[str]:
        """Recompute every balance and hold from entries and holds; one sentence per difference, none if all is well."""
        ...

    async def entries(self, account: str, *, before: int | None, limit: int) -> Sequence[Entry]:
        """An account's history, newest first, `before` exclusive."""
        ...

    async def in_doubt(self, limit: int) -> Sequence[CreditInDoubt]:
        """Credits the node has not confirmed, oldest first, denied ones included."""
        ...

    async def reviews(self, limit: int) -> Sequence[Review]:
        """Payments that wait, or waited, for an operator's word, oldest first."""
        ...

    async def approve(self, payment_hash: bytes) -> bool:
        """Let a payment under review be credited when its credential comes again. False if it is not listed."""
        ...

    async def earned(self, since: datetime, until: datetime) -> Sequence[Earned]:
        """What calls that ended from `since` on and before `until` brought, by day, endpoint and model."""
        ...

    async def payment(self, payment_hash: bytes) -> PaymentStory:
        """All that is known of one payment."""
        ...

    async def calls(self, request_id: str) -> Sequence[CallStory]:
        """The holds that one request made: one, or none if it was never paid for."""
        ...

    async def calls_of(self, account: str, limit: int) -> Sequence[CallStory]:
        """An account's calls, newest first, those that run included."""
        ...

    async def account(self, account: str) -> AccountStory | None:
        """An account; None if there is none of this id."""
        ...

    async def debts(self) -> Sequence[Debt]:
        """What is owed under each root key, and to tokens: a key with nothing owed may be retired."""
        ...

    async def adjust(self, op_id: str, account: str, amount: Msat, reason: str) -> Adjusted | TooMuch | Gone:
        """Book an operator's correction, signed and not zero. Gone: nobody owns the account. Raises AccountUnknown."""
        ...

    async def freeze(self, account: str, reason: str) -> bool:
        """Stop an account as a denied payment does, until `unfreeze`: running calls settle, nothing new is held.

        False if an operator froze it before. Raises AccountUnknown, and ValueError without a reason.
        """
        ...

    async def unfreeze(self, account: str) -> bool:
        """Take an operator's freeze back; an account whose payment the node denies stays frozen.

        False if no operator froze it. Raises AccountUnknown.
        """
        ...

    async def revoke_account(self, op_id: str, account: str) -> Revoked | Owed | Gone:
        """Take the token from an account on which nothing is owed. Gone: no token owns it. Raises AccountUnknown."""
        ...

    async def pause(self, api: str, model: str | None, reason: str) -> bool:
        """Stop selling a model, or with None the whole API, in every process. False if it was paused before.

        Calls that run go on. Raises ValueError without a reason.
        """
        ...

    async def resume(self, api: str, model: str | None) -> bool:
        """Take a pause back. False if there was none for exactly this."""
        ...

    async def pauses(self) -> Sequence[Pause]:
        """What is paused now, oldest first."""
        ...
