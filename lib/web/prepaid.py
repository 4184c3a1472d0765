"""The routes of prepaid balances: top-up, claim, rotate, revoke, history, invoices."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from lib.core import credential, l402
from lib.core.credential import Bearer, L402Credential, Presented, Unpaid, Unproven
from lib.core.errors import ApiError, Code
from lib.core.l402 import PaymentKind, Proven
from lib.core.order import parse_json_object
from lib.lightning.node import PaymentState
from lib.services import Services
from lib.store.ledger import Entry
from lib.topup import Topups
from lib.web.body import read_body
from lib.web.free import count_unpaid
from lib.web.replies import NOT_STORED, Json, TellingRoute
from lib.web.routes import services_of

router = APIRouter(route_class=TellingRoute)

BODY_MAX_BYTES = 32_768
PAGE_DEFAULT_ENTRIES = 50
PAGE_MAX_ENTRIES = 200
HASH_HEX_DIGITS = 64


@router.post("/topup")
async def post_topup(request: Request) -> Json:
    """Ask for a top-up, or with a token for a refill: 402. A paid top-up's credential sent here is its claim: 200."""
    services = services_of(request)
    topups = _topups(services)
    presented = credential.parse(request.scope["headers"])
    proven = await _paid_topup(services, presented)
    if proven is not None:
        return Json((await topups.claim(proven, None)).as_body(), headers=NOT_STORED)
    if _is_empty_bearer(request):
        raise ApiError(Code.MISSING_TOKEN, "A refill needs the token whose balance shall grow.")
    count_unpaid(services, request.scope)
    amount = topups.amount(await _body(request, services))
    raise await topups.offer(amount, presented.token if isinstance(presented, Bearer) else None)


@router.post("/topup/claim")
async def post_claim(request: Request) -> Json:
    """A token for a payment: by its macaroon and proof, or for a small top-up by its bare preimage."""
    services = services_of(request)
    topups = _topups(services)
    count_unpaid(services, request.scope)
    presented = credential.parse(request.scope["headers"])
    body = await _body(request, services)
    bearer = presented.token if isinstance(presented, Bearer) else None
    shown = presented if isinstance(presented, L402Credential | Unproven) else _credential_in(body)
    if shown is None:
        preimage = credential.preimage_of(_text(body, "preimage"), Code.INVALID_PAYMENT)
        return Json((await topups.claim_bare(preimage, bearer)).as_body(), headers=NOT_STORED)
    proven = await _proven(services, shown)
    if proven is None:
        raise ApiError(Code.INVALID_PAYMENT, "Send the preimage too: this macaroon was not made to be proven without.")
    return Json((await topups.claim(proven, bearer)).as_body(), headers=NOT_STORED)


@router.post("/api/token/rotate")
async def post_rotate(request: Request) -> Json:
    """A new token for the account; the old one is gone."""
    services = services_of(request)
    token = await _topups(services).rotate(_token(request))
    return Json({**token.as_body(), "kind": "token"}, headers=NOT_STORED)


@router.delete("/api/token", status_code=204)
async def delete_token(request: Request) -> Response:
    """Give a token up for ever, once nothing is owed to it."""
    services = services_of(request)
    await _topups(services).revoke(_token(request))
    return Response(status_code=204, headers=NOT_STORED)


@router.get("/api/usage")
async def get_usage(request: Request) -> Json:
    """The account's history, newest first; `next_cursor` goes into `?before=` for the next page."""
    services = services_of(request)
    before = _query_integer(request, "before", None)
    limit = min(_query_integer(request, "limit", PAGE_DEFAULT_ENTRIES) or 1, PAGE_MAX_ENTRIES)
    account = (await services.purchase.balance(credential.parse(request.scope["headers"]))).account
    entries = await services.ledger.entries(account, before=before, limit=limit)
    cursor = entries[-1].id if len(entries) == limit else None
    return Json({"entries": [_entry(entry) for entry in entries], "next_cursor": cursor}, headers=NOT_STORED)


@router.get("/api/invoices/{payment_hash}")
async def get_invoice(payment_hash: str, request: Request) -> Json:
    """`open`, `paid` or `expired`, as the node says; only to the holder of the invoice's macaroon."""
    services = services_of(request)
    count_unpaid(services, request.scope)
    presented = credential.parse(request.scope["headers"])
    till = services.purchase.till
    if not isinstance(presented, L402Credential | Unproven):
        raise ApiError(Code.API_NOT_FOUND, "There is no such invoice for who does not hold its macaroon.")
    try:
        signed = l402.read(presented.macaroons, till.keys.roots, till.keys.ledger_id)
    except (l402.InvalidL402, l402.NotOurs):
        signed = None
    if signed is None or signed.payment_hash.hex() != payment_hash.lower():
        raise ApiError(Code.API_NOT_FOUND, "There is no such invoice for who does not hold its macaroon.")
    known = await till.incoming(signed.payment_hash)
    if known.state is PaymentState.UNKNOWN:
        raise ApiError(Code.PHOENIX_UNAVAILABLE, "The node does not know this invoice.")
    amount = signed.facts.amount.sat_rounded_down().value
    return Json(
        {"payment_hash": signed.payment_hash.hex(), "status": known.state.value, "amount_sats": amount},
        headers=NOT_STORED,
    )


def _topups(services: Services) -> Topups:
    if not services.settings.config.topup.enabled:
        raise ApiError(Code.TOPUP_UNAVAILABLE)
    return services.topups


async def _paid_topup(services: Services, presented: Presented) -> Proven | None:
    """A paid top-up's or refill's credential; None for anything else, a call's credential among it."""
    if not isinstance(presented, L402Credential | Unproven):
        return None
    try:
        proven = await _proven(services, presented)
    except l402.NotOurs:
        return None
    return proven if proven is not None and proven.facts.kind is not PaymentKind.CALL else None


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
    if not (text.isascii() and text.isdigit() and len(text) < len("10000000000000000000")):
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
