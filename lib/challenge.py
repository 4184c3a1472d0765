"""Asks for payment and believes proof of it: invoices with their macaroons on one side, credentials on the other."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cachetools import LRUCache

from lib.core import l402
from lib.core.credential import L402Credential, Unproven
from lib.core.errors import ApiError, Code, retry_after
from lib.core.l402 import Facts, Proven, RootKey, Signed
from lib.core.money import Sat
from lib.core.schema import Limits
from lib.ids import Ids
from lib.lease import Lease, ledger_restored
from lib.lightning.node import IncomingPayment, LightningNode, NodeUnavailable, PaymentState
from lib.metrics import Metrics
from lib.store.ledger import LeaseExpired, LedgerUnavailable, LedgerWentBack, Payment, UnderReview
from lib.throttle import Share, Throttle

log = logging.getLogger(__name__)
Outcome = TypeVar("Outcome")

DESCRIPTION_MAX_CHARS = 128
BUYER_DIGITS = 32
NODE_RETRY_SECONDS = 30
PROOFS_MAX_COUNT = 4_096
PENDING_RETRY_SECONDS = 2
REPEAT_PAUSES_SECONDS = (0.1, 0.4, 1.0)
REPEAT_WITHIN_SECONDS = 10.0
REVIEW_RETRY_SECONDS = 300
UNDER_REVIEW = (
    "This payment was quoted before the ledger was restored from a backup, and is being reviewed. "
    "Do not pay again; tell the operator its payment hash."
)
NODE_QUESTIONS_PER_MINUTE = 120
"""About one payment, so that a page may ask every second and nobody can keep the node busy."""


@dataclass(frozen=True, slots=True)
class Randomness:
    """Where nonces and ids come from, as an argument."""

    bytes: Callable[[int], bytes]
    ids: Ids

    def op_id(self) -> str:
        """A new operation id."""
        return self.ids.next()


@dataclass(frozen=True, slots=True)
class Keys:
    """What signs macaroons: root keys, newest first, and the ledger they are for."""

    roots: tuple[RootKey, ...]
    ledger_id: bytes

    def buyer(self, account: str) -> str:
        """What stands for an account at upstream: stable, and meaningless without our key."""
        return self.roots[-1].derive(b"buyer/" + account.encode()).hex()[:BUYER_DIGITS]


@dataclass(frozen=True, slots=True)
class Challenge:
    """An invoice and the macaroon that its payment makes worth something."""

    amount: Sat
    bolt11: str
    payment_hash: bytes
    macaroon: str
    expires_in_seconds: int

    def as_error(self, kind: l402.PaymentKind, message: str, **members: object) -> ApiError:
        """The 402, byte for byte as clients parse it. `members` join the body."""
        return ApiError(
            Code.PAYMENT_REQUIRED,
            message,
            headers={
                "WWW-Authenticate": l402.challenge_header(self.macaroon, self.bolt11),
                "Cache-Control": "no-store",
                "X-Lightning-Invoice": self.bolt11,
                "X-Payment-Hash": self.payment_hash.hex(),
                "X-Price-Sats": str(self.amount.value),
                "X-Topup-URL": "/topup",
            },
            body={
                "status": "payment_required",
                "kind": kind.value,
                "invoice": self.bolt11,
                "payment_hash": self.payment_hash.hex(),
                "amount_sats": self.amount.value,
                "expires_in": self.expires_in_seconds,
                "macaroon": self.macaroon,
                **members,
            },
        )


@dataclass(frozen=True, slots=True)
class Till:
    """Makes challenges and proves credentials. Writes nothing down."""

    title: str
    limits: Limits
    keys: Keys
    node: LightningNode
    throttle: Throttle
    lease: Lease
    clock: Callable[[], float]
    """Unix seconds."""
    randomness: Randomness
    metrics: Metrics = field(default_factory=Metrics)
    proofs: LRUCache[bytes, Proven] = field(default_factory=lambda: LRUCache[bytes, Proven](PROOFS_MAX_COUNT))

    async def challenge(
        self, what: str, facts: Facts, *, counted: str | None = None, limits: l402.Limits = l402.UNLIMITED
    ) -> Challenge:
        """Make an invoice over `facts.amount` for `what`, and its macaroon. `counted` is whose invoices are counted.

        Raises ApiError rate_limited, phoenix_unavailable, and what `Lease.required` raises: nobody is asked to pay
        what could not be credited.
        """
        self.lease.required()
        asked = facts.amount.sat_rounded_up()
        await self._count_invoice(counted)
        expiry = self.limits.invoice_expiry_seconds
        try:
            invoice = await self.node.create_invoice(asked, f"{self.title}: {what}"[:DESCRIPTION_MAX_CHARS], expiry)
        except NodeUnavailable as error:
            log.warning("no invoice could be made: %s", error)
            raise retry_after(Code.PHOENIX_UNAVAILABLE, NODE_RETRY_SECONDS) from error
        nonce = self.randomness.bytes(l402.NONCE_BYTES)
        macaroon = l402.mint(self.keys.roots[0], self.keys.ledger_id, invoice.payment_hash, facts, nonce, limits)
        self.metrics.challenged(facts.kind.value)
        return Challenge(asked, invoice.bolt11, invoice.payment_hash, macaroon, expiry)

    def quote_until(self) -> int:
        """Until when a quote made now is firm, in Unix seconds."""
        return int(self.clock()) + self.limits.invoice_expiry_seconds + self.limits.quote_grace_seconds

    def expires_in_seconds(self, quote_until: int) -> int:
        """How long the invoice of such a quote can still be paid."""
        left = quote_until - self.limits.quote_grace_seconds - int(self.clock())
        return min(max(0, left), self.limits.invoice_expiry_seconds)

    def prove(self, credential: L402Credential) -> Proven:
        """Prove a credential by hashing. Raises ApiError invalid_l402 if it does not hold, NotOurs if it is old.

        What was proven once is remembered under a digest: the proof depends on nothing that changes while we run.
        """
        digest = hashlib.sha256(credential.preimage + ",".join(credential.macaroons).encode()).digest()
        known = self.proofs.get(digest)
        if known is not None:
            return known
        try:
            proven = l402.verify(credential.macaroons, credential.preimage, self.keys.roots, self.keys.ledger_id)
        except l402.InvalidL402 as error:
            raise ApiError(Code.INVALID_L402, f"This L402 credential is not valid: {error}.") from error
        self.proofs[digest] = proven
        return proven

    def signed(self, shown: L402Credential | Unproven) -> Signed | None:
        """The macaroon shown, if it is ours; whether it is paid is another question."""
        try:
            return l402.read(shown.macaroons, self.keys.roots, self.keys.ledger_id)
        except (l402.InvalidL402, l402.NotOurs):
            return None

    async def incoming(self, payment_hash: bytes) -> IncomingPayment:
        """What the node says of a payment. Raises ApiError phoenix_unavailable; a credential stays good."""
        share = Share("node-questions", payment_hash.hex(), NODE_QUESTIONS_PER_MINUTE)
        wait = await on_ledger(self.throttle.wait_seconds(share))
        if wait:
            raise retry_after(Code.RATE_LIMITED, wait, "This payment is asked for too often.")
        try:
            return await self.node.incoming(payment_hash)
        except NodeUnavailable as error:
            raise retry_after(Code.PHOENIX_UNAVAILABLE, NODE_RETRY_SECONDS) from error

    async def paid(self, payment_hash: bytes) -> IncomingPayment:
        """The node's confirmation. Raises ApiError payment_pending while it says that nobody paid."""
        known = await self.incoming(payment_hash)
        if known.state is not PaymentState.PAID:
            raise retry_after(Code.PAYMENT_PENDING, PENDING_RETRY_SECONDS)
        return known

    def payment_of(self, proven: Proven, known: IncomingPayment | None = None) -> Payment:
        """A proven credential as the ledger knows it; `known` is the node's word, if it was asked and said paid."""
        facts, firm_seconds = proven.facts, self.limits.invoice_expiry_seconds + self.limits.quote_grace_seconds
        return Payment(
            payment_hash=proven.payment_hash,
            kind=facts.kind,
            amount=facts.amount,
            key_id=proven.key_id.hex(),
            carry=facts.carry,
            account=facts.account,
            confirmed=known is not None,
            quoted_at=None if facts.quote_until is None else facts.quote_until - firm_seconds,
            received=known.received if known else None,
        )

    async def _count_invoice(self, counted: str | None) -> None:
        """The node keeps every invoice for ever: bound how many are made, also for those who pay."""
        shares = [Share("invoices", "all", self.limits.invoices_per_minute)]
        if counted is not None:  # first, so that what is refused here takes nothing from everybody's budget
            shares.insert(0, Share("differences", counted, self.limits.differences_per_account_per_minute))
        wait = await on_ledger(self.throttle.wait_seconds(*shares))
        if wait:
            raise retry_after(Code.RATE_LIMITED, wait, "Too many invoices are being made.")


async def repeated(operation: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Ask again, a few times, where it is unknown whether the ledger did it: the operation carries its own op_id.

    For what cannot be told twice: a token whose reply is lost is lost. Raises LedgerUnavailable in the end.
    """
    until = time.monotonic() + REPEAT_WITHIN_SECONDS
    for pause in REPEAT_PAUSES_SECONDS:
        try:
            return await operation()
        except LedgerWentBack:
            raise
        except LedgerUnavailable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(pause)
    return await operation()


async def on_ledger(operation: Awaitable[Outcome | UnderReview]) -> Outcome:
    """Tell the buyer of a ledger that cannot be reached, was restored, or holds a payment back for review.

    Nothing was charged, and a credential stays good.
    """
    try:
        outcome = await operation
    except LedgerWentBack as error:
        raise ledger_restored() from error
    except (LedgerUnavailable, LeaseExpired) as error:
        log.error("the ledger refused an operation: %s", error)  # noqa: TRY400 - expected, no traceback
        raise retry_after(Code.LEDGER_UNAVAILABLE, NODE_RETRY_SECONDS) from error
    if isinstance(outcome, UnderReview):
        raise retry_after(Code.LEDGER_RESTORED, REVIEW_RETRY_SECONDS, UNDER_REVIEW)
    return outcome
