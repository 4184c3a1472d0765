"""Providers that depart from OpenAI, over real sockets: their usage is charged, what a call costs us is not told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lib.core.money import Msat
from tests.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGES = [{"role": "user", "content": "Hello"}]


async def bought(shop: World, api: str, body: dict[str, Any]) -> tuple[Msat, str]:
    """The charge that the ledger has, and the answer's text."""
    path, body = f"/{api}/v1/chat/completions", {**body, "messages": MESSAGES}
    paid = await shop.pay(await shop.client.post(path, json=body))
    answer = await shop.client.post(path, json=body, headers=paid.headers)
    assert answer.status_code == 200, answer.text
    await shop.settled(paid)
    return Msat(-(await shop.entries(paid))[-1].amount.value), answer.text


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_what_openrouter_costs_us_is_not_told(shop: World, stream: bool):
    """The rest of the usage is, and what it is billed from; 8 × 0.30 × 1.37 + 17 × 1.20 × 1.37 = 31.236 msat."""
    told = {"prompt_tokens": 8, "completion_tokens": 17, "total_tokens": 25}
    shop.parts.scenario(usage={**told, "cost": 0.0000246, "cost_details": {"upstream": 1}, "is_byok": False})
    asked = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}

    charge, answer = await bought(shop, "openrouter", {"model": "minimax/minimax-m3", **asked})

    assert charge == Msat(32)
    assert "cost" not in answer and "is_byok" not in answer
    events = (
        [json.loads(line[6:]) for line in answer.splitlines() if line.startswith("data: {")]
        if stream
        else [json.loads(answer)]
    )
    [usage] = [event["usage"] for event in events if event.get("usage")]
    assert {name: usage[name] for name in told} == told


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_thinking_beside_the_completion_is_charged(shop: World, stream: bool):
    """grok-4.3: 8 × 1.25 × 1.30 + (17 + 200) × 2.50 × 1.30 = 718.25 msat."""
    details = {"completion_tokens_details": {"reasoning_tokens": 200}}
    shop.parts.scenario(usage={"prompt_tokens": 8, "completion_tokens": 17, "total_tokens": 225, **details})

    charge, _ = await bought(shop, "xai", {"model": "grok-4.3", "stream": stream})

    assert charge == Msat(719)


async def test_a_stream_of_mistral_is_metered_though_nothing_was_asked(shop: World):
    """8 × 0.15 × 1.30 + 17 × 0.60 × 1.30 = 14.82 msat; a buyer who did not ask for the usage is not shown it."""
    charge, answer = await bought(shop, "mistral", {"model": "mistral-small-2603", "stream": True})

    assert charge == Msat(15)
    assert "prompt_tokens" not in answer
