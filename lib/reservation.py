"""One paid call, from its hold to its settlement: reserve → send → relay → settle.

A paid call is one `async with`: it reserves the ceiling, and whatever happens inside — an answer, a failure, a buyer
who leaves, a cancellation — it is settled exactly once, because the answer is *sent inside it*.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from lib.challenge import on_ledger
from lib.core import pricing
from lib.core.credential import Bearer, unknown_token
from lib.core.endings import Ending
from lib.core.errors import ApiError, Code, retry_after
from lib.core.l402 import PaymentKind, Proven
from lib.core.money import Msat
from lib.core.order import Order
from lib.core.pricing import Cost
from lib.core.usage import Reading
from lib.kept_answers import NONCE_BYTES, Unreadable, Whole, opened, sealed
from lib.metrics import EndedCall
from lib.purchase import Credit, Purchase
from lib.relay import LAST, Bill, Buyer, End, HeaderList, Receive, Relay, Send, Wire, send_whole
from lib.store.ledger import (
    Answer,
    AskNodeFirst,
    CallFacts,
    Frozen,
    Gone,
    Held,
    HoldOutcome,
    HoldRequest,
    Kept,
    KeyReused,
    LedgerUnavailable,
    Owner,
    Quote,
    Settlement,
    Short,
    StillRunning,
    UnderReview,
)
from lib.upstream import Reply, UpstreamFailure

log = logging.getLogger(__name__)
Outcome = TypeVar("Outcome")

BUSY_RETRY_SECONDS = 1
BUSY_PAUSES_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.1)
"""Before a call is told that others hold its balance it waits so long for them: the settlement of a call whose answer
its buyer has just received may still be on its way, from this process or another."""
NOT_CHARGED = frozenset({Ending.UNREACHABLE, Ending.REFUSED, Ending.UNANSWERED})
REPLAYED = (b"x-answer-replayed", b"true")
"""Says that an answer was bought before and costs nothing now."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a paid request says beside its order."""

    request_id: str
    proof: str = ""
    """What the client asked for with `X-Payment-Proof`, for the challenge, should one be needed."""
    idempotency: bytes | None = None
    """The digest of its Idempotency-Key."""
    max_price: Msat | None = None
    """What the buyer pays for this call at most."""


class Reservation(AbstractAsyncContextManager["Reservation"]):
    """A paid call to be entered with `async with`. Entering raises ApiError if it cannot run."""

    def __init__(self, purchase: Purchase, order: Order, paid: Proven | Bearer, wish: Wish) -> None:
        """Nothing happens before it is entered."""
        self._purchase, self._order, self._paid, self._wish = purchase, order, paid, wish
        self.recalled: Whole | None = None
        """The answer, if this order of this owner was answered before and is kept: `hand_out` it instead of buying."""
        self._held: Held | None = None
        self._began = 0.0
        self._buyer: Buyer | None = None
        self._relay: Relay | None = None
        self._settling: asyncio.Task[None] | None = None
        self._running: asyncio.Future[None] | None = None

    @property
    def alias(self) -> str:
        """What stands for the account at upstream."""
        return self._purchase.till.keys.buyer(self._hold.account)

    async def __aenter__(self) -> Self:
        """Hold the ceiling. Raises ApiError: 402 with a challenge for what is missing, 409, 403, 401, 422 or 503."""
        purchase = self._purchase
        try:
            quote = purchase.quote(self._order, self._wish.max_price)
        except ApiError:  # an answer that is paid needs no price, and nothing to be for sale
            self.recalled = await self._recall()
            if self.recalled is None:
                raise
            return self
        outcome = await self._hold_or_recall(quote)
        if isinstance(outcome, Whole):
            self.recalled = outcome
            return self
        self._held, self._began = outcome, time.monotonic()
        self._running = asyncio.get_running_loop().create_future()
        purchase.unsettled.add(self._running)
        if purchase.stop_loss.refuses_account(outcome.account):
            self.finish(End(Ending.REFUSED, Reading()))
            await self._settled()
            raise ApiError(
                Code.UPSTREAM_UNAVAILABLE, "Too many calls of this account ended unpaid. Its balance is untouched."
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Settle, once, whatever happened inside."""
        if self._buyer is not None:
            self._buyer.done()
        if self._held is None:
            return
        if isinstance(error, UpstreamFailure):
            self._purchase.till.metrics.upstream_failed(self._order.api.name, error.error.code.code)
            self.finish(End(error.ending, Reading()))
        elif self._relay is not None:  # cancelled in the middle, unless it has finished already
            self.finish(self._relay.end(delivered=False))
        else:  # cancelled before upstream answered, or a fault of ours
            self.finish(End(Ending.UNANSWERED, Reading()))
        await self._settled()

    def watch(self, receive: Receive, send: Send, wire: Wire | None) -> None:
        """From now on the buyer is watched for leaving. Once."""
        seconds = self._purchase.till.limits.send_seconds
        self._buyer = Buyer(receive, send, wire, send_seconds=seconds, on_leaving=self._note_left)

    async def relay(self, reply: Reply, headers: HeaderList) -> None:
        """Send the answer to the watched buyer. Raises UpstreamFailure while nothing has been sent."""
        self._relay = Relay(self._order, self, self._watched)
        await self._relay.run(reply, headers)

    async def hand_out(self) -> None:
        """Send the recalled answer to the watched buyer: nothing is charged. Once delivered it is forgotten."""
        if self.recalled is None:
            raise RuntimeError("there is nothing to hand out")
        buyer, charged = self._watched, {b"x-charge-msat", b"x-balance-msat"}
        headers = [header for header in self.recalled.headers if header[0] not in charged]
        whole = Whole([*headers, REPLAYED, (b"x-charge-msat", b"0")], self.recalled.body)
        delivered = await send_whole(buyer, whole)
        self._purchase.till.metrics.handed_out()
        if delivered and self._wish.idempotency is None:
            self._purchase.later(self._purchase.ledger.drop_answer(self._owner, self._answer_name))
        await buyer.take(LAST)

    @property
    def _hold(self) -> Held:
        if self._held is None:
            raise RuntimeError("the reservation was not entered")
        return self._held

    @property
    def _watched(self) -> Buyer:
        if self._buyer is None:
            raise RuntimeError("the buyer is not watched")
        return self._buyer

    @property
    def _owner(self) -> Owner:
        match self._paid:
            case Bearer(token):
                return Owner.of_token(token)
            case Proven(payment_hash):
                return Owner.of_payment(payment_hash)

    @property
    def _secret(self) -> bytes:
        return self._paid.token.encode() if isinstance(self._paid, Bearer) else self._paid.secret

    @property
    def _answer_name(self) -> bytes:
        return self._wish.idempotency or self._order.digest

    # How the call ends.

    def _cost(self, reading: Reading) -> Cost:
        return pricing.cost(self._order, reading, self._hold.quote.btc_price, self._hold.quote.ceiling)

    def bill(self, reading: Reading) -> Bill:
        """What the call owes as far as it has been read, and the balance after it."""
        charge = self._cost(reading).charge
        return Bill(charge, self._hold.balance - charge)

    def finish(self, end: End) -> None:
        """Begin to write how the call ended. Only the first call counts."""
        if self._settling is not None:
            return
        if self._buyer is not None:
            self._buyer.done()
        settlement = self._settlement(end)
        self._settling = self._purchase.settle(settlement)
        self._tell(settlement, delivered=end.delivered)
        if self._running is not None:  # the settlement stands in for it from here on
            self._running.set_result(None)
            self._purchase.unsettled.discard(self._running)

    def _tell(self, settlement: Settlement, *, delivered: bool) -> None:
        """The call's line in the log, and its numbers."""
        order = self._order
        call = EndedCall(
            request_id=self._wish.request_id,
            api=order.api.name,
            path=order.path,
            model=order.model.id,
            ending=settlement.ending,
            delivered=delivered,
            charge=settlement.charge,
            btc_price=self._hold.quote.btc_price,
            upstream_cost=settlement.upstream_cost,
            clamped=settlement.clamped,
            loss=settlement.loss,
            seconds=time.monotonic() - self._began,
        )
        self._purchase.till.metrics.call_ended(call)
        log.info("call", extra={"fields": call.as_fields()})

    async def _settled(self) -> None:
        if self._settling is not None:
            await asyncio.shield(self._settling)

    def _settlement(self, end: End) -> Settlement:
        ending, reading = end.ending, end.reading
        cost = self._cost(reading)
        nobody_pays = ending in NOT_CHARGED or not cost.charge
        lost = ending not in {Ending.UNREACHABLE, Ending.REFUSED} and nobody_pays
        loss = pricing.upstream_ceiling(self._order) if lost else cost.waived
        return Settlement(
            op_id=self._purchase.till.randomness.op_id(),
            hold_id=self._hold.hold_id,
            ending=ending,
            charge=Msat.ZERO if ending in NOT_CHARGED else cost.charge,
            usage=pricing.usage_as_json(self._order, reading),
            upstream_cost=cost.upstream,
            clamped=cost.clamped or None,
            loss=loss if loss.value else None,
            answer=self._answer(end),
        )

    def _answer(self, end: End) -> Answer | None:
        """What is kept: a whole answer that was not delivered, and with an Idempotency-Key every whole answer."""
        limits, whole = self._purchase.till.limits, end.whole
        if whole is None or (end.delivered and self._wish.idempotency is None):
            return None
        if self._wish.idempotency is None:
            return Answer(self._sealed(whole), limits.kept_answer_seconds)
        too_large = end.delivered and len(whole.body) > limits.idempotency_max_bytes
        return Answer(self._sealed(None if too_large else whole), limits.idempotency_seconds)

    def _sealed(self, whole: Whole | None) -> bytes:
        nonce = self._purchase.till.randomness.bytes(NONCE_BYTES)
        return sealed(whole, self._secret, self._answer_name, nonce)

    def _note_left(self) -> None:
        """Another process, too, must know that this order is on its way: the same one is not sold again meanwhile."""
        if self._held is not None and self._settling is None:
            self._purchase.later(self._purchase.ledger.note_left(self._hold.hold_id))

    # How it begins.

    def _request(self, quote: Quote, pinned: Quote | None = None) -> HoldRequest:
        order, lease = self._order, self._purchase.lease.required()
        facts = CallFacts(self._wish.request_id, order.api.name, order.path, order.model.id, order.digest)
        op_id = self._purchase.till.randomness.op_id()
        return HoldRequest(op_id, lease, facts, quote, pinned, self._wish.idempotency)

    async def _hold_or_recall(self, quote: Quote) -> Held | Whole:
        """The hold, or the answer of an earlier call. Raises ApiError for every other outcome."""
        while True:
            outcome = await (
                self._hold_by_token(self._paid.token, quote)
                if isinstance(self._paid, Bearer)
                else self._hold_by_payment(self._paid, quote)
            )
            if isinstance(outcome, Held):
                return outcome
            whole = await self._opened(outcome)
            if whole is not None:
                return whole

    async def _recall(self) -> Whole | None:
        """The answer of an earlier call, if it is kept. Raises ApiError idempotency_key_reused, and the ledger's."""
        purchase, paid = self._purchase, self._paid
        if purchase.lease.id is None or (isinstance(paid, Proven) and not self._permitted(paid)):
            return None
        found = await on_ledger(purchase.ledger.kept_answer(self._owner, self._answer_name, self._order.digest))
        if isinstance(found, KeyReused):
            raise _refused(found)
        return found and await self._opened(found)

    async def _opened(self, kept: Kept) -> Whole | None:
        """None for what nobody can read any more, because a root key was replaced: the order is bought anew."""
        try:
            whole = opened(kept.sealed, self._secret, self._answer_name)
        except Unreadable:
            log.exception("a kept answer could not be opened")
            await on_ledger(self._purchase.ledger.drop_answer(self._owner, self._answer_name))
            return None
        if whole is None:
            raise ApiError(
                Code.IDEMPOTENCY_KEY_REUSED,
                "The answer to this Idempotency-Key was delivered and is too large to be kept. Use another key.",
            )
        return whole

    async def _hold_by_token(self, token: str, quote: Quote) -> Held | Kept:
        request = self._request(quote)
        outcome = await self._when_free(request, lambda: self._purchase.ledger.hold(Owner.of_token(token), request))
        match outcome:
            case Held() | Kept():
                return outcome
            case Gone():
                raise unknown_token(token)
            case Short() if not _is_busy(outcome):
                raise _insufficient(self._order, outcome)
            case _:
                raise _refused(outcome)

    async def _hold_by_payment(self, proven: Proven, quote: Quote) -> Held | Kept:
        counted = proven.payment_hash.hex()  # a credential that never fits must not make invoices without end
        if not self._permitted(proven):
            raise await self._challenge(counted)
        outcome = await self._redeem(proven, quote)
        match outcome:
            case Held() | Kept():
                return outcome
            case Gone():
                raise await self._challenge(counted)
            case Short() if not _is_busy(outcome):
                available = outcome.balance - outcome.held
                credit = Credit(proven.payment_hash, available, proven.limits, proven.facts.proof)
                raise await self._challenge(outcome.account, credit)
            case _:
                raise _refused(outcome)

    async def _challenge(self, counted: str, credit: Credit | None = None) -> ApiError:
        return await self._purchase.challenge(self._order, credit, counted=counted, proof=self._wish.proof)

    def _permitted(self, proven: Proven) -> bool:
        """A refill is its token's money, and a holder's limits narrow what a credential pays for."""
        if proven.facts.kind is PaymentKind.REFILL:
            return False
        return proven.limits.permit(self._order.api.name, now_seconds=self._purchase.till.clock())

    async def _redeem(self, proven: Proven, quote: Quote) -> HoldOutcome:
        """Credit the payment once, and hold. A large first credit asks the node before it counts."""
        purchase = self._purchase
        request = self._request(quote, self._pinned(proven, quote))
        limits = purchase.unconfirmed_limits()
        payment = purchase.till.payment_of(proven)
        outcome = await self._when_free(request, lambda: purchase.ledger.redeem_and_hold(payment, request, limits))
        if isinstance(outcome, AskNodeFirst):
            known = await purchase.till.paid(proven.payment_hash)
            vouched = purchase.till.payment_of(proven, known)
            outcome = await self._when_free(request, lambda: purchase.ledger.redeem_and_hold(vouched, request, limits))
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

    async def _when_free(self, request: HoldRequest, hold: Callable[[], Awaitable[Outcome | UnderReview]]) -> Outcome:
        """Hold; where running calls hold the balance, wait a little for them. The last outcome counts."""
        outcome = await on_ledger(self._landed(request, hold()))
        for pause in BUSY_PAUSES_SECONDS:
            if not (isinstance(outcome, Short) and _is_busy(outcome)):
                return outcome
            await asyncio.sleep(pause)
            outcome = await on_ledger(self._landed(request, hold()))
        return outcome

    async def _landed(self, request: HoldRequest, holding: Awaitable[Outcome | UnderReview]) -> Outcome | UnderReview:
        """Hold; a hold whose outcome its caller will never learn is given back, should it land after all."""
        try:
            return await holding
        except (LedgerUnavailable, asyncio.CancelledError):
            op_id = self._purchase.till.randomness.op_id()
            self._purchase.settle(Settlement(op_id, request.op_id, Ending.UNREACHABLE, Msat.ZERO))
            raise


def _is_busy(short: Short) -> bool:
    """The balance would do, but running calls hold it."""
    return short.balance >= short.quote.ceiling


def _refused(outcome: Short | Frozen | StillRunning | KeyReused) -> ApiError:
    """What is refused alike whatever the credential."""
    match outcome:
        case Frozen():
            return ApiError(Code.ACCOUNT_FROZEN)
        case Short():
            return retry_after(Code.PAYMENT_IN_PROGRESS, BUSY_RETRY_SECONDS)
        case StillRunning():
            message = "This very request is still being answered. Repeat it: you get that answer and pay it once."
            return retry_after(Code.PAYMENT_IN_PROGRESS, BUSY_RETRY_SECONDS, message)
        case KeyReused():
            return ApiError(Code.IDEMPOTENCY_KEY_REUSED)


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
