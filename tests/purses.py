"""What a buyer's SDK is given as its API key: a prepaid token, or an L402 credential as `macaroon:preimage`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pytest

from lib.core.money import Msat
from tests.prepaid.counter import balance, new_token
from tests.world import World

Way: TypeAlias = Literal["token", "l402"]
TOKEN_SATS = 500
LIMIT_SECONDS = 30.0
UNPAID_KEY = "l402"
"""Says to an SDK that wants a key, and to us, that nothing pays."""
both_ways = pytest.mark.parametrize("way", ["token", "l402"])


@dataclass(frozen=True, slots=True)
class Purse:
    """A key, and what was paid for it."""

    key: str
    paid: Msat

    async def charged(self, world: World) -> Msat:
        """All that it was charged, once no call of it runs; every msat of the ledger is accounted for."""
        left = await balance(world, {"Authorization": f"Bearer {self.key}"})
        assert await world.services.ledger.audit() == []
        return self.paid - Msat(left)


async def purse(world: World, way: Way, path: str, body: Mapping[str, Any]) -> Purse:
    """Enough for one call of `body`: by token with much on it, by L402 just what the 402 asks."""
    if way == "token":
        return Purse(await new_token(world, TOKEN_SATS), Msat(TOKEN_SATS * 1_000))
    paid = await world.pay(await world.client.post(path, json=dict(body)))
    return Purse(f"{paid.macaroon}:{paid.preimage}", paid.amount)


def extra_of(usage: Any) -> dict[str, Any]:
    """What an SDK keeps of a usage without knowing it: what the call costs here, and what is left."""
    return usage.model_extra or {}
