"""Callers who do not stop calling, each call on a connection of its own, and what became of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.world import CHAT, HELLO

CALLERS = 3
PAUSE_SECONDS = 0.01
LAST_PIECE = b"data: [DONE]"


@dataclass
class Calls:
    """How many were answered, how, and how long the slowest waited for its first byte."""

    statuses: list[str] = field(default_factory=list[str])
    failures: list[str] = field(default_factory=list[str])
    whole_streams: int = 0
    slowest_seconds: float = 0.0


@asynccontextmanager
async def calling(
    url: str, body: Mapping[str, Any] = HELLO, authorization: str = "", apart_seconds: float = 0.0
) -> AsyncGenerator[Calls]:
    """Call for as long as the block lasts; calls that run at its end are waited for.

    Callers begin apart, so that long calls do not all end at once.
    """
    calls, over = Calls(), asyncio.Event()
    request = _request(url, json.dumps(body).encode(), authorization)
    begins = [number * apart_seconds for number in range(CALLERS)]
    tasks = [asyncio.create_task(_call(url, request, calls, over, after)) for after in begins]
    try:
        yield calls
    finally:
        over.set()
        await asyncio.gather(*tasks)


def _request(url: str, content: bytes, authorization: str) -> bytes:
    credential = f"authorization: {authorization}\r\n" if authorization else ""
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\ncontent-type: application/json\r\n{credential}"
        f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + content


async def _call(url: str, request: bytes, calls: Calls, over: asyncio.Event, after_seconds: float) -> None:
    address = urlsplit(url)
    await asyncio.sleep(after_seconds)
    while not over.is_set():
        started = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            calls.slowest_seconds = max(calls.slowest_seconds, time.monotonic() - started)
            rest = await reader.read()
            calls.whole_streams += LAST_PIECE in rest
            calls.statuses.append(head.split(b" ", 2)[1].decode())
            writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            calls.failures.append(repr(error))
        await asyncio.sleep(PAUSE_SECONDS)
