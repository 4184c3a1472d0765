"""A recording as it was measured: what the server and its measuring processes both know of it."""

from __future__ import annotations

from dataclasses import dataclass


class UnusableRecording(ValueError):
    """A recording that we do not sell; its text is for the buyer."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as it was measured."""

    kind: str
    """Its container, as the ending of a file's name."""
    seconds: int
    """How long it plays at the most; a part of a second is a second."""
