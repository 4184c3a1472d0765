"""The paid calls: a plain ASGI endpoint, because this path is hot and its answer must be sent inside the hold."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from lib.core import credential, l402
from lib.core.catalog import Place
from lib.core.credential import Bearer, L402Credential, Unpaid, Unproven
from lib.core.errors import ApiError, Code, retry_after
from lib.core.l402 import Proven
from lib.core.money import Msat
from lib.core.order import Order
from lib.metrics import Metrics
from lib.reservation import Reservation, Wish
from lib.services import Services
from lib.store.ledger import idempotency_digest
from lib.upstream import UpstreamFailure
from lib.web.body import ClientLeft
from lib.web.free import count_unpaid, count_unpaid_upload, is_used_up
from lib.web.orders import is_form, opened_order
from lib.web.replies import send_error
from lib.web.request_id import request_id_of
from lib.web.wire import wire_of

log = logging.getLogger(__name__)

MAX_PRICE_HEADER = b"x-max-price-msat"
PROOF_HEADER = b"x-payment-proof"
MSAT_MAX_DIGITS = 16
TOLD_TO_OWNERS = frozenset({Code.INSUFFICIENT_BALANCE, Code.PAYMENT_IN_PROGRESS, Code.ACCOUNT_FROZEN})
"""What only a token that owns something can be told."""
IDEMPOTENCY_HEADER = b"idempotency-key"
IDEMPOTENCY_MAX_CHARS = 255


@dataclass(slots=True)
class PaidCalls:
    """Everything below `/{api}/` and `/v1/` that the catalog sells."""

    running: int = 0

    async def __call__(self, place: Place, services: Services, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call. Every expected failure is told in OpenAI's shape; nothing is lost by any."""
        started = _Started(send, services.metrics)
        try:
            await self._serve(place, services, scope, receive, started)
        except ClientLeft:
            return
        except ApiError as error:
            await started.refuse(error, scope, receive)
        except UpstreamFailure as failure:
            await started.refuse(failure.error, scope, receive)
        except Exception:
            log.exception("a request failed")
            await started.refuse(ApiError(Code.INTERNAL_ERROR), scope, receive)

    async def _serve(self, place: Place, services: Services, scope: Scope, receive: Receive, send: Send) -> None:
        paid = await _presented(services, scope)  # before the body is read: it decides the limits
        try:
            if is_form(place, scope):
                await _admit_upload(paid, services, scope)
            async with opened_order(place, services, scope, receive, paying=not isinstance(paid, Unpaid)) as order:
                if isinstance(paid, Unpaid):
                    services.purchase.quote(order, _max_price(scope))  # nobody is asked for more than it would pay
                    raise await services.purchase.challenge(order, proof=wanted_proof(scope))
                await self._sell(order, paid, services, scope, receive, send)
        except ApiError as error:
            if isinstance(paid, Bearer):
                await _count_a_stranger(paid, error, services, scope)
            raise

    async def _sell(
        self, order: Order, paid: Proven | Bearer, services: Services, scope: Scope, receive: Receive, send: Send
    ) -> None:
        wish = Wish(request_id_of(scope), wanted_proof(scope), idempotency_of(scope), _max_price(scope))
        if self.running >= services.settings.config.limits.concurrent_calls:
            raise retry_after(Code.RATE_LIMITED, 1, "This server is busy.")
        self.running += 1
        try:
            await _require_harmless(order, paid, services)
            async with Reservation(services.purchase, order, paid, wish) as held:
                held.watch(receive, send, wire_of(scope))
                if held.recalled is not None:
                    await held.hand_out()
                    return
                async with services.upstream.open(order, held.alias) as reply:
                    await held.relay(reply, [(b"cache-control", b"no-store")])
        finally:
            self.running -= 1


class _Started:
    """A `send` that remembers whether an answer has begun: after that no error can be rendered."""

    def __init__(self, send: Send, metrics: Metrics) -> None:
        self._send, self._metrics = send, metrics
        self._begun = False

    async def __call__(self, message: Message) -> None:
        self._begun = True
        await self._send(message)

    async def refuse(self, error: ApiError, scope: Scope, receive: Receive) -> None:
        self._metrics.refused(error.code.code)
        if not self._begun:
            await send_error(error, scope, receive, self._send)


def _max_price(scope: Scope) -> Msat | None:
    """The buyer's own bound, `X-Max-Price-Msat`. Raises ApiError if it is no whole number."""
    for name, value in scope["headers"]:
        if name == MAX_PRICE_HEADER:
            if not value.isdigit() or len(value) > MSAT_MAX_DIGITS:
                raise ApiError(Code.INVALID_FIELD_VALUE, "X-Max-Price-Msat must be a whole number.")
            return Msat(int(value))
    return None


def idempotency_of(scope: Scope) -> bytes | None:
    """The digest of the client's `Idempotency-Key`, if it sent one. Raises ApiError for one that cannot be read."""
    key = dict(scope["headers"]).get(IDEMPOTENCY_HEADER)
    if key is None:
        return None
    text = key.decode("latin-1").strip()
    if not (text and text.isascii() and text.isprintable() and len(text) <= IDEMPOTENCY_MAX_CHARS):
        raise ApiError(
            Code.INVALID_FIELD_VALUE, f"An Idempotency-Key has 1 to {IDEMPOTENCY_MAX_CHARS} printable ASCII characters."
        )
    return idempotency_digest(text)


def wanted_proof(scope: Scope) -> str:
    """`X-Payment-Proof: node` asks for a macaroon that needs no preimage, to be paid from another device."""
    wanted = dict(scope["headers"]).get(PROOF_HEADER, b"").strip().lower()
    return l402.PROOF_NODE if wanted == b"node" else ""


async def _presented(services: Services, scope: Scope) -> Unpaid | Proven | Bearer:
    """Prove what can be proven by hashing. Whoever proves nothing is counted, before its body is read.

    A token is proven by its hold, later; only where an address has used up its share it is looked up here first.
    """
    try:
        presented = credential.parse(scope["headers"])
        if isinstance(presented, L402Credential):
            return services.purchase.till.prove(presented)
    except l402.NotOurs:
        presented = Unpaid()
    except ApiError:
        await count_unpaid(services, scope)
        raise
    if isinstance(presented, Bearer):
        if is_used_up(services, scope):
            await _require_known(presented, services, scope)
        return presented
    await count_unpaid(services, scope)
    if isinstance(presented, Unproven):
        return await services.purchase.proven_by_node(presented) or Unpaid()
    return Unpaid()


async def _admit_upload(paid: Unpaid | Proven | Bearer, services: Services, scope: Scope) -> None:
    """Before a form is read and measured: whoever owns nothing here has a small share of that."""
    match paid:
        case Unpaid():
            await count_unpaid_upload(services, scope)
        case Bearer():
            await services.purchase.balance(paid)
        case Proven():
            pass


async def _require_harmless(order: Order, paid: Proven | Bearer, services: Services) -> None:
    """Let the moderation read the order, if there is one. Only for who is known: it is no free service of ours."""
    if services.moderation is None:
        return
    if isinstance(paid, Bearer):
        await services.purchase.balance(paid)
    await services.moderation.require_harmless(order)


async def _count_a_stranger(token: Bearer, error: ApiError, services: Services, scope: Scope) -> None:
    """A token is proven by its hold. Whoever did not get there, and owns nothing, is counted like who sends none."""
    if error.code is Code.INVALID_TOKEN:
        await count_unpaid(services, scope)
    elif error.code not in TOLD_TO_OWNERS:
        await _require_known(token, services, scope)


async def _require_known(token: Bearer, services: Services, scope: Scope) -> None:
    try:
        await services.purchase.balance(token)
    except ApiError as error:
        if error.code is Code.INVALID_TOKEN:
            await count_unpaid(services, scope)
        raise
