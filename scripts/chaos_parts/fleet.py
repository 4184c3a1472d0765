"""The server processes: started on their ports, killed, stopped, started again at once, and watched."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaos_parts import plan
from chaos_parts.record import Life, Record

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LOOPBACK = "127.0.0.1"
STOP_LIMIT_SECONDS = 40.0
START_LIMIT_SECONDS = 60.0
POLL_SECONDS = 0.1
FAILED_START_PAUSE_SECONDS = 0.3
WATCH_SECONDS = 0.5
LIVES_MAX_COUNT = 5_000
LOG_TAIL_CHARS = 2_000
STARTUP_FAILED = 3
"""What uvicorn ends with when the application cannot open its ledger."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def environment(added: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's gets in: no key, database or node."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", **added}


@dataclass(slots=True, eq=False)
class Fleet:
    """So many servers, each living one life after another."""

    record: Record
    directory: Path
    seed: int
    shop: Mapping[str, str]
    """The environment that an operator gives."""
    processes: int
    began_at: float
    ports: list[int] = field(default_factory=list[int])
    faults: bool = True
    """Whether new lives are armed and have weather."""
    _over: bool = False
    _running: dict[int, tuple[Life, asyncio.subprocess.Process]] = field(
        default_factory=dict[int, tuple[Life, asyncio.subprocess.Process]]
    )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[Fleet]:
        """All servers, until the block ends; then each is stopped in order, by its pid."""
        self.ports = [free_port() for _ in range(self.processes)]
        keepers = [asyncio.create_task(self._keep(server)) for server in range(self.processes)]
        watcher = asyncio.create_task(self._watch())
        try:
            await self.ready()
            yield self
        finally:
            self._over = True
            await asyncio.gather(*(self.stop(server) for server in range(self.processes)))
            _, late = await asyncio.wait(keepers, timeout=STOP_LIMIT_SECONDS)
            for task in (*late, watcher):
                task.cancel()
            await asyncio.gather(*keepers, watcher, return_exceptions=True)

    async def ready(self) -> None:
        """Returns once every server takes connections. Raises SystemExit, with what a server said, if one does not."""
        until = time.monotonic() + START_LIMIT_SECONDS
        for server, port in enumerate(self.ports):
            while not await _listens(port):
                await asyncio.sleep(POLL_SECONDS)
                if time.monotonic() > until:
                    life, _ = self._running[server]
                    log = self.directory / f"server-{life.server}.{max(0, life.number - 1)}.log"
                    sys.exit(f"{life.name} does not start:\n{log.read_text(encoding='utf-8')[-LOG_TAIL_CHARS:]}")

    def kill(self, server: int) -> None:
        """As a power cut, at a random moment."""
        if server in self._running:
            life, process = self._running[server]
            if process.returncode is None and life.stopped_at is None:
                life.killed = "random"
                process.kill()

    async def stop(self, server: int) -> None:
        """In order, by SIGTERM; one that does not end in time is killed, and that is told."""
        if server not in self._running:
            return
        life, process = self._running[server]
        if process.returncode is None and life.stopped_at is None:
            life.stopped_at = time.time()
            process.terminate()
        try:
            async with asyncio.timeout(STOP_LIMIT_SECONDS):
                await process.wait()
        except TimeoutError:
            self.record.strange.append(f"{life.name} did not stop within {STOP_LIMIT_SECONDS:g} s of SIGTERM")
            process.kill()

    async def calm(self) -> None:
        """Stop all in order; their next lives are without faults. Returns once they take connections."""
        self.faults = False
        await asyncio.gather(*(self.stop(server) for server in range(self.processes)))
        await self.ready()

    async def _keep(self, server: int) -> None:
        for number in range(LIVES_MAX_COUNT):
            if self._over:
                return
            life = Life(server, number)
            process = await self._start(life)
            self._running[server] = life, process
            self.record.lives.append(life)
            if self._over:  # it was being started when all were stopped
                process.terminate()
            life.status = await process.wait()
            self._buried(life)
            if life.status == STARTUP_FAILED:
                await asyncio.sleep(FAILED_START_PAUSE_SECONDS)

    async def _start(self, life: Life) -> asyncio.subprocess.Process:
        name = f"{life.server}.{life.number}"
        point = plan.armed(self.seed, life.server, life.number) if self.faults else None
        chaos = {
            "CHAOS_DIRECTORY": str(self.directory),
            "CHAOS_LIFE": name,
            "CHAOS_POINT": point or "",
            "CHAOS_WEATHER": "1" if self.faults else "0",
            "CHAOS_BEGAN": str(self.began_at),
            "PORT": str(self.ports[life.server]),
        }
        with (self.directory / f"server-{name}.log").open("w", encoding="utf-8") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(HERE / "server.py"),
                cwd=ROOT,
                env=environment({**self.shop, **chaos}),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
            )
        life.pid = process.pid
        return process

    def _buried(self, life: Life) -> None:
        """What is known of a life after its end."""
        name = f"{life.server}.{life.number}"
        leases, died = self.directory / f"leases-{name}", self.directory / f"died-{name}"
        if leases.exists():
            life.leases = set(leases.read_text(encoding="ascii").split())
        if died.exists():
            life.killed = died.read_text(encoding="ascii")
        expected = {0, STARTUP_FAILED, -signal.SIGTERM}
        if life.status not in expected and not (life.killed and life.status == -signal.SIGKILL):
            self.record.strange.append(f"{life.name} ended by itself with status {life.status}")

    async def _watch(self) -> None:
        """Note how much memory each takes at most."""
        while True:
            for life, process in self._running.values():
                if process.returncode is None:
                    life.memory_peak_kib = max(life.memory_peak_kib, _memory_peak_kib(process.pid))
            await asyncio.sleep(WATCH_SECONDS)


def _memory_peak_kib(pid: int) -> int:
    """By proc(5); 0 where that does not tell, or for a process that ends now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) if found else 0


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True
