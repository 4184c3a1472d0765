"""A ledger that is slow, refuses, or does what it is asked and says that it did not; and at which a server can die."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

from chaos_parts.bomb import Bomb
from chaos_parts.plan import SQLITE, Fault
from lib.store.ledger import Held, Ledger, LedgerUnavailable

UNHURT = frozenset({"aclose", "ledger_id", "end_lease"})
HIT_SHARE = 0.5
"""How many operations are hit while a fault lasts: otherwise nothing at all would work."""
CURRENT_HOLD: ContextVar[str] = ContextVar("hold", default="none")
"""The hold of the request that runs here."""


class Weather:
    """Which fault the ledger has now, by the plan; and a note of the leases that this process takes."""

    def __init__(self, faults: Sequence[Fault], began_at: float, leases: Path) -> None:
        """`began_at` is the run's start in Unix seconds."""
        self._faults = [fault for fault in faults if fault.lane == SQLITE.name]
        self._began_at, self._leases = began_at, leases
        self._random = random.Random(began_at)  # noqa: S311 - chance, no secret

    def now(self) -> Fault | None:
        """The fault that hits this operation."""
        at = time.time() - self._began_at
        for fault in self._faults:
            if fault.at_seconds <= at < fault.at_seconds + fault.lasts_seconds:
                return fault if self._random.random() < HIT_SHARE else None
        return None

    def note_lease(self, lease: str) -> None:
        """Whose holds lapse with this process."""
        with self._leases.open("a", encoding="ascii") as file:
            file.write(lease + "\n")


class HurtLedger:
    """Every operation of the real ledger, with faults before and after it."""

    def __init__(self, inner: Ledger, bomb: Bomb, weather: Weather) -> None:
        """Made by `around`."""
        self._inner, self._bomb, self._weather = inner, bomb, weather

    @staticmethod
    def around(inner: Ledger, bomb: Bomb, weather: Weather) -> Ledger:
        """What passes for the ledger: each of its methods is passed on by name."""
        return cast("Ledger", HurtLedger(inner, bomb, weather))

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """The operation of that name."""
        operation: Callable[..., Awaitable[Any]] = getattr(self._inner, name)
        if name in UNHURT:
            return operation

        async def hurt(*arguments: Any, **named: Any) -> Any:
            if name == "take_lease":
                self._weather.note_lease(arguments[0])
            self._bomb.passes(f"{name}.before")
            fault = self._weather.now()
            if fault is not None:
                if fault.what == "slow":
                    await asyncio.sleep(fault.amount)
                elif fault.what == "does nothing and says so":
                    raise LedgerUnavailable("the plan says so: nothing was done")
            outcome = await operation(*arguments, **named)
            self._bomb.passes(f"{name}.after")
            if fault is not None and fault.what == "does it and says that it did not":
                raise LedgerUnavailable("the plan says so: the outcome is not told")
            if isinstance(outcome, Held):
                CURRENT_HOLD.set(outcome.hold_id)
            return outcome

        return hurt
