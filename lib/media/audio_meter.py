"""Measures recordings in a few processes of little power, which are ended and renewed when one makes trouble."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from lib.media.recording import Recording, UnusableRecording

log = logging.getLogger(__name__)

WORKERS = 2
WAIT_SECONDS = 20.0
"""For a free worker."""
MEASURE_SECONDS = 20.0
"""For one recording, a worker's start included: hours of music take one second."""
MESSAGE_MAX_BYTES = 4_096
ROOT = Path(__file__).resolve().parent.parent.parent


class MeterBusy(Exception):
    """No worker is free, or none can be started."""


class AudioMeter:
    """Starts its workers when they are first needed."""

    def __init__(self, workers: int = WORKERS, measure_seconds: float = MEASURE_SECONDS) -> None:
        """`measure_seconds` is what one recording may take."""
        self._free = asyncio.Semaphore(workers)
        self._idle: list[_Worker] = []
        self._measure_seconds = measure_seconds
        self._closed = False

    async def measure(self, fileno: int, start: int, size: int) -> Recording:
        """Measure a recording in an open file. Raises UnusableRecording, or MeterBusy."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise MeterBusy from error
        try:
            return await self._measure(fileno, start, size)
        finally:
            self._free.release()

    def waiting_pids(self) -> list[int]:
        """The processes that wait for a recording."""
        return [worker.pid for worker in self._idle]

    async def aclose(self) -> None:
        """End the workers that wait. One that measures is ended once it has answered."""
        self._closed = True
        while self._idle:
            await self._idle.pop().end()

    async def _measure(self, fileno: int, start: int, size: int) -> Recording:
        worker = self._idle.pop() if self._idle else None
        answer = None
        try:
            async with asyncio.timeout(self._measure_seconds):
                worker = worker or await _Worker.start()
                answer = await worker.ask(fileno, {"start": start, "size": size})
        except (TimeoutError, OSError):
            pass
        finally:
            if worker is not None and answer is None:
                await worker.end()
        if worker is None:
            log.error("no process that measures recordings can be started")
            raise MeterBusy
        if answer is None:
            log.warning("a measuring process was ended over a recording of %d bytes", size)
            raise UnusableRecording("it cannot be measured")
        if self._closed:  # its services were exchanged for others meanwhile
            await worker.end()
        else:
            self._idle.append(worker)
        if "unusable" in answer:
            raise UnusableRecording(answer["unusable"])
        return Recording(answer["kind"], answer["seconds"])


class _Worker:
    """One process and the socket to it."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self._process, self._channel = process, channel
        self.pid = process.pid

    @staticmethod
    async def start() -> _Worker:
        """Start one with an empty environment: our secrets are in ours."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        with theirs:
            command = (sys.executable, "-m", "lib.media.audio_worker", str(theirs.fileno()))
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    cwd=ROOT,
                    env={"PATH": os.defpath},
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except BaseException:
                ours.close()  # a process that was begun all the same ends by itself: nobody is there
                raise
        return _Worker(process, ours)

    async def ask(self, fileno: int, question: dict[str, int]) -> dict[str, Any] | None:
        """Its answer; None if it died of the question."""
        socket.send_fds(self._channel, [json.dumps(question).encode()], [fileno])
        answer = await asyncio.get_running_loop().sock_recv(self._channel, MESSAGE_MAX_BYTES)
        return json.loads(answer) if answer else None

    async def end(self) -> None:
        """Whatever it is doing."""
        self._channel.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
