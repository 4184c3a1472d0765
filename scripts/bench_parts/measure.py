"""Which servers are measured with what, in which order, and what the rounds come to."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench_parts.load import Job, Result
from bench_parts.processes import Served

CALLS_PER_WINDOW_MAX = 50_000
"""A window ends there even before its time: the buyer's balance must cover it."""
WARM_UP_SECONDS = 0.3
MS_PER_SECOND = 1_000
ASKED: dict[str, Any] = {
    "model": "gpt-6-luna",
    "messages": [
        {"role": "system", "content": "You answer in a few words."},
        {"role": "user", "content": "Say hello to a benchmark that has read many greetings before this one."},
    ],
    "max_completion_tokens": 64,
}
BODIES = {"json": json.dumps(ASKED), "stream": json.dumps({**ASKED, "stream": True})}


@dataclass(frozen=True, slots=True)
class Case:
    """What all servers are asked in the same way."""

    kind: str
    """`json` or `stream`."""
    connections: int


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and where it takes chat completions."""

    name: str
    server: Served
    path: str


@dataclass(frozen=True, slots=True)
class Median:
    """One server in one case: medians over the rounds, and how far the rounds were apart."""

    server: str
    kind: str
    connections: int
    calls_per_second: float
    slowest_round: float
    fastest_round: float
    p50_ms: float
    p99_ms: float
    first_byte_p50_ms: float
    cpu_ms: float
    """Of the server itself, for one call."""
    of_plain: float | None
    """Calls per second, as a multiple of the plain proxy's in the same case."""
    of_nginx: float | None


Loaded = Callable[[Target, Job], Result]


@dataclass(frozen=True, slots=True)
class Window:
    """One server in one case of one round."""

    result: Result
    cpu_ms_per_call: float
    """Processor time of the server itself: the figure that other work on the machine disturbs least."""


Results = dict[tuple[str, Case], list[Window]]


def windows(targets: list[Target], cases: list[Case], rounds: int) -> Iterator[tuple[Case, Target]]:
    """Every server in every case, once a round, close together in time; the order turns round at every round."""
    for number in range(rounds):
        for case in cases:
            yield from ((case, target) for target in (targets if number % 2 == 0 else reversed(targets)))


def job(case: Case, target: Target, seconds: float) -> Job:
    """One window's work, as yet without a credential."""
    body, port = BODIES[case.kind], target.server.port
    return Job(port, target.path, {}, body, case.connections, seconds, max_calls=CALLS_PER_WINDOW_MAX)


def measured(targets: list[Target], cases: list[Case], rounds: int, seconds: float, load: Loaded) -> Results:
    """Warm every server up, then measure. A reply other than 200, or a broken connection, ends the program."""
    for case, target in windows(targets, cases, 1):
        _successful(target, load(target, job(case, target, WARM_UP_SECONDS)))
    results: Results = defaultdict(list)
    for case, target in windows(targets, cases, rounds):
        before = target.server.cpu_seconds()
        result = _successful(target, load(target, job(case, target, seconds)))
        cpu_ms = (target.server.cpu_seconds() - before) * MS_PER_SECOND / result.calls
        results[target.name, case].append(Window(result, cpu_ms))
    return results


def medians(results: Results) -> list[Median]:
    """One row for each server and case."""
    rate = {key: _middle(windows, lambda result: result.calls_per_second) for key, windows in results.items()}
    return [_median(server, case, windows, rate) for (server, case), windows in results.items()]


def _median(server: str, case: Case, windows: list[Window], rate: dict[tuple[str, Case], float]) -> Median:
    own, plain, nginx = rate[server, case], rate.get(("plain proxy", case)), rate.get(("nginx", case))
    return Median(
        server=server,
        kind=case.kind,
        connections=case.connections,
        calls_per_second=own,
        slowest_round=min(window.result.calls_per_second for window in windows),
        fastest_round=max(window.result.calls_per_second for window in windows),
        p50_ms=_middle(windows, lambda result: result.p50_ms),
        p99_ms=_middle(windows, lambda result: result.p99_ms),
        first_byte_p50_ms=_middle(windows, lambda result: result.first_byte_p50_ms),
        cpu_ms=statistics.median(window.cpu_ms_per_call for window in windows),
        of_plain=own / plain if plain else None,
        of_nginx=own / nginx if nginx else None,
    )


def _middle(windows: list[Window], figure: Callable[[Result], float]) -> float:
    return statistics.median(figure(window.result) for window in windows)


def _successful(target: Target, result: Result) -> Result:
    if result.failures or not result.calls:
        raise SystemExit(f"{target.name} failed after {result.calls} calls: {', '.join(result.failures)}")
    return result
