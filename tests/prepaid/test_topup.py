"""POST /topup: the 402 of a top-up and of a refill, what it refuses, and the L402 client that pays and repeats it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import bolt11
import httpx
import pytest

from lib.core.money import Msat
from tests.prepaid.counter import (
    asked,
    balance,
    bearer,
    booked,
    claim,
    facts_of,
    freeze,
    is_dead,
    new_token,
    refused,
    retried_later,
    token_of,
    topped_up,
)
from tests.world import HELLO, ROOT, World, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHALLENGE = re.compile(r'L402 macaroon="([A-Za-z0-9+/]+=*)", invoice="(lnbc[0-9a-z]+)", version="0", token="([^"]+)"')


def config_with(tmp_path: Path, rules: str) -> dict[str, str]:
    """The shipped configuration with other rules for top-ups."""
    path = tmp_path / "config.yaml"
    path.write_text((ROOT / "config.yaml").read_text(encoding="utf-8") + f"\ntopup: {{{rules}}}\n", encoding="utf-8")
    return {"ALITTLEBITOFMONEY_CONFIG": str(path)}


async def refused_body(world: World, content: str) -> dict[str, Any]:
    """The error of a body that is refused with 400, and before any invoice."""
    before = await world.invoices()
    answer = await world.client.post("/topup", content=content)
    assert await world.invoices() == before
    return refused(answer, 400, answer.json()["error"]["code"])


# The 402


@pytest.mark.parametrize("kind", ["topup", "refill"])
async def test_the_offer(shop: World, kind: str):
    """Every member and header, once as the body says it and once as the header does."""
    token = await new_token(shop) if kind == "refill" else None

    answer = await asked(shop, 180, token)

    body = answer.json()
    error = body.pop("error")
    assert answer.status_code == 402
    assert body == {
        "status": "payment_required",
        "kind": kind,
        "invoice": answer.headers["x-lightning-invoice"],
        "payment_hash": answer.headers["x-payment-hash"],
        "amount_sats": 180,
        "expires_in": 600,
        "macaroon": body["macaroon"],
        "claim_url": "/topup/claim",
    }
    assert (error["code"], error["type"], error["param"]) == ("payment_required", "payment_required", None)
    assert error["message"] and error["next_action"]
    assert (answer.headers["x-price-sats"], answer.headers["x-topup-url"]) == ("180", "/topup")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    said = CHALLENGE.fullmatch(answer.headers.get_list("www-authenticate")[0])
    assert said is not None and said.groups() == (body["macaroon"], body["invoice"], body["macaroon"])


async def test_the_invoice_asks_what_was_asked(shop: World):
    """What the wallet will show: the amount to the msat, the hash, ten minutes."""
    body = (await asked(shop, 180)).json()

    invoice = bolt11.decode(body["invoice"])

    assert (invoice.amount_msat, invoice.payment_hash, invoice.expiry) == (180_000, body["payment_hash"], 600)


@pytest.mark.parametrize("kind", ["topup", "refill"])
async def test_the_macaroon_says_what_is_sold(shop: World, kind: str):
    """Seven facts: a refill's names its account, a top-up's none; neither has a price, and neither is a limit."""
    token = await new_token(shop) if kind == "refill" else None

    facts = facts_of(await asked(shop, 180, token))

    assert list(facts) == ["kind", "amount_msat", "btc_price", "quote_until", "account", "carry", "proof"]
    assert (facts["kind"], facts["amount_msat"], bool(facts["account"])) == (kind, "180000", kind == "refill")
    assert (facts["btc_price"], facts["quote_until"], facts["carry"], facts["proof"]) == ("", "", "", "")


async def test_a_second_offer_is_a_new_invoice(shop: World):
    """Nobody's invoice is shown to anybody else."""
    offers = [(await asked(shop)).json() for _ in range(2)]

    assert len({offer["payment_hash"] for offer in offers}) == 2


async def test_an_unpaid_offer_is_worth_nothing(shop: World):
    """Nothing is credited for the asking, nor for asking again with the macaroon alone."""
    before = await shop.services.ledger.totals()
    offer = (await asked(shop)).json()

    again = await shop.client.post(
        "/topup", json={"amount_sats": 120}, headers={"Authorization": f"L402 {offer['macaroon']}:"}
    )

    assert again.status_code == 402 and again.json()["payment_hash"] != offer["payment_hash"]
    assert await shop.services.ledger.totals() == before


# Amounts


@pytest.mark.parametrize("sats", [100, 1_000_000])
async def test_the_smallest_and_the_largest(shop: World, sats: int):
    """Both ends are sold."""
    answer = await asked(shop, sats)

    assert (answer.status_code, answer.json()["amount_sats"]) == (402, sats)


@pytest.mark.parametrize(
    ("usd", "sats"),
    [
        ("0.12", 120),
        ("2.50", 2_500),
        (0.12, 120),
        (2, 2_000),
        ("0.1200001", 121),
        ("0.119001", 120),
    ],
)
async def test_an_amount_in_dollars(shop: World, usd: object, sats: int):
    """At 100,000 USD a bitcoin a dollar is 1,000 sat; a broken sat is rounded up, and its rest is balance."""
    answer = await shop.client.post("/topup", json={"amount_usd": usd})

    assert (answer.status_code, answer.json()["amount_sats"]) == (402, sats)
    assert facts_of(answer)["amount_msat"] == str(sats * 1_000)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ("", "missing_required_field", "amount_sats"),
        ("{}", "missing_required_field", "amount_sats"),
        ('{"amount_sats":null}', "missing_required_field", "amount_sats"),
        ('{"amount_sats":120,"amount_usd":"1"}', "missing_required_field", "amount_sats"),
        ('{"amount_sats":"120"}', "invalid_field_type", "amount_sats"),
        ('{"amount_sats":120.0}', "invalid_field_type", "amount_sats"),
        ('{"amount_sats":1.2e2}', "invalid_field_type", "amount_sats"),
        ('{"amount_sats":true}', "invalid_field_type", "amount_sats"),
        ('{"amount_sats":[120]}', "invalid_field_type", "amount_sats"),
        ('{"amount_sats":{}}', "invalid_field_type", "amount_sats"),
        ('{"amount_sats":0}', "invalid_field_value", "amount_sats"),
        ('{"amount_sats":-120}', "invalid_field_value", "amount_sats"),
        ('{"amount_sats":99}', "invalid_field_value", "amount_sats"),
        ('{"amount_sats":1000001}', "invalid_field_value", "amount_sats"),
        ('{"amount_sats":9223372036854775807}', "invalid_field_value", "amount_sats"),
        ('{"amount_usd":true}', "invalid_field_type", "amount_usd"),
        ('{"amount_usd":["1"]}', "invalid_field_type", "amount_usd"),
        ('{"amount_usd":""}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"0"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"0.099"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"1000.01"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"-1"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":-1}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"1e2"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":1e-7}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":1e300}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"$1"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":" 1"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"1,50"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"1.5.0"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"1."}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":".5"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"1.\\u00b2"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"\\u0661"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"1.\\u0665"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"NaN"}', "invalid_field_value", "amount_usd"),
        ('{"amount_usd":"Infinity"}', "invalid_field_value", "amount_usd"),
        ('{"amount_sats":', "invalid_json", None),
        ('{"amount_sats":120,"amount_sats":180}', "invalid_json", None),
        ('{"amount_usd":NaN}', "invalid_json", None),
        ("[120]", "invalid_json", None),
        ("amount_sats=120", "invalid_json", None),
    ],
)
async def test_an_amount_that_is_refused(shop: World, body: str, code: str, param: str | None):
    """400 that names the field, before any invoice."""
    error = await refused_body(shop, body)

    assert (error["code"], error["param"]) == (code, param)


async def test_a_body_that_is_too_large(shop: World):
    """413 after 32 KiB."""
    answer = await shop.client.post("/topup", content=b" " * 32_769)

    refused(answer, 413, "request_too_large")


# Who asks


async def test_a_refill_with_an_empty_bearer(shop: World):
    """Whoever writes Bearer means a refill, and said not of which token."""
    before = await shop.invoices()

    answer = await shop.client.post("/topup", json={"amount_sats": 180}, headers={"Authorization": "Bearer"})

    refused(answer, 401, "missing_token")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert await shop.invoices() == before


@pytest.mark.parametrize("header", ["Authorization", "x-api-key"])
async def test_a_refill_of_an_unknown_token(shop: World, header: str):
    """Nobody pays for an account that nobody has."""
    before = await shop.invoices()
    value = "Bearer alb_nobody" if header == "Authorization" else "alb_nobody"

    answer = await shop.client.post("/topup", json={"amount_sats": 180}, headers={header: value})

    refused(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert await shop.invoices() == before


async def test_the_key_l402_asks_for_a_top_up(shop: World):
    """An SDK that insists on a key is no refill."""
    answer = await shop.client.post("/topup", json={"amount_sats": 120}, headers={"Authorization": "Bearer l402"})

    assert (answer.status_code, answer.json()["kind"]) == (402, "topup")


async def test_a_refill_by_x_api_key(shop: World):
    """A token is the same one in either header."""
    token = await new_token(shop)

    answer = await shop.client.post("/topup", json={"amount_sats": 180}, headers={"x-api-key": token})

    assert (answer.status_code, answer.json()["kind"]) == (402, "refill")


async def test_a_frozen_account_is_not_refilled(shop: World):
    """Frozen means no challenge either: nobody is asked to pay into what they cannot spend."""
    token = await new_token(shop)
    await freeze(shop, token)
    before = await shop.invoices()

    answer = await asked(shop, 180, token)

    refused(answer, 403, "account_frozen")
    assert await shop.invoices() == before


# The L402 client, which pays and repeats the request


async def test_a_client_that_pays_and_repeats_gets_its_token(shop: World):
    """No claim_url, no second door: 200 with the token."""
    paid = await topped_up(shop)

    answer = await shop.client.post("/topup", json={"amount_sats": 120}, headers=paid.headers)

    token = token_of(answer)
    assert answer.json() == {"kind": "topup", "token": token, "balance_sats": 120, "balance_msat": 120_000}
    assert answer.headers["cache-control"] == "no-store"
    assert await balance(shop, bearer(token)) == 120_000


async def test_a_client_that_pays_a_refill_and_repeats(shop: World):
    """200: credited, to the account of the token, which stays the only one; its balance is not for the payer."""
    token = await new_token(shop)
    paid = await topped_up(shop, 180, token)

    answer = await shop.client.post("/topup", json={"amount_sats": 180}, headers=paid.headers)
    again = await shop.client.post("/topup", json={"amount_sats": 180}, headers=paid.headers)

    assert (answer.status_code, answer.json()) == (
        200,
        {"kind": "refill", "credited_sats": 180, "credited_msat": 180_000},
    )
    assert again.json() == answer.json()
    assert await booked(shop, token) == [("credit", 120_000), ("credit", 180_000)]


async def test_a_client_that_repeats_after_its_token_was_used_is_asked_again(shop: World):
    """Clients cache one credential an address: a spent one must not keep them from topping up again."""
    paid = await topped_up(shop)
    token = token_of(await claim(shop, paid))
    await shop.ask(Authorization=f"Bearer {token}")

    answer = await shop.client.post("/topup", json={"amount_sats": 150}, headers=paid.headers)

    assert (facts_of(answer)["kind"], answer.json()["amount_sats"]) == ("topup", 150)
    assert not await is_dead(shop, token)


async def test_a_call_s_credential_is_ignored(shop: World):
    """Its holder wants a top-up, not its change: a fresh 402, and the change stays where it was."""
    paid = await shop.buy()
    await shop.ask(paid=paid)

    answer = await shop.client.post("/topup", json={"amount_sats": 120}, headers=paid.headers)

    assert facts_of(answer)["kind"] == "topup"
    assert answer.json()["payment_hash"] != paid.payment_hash.hex()
    assert (await shop.settled(paid)).balance == Msat(1_985)


async def test_an_unpaid_call_s_macaroon_is_ignored_too(shop: World):
    """Also one that the node would prove: the top-up does not wait for a call's invoice."""
    offer = (await shop.ask(HELLO, X_Payment_Proof="node")).json()

    answer = await shop.client.post(
        "/topup", json={"amount_sats": 120}, headers={"Authorization": f"L402 {offer['macaroon']}:"}
    )

    assert facts_of(answer)["kind"] == "topup"


async def test_a_wrong_preimage_is_told(shop: World):
    """401, never a challenge: paying again would not help."""
    paid = await topped_up(shop)

    answer = await shop.client.post(
        "/topup", json={"amount_sats": 120}, headers={"Authorization": f"L402 {paid.macaroon}:{'00' * 32}"}
    )

    refused(answer, 401, "invalid_l402")
    assert answer.headers["www-authenticate"].startswith("Bearer error=")


async def test_a_preimage_that_nobody_paid_for_is_pending(shop: World):
    """The node gives preimages away: its word counts, not the preimage."""
    unpaid = await shop.leak(await asked(shop))

    answer = await shop.client.post("/topup", json={"amount_sats": 120}, headers=unpaid.headers)

    assert int(answer.headers["retry-after"]) > 0
    refused(answer, 402, "payment_pending")


# When it cannot be sold


@pytest.mark.parametrize("path", ["/topup", "/topup/claim"])
async def test_switched_off(tmp_path: Path, path: str):
    """503 topup_unavailable at both doors, for tokens and credentials alike; calls are sold."""
    async with opened_world(tmp_path, config_with(tmp_path, "enabled: false")) as world:
        answers = [
            await world.client.post(path, json={"amount_sats": 120}),
            await world.client.post(path, json={"amount_sats": 120}, headers=bearer("alb_x")),
            await world.client.post(path, json={"preimage": "00" * 32}),
        ]
        call = await world.ask(paid=await world.buy())

        for answer in answers:
            refused(answer, 503, "topup_unavailable")
            assert answer.headers["x-should-retry"] == "false"
        assert call.status_code == 200
        assert (await world.client.get("/api/catalog")).json()["topup"]["enabled"] is False


async def test_the_operator_s_own_bounds(tmp_path: Path):
    """Smallest and largest are configuration."""
    async with opened_world(tmp_path, config_with(tmp_path, "min_sats: 5, max_sats: 50")) as world:
        answers = [await asked(world, sats) for sats in (4, 5, 50, 51)]

    assert [answer.status_code for answer in answers] == [400, 402, 402, 400]


async def test_without_a_price_dollars_are_not_sold(shop: World):
    """503 rate_unavailable; sats need no price."""

    class NoPrice:
        def current(self) -> None:
            return None

    shop.exchange(price=NoPrice())

    dollars = await shop.client.post("/topup", json={"amount_usd": "1"})
    sats = await asked(shop)

    retried_later(dollars, "rate_unavailable")
    assert sats.status_code == 402


@pytest.mark.parametrize("knob", [{"refuse": True}, {"error_500": "busy"}])
async def test_without_a_node_nothing_is_offered(shop: World, knob: dict[str, Any]):
    """503 phoenix_unavailable with Retry-After, and no challenge."""
    await shop.parts.knobs("seller", **knob)

    retried_later(await asked(shop), "phoenix_unavailable")


async def test_many_offers_at_once(shop: World):
    """Each its own invoice, each paid into its own account."""
    offers = await asyncio.gather(*(asked(shop, 100 + number) for number in range(20)))

    paid = await asyncio.gather(*(shop.pay(offer) for offer in offers))
    answers: list[httpx.Response] = await asyncio.gather(*(claim(shop, one) for one in paid))

    assert [answer.json()["balance_sats"] for answer in answers] == [100 + number for number in range(20)]
    assert len({token_of(answer) for answer in answers}) == 20
