"""The routes of prepaid balances: top-up, claim, rotate, revoke, history, invoices."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from lib.challenge import NODE_RETRY_SECONDS, on_ledger
from lib.core import credential, l402
from lib.core.credential import Bearer, L402Credential, Presented, Unpaid, Unproven
from lib.core.errors import ApiError, Code, retry_after
from lib.core.l402 import PaymentKind, Proven, Signed
from lib.core.order import parse_json_object
from lib.lightning.node import PaymentState
from lib.services import Services
from lib.store.ledger import Entry
from lib.topup import Topups, Wanted
from lib.web.body import read_body
from lib.web.contract_money import (
    ClaimWanted,
    ErrorBody,
    Invoice,
    PaymentRequired,
    Refilled,
    Token,
    TopupWanted,
    Usage,
    json_body,
)
from lib.web.free import count_unpaid, count_waiting
from lib.web.paid import idempotency_of, wanted_proof
from lib.web.replies import NOT_STORED, Json, TellingRoute
from lib.web.routes import services_of

router = APIRouter(route_class=TellingRoute)

BODY_MAX_BYTES = 32_768
PAGE_DEFAULT_ENTRIES = 50
PAGE_MAX_ENTRIES = 200
INTEGER_MAX_DIGITS = 18
"""Every such number fits into 64 bits."""
PAGE_QUERY = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": {"type": "integer"}} for name in ("before", "limit")
    ]
}


@router.post(
    "/topup",
    response_model=Token | Refilled,
    responses={402: {"model": PaymentRequired}},
    openapi_extra=json_body(TopupWanted),
)
async def post_topup(request: Request) -> Json:
    """Ask for a top-up, or with a token for a refill: 402. A paid top-up's credential sent here is its claim: 200."""
    services = services_of(request)
    topups = _topups(services)
    presented = credential.parse(request.scope["headers"])
    proven = await _paid_topup(services, presented)
    if proven is not None:
        try:
            wanted = Wanted(idempotency=idempotency_of(request.scope))
            return Json((await topups.claim(proven, wanted)).as_body(), headers=NOT_STORED)
        except ApiError as error:  # clients cache one credential: a spent one asks for another top-up
            if error.code is not Code.PAYMENT_ALREADY_USED:
                raise
    if _is_empty_bearer(request):
        raise ApiError(Code.MISSING_TOKEN, "A refill needs the token whose balance shall grow.")
    await count_unpaid(services, request.scope)
    amount = topups.amount(await _body(request, services))
    token = presented.token if isinstance(presented, Bearer) else None
    raise await topups.offer(amount, token, wanted_proof(request.scope))


@router.post(
    "/topup/claim",
    response_model=Token | Refilled,
    responses={402: {"model": ErrorBody}},
    openapi_extra=json_body(ClaimWanted),
)
async def post_claim(request: Request) -> Json:
    """A token for a payment: by its macaroon and proof, or for a small top-up by its bare preimage."""
    services = services_of(request)
    topups = _topups(services)
    await count_unpaid(services, request.scope)
    presented = credential.parse(request.scope["headers"])
    body = await _body(request, services)
    bearer = presented.token if isinstance(presented, Bearer) else None
    shown = presented if isinstance(presented, L402Credential | Unproven) else _credential_in(body)
    if shown is None:
        preimage = credential.preimage_of(_text(body, "preimage"), Code.INVALID_PAYMENT)
        return Json((await topups.claim_bare(preimage, bearer)).as_body(), headers=NOT_STORED)
    try:
        proven = await _proven(services, shown)
    except l402.NotOurs as error:
        raise ApiError(Code.INVALID_L402, f"{error}.".capitalize()) from error
    if proven is None:
        raise _unprovable(_signed(services, shown))
    wanted = Wanted(bearer, idempotency_of(request.scope))
    return Json((await topups.claim(proven, wanted)).as_body(), headers=NOT_STORED)


@router.post("/api/token/rotate", response_model=Token)
async def post_rotate(request: Request) -> Json:
    """A new token for the account; the old one is gone."""
    services = services_of(request)
    token = await _topups(services).rotate(_token(request), idempotency_of(request.scope))
    return Json({**token.as_body(), "kind": "token"}, headers=NOT_STORED)


@router.delete("/api/token", status_code=204)
async def delete_token(request: Request) -> Response:
    """Give a token up for ever, once nothing is owed to it."""
    services = services_of(request)
    await _topups(services).revoke(_token(request))
    return Response(status_code=204, headers=NOT_STORED)


@router.get("/api/usage", response_model=Usage, openapi_extra=PAGE_QUERY)
async def get_usage(request: Request) -> Json:
    """The account's history, newest first; `next_cursor` goes into `?before=` for the next page."""
    services = services_of(request)
    before = _query_integer(request, "before", None)
    limit = min(_query_integer(request, "limit", PAGE_DEFAULT_ENTRIES) or 1, PAGE_MAX_ENTRIES)
    account = (await services.purchase.balance(credential.parse(request.scope["headers"]))).account
    entries = await on_ledger(services.ledger.entries(account, before=before, limit=limit))
    cursor = entries[-1].id if len(entries) == limit else None
    return Json({"entries": [_entry(entry) for entry in entries], "next_cursor": cursor}, headers=NOT_STORED)


@router.get("/api/invoices/{payment_hash}", response_model=Invoice, responses={404: {"model": ErrorBody}})
async def get_invoice(payment_hash: str, request: Request) -> Json:
    """`open`, `paid` or `expired`, as the node says; only to the holder of the invoice's macaroon.

    `expires_in` is for how many seconds it can still be paid.
    """
    services = services_of(request)
    presented = credential.parse(request.scope["headers"])
    signed = _signed(services, presented)
    if signed is None or signed.payment_hash.hex() != payment_hash.lower():
        await count_unpaid(services, request.scope)
        raise ApiError(Code.API_NOT_FOUND, "There is no such invoice for who does not hold its macaroon.")
    await count_waiting(services, request.scope)
    state = (await services.purchase.till.incoming(signed.payment_hash)).state
    if state is PaymentState.UNKNOWN:
        raise retry_after(Code.PHOENIX_UNAVAILABLE, NODE_RETRY_SECONDS, "The node does not know this invoice.")
    return Json(
        {
            "payment_hash": signed.payment_hash.hex(),
            "status": state.value,
            "amount_sats": signed.facts.amount.sat_rounded_down().value,
            "expires_in": await _expires_in_seconds(services, signed) if state is PaymentState.OPEN else 0,
        },
        headers=NOT_STORED,
    )


def _topups(services: Services) -> Topups:
    if not services.settings.config.topup.enabled:
        raise ApiError(Code.TOPUP_UNAVAILABLE)
    return services.topups


async def _paid_topup(services: Services, presented: Presented) -> Proven | None:
    """A paid top-up's or refill's credential; None for anything else, a call's credential among it."""
    signed = _signed(services, presented)
    is_of_a_call = signed is not None and signed.facts.kind is PaymentKind.CALL
    if is_of_a_call or not isinstance(presented, L402Credential | Unproven):
        return None
    try:
        return await _proven(services, presented)
    except l402.NotOurs:
        return None


def _signed(services: Services, presented: Presented) -> Signed | None:
    """The macaroon shown, if one was shown and it is ours."""
    if not isinstance(presented, L402Credential | Unproven):
        return None
    return services.purchase.till.signed(presented)


def _unprovable(signed: Signed | None) -> ApiError:
    """Why a macaroon without a preimage claims nothing."""
    if signed is None:
        return ApiError(Code.INVALID_L402, "This macaroon is not valid here.")
    if signed.facts.proof == l402.PROOF_NODE:
        return ApiError(Code.INVALID_PAYMENT, "The invoice expired unpaid. Top up again.")
    return ApiError(Code.INVALID_PAYMENT, "Send the preimage too: this macaroon was not made to be proven without.")


async def _expires_in_seconds(services: Services, signed: Signed) -> int:
    """A call's quote outlives its invoice by a known time; every other invoice is written down."""
    if signed.facts.quote_until is not None:
        return services.purchase.till.expires_in_seconds(signed.facts.quote_until)
    found = await on_ledger(services.ledger.find_topup(signed.payment_hash))
    return found.expires_in_seconds if found is not None else 0


async def _proven(services: Services, presented: L402Credential | Unproven) -> Proven | None:
    """Prove by preimage, or by the node where the macaroon allows it."""
    if isinstance(presented, L402Credential):
        return services.purchase.till.prove(presented)
    return await services.purchase.proven_by_node(presented)


def _credential_in(body: dict[str, Any]) -> L402Credential | Unproven | None:
    """`macaroon` and perhaps `preimage` of a claim's body."""
    if "macaroon" not in body:
        return None
    macaroon = _text(body, "macaroon")
    if body.get("preimage") is None:
        return Unproven((macaroon,))
    return L402Credential((macaroon,), credential.preimage_of(_text(body, "preimage"), Code.INVALID_PAYMENT))


def _token(request: Request) -> str:
    presented = credential.parse(request.scope["headers"])
    if isinstance(presented, Bearer):
        return presented.token
    if isinstance(presented, Unpaid):
        raise ApiError(Code.MISSING_TOKEN)
    raise ApiError(Code.INVALID_TOKEN, "This needs a token. Claim one for your credential at POST /topup/claim.")


def _is_empty_bearer(request: Request) -> bool:
    return request.headers.get("authorization", "").strip().lower() == "bearer"


async def _body(request: Request, services: Services) -> dict[str, Any]:
    """A JSON object, whatever the Content-Type says; an empty body is an empty object."""
    seconds = services.settings.config.limits.body_seconds
    body = await read_body(request.scope, request.receive, max_bytes=BODY_MAX_BYTES, within_seconds=seconds)
    return parse_json_object(body) if body.strip() else {}


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        raise ApiError(Code.MISSING_REQUIRED_FIELD, f"The field `{name}` is required.", param=name)
    if not isinstance(value, str):
        raise ApiError(Code.INVALID_FIELD_TYPE, f"`{name}` must be of type string.", param=name)
    return value


def _query_integer(request: Request, name: str, default: int | None) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= INTEGER_MAX_DIGITS):
        raise ApiError(Code.INVALID_FIELD_TYPE, f"`{name}` must be a whole number.", param=name)
    return int(text)


def _entry(entry: Entry) -> dict[str, Any]:
    call = entry.call
    return {
        "id": entry.id,
        "at": entry.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "type": entry.kind.value,
        "amount_msat": entry.amount.value,
        "balance_msat": entry.balance.value,
        "request_id": call.request_id if call else None,
        "api": call.api if call else None,
        "path": call.path if call else None,
        "model": call.model if call else None,
        "ending": entry.ending.value if entry.ending else None,
        "usage": orjson.loads(entry.usage) if entry.usage else None,
        "payment_hash": entry.payment_hash.hex() if entry.payment_hash else None,
    }
