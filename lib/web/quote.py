"""The free price of a call: the paid call's own body in, an itemised quote out, no invoice."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Any

from fastapi import APIRouter, Request

from lib.btc_price import PricedAt
from lib.core import pricing
from lib.core.errors import ApiError, Code
from lib.core.money import BtcPrice
from lib.core.order import Order
from lib.core.pricing import LineItem
from lib.web.catalog_view import btc_price_view, plain
from lib.web.contract_money import ErrorBody, Quote
from lib.web.free import count_quote, count_unpaid_upload
from lib.web.orders import is_form, opened_order
from lib.web.replies import NOT_STORED, Json, TellingRoute
from lib.web.routes import services_of

router = APIRouter(route_class=TellingRoute)

MSAT_STEP = Decimal("0.001")


@router.post("/api/quote/{path:path}", response_model=Quote, responses={400: {"model": ErrorBody}})
async def post_quote(path: str, request: Request) -> Json:
    """What a call can cost at most, and will typically, at the price of this moment."""
    services = services_of(request)
    await count_quote(services, request.scope)
    place = services.catalog.find("POST", "/" + path)
    if place is None:
        raise ApiError(Code.API_NOT_FOUND)
    if is_form(place, request.scope):
        await count_unpaid_upload(services, request.scope)
    async with opened_order(place, services, request.scope, request.receive, paying=False) as order:
        return Json(quote_view(order, services.purchase.priced()), headers=NOT_STORED)


def quote_view(order: Order, priced: PricedAt) -> dict[str, Any]:
    """The quote: its items add up to the ceiling before rounding, unless the minimum is more."""
    most = pricing.ceiling(order, priced.price)
    return {
        "model": order.model.id,
        "amount_sats": most.sat_rounded_up().value,
        "max_price_msat": most.value,
        "typical_price_msat": pricing.typical(order, priced.price).value,
        "minimum_price_msat": order.model.minimum.value,
        "line_items": [_item(item, priced.price) for item in pricing.items_of_ceiling(order, priced.price)],
        "btc_price": btc_price_view(priced),
    }


def _item(item: LineItem, price: BtcPrice) -> dict[str, Any]:
    return {
        "unit": item.unit.value,
        "quantity": item.quantity,
        "usd": plain(item.amount.usd()),
        "msat": plain(price.msat_of(item.amount).quantize(MSAT_STEP, ROUND_CEILING)),
    }
