"""The demo's own route: a page pays an invoice with play money. Outside the demo there is no such address."""

from __future__ import annotations

from fastapi import APIRouter, Request

from lib.challenge import NODE_RETRY_SECONDS
from lib.core.errors import ApiError, Code, retry_after
from lib.core.order import parse_json_object
from lib.lightning.node import NodeUnavailable
from lib.lightning.payer import PaymentRefused
from lib.web.body import read_body
from lib.web.free import count_unpaid
from lib.web.replies import NOT_STORED, Json, TellingRoute
from lib.web.routes import services_of

router = APIRouter(route_class=TellingRoute)

BODY_MAX_BYTES = 8_192
BODY_SECONDS = 10.0


@router.post("/api/demo/pay", include_in_schema=False)
async def post_demo_pay(request: Request) -> Json:
    """Let the demo's wallet pay `invoice`: 200 once it has. 404 outside the demo."""
    services = services_of(request)
    if services.demo_wallet is None:
        raise ApiError(Code.API_NOT_FOUND)
    await count_unpaid(services, request.scope)
    body = await read_body(request.scope, request.receive, max_bytes=BODY_MAX_BYTES, within_seconds=BODY_SECONDS)
    invoice = parse_json_object(body).get("invoice")
    if not isinstance(invoice, str) or not invoice:
        raise ApiError(Code.MISSING_REQUIRED_FIELD, "Send the invoice as `invoice`.", param="invoice")
    try:
        await services.demo_wallet.pay(invoice)
    except PaymentRefused as refused:
        raise ApiError(Code.INVALID_PAYMENT, f"The demo's wallet did not pay: {refused}.") from refused
    except NodeUnavailable as error:
        raise retry_after(Code.PHOENIX_UNAVAILABLE, NODE_RETRY_SECONDS, "The demo's wallet does not answer.") from error
    return Json({"status": "paid"}, headers=NOT_STORED)
