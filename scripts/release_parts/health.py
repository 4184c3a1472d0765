"""What a server says of itself, and whether that is enough to sell."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ALWAYS_NEEDED = frozenset({"ledger"})
"""Without anything else a server starts, sells nothing and says why; without its ledger it owes what it cannot pay."""
ASKED_FOR = frozenset({"node", "price"})
"""Parts that a server knows only once others have answered; of the rest it knows at once what is missing."""
ANSWER_SECONDS = 5.0
READY_SECONDS = 90.0
"""Longer than a server waits for its database, and than the first look at every part."""
PATIENCE_SECONDS = 17.0
"""After so long a server has looked at every part a second time."""
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Health:
    """The parts that are well, and what is said of the others."""

    well: frozenset[str]
    unwell: dict[str, str]

    def lacks(self, needed: frozenset[str]) -> frozenset[str]:
        """Needed parts that are not well."""
        return needed - self.well


class NotReady(Exception):
    """A server did not become ready; the text says what it lacks."""


def look(port: int) -> Health | None:
    """What the server at this port says; None if it does not answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/api/health", timeout=ANSWER_SECONDS) as answer:
            parts: dict[str, dict[str, Any]] = json.load(answer)["parts"]
    except (OSError, ValueError, KeyError):
        return None
    return Health(
        well=frozenset(name for name, part in parts.items() if part["ok"]),
        unwell={name: part["detail"] for name, part in parts.items() if not part["ok"]},
    )


def await_ready(
    port: int, needed: frozenset[str], limit_seconds: float, runs: Callable[[], bool] = lambda: True
) -> Health:
    """Wait until every needed part is well. Raises NotReady when the server ends by itself, or after the limit."""
    until = time.monotonic() + limit_seconds
    while True:
        seen = look(port)
        if seen is not None and not seen.lacks(needed):
            return seen
        if not runs():
            raise NotReady("it ends by itself")
        if time.monotonic() > until:
            raise NotReady(f"after {limit_seconds:.0f} s {_what_it_lacks(seen, needed)}")
        time.sleep(POLL_SECONDS)


def settled(port: int, seen: Health, limit_seconds: float = PATIENCE_SECONDS) -> Health:
    """What a server that is ready says of its other parts: after its second look, if the first came too early."""
    until = time.monotonic() + limit_seconds
    while ASKED_FOR & seen.unwell.keys() and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        seen = look(port) or seen
    return seen


def _what_it_lacks(seen: Health | None, needed: frozenset[str]) -> str:
    if seen is None:
        return "it did not answer"
    lacking = (f"{name}: {seen.unwell.get(name, 'not heard of')}" for name in sorted(seen.lacks(needed)))
    return f"it lacks {'; '.join(lacking)}"
