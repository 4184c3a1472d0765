"""Keeps uploads while they are measured and sent on: in files without a name, within bounds of space and time.

An upload is read once, piece by piece, into an unlinked temporary file: memory stays flat, and a server that is killed
leaves nothing behind. The disk's last part is never taken: it is the ledger's.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lib.core.errors import ApiError, Code, retry_after
from lib.core.form import Form, FormReader

log = logging.getLogger(__name__)

WRITE_BYTES = 262_144
"""Pieces are gathered up to here, then written in one step beside the event loop."""
READ_BYTES = 65_536
SPARE_BYTES = 268_435_456
"""Disk space that uploads leave to the ledger."""
FULL_RETRY_SECONDS = 5
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Upload:
    """A form that has arrived whole."""

    form: Form
    _file: IO[bytes]

    async def read(self, start: int, size: int) -> bytes:
        """A part of its files, at once: for what must be in memory."""
        return await asyncio.to_thread(os.pread, self._file.fileno(), size, start)

    async def pieces(self, start: int, size: int) -> AsyncIterator[bytes]:
        """A part of its files, as it is sent on."""
        end = start + size
        while start < end:
            piece = await self.read(start, min(READ_BYTES, end - start))
            if not piece:
                raise OSError("an upload is shorter than it was")
            start += len(piece)
            yield piece

    def fileno(self) -> int:
        """The open file, for a process that measures it."""
        return self._file.fileno()


class Spool:
    """Room for uploads: so many bytes in all, half of them for those who have proven nothing."""

    def __init__(self, directory: Path, max_bytes: int, spare_bytes: int = SPARE_BYTES) -> None:
        """`directory` should be on a real disk; it is made when the first upload comes."""
        self._directory, self._max_bytes, self._spare_bytes = directory, max_bytes, spare_bytes
        self._taken = 0

    @asynccontextmanager
    async def receive(
        self, reader: FormReader, body: AsyncIterator[bytes], *, size: int, paying: bool
    ) -> AsyncGenerator[Upload]:
        """Read a form of `size` bytes at most; it is there until the block ends. Raises ApiError.

        That there is no room, in our bounds or on the disk, is told before more is read: 503 with Retry-After.
        """
        room = self._max_bytes if paying else self._max_bytes // 2
        if self._taken + size > room:
            raise retry_after(Code.UPLOAD_UNAVAILABLE, FULL_RETRY_SECONDS)
        self._taken += size
        try:
            with await self._opened() as file:
                yield Upload(await _received(reader, body, file), file)
        finally:
            self._taken -= size

    async def _opened(self) -> IO[bytes]:
        try:
            return await asyncio.to_thread(self._open)
        except OSError as error:
            raise _no_room(error) from error

    def _open(self) -> IO[bytes]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize < self._spare_bytes + self._taken:
            raise OSError(errno.ENOSPC, "the rest of the disk is the ledger's")
        return tempfile.TemporaryFile(buffering=0, dir=self._directory)


async def _received(reader: FormReader, body: AsyncIterator[bytes], file: IO[bytes]) -> Form:
    waiting: list[bytes] = []
    size = 0
    async for data in body:
        pieces = reader.feed(data)
        waiting += pieces
        size += sum(map(len, pieces))
        if size >= WRITE_BYTES:
            await _write(file, waiting)
            waiting, size = [], 0
    form = reader.finish()
    await _write(file, waiting)
    return form


async def _write(file: IO[bytes], pieces: list[bytes]) -> None:
    try:
        await asyncio.to_thread(_write_now, file, b"".join(pieces))
    except OSError as error:
        raise _no_room(error) from error


def _write_now(file: IO[bytes], data: bytes) -> None:
    """Past Python's buffer, which would try once more when the file is closed, and fail there again."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file.fileno(), rest) :]


def _no_room(error: OSError) -> ApiError:
    if error.errno in NO_ROOM:
        log.error("no room on the disk for an upload: %s", error)
    else:
        log.error("an upload could not be written: %s", error)
    return retry_after(Code.UPLOAD_UNAVAILABLE, FULL_RETRY_SECONDS)
