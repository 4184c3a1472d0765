"""Ids that are never given twice, and cost little: one look at the system's randomness makes many."""

from __future__ import annotations

from collections.abc import Callable

ID_BYTES = 16
IDS_AT_ONCE = 256


class Ids:
    """Random ids of 128 bits, in hex. They are names, not secrets: those that will be given next lie in memory.

    A system call for each would be a tenth of a paid call's time. Not to be shared with a forked process.
    """

    def __init__(self, randomness: Callable[[int], bytes]) -> None:
        """Nothing is drawn yet."""
        self._randomness = randomness
        self._waiting: list[str] = []

    def next(self) -> str:
        """A new one."""
        if not self._waiting:
            drawn = self._randomness(ID_BYTES * IDS_AT_ONCE).hex()
            self._waiting = [drawn[at : at + 2 * ID_BYTES] for at in range(0, len(drawn), 2 * ID_BYTES)]
        return self._waiting.pop()
