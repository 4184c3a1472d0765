"""A buyer without manners: reads as little as it likes, stalls, hangs up, resets."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.world import CHAT, SMALL_BUFFER_BYTES, Paid, World

LIMIT_SECONDS = 20.0


class RawCall:
    """One call on a socket of its own whose buffers are small, so that not reading is felt at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def until(self, marker: bytes) -> bytes:
        """Read up to and with a marker."""
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self._reader.readuntil(marker)

    async def rest(self) -> bytes:
        """Everything that still comes before the server closes."""
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self._reader.read()

    async def leave(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def reset(self) -> None:
        """Close it with a reset, as a killed process behind a NAT does."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


@asynccontextmanager
async def raw_call(world: World, body: Mapping[str, Any], paid: Paid, path: str = CHAT) -> AsyncGenerator[RawCall]:
    """Send a call; the answer is the caller's to read or not."""
    address = urlsplit(world.url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=client, limit=SMALL_BUFFER_BYTES)
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: application/json\r\n"
        f"authorization: {paid.authorization}\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    try:
        yield RawCall(reader, writer)
    finally:
        writer.transport.abort()
