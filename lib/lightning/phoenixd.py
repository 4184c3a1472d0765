"""The phoenixd client. Written against phoenixd 0.8.0; needs 0.6.1 or newer, where a payment says if it expired.

phoenixd shows an invoice's preimage to whoever asks about it, even before anyone paid. Here it lives only inside
`_parsed`: no type has a field for it, and no exception keeps the reply, its frame or httpx's own error alive.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, TypeVar

import anyio
import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from lib.core.money import Msat, Sat
from lib.lightning.node import IncomingPayment, Invoice, NodeInfo, NodeUnavailable, PaymentState

CREATE_INVOICE_TIMEOUT_SECONDS = 10.0
READ_TIMEOUT_SECONDS = 5.0
# phoenixd closes an idle connection after 45 s; a pool that keeps it longer sends requests into closed sockets.
KEEPALIVE_EXPIRY_SECONDS = 20.0
# Invoices take at most half of the pool, so a flood of unpaid requests never delays the question "is it paid?".
INVOICES_IN_CREATION_MAX_COUNT = 16
CONNECTIONS_MAX_COUNT = 32
REPLY_MAX_BYTES = 262_144
DESCRIPTION_MAX_UTF16_UNITS = 128
PAYMENT_HASH_BYTES = 32
BOLT11_MAX_CHARACTERS = 4_096
BITCOIN_SUPPLY_SAT = 2_100_000_000_000_000
USABLE_CHANNEL_STATE = "Normal"
# The whole body of the one 404 that means "no such payment". A wrong address answers 404 with another text.
PAYMENT_NOT_FOUND = b"Not found"


class _Reply(BaseModel):
    """The fields we use. Others are dropped, a wrong type is refused, and no error message quotes the input."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel, hide_input_in_errors=True)


class _CreatedInvoice(_Reply):
    amount_sat: int
    payment_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    # It goes into a response header, so nothing but the alphabet of BOLT11 may pass.
    serialized: Annotated[str, Field(pattern=r"^ln[0-9a-z]+$", max_length=BOLT11_MAX_CHARACTERS)]


class _Balance(_Reply):
    balance_sat: Annotated[int, Field(ge=0, le=BITCOIN_SUPPLY_SAT)]


class _IncomingPayment(_Reply):
    payment_hash: str
    is_paid: bool
    is_expired: bool
    # Absent where any amount settles the invoice.
    requested_sat: Annotated[int, Field(ge=0, le=BITCOIN_SUPPLY_SAT)] | None = None
    # Net of liquidity fees: 0 or less is possible although the payer paid in full.
    received_sat: Annotated[int, Field(ge=-BITCOIN_SUPPLY_SAT, le=BITCOIN_SUPPLY_SAT)]


class _Channel(_Reply):
    # A channel without its peer has no other field.
    state: Annotated[str, Field(max_length=64)]


class _NodeInfo(_Reply):
    version: Annotated[str, Field(max_length=64)]
    chain: Annotated[str, Field(max_length=64)]
    channels: list[_Channel]


_R = TypeVar("_R", bound=_Reply)


@dataclass(frozen=True, slots=True)
class _Question:
    """One request. `name` is what error messages call it; `form` makes it a POST."""

    name: str
    path: str
    limit_seconds: float
    form: dict[str, str] | None = None


class Phoenixd:
    """A LightningNode over phoenixd's HTTP API. The limited-access password is enough.

    Nothing is ever asked twice: a repeated createinvoice makes a second payable invoice. Must be closed.
    """

    def __init__(
        self,
        url: str,
        password: str,
        *,
        create_invoice_timeout_seconds: float = CREATE_INVOICE_TIMEOUT_SECONDS,
        read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        """Connects to nothing yet. ValueError if `url` is not http(s)://host[:port] or carries a password."""
        self._create_invoice_timeout_seconds = create_invoice_timeout_seconds
        self._read_timeout_seconds = read_timeout_seconds
        self._creations = anyio.Semaphore(INVOICES_IN_CREATION_MAX_COUNT)
        self._client = httpx.AsyncClient(
            base_url=node_url(url),
            auth=httpx.BasicAuth("", password),
            headers={"Accept-Encoding": "identity"},
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX_COUNT,
                max_keepalive_connections=CONNECTIONS_MAX_COUNT,
                keepalive_expiry=KEEPALIVE_EXPIRY_SECONDS,
            ),
            timeout=None,  # noqa: S113 - `_exchange` bounds the whole call; httpx would bound each read alone
            trust_env=False,
        )

    async def create_invoice(self, amount: Sat, description: str, expires_in_seconds: int) -> Invoice:
        """A new invoice for exactly `amount`; a repeated call makes another one.

        ValueError, before anything is sent: an amount below 1 sat (for phoenixd 0 means "pay what you like"), a
        description over 128 UTF-16 units, an expiry below 1 s. NodeUnavailable: there may be an invoice, unknown to us.
        """
        _check_terms(amount, description, expires_in_seconds)
        form = {
            "description": description,
            "amountSat": str(amount.value),
            "expirySeconds": str(expires_in_seconds),
        }
        question = _Question("createinvoice", "createinvoice", self._create_invoice_timeout_seconds, form)
        created = await self._ask(question, _CreatedInvoice)
        if created is None or created.amount_sat != amount.value:
            raise NodeUnavailable("phoenixd, createinvoice: it did not make the invoice that we asked for.")
        return Invoice(bytes.fromhex(created.payment_hash), created.serialized, amount)

    async def incoming(self, payment_hash: bytes) -> IncomingPayment:
        """What the node says of one invoice. PAID by its `isPaid` alone, expired or not, whatever was received.

        `received` is what arrived net of liquidity fees, never below 0. ValueError if the hash is not 32 bytes.
        """
        if len(payment_hash) != PAYMENT_HASH_BYTES:
            raise ValueError("a payment hash has 32 bytes")
        path = f"payments/incoming/{payment_hash.hex()}"
        payment = await self._ask(_Question("payments/incoming", path, self._read_timeout_seconds), _IncomingPayment)
        if payment is None:
            return IncomingPayment(PaymentState.UNKNOWN, None, Msat.ZERO)
        if payment.payment_hash != payment_hash.hex():
            raise NodeUnavailable("phoenixd, payments/incoming: it answered about another payment.")
        requested = None if payment.requested_sat is None else Sat(payment.requested_sat)
        return IncomingPayment(_state(payment), requested, Sat(max(payment.received_sat, 0)).msat())

    async def info(self) -> NodeInfo:
        """Ready with a usable channel, or with none at all: the first payment opens it."""
        info = await self._ask(_Question("getinfo", "getinfo", self._read_timeout_seconds), _NodeInfo)
        if info is None:
            raise NodeUnavailable("phoenixd, getinfo: it answered 404.")
        states = Counter(channel.state for channel in info.channels)
        ready = not states or USABLE_CHANNEL_STATE in states
        return NodeInfo(info.version, info.chain, ready, _detail(states))

    async def balance(self) -> Sat:
        """Of connected channels. Fee credit is not counted: nothing can be paid with it."""
        balance = await self._ask(_Question("getbalance", "getbalance", self._read_timeout_seconds), _Balance)
        if balance is None:
            raise NodeUnavailable("phoenixd, getbalance: it answered 404.")
        return Sat(balance.balance_sat)

    async def aclose(self) -> None:
        """Close connections. Questions still under way fail."""
        await self._client.aclose()

    async def _ask(self, question: _Question, reply_type: type[_R]) -> _R | None:
        """The reply's fields, or None where phoenixd says `Not found`. Raises NodeUnavailable.

        The raise stands outside of every `except`: a chained httpx error quotes bytes of the reply.
        """
        try:
            with anyio.fail_after(question.limit_seconds):
                outcome = await self._exchange(question, reply_type)
        except TimeoutError:
            outcome = f"no answer within {question.limit_seconds:g} s"
        except httpx.ConnectError:
            outcome = "nothing accepts connections at its address"
        except httpx.HTTPError as exc:
            outcome = f"the exchange broke ({type(exc).__name__})"
        if isinstance(outcome, str):
            raise NodeUnavailable(f"phoenixd, {question.name}: {outcome}.")
        return outcome

    async def _exchange(self, question: _Question, reply_type: type[_R]) -> _R | str | None:
        """One request and its parsed reply, None for `Not found`, or a sentence about what is wrong with it."""
        method = "GET" if question.form is None else "POST"
        async with AsyncExitStack() as stack:
            if question.form is not None:
                await stack.enter_async_context(self._creations)
            response = await stack.enter_async_context(
                self._client.stream(method, question.path, data=question.form),
            )
            if response.status_code == HTTPStatus.NOT_FOUND and await _body(response) == PAYMENT_NOT_FOUND:
                return None
            if response.status_code != HTTPStatus.OK:
                return _refusal(response.status_code)
            parsed = _parsed(reply_type, await _body(response))
            return "the answer is not of its API" if parsed is None else parsed


def node_url(url: str) -> httpx.URL:
    """Refuses user info because httpx logs the address of each request with the password in it."""
    try:
        parsed = httpx.URL(url)
        acceptable = parsed.scheme in {"http", "https"} and parsed.host and not parsed.userinfo and not parsed.query
    except httpx.InvalidURL:
        acceptable = False
        parsed = httpx.URL()
    if not acceptable:
        raise ValueError("the node's address must look like http://host:port, without a password or query")
    return parsed


def _check_terms(amount: Sat, description: str, expires_in_seconds: int) -> None:
    if amount.value < 1:
        raise ValueError("an invoice must ask for at least 1 sat")
    if len(description.encode("utf-16-le")) // 2 > DESCRIPTION_MAX_UTF16_UNITS:
        raise ValueError(f"a description has at most {DESCRIPTION_MAX_UTF16_UNITS} UTF-16 units")
    if expires_in_seconds < 1:
        raise ValueError("an invoice must be payable for at least 1 s")


async def _body(response: httpx.Response) -> bytes | None:
    """The reply's bytes as sent, or None if they are more than any reply we ask for can have."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > REPLY_MAX_BYTES:
            return None
    return bytes(body)


def _parsed(reply_type: type[_R], body: bytes | None) -> _R | None:
    """The fields that `reply_type` names, or None. The rest of the reply, a preimage perhaps, ends with this frame."""
    try:
        return None if body is None else reply_type.model_validate_json(body)
    except ValidationError:
        return None


def _refusal(status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "it refuses our password (401)"
    return f"it answered {status}"


def _state(payment: _IncomingPayment) -> PaymentState:
    if payment.is_paid:
        return PaymentState.PAID
    return PaymentState.EXPIRED if payment.is_expired else PaymentState.OPEN


def _detail(states: Counter[str]) -> str:
    if not states:
        return "no channel yet: the first payment opens one"
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f"channels: {counted}" if USABLE_CHANNEL_STATE in states else f"no channel is usable: {counted}"
