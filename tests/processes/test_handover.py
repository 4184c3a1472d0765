"""A server that is handed its listening socket, as systemd does it, and gives nobody the slip when it stops."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lib.demo.parts import demo_parts
from lib.handover import FIRST_FD, inherited_sockets
from tests.world import ROOT, environment

pytestmark = pytest.mark.slow

LIMIT_SECONDS = 60.0
HANDED_OVER = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&0 0</dev/null'
ASK = b"GET /api/health/live HTTP/1.1\r\nhost: here\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Door:
    """A socket that outlives the servers behind it."""

    listener: socket.socket
    env: dict[str, str]

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[asyncio.subprocess.Process]:
        """A server behind it; killed at the end if it still runs."""
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", HANDED_OVER, "bash", sys.executable, "server.py"),
            cwd=ROOT,
            env=self.env,
            stdin=self.listener.fileno(),
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.listener.getsockname())


@pytest.fixture
async def door(tmp_path: Path) -> AsyncGenerator[Door]:
    async with demo_parts() as parts:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield Door(listener, {**environment(parts, tmp_path), "PATH": os.environ["PATH"]})


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The whole answer to a question on this connection."""
    writer.write(ASK)
    async with asyncio.timeout(LIMIT_SECONDS):
        return await reader.readuntil(b'{"status":"ok"}')


async def test_who_calls_before_there_is_a_server_waits_for_it(door: Door):
    """A question that was asked of the socket alone is answered by the server that comes."""
    reader, writer = await door.connect()
    writer.write(ASK)
    async with door.opened(), asyncio.timeout(LIMIT_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200")
    writer.close()


async def test_who_was_let_in_is_answered_by_a_server_that_stops(door: Door):
    """A connection on which nothing was asked yet is served after SIGTERM, and told that it is the last time."""
    async with door.opened() as server:
        first, second = await door.connect(), await door.connect()
        assert b"connection: close" not in (await answered(*first)).lower()
        server.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT_SECONDS):
            while b"connection: close" not in (said := await answered(*second)).lower():
                pass
        assert said.startswith(b"HTTP/1.1 200")
        assert await server.wait() == 0
        assert await first[0].read() == b""
    for _, writer in (first, second):
        writer.close()


async def test_who_calls_a_server_that_has_stopped_waits_for_the_next(door: Door):
    """Between two servers nobody is refused: the second answers what was asked after the first had ended."""
    async with door.opened() as server:
        reader, writer = await door.connect()
        await answered(reader, writer)
        writer.close()
        server.send_signal(signal.SIGTERM)
        assert await server.wait() == 0
    reader, writer = await door.connect()
    writer.write(ASK)
    async with door.opened(), asyncio.timeout(LIMIT_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize("environ", [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "2"}])
def test_sockets_of_other_processes_are_left_alone(environ: dict[str, str]):
    """What was handed to another process, whose environment we inherited, is not ours."""
    assert inherited_sockets(environ, pid=1) == []
    assert FIRST_FD == 3
