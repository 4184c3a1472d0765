"""What a ledger promises, whatever database it lives in, and the values it speaks in.

Vocabulary: an *account* is a balance; an *owner* is a secret's digest that may spend it; a *credit* is a Lightning
payment booked once; a *hold* reserves a call's ceiling while the call runs; a *settle* or *release* ends a hold,
once; an *entry* is one immutable line of an account's history, and a balance is the sum of its entries. A *top-up* is
an invoice that we wrote down, so that it is credited even if its payer never comes back; a *claim* makes a bearer
token the only owner of the account that a payment owned.

Every operation is atomic, takes one round trip, and runs on the database's clock. Operations that change something
take an `op_id` made by the caller: repeating one with the same id changes nothing and returns the first result, so
that a caller who lost the reply repeats instead of guessing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from lib.core.l402 import PaymentKind as PaymentKind  # noqa: PLC0414 - the ledger speaks of it too
from lib.store.operating import OperatorsLedger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lib.core.endings import Ending
    from lib.core.money import BtcPrice, Msat, UsdPicos


class LedgerUnavailable(Exception):
    """The ledger did not do it and nothing was written, or the outcome is unknown: repeat with the same op_id."""


class LedgerWentBack(LedgerUnavailable):
    """The ledger is older than what this process has seen of it: a backup was restored. Nothing was done.

    It stays so until an operator has said what becomes of the payments of the lost part (`scripts/migrate --restored`).
    """


class LedgerNewerThanCode(Exception):
    """The database was written by a newer release; running an older one on it could break its promises."""


class LedgerOlderThanCode(Exception):
    """The database lacks what this release needs, and the server cannot bring it there by itself."""


class LeaseExpired(Exception):
    """The caller's lease is stale: it must take a new one before it may hold anything."""


class HoldUnknown(LookupError):
    """There is no such hold: the request for it never landed, so there is nothing to end."""


class HoldEnded(ValueError):
    """Another settlement ended this hold before. Nothing changed; the first one stands."""


class CreditUnknown(LookupError):
    """No payment with this hash was ever credited here."""


class TopupUnknown(LookupError):
    """No top-up or refill invoice with this payment hash was ever opened here."""


class AccountUnknown(LookupError):
    """There is no such account."""


class OwnerKind(StrEnum):
    """What sort of secret owns an account. Digests of different kinds can never be equal."""

    TOKEN = "token"  # noqa: S105 - a word, not a secret
    PAYMENT = "payment"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who may spend an account: the digest of a secret, separated by kind."""

    kind: OwnerKind
    digest: bytes

    @staticmethod
    def of_payment(payment_hash: bytes) -> Owner:
        """The owner that an L402 credential for this payment proves to be."""
        return Owner(OwnerKind.PAYMENT, hashlib.sha256(b"alittlebitofmoney/payment\0" + payment_hash).digest())

    @staticmethod
    def of_token(token: str) -> Owner:
        """The owner that a bearer token proves to be. Only this digest is ever stored."""
        return Owner(OwnerKind.TOKEN, hashlib.sha256(b"alittlebitofmoney/token\0" + token.encode()).digest())


@dataclass(frozen=True, slots=True)
class Quote:
    """A call's upper bound and the bitcoin price it was computed with."""

    ceiling: Msat
    btc_price: BtcPrice


@dataclass(frozen=True, slots=True)
class Payment:
    """A Lightning payment whose preimage the caller has verified against our own macaroon."""

    payment_hash: bytes
    kind: PaymentKind
    amount: Msat
    key_id: str
    """Which root key signed the macaroon, so that liabilities per key can be told."""
    carry: bytes | None = None
    """The payment hash whose account this payment tops up, when it still owns one."""
    account: str | None = None
    """The account a refill belongs to."""
    confirmed: bool = False
    """The node itself has said that it was paid."""
    quoted_at: float | None = None
    """When its invoice was made, in Unix seconds, as its macaroon tells; None for what `open_topup` wrote down.

    Matters only after a backup was restored: what was quoted before may have been credited in the lost part.
    """
    received: Msat | None = None
    """With `confirmed`: what the node says arrived. What exceeds `amount` is booked as `over` in the same step.

    Without it, a payment that comes confirmed needs a `confirm` afterwards, or its overpayment is not booked.
    """


@dataclass(frozen=True, slots=True)
class UnconfirmedLimits:
    """How much may be credited on a preimage alone before the node is asked first."""

    per_payment: Msat
    in_all: Msat


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a hold remembers of its call. No prompt, no secret."""

    request_id: str
    api: str
    path: str
    model: str
    order_digest: bytes


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """Reserve a call's ceiling. `op_id` becomes the hold's id."""

    op_id: str
    lease: str
    call: CallFacts
    quote: Quote
    pinned: Quote | None = None
    """The quote of the macaroon, used instead of `quote` while its payment has not yet paid for an answer."""
    idempotency: bytes | None = None
    """The digest of the client's Idempotency-Key (`idempotency_digest`), if it sent one."""

    @property
    def answer_name(self) -> bytes:
        """Under what this call's answer is kept for its owner: its Idempotency-Key, or else the order itself."""
        return self.idempotency or self.call.order_digest


@dataclass(frozen=True, slots=True)
class Held:
    """The ceiling is reserved; the call may go upstream."""

    hold_id: str
    account: str
    quote: Quote
    balance: Msat
    """The account's balance, this and other holds included."""
    held: Msat
    """What all running calls of the account hold, this one included."""


@dataclass(frozen=True, slots=True)
class Short:
    """Not enough is available for the ceiling. If `balance` alone would do, running calls hold the rest."""

    account: str
    quote: Quote
    balance: Msat
    held: Msat


@dataclass(frozen=True, slots=True)
class Frozen:
    """The node denied one of the account's payments: nothing may be held."""

    account: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The credential owns no account any more (claimed, rotated, revoked), or never did."""


@dataclass(frozen=True, slots=True)
class AskNodeFirst:
    """Too much to credit on a preimage alone: ask the node, then come again with `confirmed=True`. Nothing changed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The same owner's same order was answered and paid before, and that answer is kept: hand it out, free.

    Without an Idempotency-Key only an answer that was not delivered is kept: `drop_answer` once it is delivered.
    """

    sealed: bytes
    balance: Msat | None = None
    """Of a claim or rotation: the balance that it found, which is part of its answer."""


@dataclass(frozen=True, slots=True)
class StillRunning:
    """The same order still runs: for this owner who has left it, or under the same Idempotency-Key. Come again."""


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The owner used this Idempotency-Key for another order. Nothing changed."""


@dataclass(frozen=True, slots=True)
class UnderReview:
    """Quoted before a backup was restored, and perhaps credited in the lost part: an operator decides.

    Nothing was credited; the payment is listed by `reviews`.
    """


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The account has credits that the node has not confirmed, oldest first.

    Ask the node about each, `confirm` or `deny` it, then come again: a claim hands out nothing that is in doubt.
    """

    payment_hashes: tuple[bytes, ...]


class ClaimKind(StrEnum):
    """What the claimer has shown."""

    BARE = "bare"
    """Only the preimage, which every node on the payment's route knows too."""
    MACAROON = "macaroon"
    """The macaroon that was minted for it, and its proof."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The token is the account's only owner."""

    account: str
    balance: Msat
    held: Msat


@dataclass(frozen=True, slots=True)
class AlreadyClaimed:
    """Claimed before, and not to be claimed again in this way. Nothing changed."""


@dataclass(frozen=True, slots=True)
class NotClaimable:
    """A bare preimage of anything but a top-up, or a refill, whose money is its account's. Nothing changed."""


ClaimOutcome: TypeAlias = (
    Claimed | AlreadyClaimed | NotClaimable | InDoubt | Frozen | Gone | Kept | KeyReused | UnderReview
)


@dataclass(frozen=True, slots=True)
class Rotated:
    """The new token is the account's only owner."""

    account: str
    balance: Msat
    held: Msat


@dataclass(frozen=True, slots=True)
class Revoked:
    """Nobody owns the account any more; nothing was owed on it."""


@dataclass(frozen=True, slots=True)
class Owed:
    """Not revoked: so much is still the owner's, or held by running calls."""

    balance: Msat
    held: Msat


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The operator's entry is booked."""

    balance: Msat


@dataclass(frozen=True, slots=True)
class TooMuch:
    """The adjustment would take what running calls hold, or more than there is. Nothing changed."""

    balance: Msat
    held: Msat


TOPUP_GRACE_SECONDS = 90.0
"""How long after its expiry a top-up invoice is still asked for: a payment may have been on its way."""


@dataclass(frozen=True, slots=True)
class Topup:
    """A top-up or refill invoice, with all that crediting it needs."""

    payment_hash: bytes
    kind: PaymentKind
    """TOPUP, or REFILL exactly if there is an `account`."""
    amount: Msat
    key_id: str
    account: str | None = None


class TopupState(StrEnum):
    """How far the ledger has got with a top-up. It never asks the node: a paid one may still be open here."""

    OPEN = "open"
    CREDITED = "credited"
    CLAIMED = "claimed"
    """A token owns it. A refill never gets here."""


@dataclass(frozen=True, slots=True)
class TopupStatus:
    """A top-up as its payer sees it."""

    topup: Topup
    state: TopupState
    expires_in_seconds: int
    """Until its invoice expires; 0 once it has."""


RotateOutcome: TypeAlias = Rotated | Frozen | Gone | Kept | KeyReused


def idempotency_digest(key: str) -> bytes:
    """What stands for a client's Idempotency-Key. Never equal to the digest of an order."""
    return hashlib.sha256(b"alittlebitofmoney/idempotency-key\0" + key.encode()).digest()


HoldOutcome: TypeAlias = Held | Short | Frozen | Gone | Kept | StillRunning | KeyReused
RedeemOutcome: TypeAlias = HoldOutcome | AskNodeFirst | UnderReview


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to keep for its owner, sealed under the owner's own secret: useless to who reads the database."""

    sealed: bytes
    keep_seconds: float


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a claim or rotation with an Idempotency-Key keeps: its repetition is answered with the same token."""

    idempotency: bytes
    """The digest of the key, as in a `HoldRequest`."""
    order_digest: bytes
    """Identifies what was asked."""
    answer: Answer


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a call ended and what it owes."""

    op_id: str
    hold_id: str
    ending: Ending
    charge: Msat
    """0 ≤ charge ≤ the hold's ceiling."""
    usage: str | None = None
    """What upstream reported, as canonical JSON of our own names, for the buyer's history."""
    upstream_cost: UsdPicos | None = None
    """What the call cost the operator, for margins and the hourly bounds; None if unknown."""
    clamped: Msat | None = None
    """By how much the computed cost exceeded the ceiling, for the stop-loss."""
    loss: UsdPicos | None = None
    """What upstream bills, or at most may, for a call or a part of it that nobody pays, for the stop-loss."""
    answer: Answer | None = None
    """Kept in the same step, under the hold's owner and `answer_name`, in place of an older one of that name."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The hold has ended. Repeating the settlement returns the same charge and the balance of that moment."""

    charge: Msat
    """What was debited; less than asked only when a lapsed hold was settled late."""
    shortfall: Msat
    balance: Msat
    held: Msat


class AccountStatus(StrEnum):
    """What `GET /api/balance` says of an account."""

    ACTIVE = "active"
    UNCONFIRMED = "unconfirmed"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Balance:
    """An account as its owner sees it."""

    account: str
    status: AccountStatus
    balance: Msat
    held: Msat


@dataclass(frozen=True, slots=True)
class CreditInDoubt:
    """A credit the node has not confirmed. `denied` once the node clearly said no and the account was frozen."""

    payment_hash: bytes
    amount: Msat
    account: str
    credited_at: datetime
    denied: bool


class EntryKind(StrEnum):
    """Why a balance changed."""

    CREDIT = "credit"
    OVER = "over"
    CHARGE = "charge"
    ADJUST = "adjust"


@dataclass(frozen=True, slots=True)
class Entry:
    """One immutable line of an account's history. `amount` is signed; `balance` is the balance after it."""

    id: int
    at: datetime
    kind: EntryKind
    amount: Msat
    balance: Msat
    payment_hash: bytes | None
    call: CallFacts | None
    ending: Ending | None
    usage: str | None
    reason: str | None = None
    """Of an adjustment."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The whole ledger in one look. credited − charged + adjusted = balance."""

    accounts: int
    credited: Msat
    charged: Msat
    balance: Msat
    held: Msat
    live_holds: int
    unconfirmed: Msat
    denied: Msat
    """Credited on a preimage although the node says that nobody paid."""
    denied_spent: Msat
    """How much of `denied` was spent before the freeze: the operator's bounded loss."""
    adjusted: Msat
    """What operators added, less what they took away."""
    ownerless: Msat
    """Balances that nobody can spend. Never anything but nothing, or the audit says so."""
    payments: int
    """How many were credited."""
    kept_answers: int
    """How many are kept for their buyers, those included whose time is over and which go soon."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a ledger has got. It only ever grows, unless a backup is restored."""

    ledger_id: bytes
    generation: int
    """How often an operator has said what becomes of the payments of a lost part."""
    newest_entry: int
    """The highest entry id, 0 while there is none."""


class Restored(StrEnum):
    """What becomes of payments that were quoted before a restored ledger went into service again."""

    HONOUR = "honour"
    """Credited as any other: nobody loses, but what was credited and spent in the lost part can be spent again."""
    REVIEW = "review"
    """Credited only once an operator has approved each of them."""


@dataclass(frozen=True, slots=True)
class Review:
    """A payment that waits for an operator's word."""

    payment_hash: bytes
    amount: Msat
    asked_at: datetime
    """When its credential was first presented after the restoration."""
    approved: bool


@dataclass(frozen=True, slots=True)
class Losses:
    """What calls since some moment cost, and how much of that nobody paid, for the stop-loss."""

    upstream_cost: UsdPicos
    """What all calls cost the operator: at most, where upstream did not say."""
    by_account: dict[str, UsdPicos]
    """Clamped charges and unanswered calls, valued in dollars."""
    by_model: dict[tuple[str, str], UsdPicos]
    """The same per (api, model)."""


class Ledger(OperatorsLedger, Protocol):
    """The port. Every method may raise LedgerUnavailable."""

    async def ledger_id(self) -> bytes:
        """The ledger's 16 random bytes: an empty or foreign ledger accepts no macaroon it did not sell."""
        ...

    async def take_lease(self, lease: str) -> None:
        """Begin a lease. Holds live as long as their lease is renewed. Raises LedgerWentBack."""
        ...

    async def renew(self, lease: str) -> bool:
        """Keep a lease alive. False if it has expired: it never comes back. Raises LedgerWentBack."""
        ...

    async def end_lease(self, lease: str) -> None:
        """Give a lease back at an orderly stop; holds still open under it lapse."""
        ...

    async def expire(self, stale_after_seconds: float) -> int:
        """Expire leases not renewed for so long and return their holds to the accounts; how many holds lapsed.

        Kept answers whose time is over go as well.
        """
        ...

    async def redeem_and_hold(self, payment: Payment, request: HoldRequest, limits: UnconfirmedLimits) -> RedeemOutcome:
        """Credit the payment if it is first seen (it stays even if the hold does not fit), then hold.

        A first credit goes to the account that `carry` owns, else opens a new one, and makes the payment an owner.
        A refill goes to its account and owns nothing, unless nobody owns that account any more.
        After a bare claim, the macaroon's first use makes its payment the only owner again: the token dies.
        Then as `hold`. Raises LeaseExpired.
        """
        ...

    async def credit(self, payment: Payment, limits: UnconfirmedLimits) -> Balance | AskNodeFirst | Gone | UnderReview:
        """Credit the payment if it is first seen, once per payment hash, for ever; the balance of its account.

        It counts as a use of the macaroon, like a call: no bare claim succeeds afterwards, and one made before is
        undone. What the server credits of itself goes through `credit_topup`.
        """
        ...

    async def open_topup(self, topup: Topup, expires_in_seconds: float) -> None:
        """Write down an invoice before anybody is asked to pay it. Repeating it for the same hash changes nothing.

        A refill counts as the first use of the token that owns the account. Raises ValueError for a refill without
        an account, or anything else with one, and AccountUnknown.
        """
        ...

    async def open_topups(self, limit: int) -> Sequence[Topup]:
        """Invoices neither credited nor closed, oldest first: ask the node, however long ago they expired."""
        ...

    async def close_topup(self, payment_hash: bytes) -> None:
        """The node says that nobody paid: ask no more, once TOPUP_GRACE_SECONDS have passed since the expiry.

        Earlier it changes nothing, because a payment may be on its way. Should it be paid after all, its credential
        is good for ever. Raises TopupUnknown.
        """
        ...

    async def find_topup(self, payment_hash: bytes) -> TopupStatus | None:
        """One such invoice, however old; None if there never was one."""
        ...

    async def credit_topup(self, payment_hash: bytes, received: Msat) -> Balance | UnderReview:
        """The node says that this top-up is paid: credit and confirm it in one step, though nobody presented it.

        Leaves its credential as good as new: a bare preimage or the macaroon can still claim it. Repeating it changes
        nothing. The balance is the account's that it was booked on. Raises TopupUnknown.
        """
        ...

    async def claim(
        self, op_id: str, payment: Payment, token: Owner, how: ClaimKind, keep: TokenAnswer | None = None
    ) -> ClaimOutcome:
        """Credit the payment if it is first seen, then make the token the only owner of its account.

        The payment must be `confirmed`, else ValueError; a confirmation that is news here is noted, and thaws.
        Holds, refills and overpayments follow the account; every payment that owned it is claimed with it.
        With the macaroon it may be repeated for another token until the token's first use — a call, even one that
        does not fit; a rotation; a refill invoice; a revocation; looking at the balance is none — and the former
        token dies. With a bare preimage it is never repeated, needs a `topups` row of this amount, and is refused
        once the macaroon was used; a bare claim ends at the macaroon's first use.
        With `keep` (by macaroon only, else ValueError) a repetition is Kept, or KeyReused for another order; a first
        claim that succeeds keeps its answer in the same step.
        """
        ...

    async def rotate(
        self, op_id: str, token: Owner, new_token: Owner, keep: TokenAnswer | None = None
    ) -> RotateOutcome:
        """Make the new token the account's only owner. Raises ValueError for an owner that is not a token.

        With `keep` a repetition is Kept although the old token owns nothing any more, or KeyReused for another order;
        a first rotation that succeeds keeps its answer in the same step.
        """
        ...

    async def revoke(self, op_id: str, token: Owner) -> Revoked | Owed | Gone:
        """Take the token's account from it, once nothing is owed. Raises ValueError for another kind of owner."""
        ...

    async def hold(self, owner: Owner, request: HoldRequest) -> HoldOutcome:
        """Reserve the ceiling: only if balance − held ≥ ceiling and the lease is fresh. Raises LeaseExpired.

        Before that, the owner's kept answer to the same order is Kept, and an order that still runs is StillRunning:
        with an Idempotency-Key whenever it runs, without one only after `note_left`.
        """
        ...

    async def settle(self, settlement: Settlement) -> Settled:
        """End a hold. Exactly one settle, release or expiry ends it.

        A settle after an expiry still debits min(charge, balance − held), once, and writes the shortfall on the hold.
        """
        ...

    async def note_left(self, hold_id: str) -> None:
        """The buyer has left this running call. Until it ends, the same order of the same owner is StillRunning."""
        ...

    async def kept_answer(self, owner: Owner, name: bytes, order_digest: bytes) -> Kept | KeyReused | None:
        """What `hold` would find kept, for when nothing can be sold. None, too, for a frozen account.

        `name` is the request's `answer_name`.
        """
        ...

    async def drop_answer(self, owner: Owner, name: bytes) -> None:
        """A kept answer was delivered: forget it. `name` is the request's `answer_name`. Repeating changes nothing."""
        ...

    async def balance(self, owner: Owner) -> Balance | None:
        """The account of an owner; None if it owns none."""
        ...

    async def newest_confirmed(self) -> bytes | None:
        """The payment hash confirmed last: a node that has forgotten this one has lost its memory."""
        ...

    async def confirm(self, payment_hash: bytes, received: Msat) -> None:
        """The node says paid. Books what exceeds the credited amount as `over`; thaws what a denial froze."""
        ...

    async def deny(self, payment_hash: bytes, reason: str) -> None:
        """The node clearly says not paid: freeze the account. Running calls settle."""
        ...

    async def accept_restored(self, choice: Restored) -> Position:
        """An operator takes a restored ledger into service: payments quoted before now are treated as chosen."""
        ...

    async def losses(self, within_seconds: float) -> Losses:
        """Losses of calls that ended within the last so many seconds."""
        ...

    async def aclose(self) -> None:
        """Stop. Operations already submitted finish first."""
        ...
