"""How answers that are ours look on the wire: JSON, and OpenAI's error shape, rendered in this one place."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lib.core.errors import ApiError

SDK_RETRIES = frozenset({408, 409, 429})
"""Statuses below 500 that SDKs repeat by themselves."""


class Json(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Compact UTF-8."""
        return orjson.dumps(content)


def rendered(error: ApiError) -> Response:
    """An error as the client sees it, with what official SDKs need to behave."""
    row = error.code.value
    response = Json(error.as_body(), status_code=row.status)
    for name, value in error.headers.items():
        response.headers[name] = value
    if not row.retry and (row.status in SDK_RETRIES or row.status >= 500):  # noqa: PLR2004 - SDKs repeat every 5xx
        response.headers["x-should-retry"] = "false"
    return response


async def on_api_error(_request: Request, error: Exception) -> Response:
    """FastAPI's hook for ApiError."""
    if not isinstance(error, ApiError):
        raise error
    return rendered(error)


async def send_error(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Render an error from a raw ASGI endpoint."""
    await rendered(error)(scope, receive, send)
