"""A request id for every answer, and for the ledger's and the log's memory of it."""

from __future__ import annotations

import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib.ids import Ids
from lib.logs import REQUEST_ID

SCOPE_KEY = "alittlebitofmoney.request_id"


def request_id_of(scope: Scope) -> str:
    """The id that the answer carries as `X-Request-Id`."""
    return scope[SCOPE_KEY]


class RequestId:
    """Pure ASGI middleware: Starlette's BaseHTTPMiddleware would halve the throughput."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._ids = Ids(secrets.token_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope[SCOPE_KEY] = f"req_{self._ids.next()}"
        REQUEST_ID.set(request_id)  # each request runs in a context of its own

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        await self._app(scope, receive, named)
