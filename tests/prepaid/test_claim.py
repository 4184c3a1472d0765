"""POST /topup/claim: every door to a token, what each refuses, and what a lost reply costs: nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.core import l402
from lib.core.l402 import Facts, PaymentKind, RootKey
from lib.core.money import Msat
from tests.core.plain_macaroon import appended, decoded
from tests.prepaid.counter import (
    BIG,
    asked,
    balance,
    bearer,
    booked,
    claim,
    claim_bare,
    claim_by_header,
    claim_unproven,
    emptied,
    is_dead,
    new_token,
    owned_by,
    pending,
    refused,
    token_of,
    topped_up,
)
from tests.prepaid.test_topup import config_with
from tests.world import CHAT, HELLO, Paid, World, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXPIRED_SECONDS = 601


def is_a_token(answer: httpx.Response, kind: str, msat: int) -> str:
    """Exactly what a claim says; the token."""
    token = token_of(answer)
    assert answer.json() == {"kind": kind, "token": token, "balance_sats": msat // 1_000, "balance_msat": msat}
    assert answer.headers["cache-control"] == "no-store"
    assert token.startswith("alb_") and len(token) == 4 + 43
    return token


async def use(world: World, token: str) -> httpx.Response:
    """One call, 15 msat."""
    return await world.client.post(CHAT, json=HELLO, headers=bearer(token))


# The doors


@pytest.mark.parametrize("door", ["macaroon in the body", "authorization", "bare preimage", "x-api-key", "capitals"])
async def test_a_paid_top_up_becomes_a_token(shop: World, door: str):
    """Every way to say it gives the same token; the payment's own credential owns nothing afterwards."""
    paid = await topped_up(shop)

    match door:
        case "macaroon in the body":
            answer = await claim(shop, paid)
        case "authorization":
            answer = await claim_by_header(shop, paid)
        case "bare preimage":
            answer = await claim_bare(shop, paid.preimage)
        case "x-api-key":
            answer = await shop.client.post("/topup/claim", headers={"x-api-key": f"{paid.macaroon}:{paid.preimage}"})
        case _:
            answer = await claim_bare(shop, paid.preimage.upper())

    token = is_a_token(answer, "topup", 120_000)
    assert await balance(shop, bearer(token)) == 120_000
    assert await owned_by(shop, paid.payment_hash) is None


async def test_the_change_of_a_call_becomes_a_token(shop: World):
    """2,000 msat were paid, 15 spent: 1,985 are the token's, and the credential is worth nothing more."""
    paid = await shop.buy()
    await shop.ask(paid=paid)
    await shop.settled(paid)

    token = is_a_token(await claim(shop, paid), "call", 1_985)

    assert await balance(shop, bearer(token)) == 1_985
    assert await booked(shop, token) == [("credit", 2_000), ("charge", -15)]
    again = await shop.ask(paid=paid)
    assert again.status_code == 402 and again.json()["kind"] == "call"


async def test_a_call_that_was_paid_and_never_made_becomes_a_token(shop: World):
    """The whole payment."""
    paid = await shop.buy()

    is_a_token(await claim_by_header(shop, paid), "call", 2_000)


async def test_a_claim_brings_every_payment_of_the_account(shop: World):
    """A difference that was paid belongs to the same account: one token for both."""
    first = await shop.buy()
    while (answer := await shop.ask(paid=first)).status_code == 200:
        shop.parts.scenario(usage={"prompt_tokens": 8, "completion_tokens": 1_500, "total_tokens": 1_508})
    shop.parts.scenario()
    second = await shop.pay(answer)
    await shop.ask(paid=second)
    left = (await shop.settled(second)).balance.value

    token = is_a_token(await claim(shop, first), "call", left)

    assert await balance(shop, bearer(token)) == left
    assert await owned_by(shop, second.payment_hash) is None


async def test_a_refill_is_credited_by_its_claim(shop: World):
    """No token: the money is the account's. Its balance is told only to who shows the account's token as well."""
    token = await new_token(shop)
    paid = await topped_up(shop, 180, token)

    told = await claim(shop, paid, token)
    untold = await claim_by_header(shop, paid)
    other = await claim(shop, paid, await new_token(shop))

    credited = {"kind": "refill", "credited_sats": 180, "credited_msat": 180_000}
    assert (told.status_code, told.json()) == (200, {**credited, "balance_sats": 300, "balance_msat": 300_000})
    assert (untold.json(), other.json()) == (credited, credited)
    assert await booked(shop, token) == [("credit", 120_000), ("credit", 180_000)]


async def test_a_refill_by_its_bare_preimage_gives_nobody_anything(shop: World):
    """Who knows a refill's preimage can do its payer a service, and no more."""
    token = await new_token(shop)
    paid = await topped_up(shop, 180, token)

    answer = await claim_bare(shop, paid.preimage)

    assert answer.json() == {"kind": "refill", "credited_sats": 180, "credited_msat": 180_000}
    assert await balance(shop, bearer(token)) == 300_000


async def test_a_refill_follows_a_rotated_token(shop: World):
    """The account was to be refilled, not the token."""
    token = await new_token(shop)
    paid = await topped_up(shop, 180, token)
    rotated = token_of(await shop.client.post("/api/token/rotate", headers=bearer(token)))

    answer = await claim(shop, paid, rotated)

    assert answer.json()["balance_msat"] == 300_000
    assert await balance(shop, bearer(rotated)) == 300_000


async def test_a_refill_of_a_revoked_token_is_claimed_like_a_top_up(shop: World):
    """Its account is gone: the payment opens its own, and its macaroon fetches a token, also if the reply is lost."""
    token = await emptied(shop)
    paid = await topped_up(shop, 180, token)
    assert (await shop.client.delete("/api/token", headers=bearer(token))).status_code == 204

    bare = await claim_bare(shop, paid.preimage)
    lost = is_a_token(await claim(shop, paid), "refill", 180_000)
    fetched = is_a_token(await claim(shop, paid), "refill", 180_000)

    refused(bare, 400, "invalid_payment")
    assert await is_dead(shop, lost) and await balance(shop, bearer(fetched)) == 180_000


# Not paid


@pytest.mark.parametrize("door", [claim, claim_by_header])
async def test_an_unpaid_invoice_is_pending_although_its_preimage_is_known(shop: World, door: Any):
    """402 payment_pending, Retry-After, no challenge: the node gives away preimages, so its word counts."""
    unpaid = await shop.leak(await asked(shop))

    pending(await door(shop, unpaid))

    assert await owned_by(shop, unpaid.payment_hash) is None


async def test_an_unpaid_invoice_is_pending_for_the_bare_preimage(shop: World):
    """The same."""
    unpaid = await shop.leak(await asked(shop))

    pending(await claim_bare(shop, unpaid.preimage))


async def test_an_unpaid_call_is_pending(shop: World):
    """Change of nothing."""
    unpaid = await shop.leak(await shop.ask())

    pending(await claim(shop, unpaid))

    assert await owned_by(shop, unpaid.payment_hash) is None


@pytest.mark.parametrize("kind", ["topup", "refill", "call"])
async def test_a_pending_claim_succeeds_once_it_is_paid(shop: World, kind: str):
    """Pending was no refusal."""
    token = await new_token(shop) if kind == "refill" else None
    unpaid = await shop.leak(await (shop.ask() if kind == "call" else asked(shop, 180, token)))
    pending(await claim(shop, unpaid))
    shop.parts.settle(unpaid.payment_hash.hex())

    answer = await claim(shop, unpaid)

    assert (answer.status_code, answer.json()["kind"]) == (200, kind)


async def test_an_invoice_that_expired_unpaid(tmp_path: Path):
    """400 at every door: nobody will ever pay it. A new top-up is the way."""
    async with opened_world(tmp_path) as world:
        unpaid = await world.leak(await asked(world))
        unproven = (await asked(world, X_Payment_Proof="node")).json()["macaroon"]
        world.parts.advance_clock(EXPIRED_SECONDS)

        answers = [
            await claim(world, unpaid),
            await claim_bare(world, unpaid.preimage),
            await claim_unproven(world, unproven),
        ]

    for answer in answers:
        assert "expired" in refused(answer, 400, "invalid_payment")["message"]


async def test_a_payment_that_landed_after_the_expiry_is_claimed(tmp_path: Path):
    """Paid is what the node calls paid, expired or not."""
    async with opened_world(tmp_path) as world:
        unpaid = await world.leak(await asked(world))
        world.parts.advance_clock(EXPIRED_SECONDS)
        world.parts.settle(unpaid.payment_hash.hex())

        answer = await claim(world, unpaid)

        is_a_token(answer, "topup", 120_000)


# What is refused


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ("", "missing_required_field", "preimage"),
        ("{}", "missing_required_field", "preimage"),
        ('{"preimage":null}', "missing_required_field", "preimage"),
        ('{"preimage":1}', "invalid_field_type", "preimage"),
        ('{"preimage":["00"]}', "invalid_field_type", "preimage"),
        ('{"preimage":""}', "invalid_payment", None),
        ('{"preimage":"00"}', "invalid_payment", None),
        (f'{{"preimage":"{"zz" * 32}"}}', "invalid_payment", None),
        (f'{{"preimage":"{"00" * 33}"}}', "invalid_payment", None),
        (f'{{"preimage":" {"00" * 32}"}}', "invalid_payment", None),
        (f'{{"preimage":"{"00" * 32}"}}', "invalid_payment", None),
        ('{"macaroon":null}', "missing_required_field", "macaroon"),
        ('{"macaroon":5,"preimage":"00"}', "invalid_field_type", "macaroon"),
        ('{"macaroon":"TUFD","preimage":"00"}', "invalid_payment", None),
        ('{"preimage":"0', "invalid_json", None),
        ('["00"]', "invalid_json", None),
    ],
)
async def test_a_body_that_claims_nothing(shop: World, body: str, code: str, param: str | None):
    """400 with the field; an unknown preimage is an invalid payment, and is not repeated in the answer."""
    answer = await shop.client.post("/topup/claim", content=body)

    error = refused(answer, 400, code)
    assert error["param"] == param
    assert "00" * 32 not in answer.text


@pytest.mark.parametrize("bad", ["forged", "cut", "a fact appended", "wrong preimage", "garbage"])
@pytest.mark.parametrize("proof", ["preimage", "none"])
async def test_a_macaroon_that_does_not_hold(shop: World, bad: str, proof: str):
    """401 invalid_l402, with and without a preimage, and the payment is claimed by the good one afterwards."""
    paid = await topped_up(shop)
    spoilt = {
        "forged": replace(decoded(paid.macaroon), signature=b"\x00" * 32).text,
        "cut": paid.macaroon[:-8],
        "a fact appended": appended(paid.macaroon, "amount_msat=9000000"),
        "wrong preimage": paid.macaroon,
        "garbage": "TUFD",
    }[bad]
    preimage = "11" * 32 if bad == "wrong preimage" else paid.preimage

    answer = (
        await claim(shop, Paid(spoilt, preimage, paid.amount))
        if proof == "preimage"
        else await claim_unproven(shop, spoilt)
    )

    if (bad, proof) == ("wrong preimage", "none"):
        refused(answer, 400, "invalid_payment")  # nothing is wrong with it but that it needs its preimage
    else:
        refused(answer, 401, "invalid_l402")
    is_a_token(await claim(shop, paid), "topup", 120_000)


@pytest.mark.parametrize("door", [claim, claim_by_header])
@pytest.mark.parametrize("foreign", ["key", "ledger"])
async def test_a_macaroon_of_another_shop(shop: World, door: Any, foreign: str):
    """Well made, but not here: 401 and no challenge, because a claim is never for sale."""
    paid = await topped_up(shop)
    here = await shop.services.ledger.ledger_id()
    key, ledger = (b"\x99" * 32, here) if foreign == "key" else (b"\x5a" * 32, b"M" * 16)
    facts = Facts(kind=PaymentKind.TOPUP, amount=paid.amount)
    minted = l402.mint(RootKey(key), ledger, paid.payment_hash, facts, b"n" * 24)

    refused(await door(shop, replace(paid, macaroon=minted)), 401, "invalid_l402")

    assert (await claim_unproven(shop, minted)).status_code == 401
    is_a_token(await claim(shop, paid), "topup", 120_000)


@pytest.mark.parametrize("caveat", ["services=openai:0", "openai_valid_until=9999999999"])
async def test_a_limited_macaroon_claims_nothing(shop: World, caveat: str):
    """Whoever was lent a part of a balance cannot take the whole of it: no door, and it pays for its calls still."""
    paid = await topped_up(shop)
    limited = replace(paid, macaroon=appended(paid.macaroon, caveat))

    answers = [
        await claim(shop, limited),
        await claim_by_header(shop, limited),
        await shop.client.post("/topup", json={"amount_sats": 120}, headers=limited.headers),
    ]

    for answer in answers:
        refused(answer, 401, "invalid_l402")
    assert (await shop.ask(paid=limited)).status_code == 200


async def test_a_call_s_bare_preimage_claims_nothing(shop: World):
    """Only top-ups are claimed without their macaroon; the change stays the credential's."""
    paid = await shop.buy()
    await shop.ask(paid=paid)

    refused(await claim_bare(shop, paid.preimage), 400, "invalid_payment")

    assert (await shop.settled(paid)).balance == Msat(1_985)


# The bare preimage's bounds


async def test_a_large_top_up_needs_its_macaroon(shop: World):
    """Up to 10,000 sat a bare preimage will do, and not one more."""
    most, more = await topped_up(shop, 10_000), await topped_up(shop, 10_001)

    refused(await claim_bare(shop, more.preimage), 400, "invalid_payment")

    is_a_token(await claim_bare(shop, most.preimage), "topup", 10_000_000)
    is_a_token(await claim(shop, more), "topup", 10_001_000)


async def test_bare_claims_can_be_switched_off(tmp_path: Path):
    """With 0 every top-up needs its macaroon; refills give nobody anything and stay as they are."""
    async with opened_world(tmp_path, config_with(tmp_path, "bare_claim_max_sats: 0")) as world:
        paid = await topped_up(world, 100)

        refused(await claim_bare(world, paid.preimage), 400, "invalid_payment")

        is_a_token(await claim(world, paid), "topup", 100_000)


async def test_a_bare_claim_is_never_repeated(shop: World):
    """Every hop of the payment knows the preimage: the first one has it, unless the macaroon comes."""
    paid = await topped_up(shop)
    token = token_of(await claim_bare(shop, paid.preimage))

    refused(await claim_bare(shop, paid.preimage), 400, "payment_already_used")

    assert await balance(shop, bearer(token)) == 120_000


@pytest.mark.parametrize("door", ["call", "call that does not fit", "balance", "claim", "topup"])
async def test_a_bare_claim_comes_too_late_after_the_macaroon(shop: World, door: str):
    """Once the macaroon was shown at any door."""
    paid = await topped_up(shop, 100)
    await shown_at(shop, door, paid)

    refused(await claim_bare(shop, paid.preimage), 400, "payment_already_used")


@pytest.mark.parametrize("door", ["call", "call that does not fit", "balance", "claim", "topup"])
async def test_the_macaroon_takes_back_what_a_bare_claim_left(shop: World, door: str):
    """A thief on the route spent 15 msat of it: the macaroon's owner has the rest, the thief's token is dead."""
    paid = await topped_up(shop, 100)
    stolen = token_of(await claim_bare(shop, paid.preimage))
    assert (await use(shop, stolen)).status_code == 200
    await balance(shop, bearer(stolen))

    owner = await shown_at(shop, door, paid)

    assert await is_dead(shop, stolen)
    assert await balance(shop, owner) == 100_000 - 15 - (15 if door == "call" else 0)
    refused(await claim_bare(shop, paid.preimage), 400, "payment_already_used")


async def test_the_macaroon_takes_back_what_a_thief_rotated(shop: World):
    """A new name for the stolen token does not help."""
    paid = await topped_up(shop)
    stolen = token_of(await claim_bare(shop, paid.preimage))
    rotated = token_of(await shop.client.post("/api/token/rotate", headers=bearer(stolen)))

    token = is_a_token(await claim(shop, paid), "topup", 120_000)

    assert await is_dead(shop, rotated) and not await is_dead(shop, token)


async def shown_at(world: World, door: str, paid: Paid) -> dict[str, str]:
    """Present a macaroon; the header of who owns the account then."""
    match door:
        case "call":
            answer = await world.ask(paid=paid)
            assert answer.status_code == 200
            return paid.headers
        case "call that does not fit":
            answer = await world.ask(BIG, paid)
            assert answer.status_code == 402 and answer.json()["amount_sats"] < 100
            return paid.headers
        case "balance":
            assert (await world.client.get("/api/balance", headers=paid.headers)).status_code == 200
            return paid.headers
        case "claim":
            return bearer(token_of(await claim(world, paid)))
        case _:
            again = await world.client.post("/topup", json={"amount_sats": 100}, headers=paid.headers)
            return bearer(token_of(again))


# The lost reply


@pytest.mark.parametrize("kind", ["topup", "call"])
async def test_a_lost_reply_is_fetched_with_the_macaroon(shop: World, kind: str):
    """Another token each time until one is used; the lost ones die, and the balance is there once."""
    paid = await (shop.buy() if kind == "call" else topped_up(shop))

    tokens = [token_of(await door(shop, paid)) for door in (claim, claim_by_header, claim)]

    assert [await is_dead(shop, token) for token in tokens] == [True, True, False]
    assert await booked(shop, tokens[-1]) == [("credit", paid.amount.value)]


@pytest.mark.parametrize("first_use", ["call", "call that does not fit", "refill", "rotate", "revoke"])
async def test_after_its_first_use_a_token_is_not_fetched_again(shop: World, first_use: str):
    """payment_already_used: whoever used it has it."""
    paid = await topped_up(shop, 100)
    token = token_of(await claim(shop, paid))
    match first_use:
        case "call":
            assert (await use(shop, token)).status_code == 200
        case "call that does not fit":
            refused(await shop.ask(BIG, Authorization=f"Bearer {token}"), 402, "insufficient_balance")
        case "refill":
            await asked(shop, 100, token)
        case "rotate":
            token = token_of(await shop.client.post("/api/token/rotate", headers=bearer(token)))
        case _:
            refused(await shop.client.delete("/api/token", headers=bearer(token)), 409, "balance_not_empty")

    refused(await claim(shop, paid), 400, "payment_already_used")

    assert not await is_dead(shop, token)


async def test_looking_is_no_use(shop: World):
    """Balance and history are no sign that the token arrived where it should."""
    paid = await topped_up(shop)
    token = token_of(await claim(shop, paid))
    await shop.client.get("/api/balance", headers=bearer(token))
    await shop.client.get("/api/usage", headers=bearer(token))

    is_a_token(await claim(shop, paid), "topup", 120_000)

    assert await is_dead(shop, token)
