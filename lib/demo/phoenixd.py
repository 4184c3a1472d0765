"""A DOUBLE of phoenixd 0.8.0's HTTP API over one of the demo's wallets. It pretends: no bitcoin moves.

Played: invoices, payments, balances, node information. Not played: websocket, webhooks, offers, addresses, on-chain;
those routes exist, check the password, and then answer 500 with a sentence that says so.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from lib.demo import phoenixd_reply as reply
from lib.demo.faults import FaultyTransport
from lib.demo.invoice import NotAnInvoice, read_invoice
from lib.demo.network import TRAMPOLINE_BASE_FEE_MSAT, TRAMPOLINE_FEE_PER_THOUSAND, PaymentFailed
from lib.demo.phoenixd_reply import json_reply, text_reply
from lib.demo.phoenixd_request import Parameters, Refusal, form_of, path_of, query_of
from lib.demo.wallet import MSAT_PER_SAT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from lib.demo.invoice import ReadInvoice
    from lib.demo.network import Network
    from lib.demo.wallet import Incoming, Outgoing, Wallet

    Handler = Callable[[Request], Awaitable[Response]]

Row = TypeVar("Row")

DEFAULT_EXPIRY_SECONDS = 86_400
DEFAULT_PAGE_ROWS = 20
MAX_DESCRIPTION_UTF16_UNITS = 128
MAX_EXPIRY_SECONDS = 2**31 - 1
SAT_PER_BTC = 100_000_000
UNAUTHORIZED = "Invalid authentication (use basic auth with the http password set in phoenix.conf)"
CHALLENGE = 'Basic realm="Ktor Server", charset=UTF-8'
NOT_PLAYED = "the demo's double does not play this route"
NOT_PLAYED_ROUTES = {
    "GET": ("/estimateliquidityfees", "/getoffer", "/getlnaddress"),
    "POST": ("/createoffer", "/decodeoffer", "/export", "/lnurlwithdraw"),
}
NOT_PLAYED_FULL_ONLY = ("payoffer", "paylnaddress", "lnurlpay", "lnurlauth", "sendtoaddress", "bumpfee", "closechannel")


class Phoenixd:
    """One wallet's API. `limited_password` opens everything but what spends."""

    def __init__(self, network: Network, wallet: Wallet, *, full_password: str, limited_password: str) -> None:
        self._network = network
        self._wallet = wallet
        self._full = [full_password]
        self._any = [full_password, limited_password]

    def app(self) -> ASGIApp:
        """The ASGI application, faults included."""
        texts: dict[Any, Any] = {HTTPException: _routing_error, Refusal: _refused}
        app = Starlette(routes=self._routes(), exception_handlers=texts)
        app.router.redirect_slashes = False
        return FaultyTransport(app, self._wallet.knobs)

    def _routes(self) -> list[Route]:
        get = {
            "/getinfo": self.getinfo,
            "/getbalance": self.getbalance,
            "/listchannels": self.listchannels,
            "/payments/incoming": self.incoming_list,
            "/payments/incoming/{paymentHash}": self.incoming_by_hash,
            "/payments/outgoing": self.outgoing_list,
            "/payments/outgoing/{uuid}": self.outgoing_by_id,
            "/payments/outgoingbyhash/{paymentHash}": self.outgoing_by_hash,
            **dict.fromkeys(NOT_PLAYED_ROUTES["GET"], _not_played),
        }
        post = {
            "/createinvoice": self.createinvoice,
            "/decodeinvoice": self.decodeinvoice,
            **dict.fromkeys(NOT_PLAYED_ROUTES["POST"], _not_played),
        }
        full = {"/payinvoice": self.payinvoice, **{f"/{name}": _not_played for name in NOT_PLAYED_FULL_ONLY}}
        return [
            *(_route(path, "GET", handler, self._any) for path, handler in get.items()),
            *(_route(path, "POST", handler, self._any) for path, handler in post.items()),
            *(_route(path, "POST", handler, self._full) for path, handler in full.items()),
        ]

    async def getinfo(self, _: Request) -> Response:
        """Node id, channels, chain, version."""
        return json_reply(reply.node_info(self._wallet))

    async def getbalance(self, _: Request) -> Response:
        """Balance and fee credit, in sat."""
        return json_reply(reply.balance(self._wallet))

    async def listchannels(self, _: Request) -> Response:
        """Channels, opaque."""
        return json_reply(reply.channels(self._wallet))

    async def createinvoice(self, request: Request) -> Response:
        """A new invoice at every call. A bad `webhookUrl` is noticed only after the invoice was made."""
        form = await form_of(request)
        asked_sat = form.integer("amountSat")
        description, description_hash = form.text("description"), form.hex32("descriptionHash")
        _check_description(description, description_hash)
        expiry_seconds = form.integer("expirySeconds")
        expiry_seconds = DEFAULT_EXPIRY_SECONDS if expiry_seconds is None else expiry_seconds
        if asked_sat is not None and asked_sat <= -SAT_PER_BTC:
            raise Refusal(500, "amount is not valid")
        if not 0 <= expiry_seconds <= MAX_EXPIRY_SECONDS:
            raise Refusal(500, "expiry is not valid")
        made = self._wallet.create_invoice(
            asked_sat=asked_sat,
            description=description,
            description_hash=description_hash,
            expiry_seconds=expiry_seconds,
        )
        made.external_id = form.text("externalId")
        form.url("webhookUrl")
        return json_reply(reply.created_invoice(made))

    async def incoming_list(self, request: Request) -> Response:
        """Paid ones, newest payment first; with `all=true` also unpaid ones, newest invoice first."""
        query = query_of(request)
        everything, external_id = query.flag("all"), query.text("externalId")

        def moment(invoice: Incoming) -> int | None:
            return invoice.created_at_ms if everything else invoice.completed_at_ms

        known = [
            invoice
            for invoice in reversed(self._wallet.incoming.values())
            if not self._wallet.knobs.current.forgot(invoice.payment_hash)
            and (external_id is None or invoice.external_id == external_id)
            and (everything or reply.is_paid(self._wallet, invoice))
        ]
        known.sort(key=lambda invoice: moment(invoice) or 0, reverse=True)
        page = _page(query, known, moment, self._network.clock.now_ms())
        return json_reply([reply.incoming_payment(self._wallet, invoice) for invoice in page])

    async def incoming_by_hash(self, request: Request) -> Response:
        """One invoice of ours, paid or not."""
        payment_hash = path_of(request).hex32("paymentHash") or ""
        invoice = self._wallet.incoming.get(payment_hash)
        if invoice is None or self._wallet.knobs.current.forgot(payment_hash):
            raise Refusal(404, "Not found")
        return json_reply(reply.incoming_payment(self._wallet, invoice))

    async def outgoing_list(self, request: Request) -> Response:
        """Payments that succeeded; with `all=true` also pending and failed ones."""
        query = query_of(request)
        everything = query.flag("all")

        def moment(payment: Outgoing) -> int | None:
            return payment.created_at_ms if everything else payment.completed_at_ms

        known = [payment for payment in self._wallet.outgoing if everything or payment.preimage is not None]
        page = _page(query, known, moment, self._network.clock.now_ms())
        return json_reply([reply.outgoing_payment(payment) for payment in page])

    async def outgoing_by_id(self, request: Request) -> Response:
        """One payment of ours."""
        payment_id = path_of(request).uuid("uuid")
        return _first_payment([payment for payment in self._wallet.outgoing if payment.payment_id == payment_id])

    async def outgoing_by_hash(self, request: Request) -> Response:
        """The best attempt to pay this hash."""
        return _first_payment(self._wallet.attempts(path_of(request).hex32("paymentHash") or ""))

    async def decodeinvoice(self, request: Request) -> Response:
        """What an invoice says."""
        return json_reply(reply.decoded_invoice(_invoice_of(await form_of(request))[1]))

    async def payinvoice(self, request: Request) -> Response:
        """Pay, and answer when it is decided. A payment that failed is a 200 with `reason`."""
        form = await form_of(request)
        text, invoice = _invoice_of(form)
        amount_sat, send_all = form.integer("amountSat"), form.flag("sendAll")
        if amount_sat is not None and send_all:
            raise Refusal(400, "Cannot use both amountSat and sendAll request parameters")
        amount_msat = invoice.terms.amount_msat if amount_sat is None else amount_sat * MSAT_PER_SAT
        if send_all:
            amount_msat = _all_of(self._wallet.balance_msat)
        if amount_msat is None:
            raise Refusal(400, "Request parameter amountSat is missing")
        try:
            return json_reply(reply.payment_sent(await self._network.pay(self._wallet, text, invoice, amount_msat)))
        except PaymentFailed as failure:
            return json_reply({"paymentHash": invoice.terms.payment_hash, "reason": failure.reason})


def _route(path: str, method: str, handler: Handler, passwords: list[str]) -> Route:
    async def endpoint(request: Request) -> Response:
        if not _password_is_one_of(request.headers.get("authorization", ""), passwords):
            return text_reply(401, UNAUTHORIZED, **{"WWW-Authenticate": CHALLENGE})
        return await handler(request)

    route = Route(path, endpoint, methods=[method])
    route.methods = {method}  # Starlette adds HEAD to GET, phoenixd does not
    return route


def _password_is_one_of(authorization: str, passwords: list[str]) -> bool:
    """HTTP Basic; only the password counts, whatever the user name."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        _, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    matches = [hmac.compare_digest(password.encode(), known.encode()) for known in passwords]
    return scheme.lower() == "basic" and bool(colon) and any(matches)


def _check_description(description: str | None, description_hash: str | None) -> None:
    if description is not None and len(description.encode("utf-16-le")) // 2 > MAX_DESCRIPTION_UTF16_UNITS:
        raise Refusal(400, "Request parameter description is too long (max 128 characters)")
    if (description is None) == (description_hash is None):
        raise Refusal(400, "Must provide either a description or descriptionHash")


def _invoice_of(form: Parameters) -> tuple[str, ReadInvoice]:
    text = form.required("invoice")
    try:
        return text, read_invoice(text)
    except NotAnInvoice:
        raise form.unreadable("invoice", "bolt11invoice") from None


def _all_of(balance_msat: int) -> int:
    """The most that can be sent so that its fee fits too."""
    return max(0, (balance_msat - TRAMPOLINE_BASE_FEE_MSAT) * 1000 // (1000 + TRAMPOLINE_FEE_PER_THOUSAND))


def _page(query: Parameters, rows: list[Row], moment: Callable[[Row], int | None], now_ms: int) -> list[Row]:
    """`from` ≤ moment ≤ `to`, then `offset` and `limit`."""
    first, last = query.integer("from"), query.integer("to")
    limit, offset = query.integer("limit"), query.integer("offset")
    first, last = first or 0, now_ms if last is None else last
    start = max(0, offset or 0)
    found = [row for row in rows if first <= (moment(row) or 0) <= last]
    return found[start : start + max(0, DEFAULT_PAGE_ROWS if limit is None else limit)]


def _first_payment(payments: list[Outgoing]) -> Response:
    if not payments:
        raise Refusal(404, "Not found")
    return json_reply(reply.outgoing_payment(payments[0]))


async def _not_played(_: Request) -> Response:
    return text_reply(500, NOT_PLAYED)


async def _refused(_: Request, refusal: Refusal) -> Response:
    return text_reply(refusal.status, refusal.text)


async def _routing_error(_: Request, error: HTTPException) -> Response:
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return text_reply(405, "Invalid http method (use the correct GET/POST)")
    return text_reply(404, "Unknown endpoint (check api doc)")
