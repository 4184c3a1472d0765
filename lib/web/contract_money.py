"""The shapes of what is said about money: challenges, balances, histories, tokens, errors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from lib.web.contract import BtcPrice, Shape


class Error(Shape):
    """OpenAI's shape; some codes have more members."""

    model_config = ConfigDict(extra="allow")

    message: str
    type: str
    param: str | None
    code: str
    next_action: str


class ErrorBody(Shape):
    """Every error that is not a challenge."""

    error: Error


class PaymentRequired(Shape):
    """An invoice, and the macaroon that its payment makes worth something."""

    status: Literal["payment_required"]
    kind: Literal["call", "topup", "refill"]
    invoice: str
    payment_hash: str
    amount_sats: int
    expires_in: int
    """Seconds in which the invoice can be paid."""
    macaroon: str
    max_price_msat: int | None = None
    """The most that this call can cost; of a call only."""
    typical_price_msat: int | None = None
    """What such a call usually costs; of a call only."""
    claim_url: str | None = None
    """Of a top-up only."""
    error: Error


class Balance(Shape):
    """The account of the credential presented."""

    kind: Literal["token", "l402"]
    status: Literal["active", "unconfirmed", "frozen"]
    balance_sats: int
    balance_msat: int
    held_msat: int
    """Held by running calls."""
    available_msat: int


class Entry(Shape):
    """One line of an account's history. The members from `request_id` on are null where they do not apply."""

    id: int
    at: str
    type: Literal["credit", "charge", "over", "adjust"]
    amount_msat: int
    """Negative for a charge."""
    balance_msat: int
    """After it."""
    request_id: str | None
    api: str | None
    path: str | None
    model: str | None
    ending: str | None
    usage: dict[str, Any] | None
    payment_hash: str | None


class Usage(Shape):
    """A page of the history, newest first."""

    entries: list[Entry]
    next_cursor: int | None
    """Goes into `?before=` for the next page; null on the last one."""


class Token(Shape):
    """A token. It is shown this once."""

    kind: Literal["topup", "call", "token"]
    token: str
    balance_sats: int
    balance_msat: int


class Refilled(Shape):
    """A refill that has arrived; its balance only for who also shows the token."""

    kind: Literal["refill"]
    credited_sats: int
    credited_msat: int
    balance_sats: int | None = None
    balance_msat: int | None = None


class Invoice(Shape):
    """What the node says about an invoice."""

    payment_hash: str
    status: Literal["open", "paid", "expired"]
    amount_sats: int
    expires_in: int
    """For how many seconds it can still be paid."""


class LineItem(Shape):
    """A part of the most that a call can cost."""

    unit: str
    quantity: int
    usd: str
    msat: str
    """Exact to a thousandth, rounded up."""


class Quote(Shape):
    """What a call can cost at most, and will typically. The items add up to the most, unless the minimum is more."""

    model: str
    amount_sats: int
    """What its invoice would ask for."""
    max_price_msat: int
    typical_price_msat: int
    minimum_price_msat: int
    line_items: list[LineItem]
    btc_price: BtcPrice


class TopupWanted(Shape):
    """One of the two."""

    amount_sats: int | None = None
    amount_usd: str | float | None = None


class ClaimWanted(Shape):
    """A macaroon with its preimage, or one made with `X-Payment-Proof: node` alone, or a small top-up's preimage."""

    macaroon: str | None = None
    preimage: str | None = None


def json_body(shape: type[Shape]) -> dict[str, Any]:
    """What FastAPI's document says of a body that a route reads by itself."""
    return {"requestBody": {"content": {"application/json": {"schema": shape.model_json_schema()}}}}
