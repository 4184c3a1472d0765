"""The built front end, and what the server says without one."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from lib.services import Services
from lib.web.catalog_view import is_available
from lib.web.codings import accepted_codings
from lib.web.page_head import Shop, head_of, with_head
from lib.web.page_scripts import manifest_in, scripts_of

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self'; connect-src 'self' wss:; manifest-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Only what we serve is run or shown. `wss:` is the one open door: the relay of a visitor's own wallet link."""
PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
}
FOR_EVER = "public, max-age=31536000, immutable"
CODINGS = (("br", ".br"), ("gzip", ".gz"))
"""What the build leaves beside each file that gets smaller by it, best first."""
NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>alittlebitofmoney</title>
<h1>The web page has not been built</h1>
<p>The server runs and sells. To see its page, run <code>npm install</code> and <code>npm run build</code> in
<code>frontend</code>. What is sold: <a href="/api/catalog">/api/catalog</a>.</p></html>
"""


class Site:
    """Serves `frontend/dist`: hashed assets for ever, `index.html` never cached, and for every unknown page."""

    def __init__(self, dist: Path) -> None:
        """`dist` may be missing, and may appear later."""
        self._dist = dist
        self._files = StaticFiles(directory=dist, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a GET or HEAD."""
        response = await self._answer(scope)
        response.headers.update(PAGE_HEADERS)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        path = self._files.get_path(scope)
        if (self._dist / "index.html").is_file() and path != "index.html" and self._is_file(path):
            return await self._file(path, scope)
        return self._page(scope)

    def _page(self, scope: Scope) -> Response:
        """`index.html` with the head that belongs to the address, so that links to it unfold with its title."""
        try:
            text = (self._dist / "index.html").read_text(encoding="utf-8")
        except FileNotFoundError:
            return HTMLResponse(NOT_BUILT, status_code=503)
        services: Services = scope["app"].state.services
        origin = f"{scope['scheme']}://{Headers(scope=scope).get('host', '')}"
        shop = Shop(services.settings.config.title, services.settings.demo, origin, shown_call(services))
        head = head_of(scope["path"], services.catalog)
        scripts = scripts_of(head.modules, manifest_in(self._dist))
        page = with_head(text, scope["path"], head, scripts, shop)
        return HTMLResponse(page, headers={"Cache-Control": "no-cache"})

    async def _file(self, path: str, scope: Scope) -> Response:
        accepted = accepted_codings(Headers(scope=scope).get("accept-encoding", ""))
        coding, suffix = next(
            ((name, end) for name, end in CODINGS if name in accepted and self._is_file(path + end)), (None, "")
        )
        response = await self._files.get_response(path + suffix, scope)
        if coding is not None and response.status_code != 304:  # noqa: PLR2004 - Not Modified has no body
            response.headers["Content-Encoding"] = coding
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = FOR_EVER if path.startswith(f"assets{os.sep}") else "no-cache"
        return response

    def _is_file(self, path: str) -> bool:
        return self._files.lookup_path(path)[1] is not None and (self._dist / path).is_file()


def shown_call(services: Services) -> str | None:
    """The first JSON example of what can be bought now, else of what is listed: as the home page chooses it."""
    apis = sorted(
        services.catalog.apis.values(), key=lambda api: (not is_available(api, services), not api.rules.default)
    )
    calls = [
        (
            services.purchase.paused(api.name, str(endpoint.rules.example.body.get("model"))),
            api.name + endpoint.rules.path,
        )
        for api in apis
        for endpoint in api.endpoints.values()
        if endpoint.rules.content_type == "json" and endpoint.rules.example.body is not None
    ]
    return f"/{min(calls, key=lambda call: call[0])[1]}" if calls else None
