"""One HTTP request over a socket of its own, by a client that may cut, reset, stall or read through a tiny window."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import h11

LOOPBACK = "127.0.0.1"
READ_BYTES = 65_536
EXCHANGE_LIMIT_SECONDS = 40.0
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a client behaves in one exchange; the default behaves well."""

    send_share: float = 1.0
    """Less than 1: the connection is cut when so much of the request was sent."""
    leave_after_bytes: int | None = None
    """Leave once so much of the reply was read."""
    leave_after_seconds: float | None = None
    """Leave so long after the request was sent."""
    stall_at_bytes: int | None = None
    """Stop reading there for `stall_seconds`."""
    stall_seconds: float = 0.0
    window_bytes: int | None = None
    """The receive buffer that is asked for."""
    reset: bool = False
    """Leave with a reset instead of an ordinary close."""


WELL_BEHAVED = Manner()


@dataclass(slots=True)
class Reply:
    """What came back. `left_at` is when the client left or the connection was lost; None if the reply is complete."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    received_bytes: int = 0
    sent: bool = False
    """The whole request was."""
    left_at: float | None = None
    window_bytes: int = 0

    @property
    def complete(self) -> bool:
        """It came to its end."""
        return self.status is not None and self.left_at is None

    @property
    def promised_bytes(self) -> int | None:
        """Of the body, by Content-Length."""
        said = self.headers.get("content-length")
        return int(said) if said is not None else None


class _Left(Exception):
    """The client goes, on purpose."""


async def exchange(
    port: int, method: str, path: str, headers: Mapping[str, str], body: bytes, manner: Manner = WELL_BEHAVED
) -> Reply:
    """Send one request and read its reply. Never raises: what went wrong is in the reply."""
    reply = Reply()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        if manner.window_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, manner.window_bytes)
        reply.window_bytes = connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        try:
            async with asyncio.timeout(EXCHANGE_LIMIT_SECONDS):
                await _Exchange(connection, reply, manner).run(port, method, path, headers, body)
        except _Left:
            reply.left_at = time.time()
            if manner.reset:
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        except (OSError, TimeoutError, h11.ProtocolError):
            reply.left_at = time.time()
    return reply


class _Exchange:
    def __init__(self, connection: socket.socket, reply: Reply, manner: Manner) -> None:
        self._connection, self._reply, self._manner = connection, reply, manner
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=READ_BYTES)
        self._stalled = False

    async def run(self, port: int, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Raises _Left, OSError, TimeoutError or ProtocolError unless the reply came to its end."""
        lines = {
            "Host": f"{LOOPBACK}:{port}",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **headers,
        }
        request = self._http.send(h11.Request(method=method, target=path, headers=list(lines.items())))
        sent = (request or b"") + (self._http.send(h11.Data(body)) or b"")
        self._http.send(h11.EndOfMessage())
        await self._loop.sock_connect(self._connection, (LOOPBACK, port))
        await self._loop.sock_sendall(self._connection, sent[: int(len(sent) * self._manner.send_share)])
        if self._manner.send_share < 1:
            raise _Left
        self._reply.sent = True
        try:
            async with asyncio.timeout(self._manner.leave_after_seconds):
                await self._read()
        except TimeoutError:
            raise _Left from None

    async def _read(self) -> None:
        pieces: list[bytes] = []
        while True:
            event = self._http.next_event()
            match event:
                case h11.NEED_DATA:
                    await self._more()
                case h11.Response():
                    self._reply.status = event.status_code
                    self._reply.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
                case h11.Data():
                    pieces.append(bytes(event.data))
                case h11.EndOfMessage():
                    self._reply.body = b"".join(pieces)
                    return
                case _:
                    raise h11.RemoteProtocolError("the connection ended in the middle of the reply")

    async def _more(self) -> None:
        """The next bytes, as few as the client's manner wants."""
        had, manner = self._reply.received_bytes, self._manner
        size = READ_BYTES
        if manner.stall_at_bytes is not None and not self._stalled:
            size = manner.stall_at_bytes - had
            if size <= 0:
                self._stalled = True
                await asyncio.sleep(manner.stall_seconds)
                size = READ_BYTES
        if manner.leave_after_bytes is not None:
            if had >= manner.leave_after_bytes:
                raise _Left
            size = min(size, manner.leave_after_bytes - had)
        data = await self._loop.sock_recv(self._connection, size)
        self._reply.received_bytes += len(data)
        self._http.receive_data(data)
