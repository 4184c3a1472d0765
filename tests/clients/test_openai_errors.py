"""What the official SDK's exceptions carry: enough to pay, in a program that catches them."""

from __future__ import annotations

import re

import openai
import pytest

from tests.clients.observed import CHALLENGE
from tests.world import World

MODEL = "gpt-4o-mini"


async def ask(world: World, **options: str) -> str | None:
    """One call with the SDK's own retries."""
    async with openai.AsyncOpenAI(base_url=f"{world.url}/v1", api_key=options.get("api_key", "l402")) as client:
        answer = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
        return answer.choices[0].message.content


async def test_the_unpaid_exception_is_enough_to_pay(world: World):
    """Code, type, challenge and the body's invoice are on the exception; what they buy works as the API key."""
    with pytest.raises(openai.APIStatusError) as caught:
        await ask(world)

    error = caught.value
    assert (error.status_code, error.code, error.type) == (402, "payment_required", "payment_required")
    found = CHALLENGE.match(error.response.headers["www-authenticate"])
    assert found is not None and found[2] == error.response.json()["invoice"]
    assert await world.invoices() == 1
    preimage = await world.parts.pay(found[2])
    assert await ask(world, api_key=f"{found[1]}:{preimage}")


async def test_a_forged_key_is_an_authentication_error(world: World):
    """A credential with a wrong preimage is 401 in the SDK's own class, and nothing to pay."""
    paid = await world.buy()

    with pytest.raises(openai.AuthenticationError) as caught:
        await ask(world, api_key=f"{paid.macaroon}:{'00' * 32}")

    assert caught.value.code == "invalid_l402"
    assert re.match(r"Bearer\b", caught.value.response.headers["www-authenticate"])
    assert await world.invoices() == 1
