"""What selling needs: challenges, balances, prices of the moment, and settlements that are written until they land.

The paid call itself is in lib/reservation.py.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from lib.btc_price import BtcPriceSource, PricedAt
from lib.challenge import PENDING_RETRY_SECONDS, Till, on_ledger
from lib.core import l402, pricing
from lib.core.credential import Bearer, L402Credential, Presented, Unpaid, Unproven, unknown_token
from lib.core.errors import ApiError, Code, retry_after
from lib.core.l402 import Facts, PaymentKind, Proven
from lib.core.money import BtcPrice, Msat, Sat
from lib.core.order import Order
from lib.lease import Lease
from lib.lightning.node import PaymentState
from lib.pauses import Pauses
from lib.stop_loss import StopLoss
from lib.store.ledger import (
    AskNodeFirst,
    Balance,
    HoldUnknown,
    Ledger,
    LedgerUnavailable,
    Owner,
    Quote,
    Settlement,
    UnconfirmedLimits,
)
from lib.upstream import Upstream

log = logging.getLogger(__name__)

SETTLE_RETRY_FIRST_SECONDS = 0.05
SETTLE_RETRY_MAX_SECONDS = 5.0
REFUSED_RETRY_SECONDS = 30
NOT_SET_UP = "this server is not set up to sell it"
"""What everybody may read; what is missing stands in the log and in `server.py --check`."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """Sells one order at a time; holds no state of its own but running settlements."""

    till: Till
    ledger: Ledger
    price: BtcPriceSource
    upstream: Upstream
    stop_loss: StopLoss
    lease: Lease
    missing: Callable[[str], str | None]
    """What the operator has yet to configure before an API can be sold, in words for the operator."""
    unsettled: set[asyncio.Future[None]]
    """Running calls, and settlements on their way that outlive their request: awaited at an orderly stop."""
    pauses: Pauses = field(default_factory=Pauses)

    async def challenge(
        self, order: Order, credit: Credit | None = None, *, counted: str | None = None, proof: str = ""
    ) -> ApiError:
        """The 402 of an order: an invoice for its ceiling, or for what a credential lacks. Nothing is written down.

        `counted` is the account or payment whose invoices are counted; `proof` is what the client asked for with
        `X-Payment-Proof`. Raises ApiError when nothing can be sold, before an invoice is made.
        """
        price = self.current_price(order)
        if self.upstream.trouble(order.api.name):  # who has paid is tried all the same: a call that fails costs nothing
            raise retry_after(Code.UPSTREAM_UNAVAILABLE, REFUSED_RETRY_SECONDS)
        most, usual = pricing.ceiling(order, price), pricing.typical(order, price)
        asked = max(Sat(1), (credit.missing(most) if credit else most).sat_rounded_up())
        facts = Facts(
            kind=PaymentKind.CALL,
            amount=asked.msat(),
            btc_price=price,
            quote_until=self.till.quote_until(),
            carry=credit.payment_hash if credit else None,
            proof=proof if credit is None else credit.proof_of_difference(proof),
        )
        limits = credit.limits if credit else l402.UNLIMITED
        challenge = await self.till.challenge(order.model.id, facts, counted=counted, limits=limits)
        lacking = "Your balance lacks a little for this call: pay" if credit else "Pay"
        message = (
            f"{lacking} {asked.value} sat with Lightning, then repeat the request with "
            f"Authorization: L402 <macaroon>:<preimage>. This call costs at most {most.value} msat, "
            f"typically {usual.value}; the rest stays yours on the same credential."
        )
        prices = {"max_price_msat": most.value, "typical_price_msat": usual.value}
        return challenge.as_error(PaymentKind.CALL, message, **prices)

    async def proven_by_node(self, shown: Unproven) -> Proven | None:
        """Prove a macaroon that was minted to need no preimage; None if it is unpaid like any other, or expired so.

        Raises ApiError payment_pending while the node waits for its payment: no new invoice is made meanwhile.
        """
        signed = self.till.signed(shown)
        if signed is None or signed.facts.proof != l402.PROOF_NODE:
            return None
        if await on_ledger(self.ledger.balance(Owner.of_payment(signed.payment_hash))) is None:
            known = await self.till.incoming(signed.payment_hash)
            if known.state is PaymentState.EXPIRED:
                return None
            if known.state is not PaymentState.PAID:
                raise retry_after(Code.PAYMENT_PENDING, PENDING_RETRY_SECONDS)
            await on_ledger(self.ledger.credit(self.till.payment_of(signed.proven(), known), self.unconfirmed_limits()))
        return signed.proven()

    async def balance(self, presented: Presented) -> Balance:
        """The account of a credential; a paid, unused one is credited first. Raises ApiError."""
        self.lease.require_whole()
        match presented:
            case Unpaid():
                raise ApiError(Code.MISSING_TOKEN, "Send the token or L402 credential whose balance you ask for.")
            case Bearer(token):
                found = await on_ledger(self.ledger.balance(Owner.of_token(token)))
                if found is None:
                    raise unknown_token(token)
                return found
            case Unproven():
                proven = await self.proven_by_node(presented)
                if proven is None:
                    raise ApiError(
                        Code.INVALID_L402, "Send the preimage too: Authorization: L402 <macaroon>:<preimage>."
                    )
                return await self._credit(proven)
            case L402Credential():
                try:
                    return await self._credit(self.till.prove(presented))
                except l402.NotOurs as error:
                    raise ApiError(Code.INVALID_L402, f"{error}.".capitalize()) from error

    def current_price(self, order: Order) -> BtcPrice:
        """The price to sell at, if everything that a sale needs is there. Raises ApiError 503 otherwise."""
        if self.missing(order.api.name):
            raise ApiError(Code.UPSTREAM_UNAVAILABLE, f"Not for sale: {NOT_SET_UP}.")
        if self.paused(order.api.name, order.model.id) or self.upstream.refused(order.api.name):
            raise retry_after(Code.UPSTREAM_UNAVAILABLE, REFUSED_RETRY_SECONDS)
        self.lease.required()
        return self.priced().price

    def paused(self, api: str, model: str) -> bool:
        """Whether a model is not sold for a while: its operator says so, or it made losses."""
        return self.pauses.cover(api, model) or self.stop_loss.refuses_model(api, model)

    def closed(self, api: str) -> str | None:
        """Why nothing of an API can be bought now, as a sentence for buyers; None if something can."""
        if self.missing(api):
            return f"{NOT_SET_UP[0].upper()}{NOT_SET_UP[1:]}."
        if self.pauses.cover_all_of(api):
            return "Its sale is paused."
        return "Its provider takes no calls of this server at the moment." if self.upstream.trouble(api) else None

    def priced(self) -> PricedAt:
        """The bitcoin price of this moment. Raises ApiError rate_unavailable while there is none."""
        now = self.price.current()
        if now is None:
            raise retry_after(Code.RATE_UNAVAILABLE, REFUSED_RETRY_SECONDS)
        return now

    def quote(self, order: Order, limit: Msat | None) -> Quote:
        """The most that an order costs now; `limit` is the buyer's own bound on that.

        Raises ApiError: price_above_limit, or what `current_price` raises.
        """
        price = self.current_price(order)
        most = pricing.ceiling(order, price)
        if limit is not None and most > limit:
            raise ApiError(
                Code.PRICE_ABOVE_LIMIT,
                f"This call may cost {most.value} msat, above your limit of {limit.value}.",
                extra={"max_price_msat": most.value},
            )
        return Quote(most, price)

    def unconfirmed_limits(self) -> UnconfirmedLimits:
        """What may be credited on a preimage alone."""
        return UnconfirmedLimits(
            per_payment=Sat(self.till.limits.unconfirmed_max_sats).msat(),
            in_all=Sat(self.till.limits.unconfirmed_total_max_sats).msat(),
        )

    def later(self, operation: Awaitable[None]) -> None:
        """Do something on the ledger beside the request. That it fails is told and costs nobody anything."""
        task = asyncio.ensure_future(_or_told(operation))
        self.unsettled.add(task)
        task.add_done_callback(self.unsettled.discard)

    def settle(self, settlement: Settlement) -> asyncio.Task[None]:
        """Begin to write a settlement, repeating it with its own op_id until it lands.

        The task outlives the request's cancellation: await it shielded.
        """
        task = asyncio.create_task(self._settle_until_written(settlement))
        self.unsettled.add(task)
        task.add_done_callback(self.unsettled.discard)
        return task

    async def _settle_until_written(self, settlement: Settlement) -> None:
        pause, began = SETTLE_RETRY_FIRST_SECONDS, time.monotonic()
        while True:
            try:
                settled = await self.ledger.settle(settlement)
            except LedgerUnavailable as error:
                log.error("a settlement could not be written, repeating it: %s", error)  # noqa: TRY400 - no traceback each time
                self.till.metrics.settle_repeated()
                await asyncio.sleep(pause)
                pause = min(2 * pause, SETTLE_RETRY_MAX_SECONDS)
            except HoldUnknown:
                return  # it was given back by a caller who never learnt whether it landed: it did not
            else:
                self.till.metrics.settled(time.monotonic() - began, settled.shortfall)
                if settled.shortfall:
                    log.error("hold %s was settled late, %d msat short", settlement.hold_id, settled.shortfall.value)
                return

    async def _credit(self, proven: Proven) -> Balance:
        if proven.facts.kind is PaymentKind.REFILL:
            return await self._refill(proven)
        outcome = await on_ledger(self.ledger.credit(self.till.payment_of(proven), self.unconfirmed_limits()))
        if isinstance(outcome, AskNodeFirst):
            known = await self.till.paid(proven.payment_hash)
            outcome = await on_ledger(
                self.ledger.credit(self.till.payment_of(proven, known), self.unconfirmed_limits())
            )
        if not isinstance(outcome, Balance):
            raise ApiError(Code.INVALID_L402, "This credential has been exchanged for a token.")
        return outcome

    async def _refill(self, proven: Proven) -> Balance:
        """A refill belongs to its token's account, and is credited by the node's word alone: see lib/topup.py."""
        found = await on_ledger(self.ledger.balance(Owner.of_payment(proven.payment_hash)))
        if found is None:
            raise ApiError(Code.INVALID_L402, "A refill is part of its token's balance: ask with the token.")
        return found


@dataclass(frozen=True, slots=True)
class Credit:
    """What a proven credential already holds towards a call: the next invoice asks only for the difference."""

    payment_hash: bytes
    available: Msat
    limits: l402.Limits
    proof: str

    def proof_of_difference(self, wanted: str) -> str:
        """A macaroon without need of a preimage may carry only what another one of that sort already opened."""
        return wanted if self.proof == wanted else ""

    def missing(self, ceiling: Msat) -> Msat:
        """What is still needed."""
        return ceiling - self.available


async def _or_told(operation: Awaitable[None]) -> None:
    try:
        await operation
    except LedgerUnavailable as error:
        log.warning("the ledger refused an operation that nobody waits for: %s", error)
