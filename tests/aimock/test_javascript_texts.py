"""The official SDKs for JavaScript, unchanged, buy responses and messages that aimock answers; charged to the msat."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lib.core.money import Msat
from tests.aimock.server import AiMock
from tests.purses import LIMIT_SECONDS, UNPAID_KEY, Way, both_ways, purse
from tests.world import World

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).parent.parent / "clients" / "js"
SAID = "Hello there, how are you today?"
USED = {"input_tokens": 40, "output_tokens": 150}


@dataclass(frozen=True, slots=True)
class Sold:
    """An endpoint as an SDK is used for it. `cost`: of 40 tokens read and 150 written."""

    name: str
    base: str
    path: str
    body: dict[str, Any]
    cost: Msat


RESPONSES = Sold(
    "responses",
    "/v1",
    "/openai/v1/responses",
    {"model": "gpt-4o-mini", "input": "Hello", "max_output_tokens": 200},
    Msat(125),
)
MESSAGES = Sold(
    "messages",
    "/anthropic",
    "/anthropic/v1/messages",
    {"model": "claude-haiku-5-5", "max_tokens": 200, "messages": [{"role": "user", "content": "Hello"}]},
    Msat(103),
)
either = pytest.mark.parametrize("sold", [RESPONSES, MESSAGES], ids=["responses", "messages"])


async def bought(shop: World, sold: Sold, key: str, **more: Any) -> dict[str, Any]:
    """What the SDK's user sees of one call."""
    program = await asyncio.create_subprocess_exec(
        "node",
        "texts.mjs",
        sold.name,
        shop.url + sold.base,
        cwd=PROGRAMS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    question = json.dumps({"key": key, "body": {**sold.body, **more}}).encode()
    told, _ = await asyncio.wait_for(program.communicate(question), LIMIT_SECONDS)
    return json.loads(told)


@either
@both_ways
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_a_call_costs_what_aimock_counted(
    shop: World, aimock: AiMock, sold: Sold, way: Way, stream: bool
) -> None:
    """The text arrives, and in a stream our price beside the counts that the SDK knows."""
    aimock.answers({"userMessage": "Hello"}, {"content": SAID, "usage": USED}, chunkSize=4)
    paid = await purse(shop, way, sold.path, sold.body)

    answer = await bought(shop, sold, paid.key, stream=stream)

    assert (answer["status"], answer["text"]) == (200, SAID)
    assert answer["usage"]["output_tokens"] == 150
    assert answer["usage"].get("charge_msat") == (sold.cost.value if stream else None)
    assert await paid.charged(shop) == sold.cost


@either
async def test_errors_are_the_sdks_own_with_our_code(shop: World, aimock: AiMock, sold: Sold) -> None:
    """402 without another try, 401 for a key of somebody else's, 400 before there is anything to pay."""
    unpaid = await bought(shop, sold, UNPAID_KEY)
    foreign = await bought(shop, sold, "sk-somebody-elses")
    wrong = await bought(shop, sold, UNPAID_KEY, temperature=9)

    assert (unpaid["status"], unpaid["code"]) == (402, "payment_required")
    assert (foreign["status"], foreign["code"]) == (401, "invalid_token")
    assert (wrong["status"], wrong["code"]) == (400, "invalid_field_value")
    assert (await shop.invoices(), aimock.journal()) == (1, [])


@either
async def test_a_stream_that_is_cut_raises_with_our_code(shop: World, aimock: AiMock, sold: Sold) -> None:
    """An SDK that ended quietly would pass half an answer for a whole one."""
    how = {"chunkSize": 16, "truncateAfterChunks": 6, "latency": 20}
    aimock.answers({"userMessage": "Hello"}, {"content": SAID * 3, "usage": USED}, **how)
    paid = await purse(shop, "token", sold.path, sold.body)

    answer = await bought(shop, sold, paid.key, stream=True)

    assert (answer["status"], answer["code"]) == (None, "upstream_error")
    assert Msat.ZERO < await paid.charged(shop) < sold.cost
