"""What is free is counted: in one process's memory, or where all processes of a ledger count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lib.store.ledger import LedgerUnavailable
from lib.throttle import MemoryThrottle, Share, SharedThrottle, Throttle
from tests.world import World, opened_world

ADDRESS, NETWORK = Share("unpaid", "203.0.113.9", 2), Share("unpaid-network", "203.0.113.0/24", 3)
NEIGHBOUR = Share("unpaid", "203.0.113.10", 2)
ROUNDING_SECONDS = 1


class Counted:
    """A place of counting that several processes share, as plain as can be: windows that never end."""

    def __init__(self) -> None:
        self.events: dict[Share, int] = {}
        self.questions = 0
        self.is_down = False

    async def count_free(self, shares: Sequence[Share]) -> int:
        self.questions += 1
        if self.is_down:
            raise LedgerUnavailable("down")
        for share in shares:
            if self.events.get(share, 0) >= share.per_minute:
                return 30
            self.events[share] = self.events.get(share, 0) + 1
        return 0


def throttles() -> list[Throttle]:
    return [MemoryThrottle(), SharedThrottle(Counted().count_free)]


@pytest.mark.parametrize("throttle", throttles(), ids=["memory", "shared"])
async def test_each_share_is_counted_until_one_refuses(throttle: Throttle):
    """Counted in turn: what the first share refuses takes nothing from the second."""
    answers = [await throttle.wait_seconds(ADDRESS, NETWORK) for _ in range(4)]
    neighbour = [await throttle.wait_seconds(NEIGHBOUR, NETWORK) for _ in range(2)]

    assert answers[:2] == [0, 0] and all(0 < wait <= 60 + ROUNDING_SECONDS for wait in answers[2:])
    assert neighbour[0] == 0 and neighbour[1] > 0


@pytest.mark.parametrize("throttle", throttles(), ids=["memory", "shared"])
async def test_who_was_refused_is_known_to_be_full(throttle: Throttle):
    """Without counting and without asking; another address is another story."""
    assert not throttle.is_full(ADDRESS, NETWORK)
    while not await throttle.wait_seconds(ADDRESS, NETWORK):
        pass

    assert throttle.is_full(ADDRESS, NETWORK)
    assert not throttle.is_full(NEIGHBOUR, NETWORK)


async def test_processes_share_their_windows():
    """What one process counted is used up for the other; each event is one question, however many shares."""
    counted = Counted()
    one, other = SharedThrottle(counted.count_free), SharedThrottle(counted.count_free)

    assert await one.wait_seconds(ADDRESS, NETWORK) == await one.wait_seconds(ADDRESS, NETWORK) == 0
    assert await other.wait_seconds(ADDRESS, NETWORK) == 30
    assert counted.questions == 3


async def test_a_refusal_is_remembered_for_as_long_as_it_was_told():
    """When the time that was told is over, the shares are asked for again."""
    now = 1_000.0
    throttle = SharedThrottle(Counted().count_free, monotonic=lambda: now)
    while not await throttle.wait_seconds(ADDRESS):
        pass

    assert throttle.is_full(ADDRESS)
    now += 29.9
    assert throttle.is_full(ADDRESS)
    now += 0.1
    assert not throttle.is_full(ADDRESS)


def counting_in(world: World, counted: Counted) -> None:
    """Let every limit of a running server be counted there."""
    throttle: Any = SharedThrottle(counted.count_free)
    world.exchange(throttle=throttle)


async def test_nothing_is_free_while_it_cannot_be_counted(tmp_path: Path):
    """The ledger that counts is down: 503 and no invoice, never a free pass. Paid calls are not counted at all."""
    async with opened_world(tmp_path) as world:
        paid = await world.buy()
        counted = Counted()
        counting_in(world, counted)
        counted.is_down = True

        unpaid, topup = await world.ask(), await world.client.post("/topup", json={"amount_sats": 100})
        questions = counted.questions
        served = await world.ask(paid=paid)

        assert [answer.json()["error"]["code"] for answer in (unpaid, topup)] == ["ledger_unavailable"] * 2
        assert await world.invoices() == 1
        assert served.status_code == 200 and counted.questions == questions == 2


async def test_an_unpaid_request_is_counted_in_two_questions(tmp_path: Path):
    """One for its address and network, one for its invoice."""
    async with opened_world(tmp_path) as world:
        counted = Counted()
        counting_in(world, counted)

        assert (await world.ask()).status_code == 402
        assert counted.questions == 2
        assert {share.name for share in counted.events} == {"unpaid", "unpaid-network", "invoices"}
