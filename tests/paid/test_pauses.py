"""What an operator does not sell for a while is not sold, and nobody is asked to pay for it."""

from __future__ import annotations

import asyncio

import pytest

from lib.services import Services
from tests.world import HELLO, World

OTHER = {**HELLO, "model": "gpt-4.1-mini"}


async def refreshed(services: Services) -> None:
    """As the job does every few seconds."""
    await services.purchase.pauses.refresh(services.ledger)


@pytest.mark.parametrize("model", ["gpt-4o-mini", None])
async def test_what_is_paused_is_not_sold(world: World, model: str | None):
    """503 before any invoice, also for who has paid; the credential stays good, and the rest is sold on."""
    paid = await world.buy()
    await world.services.ledger.pause("openai", model, "looking at it")
    await refreshed(world.services)
    made = await world.invoices()

    refused = [await world.ask(), await world.ask(paid=paid)]
    other = await world.ask(OTHER)

    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in refused] == [
        (503, "upstream_unavailable"),
        (503, "upstream_unavailable"),
    ]
    assert all("retry-after" in answer.headers for answer in refused)
    assert "looking at it" not in refused[0].text
    assert other.status_code == (402 if model else 503)
    assert await world.invoices() == made + (1 if model else 0)

    await world.services.ledger.resume("openai", model)
    await refreshed(world.services)
    assert (await world.ask(paid=paid)).status_code == 200


@pytest.mark.parametrize("model", ["gpt-4o-mini", None])
async def test_the_catalog_says_what_is_paused(world: World, model: str | None):
    """The model alone, or each of the API's and that it cannot be bought; why, is the operator's business."""
    await world.services.ledger.pause("openai", model, "looking at it")
    await refreshed(world.services)

    answer = await world.client.get("/api/catalog")

    openai, anthropic, *_ = answer.json()["apis"]
    paused = {one["id"] for endpoint in openai["endpoints"] for one in endpoint["models"] if one["paused"]}
    every = {one["id"] for endpoint in openai["endpoints"] for one in endpoint["models"]}
    assert paused == ({model} if model else every)
    assert openai["available"] is (model is not None)
    assert openai["unavailable_reason"] == (None if model else "Its sale is paused.")
    assert anthropic["available"] and "looking at it" not in answer.text


async def test_running_calls_go_on(world: World):
    """A pause cuts nobody off."""
    paid = await world.buy()
    world.parts.scenario(first_byte_delay_ms=500)
    running = asyncio.create_task(world.ask(paid=paid))
    async with asyncio.timeout(30):
        while not world.parts.journal():
            await asyncio.sleep(0.005)
    await world.services.ledger.pause("openai", None, "looking at it")
    await refreshed(world.services)

    assert (await running).status_code == 200
    assert (await world.ask(paid=paid)).status_code == 503
