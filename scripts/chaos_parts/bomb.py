"""Where a server can die: at a named point, when it passes there for the n-th time. As with a power cut: kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

import aiohttp
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib.upstream import Upstream

ATTEMPT_HEADER = b"x-chaos-attempt"
CURRENT_ATTEMPT: ContextVar[str] = ContextVar("attempt", default="none")
"""Which attempt of which buyer is served here."""
ASKED_SECONDS = 0.003
"""So long after a request left for upstream it counts as asked: it is there, its answer is not here."""
OK = 200
PAID_PREFIXES = ("/openai/", "/v1/")


class Bomb:
    """Counts passes of one point."""

    def __init__(self, point: str, passes: int, note: Path) -> None:
        """`note` is written just before the end: which point it was."""
        self._point, self._left, self._note = point, passes, note

    @staticmethod
    def of(text: str, note: Path) -> Bomb:
        """From `settle.after:12`; an empty text is no bomb."""
        point, _, passes = text.partition(":")
        return Bomb(point, int(passes or 0), note)

    def passes(self, point: str) -> None:
        """Die here, if this is the place and the time."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                self._note.write_text(point, encoding="ascii")
                os.kill(os.getpid(), signal.SIGKILL)

    def is_at(self, point: str) -> bool:
        """Whether the next pass of this point is the last."""
        return point == self._point and self._left == 1


class MarkedUpstream(Upstream):
    """The real upstream, whose requests say for which hold and attempt they are: the journal then tells it."""

    def mark(self, bomb: Bomb) -> None:
        """From now on."""
        self._session = cast("aiohttp.ClientSession", _MarkedSession(self._session, bomb))


class _MarkedSession:
    def __init__(self, inner: aiohttp.ClientSession, bomb: Bomb) -> None:
        self._inner, self._bomb = inner, bomb

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def post(self, url: str, *, headers: Mapping[str, str], **options: Any) -> aiohttp.ClientResponse:
        """As the session's, awaited."""
        from chaos_parts.hurt_ledger import CURRENT_HOLD  # noqa: PLC0415 - it imports this module

        marked = {**headers, "x-chaos-hold": CURRENT_HOLD.get(), "x-chaos-attempt": CURRENT_ATTEMPT.get()}
        self._bomb.passes("upstream.before")
        asking = asyncio.ensure_future(self._inner.post(url, headers=marked, **options))
        if self._bomb.is_at("upstream.asked"):
            await asyncio.wait([asking], timeout=ASKED_SECONDS)
        self._bomb.passes("upstream.asked")
        response = await asking
        self._bomb.passes("upstream.answered")
        return response


class BuyerPoints:
    """The application, and the points between the first and the last byte to a buyer."""

    def __init__(self, app: ASGIApp, bomb: Bomb) -> None:
        """Outermost."""
        self._app, self._bomb = app, bomb

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and pass a point after each message of a paid answer."""
        if scope["type"] != "http" or not scope["path"].startswith(PAID_PREFIXES):
            await self._app(scope, receive, send)
            return
        CURRENT_ATTEMPT.set(dict(scope["headers"]).get(ATTEMPT_HEADER, b"none").decode("latin-1"))
        await self._app(scope, receive, _Watched(send, self._bomb).send)


class _Watched:
    """A server's `send` that passes points. It shows the connection's transport, as uvicorn's own does."""

    def __init__(self, send: Send, bomb: Bomb) -> None:
        self._send, self._bomb = send, bomb
        self._begun = False
        self.transport = getattr(getattr(send, "__self__", None), "transport", None)

    async def send(self, message: Message) -> None:
        """On."""
        await self._send(message)
        if message["type"] == "http.response.start":
            self._begun = message["status"] == OK
            if self._begun:
                self._bomb.passes("buyer.head")
        elif self._begun:
            self._bomb.passes("buyer.middle" if message.get("more_body") else "buyer.last")
