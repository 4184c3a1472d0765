"""What stands before PostgREST at Supabase: it serves under /rest/v1/ and lets nobody through without a key.

A key of the new kind (`sb_secret_…`, `sb_publishable_…`) is exchanged for a token of its role, as Supabase does it. A
key that looks like a JWT is passed on, for PostgREST to verify.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import aiohttp
import jwt
from aiohttp import web

from tests.databases.postgrest import JWT_SECRET

PREFIX = "/rest/v1/"
SECRET_KEY = "sb_secret_of_a_test_and_nothing_else"
PUBLISHABLE_KEY = "sb_publishable_of_a_test"
KEY_LIFE_SECONDS = 3_600
STOP_GRACE_SECONDS = 1.0
BODY_MAX_BYTES = 100_000_000
"""More than PostgREST would be sent by anybody; a kept answer may be large."""
PASSED_ON = ("Accept", "Accept-Profile", "Content-Profile", "Content-Type", "Prefer")

Forward: TypeAlias = Callable[[], Awaitable[web.Response]]
Interference: TypeAlias = Callable[[web.Request, Forward], Awaitable[web.StreamResponse]]


def key_of(role: str, *, lives_seconds: int = KEY_LIFE_SECONDS, secret: str = JWT_SECRET) -> str:
    """A key of the old kind: a JWT that makes its bearer this role. A negative life is over already."""
    return jwt.encode({"role": role, "iss": "supabase", "exp": int(time.time()) + lives_seconds}, secret, "HS256")


class SupabaseGateway:
    """Listens on a free loopback port. A test may `interfere` with any request, before, after or instead of it."""

    def __init__(self, socket: Path) -> None:
        """Carries to the PostgREST on this socket."""
        self._socket = socket
        self._opaque = {SECRET_KEY: "service_role", PUBLISHABLE_KEY: "anon"}
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None
        self.url = ""
        self.interfere: Interference | None = None
        self.asked: Counter[str] = Counter()
        """How often each function or table was asked for."""

    async def start(self) -> None:
        """Listen. The port stays the same from one start to the next."""
        self._client = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=str(self._socket), limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )
        app = web.Application(client_max_size=BODY_MAX_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_GRACE_SECONDS)
        await self._runner.setup()
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        site = web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Drop every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()
        self._runner = self._client = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path.rpartition("/")[2]] += 1

        async def forward() -> web.Response:
            return await self._forward(request)

        if self.interfere is not None:
            return await self.interfere(request, forward)
        return await forward()

    async def _forward(self, request: web.Request) -> web.Response:
        key = request.headers.get("apikey")
        if not request.path.startswith(PREFIX):
            return _refusal(404, "no Route matched with those values")
        if key is None:
            return _refusal(401, "No API key found in request")
        if key not in self._opaque and key.count(".") != 2:
            return _refusal(401, "Invalid API key")
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if bearer in {"", key} and key in self._opaque:
            bearer = key_of(self._opaque[key])
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        return await self._carried(request, {**headers, "Authorization": f"Bearer {bearer}"})

    async def _carried(self, request: web.Request, headers: dict[str, str]) -> web.Response:
        assert self._client is not None
        path = request.path_qs.removeprefix(PREFIX.rstrip("/"))
        try:
            async with self._client.request(
                request.method, f"http://postgrest{path}", data=io.BytesIO(await request.read()), headers=headers
            ) as reply:
                body = await reply.read()
                return web.Response(status=reply.status, body=body, headers={"Content-Type": _type_of(reply)})
        except aiohttp.ClientError:
            return _refusal(502, "An invalid response was received from the upstream server")
        except ConnectionError:  # whoever asked was killed while it sent: there is nobody to answer
            return _refusal(499, "Client closed the request")


def _type_of(reply: aiohttp.ClientResponse) -> str:
    return reply.headers.get("Content-Type", "application/octet-stream")


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)
