"""A site of two parts: the built pages under the server's content policy, and a catalog the test decides.

What the pages promise is tested here without node, ledger or upstream, in states a real server is hard to bring to.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lib.web.site import CONTENT_SECURITY_POLICY

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
DIST = FRONTEND / "dist"
SAMPLE_CATALOG = FRONTEND / "src" / "testing" / "catalog.json"
SAMPLE_OF_THE_REST = FRONTEND / "src" / "testing" / "free.json"
STOP_TIMEOUT_SECONDS = 10

Catalog = dict[str, Any]
FREE: dict[str, Any] = json.loads(SAMPLE_OF_THE_REST.read_text())


def sample_catalog() -> Catalog:
    """The catalog the front end's own tests use."""
    return json.loads(SAMPLE_CATALOG.read_text())


@dataclass
class CannedSite:
    """`catalog` is what `GET /api/catalog` answers now; None makes it refuse. `bodies` is what was asked of chat."""

    url: str = ""
    catalog: Catalog | None = field(default_factory=sample_catalog)
    health: dict[str, Any] = field(default_factory=lambda: deepcopy(FREE["health"]))
    bodies: list[Any] = field(default_factory=list[Any])
    authorizations: list[str | None] = field(default_factory=list[str | None])

    def reset(self) -> None:
        """The sample catalog again, and nothing asked."""
        self.catalog = sample_catalog()
        self.health = deepcopy(FREE["health"])
        self.bodies.clear()
        self.authorizations.clear()

    def without_bitcoin_price(self) -> None:
        """As while the price feed has nothing: dollars stand, whatever is in sats is null."""
        catalog = sample_catalog()
        catalog["btc_price"] = None
        for model in models_of(catalog):
            model["typical_price_msat"] = None
            for price in model["prices"]:
                price["msat"] = price["sats"] = None
        self.catalog = catalog

    async def answer_catalog(self, _request: Request) -> Response:
        """`GET /api/catalog`."""
        if self.catalog is None:
            return JSONResponse({"error": {"message": "Starting up.", "code": "starting"}}, 503)
        return JSONResponse(deepcopy(self.catalog))

    async def answer_endpoint(self, _request: Request) -> Response:
        """`GET /api/catalog/{api}/{path}`: always the chat endpoint."""
        endpoint = sample_catalog()["apis"][0]["endpoints"][0]
        return JSONResponse({"api": "openai", "endpoint": endpoint, **FREE["endpoint"]})

    async def answer_health(self, _request: Request) -> Response:
        """`GET /api/health`."""
        return JSONResponse(self.health)

    async def answer_call(self, request: Request) -> Response:
        """Any paid call: 402, keeping what was asked."""
        self.bodies.append(await request.json())
        self.authorizations.append(request.headers.get("authorization"))
        return JSONResponse({"status": "payment_required"}, 402)


def models_of(catalog: Catalog) -> Iterator[dict[str, Any]]:
    """Every model of every endpoint."""
    for api in catalog["apis"]:
        for endpoint in api["endpoints"]:
            yield from endpoint["models"]


@contextmanager
def serving_site() -> Generator[CannedSite]:
    """A running site on a free port of this machine."""
    site = CannedSite()
    config = uvicorn.Config(_application(site), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        site.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield site
        finally:
            server.should_exit = True
            thread.join(STOP_TIMEOUT_SECONDS)


def _application(site: CannedSite) -> Starlette:
    return Starlette(
        routes=[
            Route("/api/catalog", site.answer_catalog),
            Route("/api/catalog/{path:path}", site.answer_endpoint),
            Route("/api/health", site.answer_health),
            Route("/api/errors", _answering({"errors": FREE["errors"]})),
            Route("/api/examples", _answering({"examples": FREE["guides"]})),
            Route("/api/quote/{path:path}", _answering(FREE["quote"]), methods=["POST"]),
            Route("/openai/{path:path}", site.answer_call, methods=["POST"]),
            Mount("/assets", StaticFiles(directory=DIST / "assets")),
            Route("/{path:path}", _page),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_with_content_policy)],
    )


def _answering(body: Any) -> Callable[[Request], Awaitable[Response]]:
    """A route that always says the same."""

    async def answer(_request: Request) -> Response:
        return JSONResponse(body)

    return answer


async def _page(request: Request) -> Response:
    """A file of the build, or the app for every other address."""
    path = DIST / request.path_params["path"]
    return FileResponse(path if path.is_file() else DIST / "index.html")


async def _with_content_policy(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
