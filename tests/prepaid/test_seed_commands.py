"""The README's four commands, sent by the curl that a buyer has, byte for byte but for address and placeholders."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import dataclass
from typing import Any

import pytest

from tests.prepaid.counter import balance, bearer
from tests.world import World

CURL_SECONDS = 30
CREATE = """curl -X POST http://localhost:3000/topup \\
  -H "Content-Type: application/json" \\
  -d '{"amount_sats":120}'"""
CLAIM = """curl -X POST http://localhost:3000/topup/claim \\
  -H "Content-Type: application/json" \\
  -d '{"preimage":"<hex-preimage>"}'"""
USE = """curl -X POST http://localhost:3000/openai/v1/chat/completions \\
  -H "Content-Type: application/json" \\
  -H "Authorization: Bearer <token>" \\
  -d '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}'"""
REFILL = """curl -X POST http://localhost:3000/topup \\
  -H "Authorization: Bearer <token>" \\
  -d '{"amount_sats":180}'"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Printed:
    """What curl showed."""

    status: int
    body: dict[str, Any]


async def typed(world: World, command: str, **placeholders: str) -> Printed:
    """Run one command of the README; the status is asked for behind its own words."""
    text = command.replace("http://localhost:3000", world.url)
    for name, value in placeholders.items():
        text = text.replace(f"<{name.replace('_', '-')}>", value)
    program, *arguments = shlex.split(text.replace("\\\n", " "))
    process = await asyncio.create_subprocess_exec(
        *(program, "--silent", "--noproxy", "*", *arguments, "--write-out", "\n%{http_code}"),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(CURL_SECONDS):
        printed, _ = await process.communicate()
    body, _, status = printed.decode().rpartition("\n")
    return Printed(int(status), json.loads(body))


async def test_the_four_commands_of_the_readme(shop: World):
    """Invoice, claim, call, refill: 120 sat arrive, a call takes 15 msat, 180 sat join them, to the msat."""
    offer = await typed(shop, CREATE)
    preimage = await shop.parts.pay(offer.body["invoice"])
    claimed = await typed(shop, CLAIM, hex_preimage=preimage)
    token = claimed.body["token"]
    answer = await typed(shop, USE, token=token)
    more = await typed(shop, REFILL, token=token)
    refill_preimage = await shop.parts.pay(more.body["invoice"])
    claim_with_token = CLAIM.replace("-d", '-H "Authorization: Bearer <token>" -d')
    grown = await typed(shop, claim_with_token, token=token, hex_preimage=refill_preimage)

    assert (offer.status, offer.body["kind"], offer.body["amount_sats"]) == (402, "topup", 120)
    assert (claimed.status, claimed.body) == (
        200,
        {"kind": "topup", "token": token, "balance_sats": 120, "balance_msat": 120_000},
    )
    assert answer.status == 200 and answer.body["choices"][0]["message"]["content"]
    assert (more.status, more.body["kind"], more.body["amount_sats"]) == (402, "refill", 180)
    assert grown.body == {
        "kind": "refill",
        "credited_sats": 180,
        "credited_msat": 180_000,
        "balance_sats": 299,
        "balance_msat": 299_985,
    }
    assert await balance(shop, bearer(token)) == 120_000 - 15 + 180_000


async def test_curl_s_own_content_type_is_no_obstacle(shop: World):
    """`-d` alone says that JSON is a form: it is read as JSON, for a claim as well."""
    offer = await typed(shop, CREATE.replace('-H "Content-Type: application/json"', ""))
    preimage = await shop.parts.pay(offer.body["invoice"])
    claimed = await typed(shop, CLAIM.replace('-H "Content-Type: application/json"', ""), hex_preimage=preimage)

    assert (offer.status, claimed.status) == (402, 200)
    assert claimed.body["balance_msat"] == 120_000


async def test_a_refill_whose_token_is_forgotten(shop: World):
    """An empty shell variable sends `Bearer ` and nothing: missing_token, and no invoice."""
    before = await shop.invoices()

    answer = await typed(shop, REFILL, token="")

    assert (answer.status, answer.body["error"]["code"]) == (401, "missing_token")
    assert await shop.invoices() == before
