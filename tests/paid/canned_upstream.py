"""An upstream that says exactly the bytes that a test gives it, as no well-behaved one would."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

DONE = b"data: [DONE]\n\n"
SSE = "text/event-stream"
LIMIT_SECONDS = 30.0


class End(Enum):
    """What the connection does after the last piece."""

    WELL = "the body is complete"
    CUT = "the connection ends in the middle of the body"
    HANG = "nothing more comes"


@dataclass(slots=True)
class CannedUpstream:
    """`pieces` are written one by one; before each asyncio.Event among them it waits for that event."""

    url: str
    pieces: list[bytes | asyncio.Event] = field(default_factory=list[bytes | asyncio.Event])
    content_type: str = SSE
    end: End = End.WELL
    requests: int = 0
    looks: int = 0
    """How often somebody only asked whether we are there."""

    def says(self, *pieces: bytes | asyncio.Event, end: End = End.WELL, content_type: str = SSE) -> None:
        """From the next request on."""
        self.pieces, self.end, self.content_type = list(pieces), end, content_type

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, one connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET "):
            self.looks += 1
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            return
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        self.requests += 1
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: {self.content_type}\r\n"
            "transfer-encoding: chunked\r\nconnection: close\r\n\r\n".encode()
        )
        for piece in self.pieces:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            elif piece:
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                await writer.drain()
        if self.end is End.HANG:
            await reader.read()  # until the server gives up
        elif self.end is End.WELL:
            writer.write(b"0\r\n\r\n")


@asynccontextmanager
async def canned_upstream(listener: socket.socket | None = None) -> AsyncGenerator[CannedUpstream]:
    """Listen on a free loopback port, or on a socket that is bound already."""
    bound = listener or bound_socket()
    canned = CannedUpstream(url_of(bound))
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await canned.answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(one(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accepted, sock=bound)
    try:
        yield canned
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def bound_socket() -> socket.socket:
    """A port that refuses connections until somebody listens on it."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.setblocking(False)
    return bound


def url_of(bound: socket.socket) -> str:
    """For OPENAI_BASE_URL."""
    return f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


def event(payload: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def text(content: str, finish: str | None = None, **more: Any) -> bytes:
    """A chunk of a stream that carries text."""
    return event({"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}], **more})


def used(tokens_in: Any, tokens_out: Any, **more: Any) -> bytes:
    """The usage chunk of a stream."""
    return event({"choices": [], "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, **more}})
