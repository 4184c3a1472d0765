"""GET /api/usage and GET /api/invoices: what an owner, and nobody else, is told of its account and of its invoice."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.store.ledger import Owner
from tests.core.plain_macaroon import appended
from tests.prepaid.counter import (
    asked,
    balance,
    bearer,
    claim,
    new_token,
    refused,
    token_of,
    topped_up,
)
from tests.world import CHAT, HELLO, STREAM, World, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEMBERS = {
    *("id", "at", "type", "amount_msat", "balance_msat", "request_id", "api", "path", "model", "ending", "usage"),
    "payment_hash",
}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def usage(world: World, headers: dict[str, str], **query: Any) -> dict[str, Any]:
    """One page."""
    answer = await world.client.get("/api/usage", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"entries", "next_cursor"}
    return answer.json()


async def invoice(world: World, payment_hash: str, authorization: str) -> httpx.Response:
    """What a holder of `authorization` is told."""
    return await world.client.get(f"/api/invoices/{payment_hash}", headers={"Authorization": authorization})


# The history


async def test_every_member_of_an_entry(shop: World):
    """A credit names its payment, a charge its call and what upstream counted; nothing else is told, no prompt."""
    paid = await topped_up(shop)
    token = token_of(await claim(shop, paid))
    answer = await shop.client.post(CHAT, json=HELLO, headers=bearer(token))
    await balance(shop, bearer(token))

    page = await usage(shop, bearer(token))

    charge, credit = page["entries"]
    assert page["next_cursor"] is None
    assert set(charge) == set(credit) == MEMBERS
    assert {name: credit[name] for name in MEMBERS - {"id", "at"}} == {
        "type": "credit",
        "amount_msat": 120_000,
        "balance_msat": 120_000,
        "payment_hash": paid.payment_hash.hex(),
        **dict.fromkeys(("request_id", "api", "path", "model", "ending", "usage")),
    }
    assert {name: charge[name] for name in MEMBERS - {"id", "at", "usage"}} == {
        "type": "charge",
        "amount_msat": -15,
        "balance_msat": 119_985,
        "payment_hash": None,
        "request_id": answer.headers["x-request-id"],
        "api": "openai",
        "path": "/v1/chat/completions",
        "model": "gpt-4o-mini",
        "ending": "answered",
    }
    assert charge["usage"] == {
        "input_tokens": 8,
        "output_tokens": 17,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
    }
    for entry in (charge, credit):
        assert RFC_3339.fullmatch(entry["at"])
        assert abs(datetime.now(UTC) - datetime.fromisoformat(entry["at"])) < timedelta(minutes=1)


async def test_pages_without_gaps_or_repeats(shop: World):
    """Eleven entries, three at a time, while a twelfth is written: each old one once, newest first."""
    token = await new_token(shop)
    for number in range(10):
        await shop.client.post(CHAT, json=HELLO if number % 2 else STREAM, headers=bearer(token))
    await balance(shop, bearer(token))
    whole = (await usage(shop, bearer(token)))["entries"]

    pages = [await usage(shop, bearer(token), limit=3)]
    await shop.client.post(CHAT, json=HELLO, headers=bearer(token))
    while pages[-1]["next_cursor"] is not None:
        pages.append(await usage(shop, bearer(token), limit=3, before=pages[-1]["next_cursor"]))

    seen = [entry for page in pages for entry in page["entries"]]
    assert seen == whole and len(seen) == 11
    assert [entry["id"] for entry in seen] == sorted((entry["id"] for entry in seen), reverse=True)
    assert [entry["balance_msat"] for entry in seen] == [120_000 - 15 * left for left in range(10, -1, -1)]


async def test_a_page_has_its_limits(shop: World):
    """50 entries unless told, 200 at most, 1 at least."""
    token = await new_token(shop)
    await asyncio.gather(*(shop.client.post(CHAT, json=HELLO, headers=bearer(token)) for _ in range(60)))
    await balance(shop, bearer(token))

    assert len((await usage(shop, bearer(token)))["entries"]) == 50
    assert len((await usage(shop, bearer(token), limit=1_000))["entries"]) == 61
    assert len((await usage(shop, bearer(token), limit=0))["entries"]) == 1


@pytest.mark.parametrize("name", ["before", "limit"])
@pytest.mark.parametrize("value", ["", "-1", "1.5", "x", "9" * 19, "9" * 40, "²"])
async def test_a_cursor_that_is_none(shop: World, name: str, value: str):
    """400 that names it, whatever its size."""
    token = await new_token(shop)

    answer = await shop.client.get("/api/usage", params={name: value}, headers=bearer(token))

    assert refused(answer, 400, "invalid_field_type")["param"] == name


async def test_everybody_sees_only_their_own(shop: World):
    """Neither another's entries nor, by another's cursor, a part of them."""
    mine, other = await new_token(shop), await new_token(shop)
    await shop.client.post(CHAT, json=HELLO, headers=bearer(other))
    await balance(shop, bearer(other))
    newest = (await usage(shop, bearer(other)))["entries"][0]["id"]

    page = await usage(shop, bearer(mine), before=newest + 1)

    assert [entry["amount_msat"] for entry in page["entries"]] == [120_000]


async def test_a_credential_has_a_history_too(shop: World):
    """An L402 buyer sees its payment and its calls."""
    paid = await shop.buy()
    await shop.ask(paid=paid)
    await shop.settled(paid)

    page = await usage(shop, paid.headers)

    assert [(entry["type"], entry["amount_msat"]) for entry in page["entries"]] == [("charge", -15), ("credit", 2_000)]


async def test_an_adjustment_is_in_the_history(shop: World):
    """What the operator corrected is an entry like any other."""
    token = await new_token(shop)
    found = await shop.services.ledger.balance(Owner.of_token(token))
    assert found is not None
    await shop.services.ledger.adjust(f"gift {token}", found.account, found.balance, "a gift")

    page = await usage(shop, bearer(token))

    assert [(entry["type"], entry["amount_msat"]) for entry in page["entries"]] == [
        ("adjust", 120_000),
        ("credit", 120_000),
    ]


async def test_what_costs_nothing_is_no_entry(shop: World):
    """A call that upstream refused."""
    token = await new_token(shop)
    shop.parts.scenario(status=400)

    await shop.client.post(CHAT, json=HELLO, headers=bearer(token))
    await balance(shop, bearer(token))

    assert len((await usage(shop, bearer(token)))["entries"]) == 1


@pytest.mark.parametrize(
    ("headers", "code"), [({}, "missing_token"), ({"Authorization": "Bearer alb_nobody"}, "invalid_token")]
)
async def test_a_history_needs_its_owner(shop: World, headers: dict[str, str], code: str):
    """401."""
    refused(await shop.client.get("/api/usage", headers=headers), 401, code)


# The invoice


@pytest.mark.parametrize("kind", ["topup", "refill", "call"])
async def test_an_invoice_from_open_to_paid(shop: World, kind: str):
    """Its holder is told without a preimage; a payment shows at once, and nothing is credited by looking."""
    token = await new_token(shop) if kind == "refill" else None
    offer = (await (shop.ask() if kind == "call" else asked(shop, 180, token))).json()
    unpaid = f"L402 {offer['macaroon']}:"
    before = (await shop.services.ledger.totals()).credited

    opened = await invoice(shop, offer["payment_hash"], unpaid)
    shop.parts.settle(offer["payment_hash"])
    paid = await invoice(shop, offer["payment_hash"], unpaid)

    told = {"payment_hash": offer["payment_hash"], "amount_sats": offer["amount_sats"]}
    assert opened.headers["cache-control"] == "no-store"
    assert set(opened.json()) == {*told, "status", "expires_in"}
    assert {**told, "status": "open"}.items() <= opened.json().items()
    assert 540 <= opened.json()["expires_in"] <= 600
    assert (paid.status_code, paid.json()) == (200, {**told, "status": "paid", "expires_in": 0})
    assert kind != "call" or (await shop.services.ledger.totals()).credited == before


async def test_an_invoice_expires(tmp_path: Path):
    """Nobody can pay it any more."""
    async with opened_world(tmp_path) as world:
        offer = (await asked(world)).json()
        world.parts.advance_clock(601)

        answer = await invoice(world, offer["payment_hash"], f"L402 {offer['macaroon']}:")

    assert (answer.json()["status"], answer.json()["expires_in"]) == ("expired", 0)


async def test_an_invoice_that_half_expired(tmp_path: Path):
    """`expires_in` is what is left, for a call's invoice and for a top-up's."""
    async with opened_world(tmp_path, invoice_expiry_seconds=90, quote_grace_seconds=7) as world:
        offers = [(await world.ask()).json(), (await asked(world)).json()]

        left = [
            (await invoice(world, offer["payment_hash"], f"L402 {offer['macaroon']}:")).json()["expires_in"]
            for offer in offers
        ]

    assert all(60 <= seconds <= 90 for seconds in left)


@pytest.mark.parametrize("who", ["nobody", "a token", "another macaroon", "the key l402"])
async def test_an_invoice_is_its_holder_s_business(shop: World, who: str):
    """404, as if there were none: a payment hash is no secret."""
    token = await new_token(shop)
    mine, other = (await asked(shop)).json(), (await asked(shop)).json()
    headers = {
        "nobody": {},
        "a token": bearer(token),
        "another macaroon": {"Authorization": f"L402 {other['macaroon']}:"},
        "the key l402": {"x-api-key": "l402"},
    }[who]

    answer = await shop.client.get(f"/api/invoices/{mine['payment_hash']}", headers=headers)

    refused(answer, 404, "api_not_found")


async def test_any_holder_may_look(shop: World):
    """A limited macaroon, a wrong preimage, capitals in the hash: who holds it is enough, nothing is given away."""
    offer = (await asked(shop)).json()
    limited = appended(offer["macaroon"], "services=openai:0")

    answers = [
        await invoice(shop, offer["payment_hash"], f"L402 {limited}:"),
        await invoice(shop, offer["payment_hash"], f"L402 {offer['macaroon']}:{'00' * 32}"),
        await invoice(shop, offer["payment_hash"].upper(), f"L402 {offer['macaroon']}:"),
    ]

    assert [answer.json()["status"] for answer in answers] == ["open"] * 3


@pytest.mark.parametrize("name", ["x", "00", "%00"])
async def test_an_invoice_that_never_was(shop: World, name: str):
    """404 in JSON."""
    offer = (await asked(shop)).json()

    answer = await invoice(shop, name, f"L402 {offer['macaroon']}:")

    refused(answer, 404, "api_not_found")
