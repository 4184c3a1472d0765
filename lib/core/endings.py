"""How a paid call can end: the vocabulary of the "who pays" table."""

from __future__ import annotations

from enum import StrEnum


class Ending(StrEnum):
    """One word per row of the table in docs/money.md. The first four charge nothing and release the hold."""

    UNREACHABLE = "unreachable"
    """Upstream was not reached, or the request was not fully sent."""
    REFUSED = "refused"
    """Upstream answered with an error status."""
    UNANSWERED = "unanswered"
    """The request was sent and no usable answer came within the total limit: the operator's loss."""
    LAPSED = "lapsed"
    """The server that ran the call died: its lease went stale and the hold was returned."""
    ANSWERED = "answered"
    """The answer came to its end and said what it used."""
    UNMETERED = "unmetered"
    """The answer came to its end without saying what it used: charged for what it visibly holds."""
    BROKEN = "broken"
    """Upstream died in the middle or sent an error in the stream: charged for what it visibly sent."""
    CUT = "cut"
    """We cut the answer at a limit of time, and it is charged as if upstream had died, or at that of its size."""
