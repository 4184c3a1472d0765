"""Servers as processes of their own, beside doubles that outlive them; each is ended by its own pid."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx

from lib.demo.parts import DemoParts
from tests.world import REQUEST_SECONDS, ROOT, World, environment

START_SECONDS = 60.0
STOP_SECONDS = 60.0
SERVER = ("server.py",)
QUICK = ("-m", "tests.processes.quick_server")
"""The same with leases that are stale after seconds."""
GENEROUS = {
    "unpaid_per_ip_per_minute": 100_000,
    "unpaid_per_network_per_minute": 100_000,
    "invoices_per_minute": 100_000,
    "differences_per_account_per_minute": 100_000,
}
NOT_HERE: Any = None
"""The parts of a world that are in another process."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A server that runs, and a buyer's way to it."""

    world: World
    process: asyncio.subprocess.Process
    log: Path

    async def stop(self) -> int:
        """SIGTERM; the exit code once it has ended."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """SIGKILL, which it cannot hear."""
        self.process.kill()
        await self.ended()

    async def ended(self) -> int:
        """The exit code."""
        return await asyncio.wait_for(self.process.wait(), STOP_SECONDS)


@dataclass(frozen=True)
class Street:
    """Where shops are opened: doubles, a directory, and what is the same for all of them."""

    parts: DemoParts
    directory: Path
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @asynccontextmanager
    async def opened(self, *program: str, name: str = "shop") -> AsyncGenerator[Shop]:
        """A shop by this program, `python server.py` if none is named; killed at the end if it still runs.

        Shops of one name share a data directory.
        """
        port, log = free_port(), self.directory / f"{name}.log"
        env = environment(self.parts, self.directory / name) | {
            "ALITTLEBITOFMONEY_CONFIG": str(self._config()),
            "PORT": str(port),
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
        }
        command = [argument.replace("{port}", str(port)) for argument in program or SERVER]
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=ROOT, env={**env, **self.env}, stdout=out, stderr=out
            )
        url = f"http://127.0.0.1:{port}"
        limits = httpx.Limits(max_connections=None)
        try:
            async with httpx.AsyncClient(
                base_url=url, timeout=REQUEST_SECONDS, limits=limits, trust_env=False
            ) as client:
                await _answering(client, process, log)
                yield Shop(World(url, self.parts, NOT_HERE, client, NOT_HERE), process, log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _config(self) -> Path:
        path = self.directory / "config.yaml"
        lines = [f"  {name}: {value}" for name, value in {**GENEROUS, **self.limits}.items()]
        path.write_text("\n".join([(ROOT / "config.yaml").read_text(), "limits:", *lines, ""]))
        return path


def free_port() -> int:
    """Nobody listens there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return cast("int", listener.getsockname()[1])


async def _answering(client: httpx.AsyncClient, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.returncode is None, _text(log)
            try:
                await client.get("/api/health/live")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return


def _text(log: Path) -> str:
    return log.read_text()
