"""An upstream that costs next to nothing: ready-made answers of a chat model, so that what is measured is the proxy.

`python upstream.py` listens on a free loopback port and prints it. A request with `"stream":true` is answered by 50
events of some words, a millisecond apart, one with the usage, and [DONE]; any other by one kilobyte of JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any, cast

import uvloop

HEAD_END = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
STREAM = re.compile(rb'"stream": *true')
STREAM_CHUNKS = 50
CHUNK_SECONDS = 0.001
"""Between two events of a stream: each travels alone, as a model's words do."""
INPUT_TOKENS, OUTPUT_TOKENS = 20, 50
USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}
COMMON: dict[str, Any] = {"id": "chatcmpl-bench", "created": 1_700_000_000, "model": "gpt-6-luna"}
WORDS = "Some words of an answer that has about the size of a short one. "


def json_answer() -> bytes:
    """Head and body of a whole answer."""
    message = {"role": "assistant", "content": WORDS * 11}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({**COMMON, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + length + body


def stream_answer() -> list[bytes]:
    """What is written at each step of a stream: its head with the first event, more events, its end."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    words = [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}] * STREAM_CHUNKS
    first, *events = [_event(choices=[word]) for word in words]
    end = _event(choices=[], usage=USAGE) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return [head + first, *events, end]


def _event(**members: Any) -> bytes:
    payload = {**COMMON, "object": "chat.completion.chunk", **members}
    return _chunk(b"data: " + json.dumps(payload).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class Answering(asyncio.Protocol):
    """One connection, one request after another. It trusts its callers: no pipelining, always a Content-Length."""

    def __init__(self, whole: bytes, steps: list[bytes]) -> None:
        """What to answer."""
        self._whole, self._steps = whole, steps
        self._received = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are that without being subclasses

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is complete."""
        self._received += data
        head, end, body = self._received.partition(HEAD_END)
        length = CONTENT_LENGTH.search(head)
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        if STREAM.search(body):
            self._step(0)
        else:
            self._write(self._whole)

    def connection_lost(self, exc: Exception | None) -> None:
        """Write no more."""
        del exc
        self._transport = None

    def _step(self, number: int) -> None:
        self._write(self._steps[number])
        if self._transport is not None and number + 1 < len(self._steps):
            self._loop.call_later(CHUNK_SECONDS, self._step, number + 1)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve() -> None:
    """Until the process is ended."""
    whole, steps = json_answer(), stream_answer()
    server = await asyncio.get_running_loop().create_server(lambda: Answering(whole, steps), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
