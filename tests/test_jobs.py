"""Who may take another process for dead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from lib.jobs import LeaseKeeper, LeaseTimes
from lib.lease import Lease
from lib.store.ledger import LedgerUnavailable


@dataclass
class Leases:
    """A ledger as a lease keeper sees it, and the services that it comes with."""

    lease: Lease = field(default_factory=Lease)
    is_down: bool = False
    has_expired: bool = False
    expired: list[float] = field(default_factory=list[float])

    @property
    def ledger(self) -> Leases:
        return self

    async def take_lease(self, lease: str) -> None:
        self._require()

    async def renew(self, lease: str) -> bool:
        self._require()
        still, self.has_expired = not self.has_expired, False
        return still

    async def expire(self, stale_after_seconds: float) -> int:
        self.expired.append(stale_after_seconds)
        return 0

    def _require(self) -> None:
        if self.is_down:
            raise LedgerUnavailable("down")


class Keeper:
    """A lease keeper whose clock a test moves."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.now = 1_000.0
        self.keeper = LeaseKeeper(cast("Any", self.leases), LeaseTimes(), clock=lambda: self.now)

    async def after(self, seconds: float) -> int:
        """Step so much later; how often others were expired so far."""
        self.now += seconds
        await self.keeper.step()
        return len(self.leases.expired)

    async def steps(self, count: int) -> int:
        """So many renewals, ten seconds apart."""
        return [await self.after(10) for _ in range(count)][-1]


async def test_others_are_expired_only_after_sixty_seconds_of_own_renewals():
    """A process that has just come up knows nothing about who lives: it waits as long as a lease lasts."""
    keeper = Keeper()

    assert await keeper.steps(6) == 0
    assert await keeper.steps(1) == 1
    assert keeper.leases.expired == [60.0]


async def test_a_ledger_that_was_away_begins_the_wait_anew():
    """Nobody could renew meanwhile, so every lease looks stale when it is back."""
    keeper = Keeper()
    await keeper.steps(7)
    keeper.leases.is_down = True
    with pytest.raises(LedgerUnavailable):
        await keeper.after(10)
    keeper.leases.is_down = False

    assert await keeper.after(50) == 1
    assert await keeper.steps(5) == 1
    assert await keeper.steps(1) == 2


@pytest.mark.parametrize("pause", [31.0, 3_600.0, -60.0])
async def test_a_pause_begins_the_wait_anew(pause: float):
    """The machine slept, or its clock was set: others may have slept too, and renew a moment later."""
    keeper = Keeper()
    await keeper.steps(7)

    assert await keeper.after(pause) == 1
    assert await keeper.steps(5) == 1
    assert await keeper.steps(1) == 2


async def test_a_lease_of_its_own_that_lapsed_begins_the_wait_anew():
    """Who was itself taken for dead has no business to say so of others."""
    keeper = Keeper()
    await keeper.steps(7)
    keeper.leases.has_expired = True

    assert await keeper.after(10) == 1
    assert await keeper.steps(5) == 1
    assert await keeper.steps(1) == 2
