"""The built front end, and what the server says without one."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
}
FOR_EVER = "public, max-age=31536000, immutable"
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
        await response(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        index = self._dist / "index.html"
        if not index.is_file():
            return HTMLResponse(NOT_BUILT, status_code=503, headers=PAGE_HEADERS)
        path = self._files.get_path(scope)
        found = path != "." and self._files.lookup_path(path)[1] is not None and (self._dist / path).is_file()
        response = await self._files.get_response(path if found else "index.html", scope)
        response.headers.update(PAGE_HEADERS)
        response.headers["Cache-Control"] = FOR_EVER if found and path.startswith("assets/") else "no-cache"
        return response
