"""How far each ledger has got, remembered where a restored backup does not reach: in memory, and beside the data.

A ledger that is older than what was seen of it has lost what was sold since. Nobody notices by looking at it, so the
highest position is kept outside of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

from lib.store.data_directory import make_ours
from lib.store.ledger import LedgerWentBack, Position

log = logging.getLogger(__name__)

LOCK_FILE = "positions.lock"
WENT_BACK = (
    "the ledger is older than what was seen of it: a backup was restored. "
    "Say what becomes of payments of the lost part: scripts/migrate --restored honour|review"
)


class PositionUnreadable(Exception):
    """A file that remembers a ledger's position is damaged. The text names it."""


@dataclass(frozen=True, slots=True)
class Height:
    """How far one ledger has got. A higher generation is higher, whatever its entries."""

    generation: int
    newest_entry: int
    went_back: bool = False
    """The ledger was seen below this, and no operator has spoken since."""

    def above(self, other: Height | None) -> Height:
        """The higher of both; of one generation, whatever either knows of it."""
        if other is None or self.generation > other.generation:
            return self
        if self.generation < other.generation:
            return other
        newest = max(self.newest_entry, other.newest_entry)
        return Height(self.generation, newest, self.went_back or other.went_back)

    def excludes(self, seen: Height) -> bool:
        """Whether a ledger that was here and is seen there has gone back. Once it has, only a generation ends that."""
        if seen.generation == self.generation:
            return self.went_back or seen.newest_entry < self.newest_entry
        return seen.generation < self.generation

    def __str__(self) -> str:
        """For the log."""
        return f"generation {self.generation}, entry {self.newest_entry}"


Mark: TypeAlias = Mapping[bytes, Height]
"""What was remembered at some moment, by ledger id."""


def is_below(position: Position, mark: Mark) -> bool:
    """Whether a ledger at this position has gone back since the mark was taken."""
    known = mark.get(position.ledger_id)
    return known is not None and known.excludes(Height(position.generation, position.newest_entry))


class Watermark:
    """The highest position seen of each ledger, by this process and by others that share the directory.

    `mark()` before the ledger is asked for its position, `observe()` with the answer: what others see meanwhile is
    higher, and no reason for alarm.
    """

    def __init__(self, directory: Path) -> None:
        """Read what is remembered in the directory; it is made if need be.

        Raises PositionUnreadable, and LedgerUnavailable if it is somebody else's.
        """
        make_ours(directory)
        self._directory = directory
        self._heights = {bytes.fromhex(file.stem.partition("-")[2]): _read(file) for file in _files(directory)}
        self._observed: bytes | None = None

    @property
    def went_back(self) -> bool:
        """The ledger observed last was found below its mark; nobody has said yet what becomes of the lost part."""
        return self._observed is not None and self._heights[self._observed].went_back

    def require(self) -> None:
        """Raises LedgerWentBack while that is so: nothing may be changed then."""
        if self.went_back:
            raise LedgerWentBack(WENT_BACK)

    def mark(self) -> Mark:
        """What is remembered now. Taken before the ledger is asked, given to `observe` with its answer."""
        return dict(self._heights)

    async def observe(self, position: Position, since: Mark) -> None:
        """Remember a position, in memory and on disk. Raises LedgerWentBack if it is below what was known `since`.

        Once it was, only a higher generation will do: a ledger that went back and sold on has still lost a part.
        A file that cannot be written is logged and stops nobody: memory remembers.
        """
        seen = Height(position.generation, position.newest_entry)
        if is_below(position, since):
            known = since[position.ledger_id]
            if not known.went_back:
                log.error("%s (it was at %s, it is at %s)", WENT_BACK, known, seen)
            seen = replace(known, went_back=True)
        self._observed = position.ledger_id
        before = self._heights.get(position.ledger_id)
        now = self._heights[position.ledger_id] = seen.above(before)
        if now != before:
            await asyncio.to_thread(self._write, position.ledger_id, now)
        self.require()

    def _write(self, ledger_id: bytes, seen: Height) -> None:
        """Whole or not at all; what another process knows better stays."""
        file = self._directory / f"position-{ledger_id.hex()}.json"
        try:
            with _locked(self._directory / LOCK_FILE):
                there = _read(file) if file.exists() else None
                if (highest := seen.above(there)) != there:
                    _replace(file, json.dumps(asdict(highest)).encode())
        except (OSError, PositionUnreadable) as error:
            log.warning("the ledger's position could not be written down: %s", error)


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("position-*.json"))


def _read(file: Path) -> Height:
    try:
        return Height(**json.loads(file.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise PositionUnreadable(
            f"{file} is damaged. Remove it if no backup of the ledger was restored since it was written"
        ) from error


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(file: Path, content: bytes) -> None:
    """Write beside it, reach the disk, then take its place."""
    fresh = file.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(file)
    parent = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
