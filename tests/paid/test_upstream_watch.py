"""What is wrong with an upstream is found out before a buyer pays for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from lib.jobs import look_again, look_around
from lib.upstream import LOOK_SECONDS
from tests.paid.canned_upstream import bound_socket, canned_upstream, url_of
from tests.world import World, opened_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with opened_world(tmp_path) as opened:
        yield opened


async def bought_at(world: World, url: str, **keys: str) -> None:
    """From now on OpenAI's models are bought there, with this key if one is given."""
    old = world.newest.settings
    secrets = replace(old.secrets, upstream_keys={**old.secrets.upstream_keys, **keys})
    await world.reload(replace(old, upstream_urls={**old.upstream_urls, "openai": url}, secrets=secrets))


async def seen(world: World) -> tuple[int, bool, str]:
    """What an unpaid request is answered after a look around, and what the catalog and health say."""
    await look_around(world.newest)
    answer = await world.ask()
    catalog = (await world.client.get("/api/catalog")).json()
    parts = (await world.client.get("/api/health")).json()["parts"]
    return answer.status_code, catalog["apis"][0]["available"], parts["upstream openai"]["detail"]


async def test_nobody_is_asked_to_pay_for_what_cannot_be_reached(world: World):
    """503 before any invoice while nothing listens there; for sale again with the next look after it is back."""
    listener = bound_socket()
    await bought_at(world, url_of(listener))

    assert await seen(world) == (503, False, "nothing accepts connections at its address")
    ready = await world.client.get("/api/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")  # the others sell: no reason to drop it
    async with canned_upstream(listener):
        await look_again(world.newest)
        assert (await world.ask()).status_code == 402
    assert await world.invoices() == 1


async def test_a_wrong_key_is_seen_before_a_buyer_meets_it(world: World):
    """The list of models is refused with 401: off sale, without any call."""
    await bought_at(world, world.newest.settings.upstream_urls["openai"], openai="sk-wrong")

    assert await seen(world) == (503, False, "upstream refused our key or quota")
    assert world.parts.journal() == []


async def test_a_list_of_models_that_fails_takes_nothing_off_sale(world: World):
    """A key may be allowed to call and not to list: any other answer than 401 says nothing of calls."""
    await bought_at(world, world.newest.settings.upstream_urls["openai"] + "/nothing")

    assert await seen(world) == (402, True, "for sale")


async def test_an_upstream_that_is_well_is_asked_once_a_minute(world: World):
    """Looks in between ask nothing, so that a fault begins to be seen a minute later at most."""
    listener = bound_socket()
    async with canned_upstream(listener) as upstream:
        await bought_at(world, url_of(listener))

        for _ in range(3):
            await look_around(world.newest)

        assert upstream.looks == 1 and LOOK_SECONDS == 60
