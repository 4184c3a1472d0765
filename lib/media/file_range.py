"""A part of an open file, as a file: what measures a recording or an image sees nothing else of an upload."""

from __future__ import annotations

import io
import os


class FileRange(io.RawIOBase):
    """Reads `size` bytes from `start` on. The descriptor's own position is neither used nor moved."""

    def __init__(self, fileno: int, start: int, size: int) -> None:
        self._fileno, self._start, self._size, self._at = fileno, start, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As files do."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """As files do."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """As files do."""
        left = max(0, self._size - self._at)
        data = os.pread(self._fileno, left if size < 0 else min(size, left), self._start + self._at)
        self._at += len(data)
        return data
