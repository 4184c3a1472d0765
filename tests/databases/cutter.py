"""A wire between a client and a database, that can be cut after the server has answered and before the client hears."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

CHUNK_BYTES = 65_536


class Cutter:
    """Passes everything on, until it is told to lose an answer: then that connection ends instead."""

    def __init__(self, port: int) -> None:
        """`port` is the database's."""
        self.connections = 0
        self._port = port
        self._to_lose = 0

    def lose_answers(self, count: int = 1) -> None:
        """The next so many answers never arrive. PostgreSQL answers a call after its commit."""
        self._to_lose = count

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, up to the end of either side."""
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as group:
                up = group.create_task(_pass_on(reader, up_writer))
                await self._answer(up_reader, writer)
                up.cancel()
        finally:
            for end in (writer, up_writer):
                end.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                if self._to_lose:
                    self._to_lose -= 1
                    return
                writer.write(data)
                await writer.drain()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def cutter(port: int) -> AsyncGenerator[tuple[Cutter, int]]:
    """A cutter before the database at this port, and the port to connect to instead."""
    wire = Cutter(port)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    try:
        yield wire, server.sockets[0].getsockname()[1]
    finally:
        server.close()
