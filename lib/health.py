"""What was last heard of each part, for /api/health. No balances, no secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

UPSTREAM = "upstream "
"""Begins the name of an API's part."""
Status: TypeAlias = Literal["ok", "degraded", "not_ready"]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """One part's state in words."""

    ok: bool
    detail: str
    since: datetime
    """When this process first heard of it in this state: never before it started."""


@dataclass(slots=True)
class Health:
    """Refreshed by jobs, read by routes. Kept by each process for itself, and forgotten with it."""

    started_at: datetime = field(default_factory=_now)
    parts: dict[str, Part] = field(default_factory=dict[str, Part])
    alarms: dict[str, str] = field(default_factory=dict[str, str])
    """What an operator must look at, by name; an alarm is cleared by whoever raised it."""

    @property
    def status(self) -> Status:
        """Of the whole. A shop of many providers still sells while one of them is away: it is degraded, and ready."""
        providers = [part.ok for name, part in self.parts.items() if name.startswith(UPSTREAM)]
        others = [part.ok for name, part in self.parts.items() if not name.startswith(UPSTREAM)]
        if not (others and all(others) and any(providers)):
            return "not_ready"
        return "ok" if all(providers) else "degraded"

    def hear(self, name: str, detail: str, *, ok: bool, at: datetime | None = None) -> None:
        """Note what a part is like, now or at the moment given. `since` moves only with `ok`, whatever the words."""
        known = self.parts.get(name)
        since = known.since if known is not None and known.ok == ok else at or _now()
        self.parts[name] = Part(ok, detail, since)
