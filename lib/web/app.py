"""The ASGI application: routes, the paid calls, the site, and one lifespan around all of them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import cast

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from lib.core.catalog import Catalog
from lib.core.errors import ApiError, Code
from lib.services import Current, Services
from lib.web import demo_wallet, discovery, metrics, prepaid, quote
from lib.web.paid import PaidCalls
from lib.web.replies import on_api_error, send_error
from lib.web.request_id import RequestId
from lib.web.routes import router
from lib.web.site import Site
from lib.web.wire import note_wire

EXPOSED_HEADERS = (
    "WWW-Authenticate",
    "X-Lightning-Invoice",
    "X-Payment-Hash",
    "X-Price-Sats",
    "X-Topup-URL",
    "X-Charge-Msat",
    "X-Balance-Msat",
    "X-Answer-Replayed",
    "X-Request-Id",
    "Retry-After",
    "Payment-Receipt",
)
API_PREFIXES = ("/api/", "/topup", "/v1/", "/metrics", "/openapi.json", "/llms.txt", "/.well-known/")
TOPUP_PAGE = "/topup"
SLASHES = re.compile(r"/{2,}")
PREFLIGHT_SECONDS = 86_400
TELEMETRY_OFF = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)

OpenServices = Callable[[Current], AbstractAsyncContextManager[None]]
"""Sets the services of what it is given, and keeps them open while its block runs."""


def create_app(open_services: OpenServices, dist: Path) -> FastAPI:
    """The whole application. Nothing is opened before its lifespan begins."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with open_services(cast("Current", app.state)):
            yield

    app = Shop(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, telemetry=TELEMETRY_OFF)
    app.add_exception_handler(ApiError, on_api_error)
    app.add_middleware(PaidFirst, paid=PaidCalls())  # innermost
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=["*"],  # SDKs in browsers send headers of their own; each request's list is echoed
        expose_headers=EXPOSED_HEADERS,
        max_age=PREFLIGHT_SECONDS,
    )
    app.add_middleware(RequestId)
    app.include_router(metrics.router)
    app.include_router(prepaid.router)
    app.include_router(router)
    app.include_router(discovery.router)
    app.include_router(quote.router)
    app.include_router(demo_wallet.router)
    app.router.routes.append(Mount("/", app=Rest(Site(dist))))
    return app


class Shop(FastAPI):
    """Outside of every middleware: here `send` is still the server's own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the connection that the answer takes, and read its address as most people mean it."""
        if scope["type"] == "http":
            note_wire(scope, send)
            scope["path"] = tidy(scope["path"])
        await super().__call__(scope, receive, send)


def tidy(path: str) -> str:
    """An address without doubled slashes and the last one: a client's base URL may end in a slash, its paths too."""
    return SLASHES.sub("/", path).rstrip("/") or "/"


class PaidFirst:
    """Paid calls, before any routing: they are the hot path. Everything else passes."""

    def __init__(self, app: ASGIApp, paid: PaidCalls) -> None:
        self._app, self._paid = app, paid

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sell what the catalog has at this place."""
        if scope["type"] == "http":
            services: Services = scope["app"].state.services
            place = services.catalog.find(scope["method"], scope["path"])
            if place is not None:
                await self._paid(place, services, scope, receive, send)
                return
            if scope["method"] == "HEAD" and (is_api(scope["path"]) or services.catalog.covers(scope["path"])):
                scope = {**scope, "method": "GET"}  # the same answer; the server sends none of its body
        await self._app(scope, receive, send)


def is_api(path: str) -> bool:
    """Whether an unknown address below it is 404 in JSON, never the web page."""
    return (path + "/").startswith(API_PREFIXES)


def opens_page(scope: Scope) -> bool:
    """`/topup` is both: who asks for HTML there gets the page, POST is the API's."""
    return scope["path"] == TOPUP_PAGE and "text/html" in Headers(scope=scope).get("accept", "")


class Rest:
    """What no route took: a page, or nothing."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the method and by whose path it is."""
        catalog: Catalog = scope["app"].state.services.catalog
        path, method = scope["path"], scope["method"]
        if methods := catalog.methods(path):
            allow = {"Allow": ", ".join(methods)}
            await send_error(ApiError(Code.METHOD_NOT_ALLOWED, headers=allow), scope, receive, send)
        elif method in {"GET", "HEAD"} and (opens_page(scope) or (not catalog.covers(path) and not is_api(path))):
            await self._site(scope, receive, send)
        else:
            await send_error(ApiError(Code.API_NOT_FOUND, catalog.why_not(path)), scope, receive, send)
