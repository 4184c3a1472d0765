"""Routes that people look for and that keep something at the provider: they are not sold, and the answer says why."""

from __future__ import annotations

from tests.world import World


async def test_a_stateful_route_is_404_and_says_why(world: World):
    """By any method, with and without something below; nothing is invoiced, and upstream is never asked."""
    apis = world.services.catalog.apis.values()
    said = {f"/{api.name}{path}": why for api in apis for path, why in api.rules.not_sold.items()}
    default = world.services.catalog.default
    assert default is not None
    said |= dict(default.rules.not_sold)
    assert len(said) > 30
    sold = {f"/{api.name}{path}" for api in apis for _, path in api.endpoints} | {path for _, path in default.endpoints}

    for path, why in said.items():
        below = await world.client.get(f"{path}/some_id")
        asked = (
            [below] if path in sold else [below, await world.client.get(path), await world.client.post(path, json={})]
        )
        for answer in asked:
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api_not_found"), path
            assert answer.json()["error"]["message"] == why
            assert "www-authenticate" not in answer.headers
    assert await world.invoices() == 0
    assert world.parts.journal() == []
