"""Since when a part is as it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lib.health import Health
from lib.jobs import look_around
from tests.world import World

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_since_moves_only_with_the_state():
    """Other words for the same trouble are no other trouble."""
    health = Health()

    health.hear("node", "synced", ok=True, at=NOON)
    health.hear("node", "synced again", ok=True, at=NOON + MINUTE)
    assert health.parts["node"].since == NOON

    health.hear("node", "it does not answer", ok=False, at=NOON + 2 * MINUTE)
    health.hear("node", "it refuses us", ok=False, at=NOON + 3 * MINUTE)
    assert (health.parts["node"].since, health.parts["node"].detail) == (NOON + 2 * MINUTE, "it refuses us")

    health.hear("node", "synced", ok=True, at=NOON + 4 * MINUTE)
    assert health.parts["node"].since == NOON + 4 * MINUTE


@pytest.mark.parametrize(
    ("away", "status"),
    [
        ((), "ok"),
        (("upstream openai",), "degraded"),
        (("upstream openai", "upstream groq"), "not_ready"),
        (("node",), "not_ready"),
        (("price", "upstream openai"), "not_ready"),
    ],
)
def test_a_shop_is_ready_while_one_provider_sells(away: tuple[str, ...], status: str):
    """What every sale needs must be there; of the providers one."""
    health = Health()
    assert health.status == "not_ready"  # nothing was heard of yet

    for name in ("ledger", "node", "price", "upstream openai", "upstream groq"):
        health.hear(name, "said", ok=name not in away)

    assert health.status == status


async def test_health_says_since_when(world: World):
    """Of each part, and when the process that answers started: nothing is known from before."""
    await look_around(world.services)
    await look_around(world.services)

    told = (await world.client.get("/api/health")).json()

    assert {part["ok"] for part in told["parts"].values()} == {True}
    started = datetime.fromisoformat(told["started_at"])
    since = [datetime.fromisoformat(part["since"]) for part in told["parts"].values()]
    assert all(started <= moment <= datetime.now(UTC) for moment in since)
