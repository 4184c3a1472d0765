"""What was last heard of each part, for /api/health. No balances, no secrets."""

from __future__ import annotations

from dataclasses import dataclass, field

UPSTREAM = "upstream "
"""Begins the name of an API's part."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part's state in words."""

    ok: bool
    detail: str


@dataclass(slots=True)
class Health:
    """Refreshed by jobs, read by routes."""

    parts: dict[str, Part] = field(default_factory=dict[str, Part])
    alarms: dict[str, str] = field(default_factory=dict[str, str])
    """What an operator must look at, by name; an alarm is cleared by whoever raised it."""

    @property
    def ready(self) -> bool:
        """Every part was heard of and is well."""
        return bool(self.parts) and all(part.ok for part in self.parts.values())
