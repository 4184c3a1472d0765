"""A way to a server that can be cut, held up, slowed and closed. Of the bytes only whose call they carry is read."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"
PIECE_BYTES = 65_536
HOLD_LINE = re.compile(rb"x-chaos-hold: ([0-9a-f-]+)\r\n", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class _Passage:
    """One connection and its other side."""

    inner: asyncio.StreamWriter
    outer: asyncio.StreamWriter
    hold: str | None = None
    """Whose call it carries, as far as that was seen."""

    def abort(self) -> None:
        for writer in (self.inner, self.outer):
            writer.transport.abort()


@dataclass(slots=True, eq=False)
class Proxy:
    """Listens on a free port. `disturbed` is told of every call whose connection was cut or held up."""

    target_port: int
    disturbed: Callable[[str], None]
    port: int = 0
    refuses: bool = False
    """New connections are closed at once."""
    delay_seconds: float = 0.0
    """Each piece of data waits so long."""
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _passages: set[_Passage] = field(default_factory=set[_Passage])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def cut(self) -> int:
        """Abort every connection; how many there were."""
        passages = list(self._passages)
        for passage in passages:
            self._disturb(passage)
            passage.abort()
        return len(passages)

    def hold_up(self) -> None:
        """No byte passes any more."""
        self._open.clear()
        for passage in self._passages:
            self._disturb(passage)

    def let_pass(self) -> None:
        """Bytes pass again."""
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        try:
            other_reader, other = await asyncio.open_connection(LOOPBACK, self.target_port)
        except OSError:
            writer.transport.abort()
            return
        passage = _Passage(writer, other)
        self._passages.add(passage)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(reader, other, passage, watched=passage))
                tasks.create_task(self._pass_on(other_reader, writer, passage, watched=None))
        except* OSError:
            passage.abort()
        finally:
            self._passages.discard(passage)
            passage.abort()

    async def _pass_on(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        passage: _Passage,
        *,
        watched: _Passage | None,
    ) -> None:
        while data := await source.read(PIECE_BYTES):
            if watched is not None and (found := HOLD_LINE.search(data)):
                watched.hold = found[1].decode()
            if not self._open.is_set():
                self._disturb(passage)
                await self._open.wait()
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            sink.write(data)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()

    def _disturb(self, passage: _Passage) -> None:
        if passage.hold is not None:
            self.disturbed(passage.hold)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[Proxy]:
        """Listen until the block ends."""
        self._open.set()
        server = await asyncio.start_server(self._begin, LOOPBACK, 0)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            yield self
        finally:
            server.close()
            self._open.set()
            self.cut()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._accept(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
