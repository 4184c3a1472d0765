"""Prepaid: top-up and refill invoices, claims, and what an owner may do with its account."""

from __future__ import annotations

import base64
import hashlib
import logging
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lib.btc_price import BtcPriceSource
from lib.challenge import NODE_RETRY_SECONDS, PENDING_RETRY_SECONDS, Till, on_ledger, repeated
from lib.core import schema
from lib.core.credential import unknown_token
from lib.core.errors import ApiError, Code, retry_after
from lib.core.l402 import Facts, PaymentKind, Proven
from lib.core.money import Msat, Sat, UsdMicros
from lib.doubt import judge
from lib.kept_answers import NONCE_BYTES, Whole, opened, sealed
from lib.lightning.node import IncomingPayment, PaymentState
from lib.store.ledger import (
    AccountStatus,
    AlreadyClaimed,
    Answer,
    Balance,
    Claimed,
    ClaimKind,
    Frozen,
    Gone,
    InDoubt,
    Kept,
    KeyReused,
    Ledger,
    NotClaimable,
    Owed,
    Owner,
    Payment,
    Revoked,
    Rotated,
    TokenAnswer,
    Topup,
    TopupStatus,
    UnconfirmedLimits,
)

log = logging.getLogger(__name__)

TOKEN_PREFIX = "alb_"  # noqa: S105 - what every token begins with
TOKEN_BYTES = 32
CLAIM_URL = "/topup/claim"
CLAIM_ORDER = b"alittlebitofmoney/claim\0"
ROTATE_ORDER = b"alittlebitofmoney/rotate\0"
"""What tells these orders from a call's, should one Idempotency-Key be used for both."""
DOUBT_ROUNDS = 3
"""How often a claim settles its account's doubts before it gives up: new ones may arrive meanwhile."""


@dataclass(frozen=True, slots=True)
class Token:
    """A new bearer token and what it can spend. Shown once; only its digest is kept."""

    kind: PaymentKind
    secret: str
    balance: Msat

    def as_body(self) -> dict[str, Any]:
        """The 200 of a claim."""
        return {"kind": self.kind.value, "token": self.secret, **balance_members(self.balance)}

    def __repr__(self) -> str:
        """Without the secret."""
        return "Token(…)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a claim says beside its payment."""

    bearer: str | None = None
    """The token that it also shows."""
    idempotency: bytes | None = None
    """The digest of its Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class Refilled:
    """A refill that has arrived. `balance` only for who also shows the account's token."""

    credited: Msat
    balance: Msat | None

    def as_body(self) -> dict[str, Any]:
        """The 200 of a refill."""
        credited = {"credited_sats": self.credited.sat_rounded_down().value, "credited_msat": self.credited.value}
        return {"kind": "refill", **credited, **(balance_members(self.balance) if self.balance is not None else {})}


def balance_members(balance: Msat) -> dict[str, int]:
    """Sats rounded down, msat exact."""
    return {"balance_sats": balance.sat_rounded_down().value, "balance_msat": balance.value}


@dataclass(frozen=True, slots=True)
class Topups:
    """Sells balances; holds no state."""

    rules: schema.Topup
    till: Till
    ledger: Ledger
    price: BtcPriceSource

    async def offer(self, amount: Sat, token: str | None, proof: str = "") -> ApiError:
        """The 402 of a top-up, or of a refill of the token's account. Written down before anybody is asked to pay.

        `proof` is what the client asked for with `X-Payment-Proof`.
        """
        self.till.lease.required()
        account = await self._account(token) if token is not None else None
        kind = PaymentKind.TOPUP if account is None else PaymentKind.REFILL
        facts = Facts(kind=kind, amount=amount.msat(), account=account, proof=proof)
        challenge = await self.till.challenge(f"{kind.value} of {amount.value} sat", facts, counted=account)
        row = Topup(challenge.payment_hash, kind, amount.msat(), self.till.keys.roots[0].id.hex(), account)
        await on_ledger(self.ledger.open_topup(row, challenge.expires_in_seconds))
        then = (
            "your token's balance grows by itself"
            if account
            else f"then POST {CLAIM_URL} with the macaroon{'' if proof else ' and preimage'}"
        )
        message = f"Pay {amount.value} sat with Lightning; {then}."
        return challenge.as_error(kind, message, claim_url=CLAIM_URL)

    def amount(self, body: dict[str, Any]) -> Sat:
        """`amount_sats` or `amount_usd` of a request, within the operator's limits. Raises ApiError."""
        given = [name for name in ("amount_sats", "amount_usd") if body.get(name) is not None]
        if len(given) != 1:
            raise ApiError(Code.MISSING_REQUIRED_FIELD, "Send `amount_sats` or `amount_usd`.", param="amount_sats")
        name = given[0]
        amount = self._sats(body[name]) if name == "amount_sats" else self._sats_of_usd(body[name])
        if not self.rules.min_sats <= amount.value <= self.rules.max_sats:
            bounds = f"between {self.rules.min_sats} and {self.rules.max_sats} sat"
            raise ApiError(Code.INVALID_FIELD_VALUE, f"A top-up must be {bounds}.", param=name)
        return amount

    async def claim_bare(self, preimage: bytes, bearer: str | None) -> Token | Refilled:
        """A token for a top-up's preimage alone, which every hop of its payment knows too: small top-ups only."""
        self.till.lease.require_whole()
        payment_hash = hashlib.sha256(preimage).digest()
        found = await on_ledger(self.ledger.find_topup(payment_hash))
        if found is None:
            raise ApiError(
                Code.INVALID_PAYMENT, "No top-up was made with this payment. Was it a call's? Send the macaroon."
            )
        if found.topup.kind is PaymentKind.REFILL:
            refilled = await self._refilled(found, bearer)
            if refilled is None:
                raise ApiError(Code.INVALID_PAYMENT, "The refilled token is gone: claim with macaroon and preimage.")
            return refilled
        if found.topup.amount > Sat(self.rules.bare_claim_max_sats).msat():
            raise ApiError(Code.INVALID_PAYMENT, "A top-up of this size is claimed with its macaroon and the preimage.")
        known = await self._paid(payment_hash)
        row = found.topup
        payment = Payment(payment_hash, row.kind, row.amount, row.key_id, confirmed=True, received=known.received)
        outcome = await self._claim(payment, self._new_token(), ClaimKind.BARE)
        if isinstance(outcome, Kept):
            raise TypeError("a bare claim is never kept")
        return outcome

    async def claim(self, proven: Proven, wanted: Wanted) -> Token | Refilled:
        """A token for a top-up, or for what a call left, by macaroon and proof. The node is asked before.

        With an Idempotency-Key a repetition is answered with the same token, used or not.
        """
        if not proven.limits.unlimited:
            raise ApiError(Code.INVALID_L402, "A limited credential cannot be exchanged for a token.")
        self.till.lease.require_whole()
        if proven.facts.kind is PaymentKind.REFILL:
            found = await on_ledger(self.ledger.find_topup(proven.payment_hash))
            if found is None:
                refilled = await self._lost_refill(proven, wanted.bearer)
            else:
                refilled = await self._refilled(found, wanted.bearer)
            if refilled is not None:
                return refilled
        known = await self._paid(proven.payment_hash)
        secret = self._new_token()
        keep = self._keep(secret, proven.secret, CLAIM_ORDER + proven.payment_hash, wanted.idempotency)
        outcome = await self._claim(self.till.payment_of(proven, known), secret, ClaimKind.MACAROON, keep)
        return _again(outcome, proven.facts.kind, proven.secret, keep) if isinstance(outcome, Kept) else outcome

    async def rotate(self, token: str, idempotency: bytes | None = None) -> Token:
        """A new token for the account; every other owner of it is gone.

        With an Idempotency-Key a repetition with the old token is answered with the same new one: without it, a reply
        that is lost takes the balance along.
        """
        secret, old, op_id = self._new_token(), Owner.of_token(token), self.till.randomness.op_id()
        keep = self._keep(secret, token.encode(), ROTATE_ORDER, idempotency)
        outcome = await on_ledger(repeated(lambda: self.ledger.rotate(op_id, old, Owner.of_token(secret), keep)))
        match outcome:
            case Rotated():
                return Token(PaymentKind.TOPUP, secret, outcome.balance)
            case Kept():
                return _again(outcome, PaymentKind.TOPUP, token.encode(), keep)
            case KeyReused():
                raise ApiError(Code.IDEMPOTENCY_KEY_REUSED)
            case Frozen():
                raise ApiError(Code.ACCOUNT_FROZEN)
            case Gone():
                raise unknown_token(token)

    async def revoke(self, token: str) -> None:
        """Give the token up for ever. Raises ApiError while anything is owed: rotate instead."""
        op_id = self.till.randomness.op_id()
        outcome = await on_ledger(repeated(lambda: self.ledger.revoke(op_id, Owner.of_token(token))))
        match outcome:
            case Revoked():
                return
            case Owed():
                raise ApiError(
                    Code.BALANCE_NOT_EMPTY,
                    f"{outcome.balance.value} msat are still yours. Spend them, or rotate the token.",
                    extra=balance_members(outcome.balance),
                )
            case Gone():
                raise unknown_token(token)

    async def _account(self, token: str) -> str:
        found = await on_ledger(self.ledger.balance(Owner.of_token(token)))
        if found is None:
            raise unknown_token(token)
        if found.status is AccountStatus.FROZEN:
            raise ApiError(Code.ACCOUNT_FROZEN)
        return found.account

    async def _paid(self, payment_hash: bytes) -> IncomingPayment:
        """The node's word that it was paid. Raises ApiError: pending, 503, or that it never will be."""
        known = await self.till.incoming(payment_hash)
        match known.state:
            case PaymentState.PAID:
                return known
            case PaymentState.OPEN:
                raise retry_after(Code.PAYMENT_PENDING, PENDING_RETRY_SECONDS)
            case PaymentState.EXPIRED:
                raise ApiError(Code.INVALID_PAYMENT, "The invoice expired unpaid. Top up again.")
            case PaymentState.UNKNOWN:
                raise retry_after(Code.PHOENIX_UNAVAILABLE, NODE_RETRY_SECONDS, "The node does not know this invoice.")

    async def _refilled(self, found: TopupStatus, bearer: str | None) -> Refilled | None:
        """None if the account it was for had been given up, so that it opened one of its own: that is claimed."""
        known = await self._paid(found.topup.payment_hash)
        booked = await on_ledger(self.ledger.credit_topup(found.topup.payment_hash, known.received))
        if booked.account != found.topup.account:
            return None
        return await self._told(booked, max(found.topup.amount, known.received), bearer)

    async def _lost_refill(self, proven: Proven, bearer: str | None) -> Refilled | None:
        """The same for a refill that nobody wrote down, because a backup without it was restored."""
        known = await self._paid(proven.payment_hash)
        payment = self.till.payment_of(proven, known)
        booked = await on_ledger(self.ledger.credit(payment, UnconfirmedLimits(Msat.ZERO, Msat.ZERO)))
        if not isinstance(booked, Balance) or booked.account != payment.account:
            return None
        return await self._told(booked, max(payment.amount, known.received), bearer)

    async def _told(self, booked: Balance, credited: Msat, bearer: str | None) -> Refilled:
        """Only who shows the account's token learns its balance."""
        shown = await on_ledger(self.ledger.balance(Owner.of_token(bearer))) if bearer is not None else None
        own = shown is not None and shown.account == booked.account
        return Refilled(credited, booked.balance if own else None)

    async def _claim(
        self, payment: Payment, secret: str, how: ClaimKind, keep: TokenAnswer | None = None
    ) -> Token | Kept:
        """Hand out the token once nothing of the account is in doubt any more; or what a former claim was answered."""
        op_id = self.till.randomness.op_id()
        for _ in range(DOUBT_ROUNDS):
            outcome = await on_ledger(
                repeated(lambda: self.ledger.claim(op_id, payment, Owner.of_token(secret), how, keep))
            )
            match outcome:
                case Claimed():
                    return Token(payment.kind, secret, outcome.balance)
                case Kept():
                    return outcome
                case KeyReused():
                    raise ApiError(Code.IDEMPOTENCY_KEY_REUSED)
                case AlreadyClaimed() | Gone():
                    raise ApiError(Code.PAYMENT_ALREADY_USED)
                case NotClaimable():
                    raise ApiError(Code.INVALID_PAYMENT, "This payment cannot be claimed without its macaroon.")
                case Frozen():
                    raise ApiError(Code.ACCOUNT_FROZEN)
                case InDoubt(payment_hashes):
                    for payment_hash in payment_hashes:
                        await on_ledger(judge(self.ledger, payment_hash, await self.till.incoming(payment_hash)))
        raise retry_after(
            Code.PAYMENT_IN_PROGRESS, PENDING_RETRY_SECONDS, "Payments of this account are being confirmed."
        )

    def _keep(self, secret: str, sealing: bytes, order: bytes, idempotency: bytes | None) -> TokenAnswer | None:
        """The new token, sealed under the old secret; its balance is added by the ledger. None without a key."""
        if idempotency is None:
            return None
        box = sealed(Whole([], secret.encode()), sealing, idempotency, self.till.randomness.bytes(NONCE_BYTES))
        answer = Answer(box, self.till.limits.idempotency_seconds)
        return TokenAnswer(idempotency, hashlib.sha256(order).digest(), answer)

    def _new_token(self) -> str:
        """256 random bits in 43 characters."""
        random = self.till.randomness.bytes(TOKEN_BYTES)
        return TOKEN_PREFIX + base64.urlsafe_b64encode(random).decode().rstrip("=")

    def _sats(self, value: object) -> Sat:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ApiError(Code.INVALID_FIELD_TYPE, "`amount_sats` must be of type integer.", param="amount_sats")
        return Sat(value)

    def _sats_of_usd(self, value: object) -> Sat:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ApiError(Code.INVALID_FIELD_TYPE, "`amount_usd` must be a number or its text.", param="amount_usd")
        usd = _decimal(str(value))
        priced = self.price.current()
        if priced is None:
            raise retry_after(Code.RATE_UNAVAILABLE, NODE_RETRY_SECONDS)
        return priced.price.msat_rounded_up(UsdMicros.from_usd_rounded_up(usd).picos()).sat_rounded_up()


def _again(kept: Kept, kind: PaymentKind, sealing: bytes, keep: TokenAnswer | None) -> Token:
    """The token that was answered to the same Idempotency-Key before."""
    if keep is None or kept.balance is None:
        raise TypeError("only what has an Idempotency-Key is kept, with the balance it found")
    first = opened(kept.sealed, sealing, keep.idempotency)
    if first is None:
        raise TypeError("a token is never too large to be kept")
    return Token(kind, first.body.decode(), kept.balance)


def _decimal(text: str) -> Decimal:
    """A plain positive number of dollars. Raises ApiError."""
    whole, point, part = text.partition(".")
    digits = whole.isdigit() and (part.isdigit() or part == point == "")
    if not (text.isascii() and digits and len(text) <= len("1000000.000000")):
        raise ApiError(Code.INVALID_FIELD_VALUE, "`amount_usd` must be a plain number, as 2.50.", param="amount_usd")
    return Decimal(text)
