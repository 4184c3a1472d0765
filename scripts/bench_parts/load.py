"""Calls one server over so many connections for so long, and says how fast it was. Needs nothing installed.

`python load.py` reads a job as JSON on stdin (credentials do not belong in arguments, which `ps` shows): port, path,
headers, body, connections, seconds, max_calls. It prints the result as JSON. Each connection is kept alive and sends
its next request when the reply of the last one is complete; those that run when the time is over are awaited.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

REPLY_LIMIT_SECONDS = 30.0
HEAD_END = b"\r\n\r\n"
OK = b"HTTP/1.1 200"
STATUS_BYTES = 12
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
"""What ends a chunked body; no event of the bench's upstream holds it."""
NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """What to do."""

    port: int
    path: str
    headers: dict[str, str]
    body: str
    connections: int
    seconds: float
    max_calls: int

    def request(self) -> bytes:
        """The bytes of every call."""
        body = self.body.encode()
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **self.headers,
        }
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + HEAD_END + body


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it. Times are of complete replies, from the request's first byte to the reply's last."""

    calls: int
    failures: list[str]
    """Status lines other than 200, and what went wrong with connections: a few of them."""
    calls_per_second: float
    p50_ms: float
    p99_ms: float
    first_byte_p50_ms: float
    """Until the reply began."""


@dataclass(slots=True)
class Tally:
    """What all connections together have done."""

    stop_at_ns: int
    max_calls: int
    begun: int = 0
    whole_ns: list[int] = field(default_factory=list[int])
    first_ns: list[int] = field(default_factory=list[int])
    failures: list[str] = field(default_factory=list[str])

    def may_begin(self) -> bool:
        """Count one more call, unless the time or the number is reached, or something failed."""
        if self.failures or self.begun >= self.max_calls or time.perf_counter_ns() >= self.stop_at_ns:
            return False
        self.begun += 1
        return True


class Calling(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        """Nothing is sent before the connection is made."""
        self._request, self._tally = request, tally
        self._transport: asyncio.WriteTransport | None = None
        self._began_ns = self._first_ns = 0
        self._received = bytearray()
        self._length: int | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are that without being subclasses
        self._next()

    def data_received(self, data: bytes) -> None:
        """Look whether the reply is complete."""
        if not self._received:
            self._first_ns = time.perf_counter_ns()
        self._received += data
        if self._length is None:
            head_end = self._received.find(HEAD_END)
            if head_end < 0:
                return
            length = CONTENT_LENGTH.search(self._received, 0, head_end + 2)
            self._length = head_end + len(HEAD_END) + int(length[1]) if length else 0
        complete = len(self._received) >= self._length if self._length else self._received.endswith(LAST_CHUNK)
        if complete:
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that the server closed in the middle is a failure."""
        if not self.over.done():
            self._tally.failures.append(f"connection lost: {type(exc).__name__ if exc else 'closed by the server'}")
            self.over.set_result(None)

    def _complete(self) -> None:
        now_ns = time.perf_counter_ns()
        if self._received.startswith(OK):
            self._tally.whole_ns.append(now_ns - self._began_ns)
            self._tally.first_ns.append(self._first_ns - self._began_ns)
        else:
            self._tally.failures.append(self._received[:STATUS_BYTES].decode("latin-1"))
        self._next()

    def _next(self) -> None:
        self._received.clear()
        self._length = None
        if self._transport is None:
            return
        if self._tally.may_begin():
            self._began_ns = time.perf_counter_ns()
            self._transport.write(self._request)
        else:
            self.over.set_result(None)
            self._transport.close()


async def load(job: Job) -> Result:
    """Do it."""
    loop, request = asyncio.get_running_loop(), job.request()
    begin_ns = time.perf_counter_ns()
    tally = Tally(begin_ns + int(job.seconds * NS_PER_SECOND), job.max_calls)
    async with asyncio.timeout(job.seconds + REPLY_LIMIT_SECONDS):
        connected = [
            await loop.create_connection(lambda: Calling(request, tally), "127.0.0.1", job.port)
            for _ in range(job.connections)
        ]
        await asyncio.gather(*(calling.over for _, calling in connected))
    took_ns = time.perf_counter_ns() - begin_ns
    return Result(
        calls=len(tally.whole_ns),
        failures=tally.failures[:5],
        calls_per_second=len(tally.whole_ns) * NS_PER_SECOND / took_ns,
        p50_ms=_share(tally.whole_ns, 0.50),
        p99_ms=_share(tally.whole_ns, 0.99),
        first_byte_p50_ms=_share(tally.first_ns, 0.50),
    )


def _share(times_ns: list[int], share: float) -> float:
    ordered = sorted(times_ns)
    return ordered[int(len(ordered) * share)] / NS_PER_MS if ordered else 0.0


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(uvloop.run(load(Job(**json.load(sys.stdin)))))) + "\n")
