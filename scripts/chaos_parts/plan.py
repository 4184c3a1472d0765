"""What breaks when: drawn from a seed before anything starts, the same for the same seed. Pure.

Faults come in lanes that know nothing of each other: servers, the node, the payer's wallet, the way to upstream, the
ledger. In each lane a fault follows a calm; so faults of different lanes overlap in every combination.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PLANNED_SECONDS = 3_600.0
"""Further than any run goes."""
LONG_RUN_CALLS = 2_000
"""From so many calls on faults come at their ordinary pace; a shorter run is given its share of them sooner."""
QUICKEST_PACE = 0.35


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: in which lane, what, from when (seconds after the start) and for how long."""

    lane: str
    what: str
    at_seconds: float
    lasts_seconds: float = 0.0
    amount: float = 0.0
    """Which server, or how many seconds of delay."""

    def __str__(self) -> str:
        """One line."""
        lasts = f" for {self.lasts_seconds:.1f} s" if self.lasts_seconds else ""
        amount = f" ({self.amount:g})" if self.amount else ""
        return f"{self.at_seconds:7.1f} s  {self.lane}: {self.what}{amount}{lasts}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of fault: how often among those of its lane, how long and how much of it."""

    what: str
    weight: float
    lasts: tuple[float, float] = (0.0, 0.0)
    amount: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Lane:
    """Kinds of faults, and the calm between two of them in seconds."""

    name: str
    calm: tuple[float, float]
    kinds: Sequence[Kind]


KILL, STOP = "killed with -9", "stopped with SIGTERM"
SERVERS = Lane("server", (5.0, 14.0), [Kind(KILL, 3), Kind(STOP, 1)])
NODE = Lane(
    "node",
    (5.0, 15.0),
    [
        Kind("refuses connections", 2, (0.5, 3.0)),
        Kind("answers 500", 2, (0.5, 3.0)),
        Kind("answers late", 3, (1.0, 4.0), (0.2, 1.5)),
        Kind("hangs", 1, (0.5, 3.0)),
    ],
)
PAYER = Lane("payer", (20.0, 40.0), [Kind("pays twice what is asked", 1, (1.0, 3.0))])
UPSTREAM = Lane(
    "upstream",
    (4.0, 12.0),
    [
        Kind("all connections cut", 4),
        Kind("no byte passes", 2, (0.5, 2.5)),
        Kind("no byte passes for longer than the limit", 1, (5.0, 6.0)),
        Kind("refuses connections", 2, (0.5, 2.0)),
    ],
)
SQLITE = Lane(
    "ledger",
    (6.0, 15.0),
    [
        Kind("slow", 3, (1.0, 4.0), (0.05, 0.4)),
        Kind("does nothing and says so", 2, (0.5, 2.0)),
        Kind("does it and says that it did not", 2, (0.5, 2.0)),
    ],
)
DATABASE = Lane(
    "database",
    (6.0, 15.0),
    [
        Kind("all connections cut", 4),
        Kind("no byte passes", 2, (0.3, 2.0)),
        Kind("slow", 2, (1.0, 4.0), (0.01, 0.1)),
        Kind("refuses connections", 2, (0.5, 2.0)),
        Kind("restarted with a fast stop", 1),
        Kind("killed with -9 and started again", 1),
    ],
)


@dataclass(frozen=True, slots=True)
class Points:
    """Places in a server at which it can be killed, and how often it passes there before it is."""

    names: Sequence[str]
    passes: tuple[int, int]


OFTEN = Points(
    (
        *(f"{name}.{when}" for name in ("hold", "redeem_and_hold", "settle") for when in ("before", "after")),
        "upstream.before",
        "upstream.asked",
        "upstream.answered",
        "buyer.head",
        "buyer.middle",
        "buyer.last",
    ),
    (3, 50),
)
SELDOM = Points(
    tuple(
        f"{name}.{when}"
        for name in ("claim", "credit", "credit_topup", "open_topup", "rotate", "confirm", "note_left", "drop_answer")
        for when in ("before", "after")
    ),
    (1, 4),
)
ARMED_SHARE = 0.7
SELDOM_SHARE = 0.35


def pace(calls: int) -> float:
    """By what the calm between faults is multiplied in a run of so many calls."""
    return max(QUICKEST_PACE, min(1.0, calls / LONG_RUN_CALLS))


def planned(seed: int, *, processes: int, lanes: Sequence[Lane], slowness: float) -> list[Fault]:
    """Every fault up to PLANNED_SECONDS, by time."""
    faults: list[Fault] = []
    for lane in lanes:
        draw = random.Random(f"{seed}/{lane.name}")  # noqa: S311 - repeatable, not secret
        at = draw.uniform(*lane.calm) * slowness
        while at < PLANNED_SECONDS:
            [kind] = draw.choices(lane.kinds, [kind.weight for kind in lane.kinds])
            amount = float(draw.randrange(processes)) if lane is SERVERS else draw.uniform(*kind.amount)
            fault = Fault(lane.name, kind.what, round(at, 2), round(draw.uniform(*kind.lasts), 2), round(amount, 3))
            faults.append(fault)
            at += fault.lasts_seconds + draw.uniform(*lane.calm) * slowness
    return sorted(faults, key=lambda fault: fault.at_seconds)


def armed(seed: int, server: int, life: int) -> str | None:
    """At which named point a server is killed in one of its lives, and at which pass: `settle.after:12`."""
    draw = random.Random(f"{seed}/{server}/{life}")  # noqa: S311 - repeatable, not secret
    if draw.random() >= ARMED_SHARE:
        return None
    points = SELDOM if draw.random() < SELDOM_SHARE else OFTEN
    return f"{draw.choice(points.names)}:{draw.randint(*points.passes)}"


def written(faults: Sequence[Fault], file: Path) -> None:
    """For servers, which make the faults of their ledger themselves."""
    file.write_text(json.dumps([asdict(fault) for fault in faults]), encoding="utf-8")


def read(file: Path) -> list[Fault]:
    """What `written` wrote."""
    return [Fault(**fault) for fault in json.loads(file.read_text(encoding="utf-8"))]
