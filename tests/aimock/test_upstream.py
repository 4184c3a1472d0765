"""What aimock takes for granted of a client is what we send it."""

from __future__ import annotations

import pytest

from lib.core.money import Msat
from tests.aimock.server import AiMock
from tests.world import CHAT, HELLO, World

pytestmark = pytest.mark.slow


async def test_a_paid_call_reaches_it_as_its_own_api(shop: World, aimock: AiMock):
    """It takes our key instead of the buyer's, answers what it was told, and its usage is what is charged."""
    aimock.answers(
        {"userMessage": "Hello"}, {"content": "Hi there.", "usage": {"prompt_tokens": 8, "completion_tokens": 17}}
    )
    paid = await shop.buy()

    answer = await shop.ask(paid=paid)

    assert answer.json()["choices"][0]["message"]["content"] == "Hi there."
    assert answer.headers["x-charge-msat"] == "15"  # 8 × 0.195 + 17 × 0.78 = 14.82
    assert (await shop.settled(paid)).balance == paid.amount - Msat(15)
    [asked] = aimock.journal()
    assert (asked["path"], asked["response"]["status"]) == (CHAT.removeprefix("/openai"), 200)
    assert asked["body"]["messages"] == HELLO["messages"]
