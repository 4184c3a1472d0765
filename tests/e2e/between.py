"""Somebody between a script and the shop, who notes every secret that passes and may tell lies."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.world import World, serving

SECRETS = re.compile(r'alb_[A-Za-z0-9_-]{43}|"(?:macaroon|preimage)":"([^"]{16,})"|L402 ([^:]{16,}):([0-9a-f]{64})')
HOP_HEADERS = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


@dataclass(slots=True)
class Answer:
    """What the shop said, before it goes on."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body of a refusal or a challenge."""
        return json.loads(self.body)

    def say(self, **members: Any) -> None:
        """Change members of the JSON body."""
        self.body = json.dumps({**self.json, **members}).encode()


Lie = Callable[[Answer], None]


@dataclass(slots=True)
class Between:
    """An ASGI application in front of a shop."""

    client: httpx.AsyncClient
    lie: Lie
    secrets: set[str] = field(default_factory=set[str])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        headers = {name: value.strip() for name, value in request.headers.items() if name not in HOP_HEADERS}
        self._note(body.decode(errors="replace"), request.headers.get("authorization", ""))
        real = await self.client.request(request.method, request.url.path, content=body, headers=headers)
        kept = {name: value for name, value in real.headers.items() if name not in HOP_HEADERS}
        answer = Answer(real.status_code, kept, real.content)
        self._note(answer.body.decode(errors="replace"))
        self.lie(answer)
        await Response(answer.body, answer.status, answer.headers)(scope, receive, send)

    def _note(self, *texts: str) -> None:
        for text in texts:
            for found in SECRETS.finditer(text):
                self.secrets.update(group for group in found.groups() if group)
                if found[0].startswith("alb_"):
                    self.secrets.add(found[0])


def honestly(_answer: Answer) -> None:
    """Change nothing."""


@asynccontextmanager
async def between(world: World, lie: Lie = honestly) -> AsyncGenerator[tuple[str, Between]]:
    """Stand in front of a shop; gives the address to talk to."""
    somebody = Between(world.client, lie)
    async with serving(somebody) as url:
        yield url, somebody
