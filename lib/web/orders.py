"""From an HTTP request to an Order: what paid calls and quotes have in common."""

from __future__ import annotations

from starlette.types import Receive, Scope

from lib.core.catalog import Place
from lib.core.order import Order, order_of
from lib.media.image_size import size_of
from lib.services import Services
from lib.web.body import read_body


async def read_order(place: Place, services: Services, scope: Scope, receive: Receive) -> Order:
    """Read and validate a request. Raises ApiError, or ClientLeft; nothing was invoiced.

    A query string is not part of an order: SDKs send some (`?beta=true`), and none is passed on.
    """
    body = await read_body(
        scope,
        receive,
        max_bytes=place.endpoint.rules.max_body_bytes,
        within_seconds=services.settings.config.limits.body_seconds,
    )
    return order_of(place, body, today=services.today, size_of=size_of)
