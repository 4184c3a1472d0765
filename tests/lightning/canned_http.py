"""A loopback HTTP server that sends exactly the bytes it is given, also ones that no HTTP framework would send."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

QUESTION_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)


@dataclass
class CannedHttp:
    """`reply` is sent to every request from now on; None: nothing is ever sent, the connection stays open.

    Requests for a path in `hanging` are never answered, whatever `reply` is.
    """

    url: str
    reply: bytes | None
    hanging: frozenset[str] = frozenset()
    asked: list[Asked] = field(default_factory=list[Asked])
    arrival: asyncio.Event = field(default_factory=asyncio.Event)

    def arrived(self, asked: Asked) -> None:
        self.asked.append(asked)
        self.arrival.set()

    async def until_asked(self, count: int) -> None:
        """Returns once this many requests have arrived in all."""
        async with asyncio.timeout(QUESTION_TIMEOUT_SECONDS):
            while len(self.asked) < count:
                self.arrival.clear()
                await self.arrival.wait()


def http_reply(body: str | bytes, *, status: int = 200, content_type: str = "application/json") -> bytes:
    """A reply as phoenixd frames it: no Date, no Server."""
    raw = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


@asynccontextmanager
async def canned_http(reply: bytes | None) -> AsyncGenerator[CannedHttp]:
    """Serves on a free port while the block lasts, then drops every connection."""
    canned = CannedHttp("", reply)
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_serve(canned, reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    canned.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield canned
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


async def _serve(canned: CannedHttp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while (asked := await _next_request(reader)) is not None:
            canned.arrived(asked)
            if canned.reply is None or asked.path in canned.hanging:
                await reader.read()  # until the client gives up
                return
            writer.write(canned.reply)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _next_request(reader: asyncio.StreamReader) -> Asked | None:
    """None when the client has closed."""
    async with asyncio.timeout(QUESTION_TIMEOUT_SECONDS):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        method, path, _ = first.split(" ")
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Asked(method, path, headers, body)


def unused_address() -> str:
    """A loopback address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
