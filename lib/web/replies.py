"""How answers that are ours look on the wire: JSON, and OpenAI's error shape, rendered in this one place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lib.core.errors import ApiError, Code
from lib.web.body import ClientLeft

log = logging.getLogger(__name__)

SDK_RETRIES = frozenset({408, 409, 429})
"""Statuses below 500 that SDKs repeat by themselves."""
UNAUTHENTICATED = 401
CLIENT_LEFT = 499
"""For nobody: whoever it would tell has gone."""
NOT_STORED = {"Cache-Control": "no-store"}


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
    if row.status == UNAUTHENTICATED:  # never an L402 challenge: some clients pay whatever status it comes with
        asks = "Bearer" if error.code is Code.MISSING_TOKEN else 'Bearer error="invalid_token"'
        response.headers["WWW-Authenticate"] = asks
    if not row.retry and (row.status in SDK_RETRIES or row.status >= 500):  # noqa: PLR2004 - SDKs repeat every 5xx
        response.headers["x-should-retry"] = "false"
    return response


async def on_api_error(_request: Request, error: Exception) -> Response:
    """FastAPI's hook for ApiError."""
    if not isinstance(error, ApiError):
        raise error
    return rendered(error)


class TellingRoute(APIRoute):
    """A route whose faults are told in the same shape as every other error, with a request id to report."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook. What it knows to render itself passes."""
        handler = super().get_route_handler()

        async def telling(request: Request) -> Response:
            try:
                return await handler(request)
            except (ApiError, HTTPException, RequestValidationError):
                raise
            except ClientLeft:
                return Response(status_code=CLIENT_LEFT)
            except Exception:
                log.exception("%s %s failed", request.method, request.url.path)
                return rendered(ApiError(Code.INTERNAL_ERROR))

        return telling


async def send_error(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Render an error from a raw ASGI endpoint."""
    await rendered(error)(scope, receive, send)
