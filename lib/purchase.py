"""The heart: challenge, and reserve → send → relay → settle.

A paid call is one `async with`: it reserves the ceiling, and whatever happens inside — an answer, a failure, a buyer
who leaves, a cancellation — its exit settles exactly once, because the answer is *sent inside it*.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from lib.btc_price import BtcPriceSource
from lib.challenge import PENDING_RETRY_SECONDS, Till, on_ledger, payment_of
from lib.core import l402, pricing
from lib.core.credential import Bearer, L402Credential, Presented, Unpaid, Unproven, unknown_token
from lib.core.endings import Ending
from lib.core.errors import ApiError, Code, retry_after
from lib.core.l402 import Facts, PaymentKind, Proven
from lib.core.money import BtcPrice, Msat, Sat
from lib.core.order import Order
from lib.core.pricing import Cost
from lib.core.usage import Reading
from lib.lease import Lease
from lib.lightning.node import PaymentState
from lib.relay import Bill, HeaderList, Receive, Relay, Send
from lib.stop_loss import StopLoss
from lib.store.ledger import (
    AskNodeFirst,
    Balance,
    CallFacts,
    Frozen,
    Gone,
    Held,
    HoldOutcome,
    HoldRequest,
    HoldUnknown,
    Ledger,
    LedgerUnavailable,
    Owner,
    Quote,
    Settlement,
    Short,
    UnconfirmedLimits,
)
from lib.upstream import Reply, Upstream, UpstreamFailure

log = logging.getLogger(__name__)
Outcome = TypeVar("Outcome")

BUSY_RETRY_SECONDS = 1
SETTLE_RETRY_FIRST_SECONDS = 0.05
SETTLE_RETRY_MAX_SECONDS = 5.0
REFUSED_RETRY_SECONDS = 30
NOT_CHARGED = frozenset({Ending.UNREACHABLE, Ending.REFUSED, Ending.UNANSWERED})


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
    """What the operator has yet to configure before an API can be sold, in words that are safe to show."""
    unsettled: set[asyncio.Future[None]]
    """Running calls, and settlements on their way that outlive their request: awaited at an orderly stop."""

    async def challenge(
        self, order: Order, credit: Credit | None = None, *, counted: str | None = None, proof: str = ""
    ) -> ApiError:
        """The 402 of an order: an invoice for its ceiling, or for what a credential lacks. Nothing is written down.

        `counted` is the account or payment whose invoices are counted; `proof` is what the client asked for with
        `X-Payment-Proof`. Raises ApiError when nothing can be sold, before an invoice is made.
        """
        price = self.current_price(order)
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

    def reserve(self, order: Order, paid: Proven | Bearer, request_id: str, *, proof: str = "") -> Reservation:
        """A paid call to be entered with `async with`. Entering raises ApiError if it cannot run.

        `proof` is for the challenge, should one be needed.
        """
        return Reservation(self, order, paid, request_id, proof)

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
            await on_ledger(self.ledger.credit(payment_of(signed.proven(), known), self.unconfirmed_limits()))
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
        if self.missing(order.api.name) is not None:
            raise ApiError(Code.UPSTREAM_UNAVAILABLE, f"Not for sale yet: {self.missing(order.api.name)}.")
        if self.upstream.trouble(order.api.name) or self.stop_loss.refuses_model(order.api.name, order.model.id):
            raise retry_after(Code.UPSTREAM_UNAVAILABLE, REFUSED_RETRY_SECONDS)
        self.lease.required()
        now = self.price.current()
        if now is None:
            raise retry_after(Code.RATE_UNAVAILABLE, REFUSED_RETRY_SECONDS)
        return now.price

    def refuse_above(self, order: Order, limit: Msat) -> None:
        """Keep the buyer's own bound on the price of one call. Raises ApiError price_above_limit; no invoice."""
        most = pricing.ceiling(order, self.current_price(order))
        if most > limit:
            raise ApiError(
                Code.PRICE_ABOVE_LIMIT,
                f"This call may cost {most.value} msat, above your limit of {limit.value}.",
                extra={"max_price_msat": most.value},
            )

    def unconfirmed_limits(self) -> UnconfirmedLimits:
        """What may be credited on a preimage alone."""
        return UnconfirmedLimits(
            per_payment=Sat(self.till.limits.unconfirmed_max_sats).msat(),
            in_all=Sat(self.till.limits.unconfirmed_total_max_sats).msat(),
        )

    def settle(self, settlement: Settlement) -> asyncio.Task[None]:
        """Begin to write a settlement, repeating it with its own op_id until it lands.

        The task outlives the request's cancellation: await it shielded.
        """
        task = asyncio.create_task(self._settle_until_written(settlement))
        self.unsettled.add(task)
        task.add_done_callback(self.unsettled.discard)
        return task

    async def _settle_until_written(self, settlement: Settlement) -> None:
        pause = SETTLE_RETRY_FIRST_SECONDS
        while True:
            try:
                settled = await self.ledger.settle(settlement)
            except LedgerUnavailable as error:
                log.error("a settlement could not be written, repeating it: %s", error)  # noqa: TRY400 - no traceback each time
                await asyncio.sleep(pause)
                pause = min(2 * pause, SETTLE_RETRY_MAX_SECONDS)
            except HoldUnknown:
                return  # it was given back by a caller who never learnt whether it landed: it did not
            else:
                if settled.shortfall:
                    log.error("hold %s was settled late, %d msat short", settlement.hold_id, settled.shortfall.value)
                return

    async def _credit(self, proven: Proven) -> Balance:
        if proven.facts.kind is PaymentKind.REFILL:
            return await self._refill(proven)
        outcome = await on_ledger(self.ledger.credit(payment_of(proven), self.unconfirmed_limits()))
        if isinstance(outcome, AskNodeFirst):
            known = await self.till.paid(proven.payment_hash)
            outcome = await on_ledger(self.ledger.credit(payment_of(proven, known), self.unconfirmed_limits()))
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


class Reservation(AbstractAsyncContextManager["Reservation"]):
    """A paid call from its hold to its settlement."""

    def __init__(self, purchase: Purchase, order: Order, paid: Proven | Bearer, request_id: str, proof: str) -> None:
        """Nothing happens before it is entered."""
        self._proof = proof
        self._purchase, self._order, self._paid, self._request_id = purchase, order, paid, request_id
        self._held: Held | None = None
        self._relay: Relay | None = None
        self._settling: asyncio.Task[None] | None = None
        self._running: asyncio.Future[None] | None = None

    @property
    def buyer(self) -> str:
        """What stands for the account at upstream."""
        return self._purchase.till.keys.buyer(self._hold.account)

    async def __aenter__(self) -> Self:
        """Hold the ceiling. Raises ApiError: 402 with a challenge for what is missing, 409, 403, 401 or 503."""
        purchase, order = self._purchase, self._order
        price = purchase.current_price(order)
        quote = Quote(pricing.ceiling(order, price), price)
        if isinstance(self._paid, Bearer):
            held = await self._hold_by_token(self._paid.token, quote)
        else:
            held = await self._hold_by_payment(self._paid, quote)
        self._held = held
        self._running = asyncio.get_running_loop().create_future()
        purchase.unsettled.add(self._running)
        if purchase.stop_loss.refuses_account(held.account):
            self.finish(Ending.REFUSED, Reading())
            await self._settled()
            raise ApiError(
                Code.UPSTREAM_UNAVAILABLE, "Too many calls of this account ended unpaid. Its balance is untouched."
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Settle, once, whatever happened inside."""
        if isinstance(error, UpstreamFailure):
            self.finish(error.ending, Reading())
        elif self._relay is not None:  # cancelled in the middle, unless it has finished already
            self.finish(Ending.CUT, self._relay.reading)
        else:  # cancelled before upstream answered, or a fault of ours
            self.finish(Ending.UNANSWERED, Reading())
        await self._settled()

    async def relay(self, reply: Reply, headers: HeaderList, receive: Receive, send: Send) -> None:
        """Send the answer to the buyer. Raises UpstreamFailure while nothing has been sent."""
        self._relay = Relay(self._order, self, self._purchase.till.limits.send_seconds)
        await self._relay.run(reply, headers, receive, send)

    @property
    def _hold(self) -> Held:
        if self._held is None:
            raise RuntimeError("the reservation was not entered")
        return self._held

    def _cost(self, reading: Reading) -> Cost:
        return pricing.cost(self._order, reading, self._hold.quote.btc_price, self._hold.quote.ceiling)

    def bill(self, reading: Reading) -> Bill:
        """What the call owes as far as it has been read, and the balance after it."""
        charge = self._cost(reading).charge
        return Bill(charge, self._hold.balance - charge)

    def finish(self, ending: Ending, reading: Reading) -> None:
        """Begin to write how the call ended. Only the first call counts."""
        if self._settling is None:
            self._settling = self._purchase.settle(self._settlement(ending, reading))
            if self._running is not None:  # the settlement stands in for it from here on
                self._running.set_result(None)
                self._purchase.unsettled.discard(self._running)

    async def _settled(self) -> None:
        if self._settling is not None:
            await asyncio.shield(self._settling)

    def _settlement(self, ending: Ending, reading: Reading) -> Settlement:
        cost = self._cost(reading)
        nobody_pays = ending in NOT_CHARGED or not cost.charge
        lost = ending not in {Ending.UNREACHABLE, Ending.REFUSED} and nobody_pays
        return Settlement(
            op_id=self._purchase.till.randomness.op_id(),
            hold_id=self._hold.hold_id,
            ending=ending,
            charge=Msat.ZERO if ending in NOT_CHARGED else cost.charge,
            usage=reading.usage.as_json() if reading.usage else None,
            upstream_cost=cost.upstream,
            clamped=cost.clamped or None,
            loss=pricing.upstream_ceiling(self._order) if lost else None,
        )

    def _request(self, quote: Quote, pinned: Quote | None = None) -> HoldRequest:
        order, lease = self._order, self._purchase.lease.required()
        facts = CallFacts(self._request_id, order.api.name, order.path, order.model.id, order.digest)
        return HoldRequest(self._purchase.till.randomness.op_id(), lease, facts, quote, pinned)

    async def _landed(self, request: HoldRequest, holding: Awaitable[Outcome]) -> Outcome:
        """Hold; a hold whose outcome its caller will never learn is given back, should it land after all."""
        try:
            return await holding
        except (LedgerUnavailable, asyncio.CancelledError):
            op_id = self._purchase.till.randomness.op_id()
            self._purchase.settle(Settlement(op_id, request.op_id, Ending.UNREACHABLE, Msat.ZERO))
            raise

    async def _hold_by_token(self, token: str, quote: Quote) -> Held:
        request = self._request(quote)
        outcome = await on_ledger(self._landed(request, self._purchase.ledger.hold(Owner.of_token(token), request)))
        match outcome:
            case Held():
                return outcome
            case Gone():
                raise unknown_token(token)
            case Frozen():
                raise ApiError(Code.ACCOUNT_FROZEN)
            case Short() if outcome.balance >= outcome.quote.ceiling:
                raise retry_after(Code.PAYMENT_IN_PROGRESS, BUSY_RETRY_SECONDS)
            case Short():
                raise _insufficient(self._order, outcome)

    async def _hold_by_payment(self, proven: Proven, quote: Quote) -> Held:
        counted = proven.payment_hash.hex()  # a credential that never fits must not make invoices without end
        if proven.facts.kind is PaymentKind.REFILL or not self._permitted(proven):
            raise await self._challenge(counted)
        outcome = await self._redeem(proven, quote)
        match outcome:
            case Held():
                return outcome
            case Gone():
                raise await self._challenge(counted)
            case Frozen():
                raise ApiError(Code.ACCOUNT_FROZEN)
            case Short() if outcome.balance >= outcome.quote.ceiling:
                raise retry_after(Code.PAYMENT_IN_PROGRESS, BUSY_RETRY_SECONDS)
            case Short():
                available = outcome.balance - outcome.held
                credit = Credit(proven.payment_hash, available, proven.limits, proven.facts.proof)
                raise await self._challenge(outcome.account, credit)

    async def _challenge(self, counted: str, credit: Credit | None = None) -> ApiError:
        return await self._purchase.challenge(self._order, credit, counted=counted, proof=self._proof)

    def _permitted(self, proven: Proven) -> bool:
        return proven.limits.permit(self._order.api.name, now_seconds=self._purchase.till.clock())

    async def _redeem(self, proven: Proven, quote: Quote) -> HoldOutcome:
        """Credit the payment once, and hold. A large first credit asks the node before it counts."""
        purchase = self._purchase
        request = self._request(quote, self._pinned(proven, quote))
        limits = purchase.unconfirmed_limits()
        redeeming = purchase.ledger.redeem_and_hold(payment_of(proven), request, limits)
        outcome = await on_ledger(self._landed(request, redeeming))
        if isinstance(outcome, AskNodeFirst):
            known = await purchase.till.paid(proven.payment_hash)
            redeeming = purchase.ledger.redeem_and_hold(payment_of(proven, known), request, limits)
            outcome = await on_ledger(self._landed(request, redeeming))
        if isinstance(outcome, AskNodeFirst):
            raise TypeError("a confirmed payment needs no more asking")
        return outcome

    def _pinned(self, proven: Proven, quote: Quote) -> Quote | None:
        """The quote that the macaroon promised, while it is firm and better than the current one."""
        price, until = proven.facts.btc_price, proven.facts.quote_until
        if price is None or until is None or self._purchase.till.clock() >= until:
            return None
        pinned = Quote(pricing.ceiling(self._order, price), price)
        return pinned if pinned.ceiling < quote.ceiling else None


def _insufficient(order: Order, short: Short) -> ApiError:
    """A token's balance is too small: no challenge, because a token is refilled at /topup."""
    available = short.balance - short.held
    return ApiError(
        Code.INSUFFICIENT_BALANCE,
        extra={
            "needed_msat": short.quote.ceiling.value,
            "balance_msat": available.value,
            "topup_url": "/topup",
            "max_affordable_output_tokens": pricing.affordable_output_tokens(order, short.quote.btc_price, available),
        },
    )
