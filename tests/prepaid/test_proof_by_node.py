"""Scan to pay: a macaroon that was asked for with X-Payment-Proof needs no preimage, because the node is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.core.money import Msat
from lib.store.ledger import AccountStatus
from tests.core.plain_macaroon import appended
from tests.prepaid.counter import (
    asked,
    balance,
    bearer,
    booked,
    claim_unproven,
    facts_of,
    is_dead,
    new_token,
    owned_by,
    pending,
    refused,
    retried_later,
    token_of,
)
from tests.world import CHAT, HELLO, Paid, World, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")


def unproven(offer: httpx.Response) -> dict[str, str]:
    """The header of who holds a 402's macaroon and no preimage."""
    return {"Authorization": f"L402 {offer.json()['macaroon']}:"}


async def ask(world: World, offer: httpx.Response, body: dict[str, Any] = HELLO, **more: str) -> httpx.Response:
    """The call again, with the macaroon alone."""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return await world.client.post(CHAT, json=body, headers={**unproven(offer), **named})


def paid_on_a_phone(world: World, offer: httpx.Response, msat: int | None = None) -> bytes:
    """Somebody pays, and keeps the preimage; the payment hash."""
    world.parts.settle(offer.json()["payment_hash"], amount_msat=msat)
    return bytes.fromhex(offer.json()["payment_hash"])


# Calls


@pytest.mark.parametrize("value", ["node", "NODE"])
async def test_a_call_paid_from_a_phone(shop: World, value: str):
    """Pending while nobody paid, without a new invoice; answered as soon as somebody did; the change stays."""
    offer = await shop.ask(HELLO, X_Payment_Proof=value)
    assert facts_of(offer)["proof"] == "node"
    before = await shop.invoices()

    waiting = [await ask(shop, offer) for _ in range(3)]
    invoices = await shop.invoices()
    paid_on_a_phone(shop, offer)
    answers = [await ask(shop, offer) for _ in range(2)]

    for answer in waiting:
        pending(answer)
    assert invoices == before
    assert [answer.status_code for answer in answers] == [200, 200]
    assert await balance(shop, unproven(offer)) == 2_000 - 30


@pytest.mark.parametrize("value", ["", "preimage", "node,", "nodes"])
async def test_who_did_not_ask_for_it_has_an_ordinary_macaroon(shop: World, value: str):
    """Paid or not, without its preimage it is unpaid: a fresh invoice, and nothing is credited."""
    offer = await shop.ask(HELLO, X_Payment_Proof=value)
    assert facts_of(offer)["proof"] == ""
    payment_hash = paid_on_a_phone(shop, offer)

    answer = await ask(shop, offer)

    assert facts_of(answer)["carry"] == "" and answer.json()["payment_hash"] != offer.json()["payment_hash"]
    assert await owned_by(shop, payment_hash) is None


async def test_asking_later_does_not_change_a_macaroon(shop: World):
    """The header belongs to the request that is challenged: an old macaroon does not become one of this sort."""
    offer = await shop.ask()
    payment_hash = paid_on_a_phone(shop, offer)

    answer = await ask(shop, offer, X_Payment_Proof="node")

    assert facts_of(answer)["proof"] == "node" and facts_of(answer)["carry"] == ""
    assert await owned_by(shop, payment_hash) is None


async def test_a_holder_cannot_make_one(shop: World):
    """`proof=node` appended is a fact that we did not mint: the macaroon is worth nothing at all."""
    offer = await shop.ask()
    paid_on_a_phone(shop, offer)
    forged = appended(offer.json()["macaroon"], "proof=node")

    answer = await shop.client.post(CHAT, json=HELLO, headers={"Authorization": f"L402 {forged}:"})
    claimed = await claim_unproven(shop, forged)

    assert facts_of(answer)["carry"] == "" and facts_of(answer)["proof"] == ""
    refused(claimed, 401, "invalid_l402")


async def test_its_preimage_proves_it_as_well(shop: World):
    """Who has the preimage after all may use it: the same account."""
    offer = await shop.ask(HELLO, X_Payment_Proof="node")
    paid = await shop.pay(offer)

    answers = [await shop.ask(paid=paid), await ask(shop, offer), await shop.ask(paid=paid)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert (await shop.settled(paid)).balance == Msat(2_000 - 45)


async def test_a_leaked_preimage_is_not_the_node_s_word(shop: World):
    """Credited on its preimage, then shown without one: still unconfirmed, so the node's no freezes it."""
    offer = await shop.ask(HELLO, X_Payment_Proof="node")
    unpaid = await shop.leak(offer)
    await shop.parts.knobs("seller", error_500="busy")
    assert (await shop.ask(paid=unpaid)).status_code == 200

    assert (await ask(shop, offer)).status_code == 200
    status = (await shop.account(unpaid)).status

    assert status is AccountStatus.UNCONFIRMED


async def test_a_wrong_preimage_does_not_fall_back_to_the_node(shop: World):
    """401: what is shown must be right."""
    offer = await shop.ask(HELLO, X_Payment_Proof="node")
    paid_on_a_phone(shop, offer)

    answer = await shop.ask(paid=Paid(offer.json()["macaroon"], "00" * 32, Msat(2_000)))

    refused(answer, 401, "invalid_l402")
    assert (await ask(shop, offer)).status_code == 200


@pytest.mark.parametrize("knob", [{"refuse": True}, {"error_500": "busy"}])
async def test_a_node_that_is_away(shop: World, knob: dict[str, Any]):
    """503, no new invoice; a credential that was proven before needs it no more."""
    fresh, used = [await shop.ask(HELLO, X_Payment_Proof="node") for _ in range(2)]
    for offer in (fresh, used):
        paid_on_a_phone(shop, offer)
    assert (await ask(shop, used)).status_code == 200
    await shop.parts.knobs("seller", **knob)

    retried_later(await ask(shop, fresh), "phoenix_unavailable")

    assert (await ask(shop, used)).status_code == 200


async def test_a_node_that_forgot_is_waited_for(shop: World):
    """No record is not unpaid: pending, and never a second invoice."""
    offer = await shop.ask(HELLO, X_Payment_Proof="node")
    paid_on_a_phone(shop, offer)
    await shop.parts.knobs("seller", forget_all=True)

    pending(await ask(shop, offer))

    await shop.parts.reset_knobs("seller")
    assert (await ask(shop, offer)).status_code == 200


async def test_an_invoice_that_expired_unpaid_is_asked_afresh(tmp_path: Path):
    """Nobody can pay it any more: a new challenge instead of waiting for ever. Paid late after all, it is honoured."""
    async with opened_world(tmp_path) as world:
        offer = await world.ask(HELLO, X_Payment_Proof="node")
        world.parts.advance_clock(601)

        fresh = await ask(world, offer, X_Payment_Proof="node")
        paid_on_a_phone(world, offer)
        late = await ask(world, offer)

        assert facts_of(fresh)["proof"] == "node" and facts_of(fresh)["carry"] == ""
        assert fresh.json()["payment_hash"] != offer.json()["payment_hash"]
        assert late.status_code == 200


async def test_an_overpayment_from_a_phone_is_booked(shop: World):
    """Asked 2, paid 3: the node's word came first, and the third sat is the buyer's."""
    offer = await shop.ask(HELLO, X_Payment_Proof="node")
    payment_hash = paid_on_a_phone(shop, offer, 3_000)

    assert (await ask(shop, offer)).status_code == 200

    token = token_of(await claim_unproven(shop, offer.json()["macaroon"]))
    assert await booked(shop, token) == [("credit", 2_000), ("over", 1_000), ("charge", -15)]
    assert await owned_by(shop, payment_hash) is None


# The difference


async def spent(world: World, headers: dict[str, str]) -> None:
    """Leave too little for another HELLO: one that costs 1,562 msat."""
    world.parts.scenario(usage={"prompt_tokens": 8, "completion_tokens": 2_000, "total_tokens": 2_008})
    assert (await world.client.post(CHAT, json=HELLO, headers=headers)).status_code == 200
    world.parts.scenario()
    assert await balance(world, headers) == 438


@pytest.mark.parametrize("first", ["node", "preimage"])
@pytest.mark.parametrize("then", ["node", "preimage"])
async def test_a_difference_needs_no_preimage_only_after_one_that_needed_none(shop: World, first: str, then: str):
    """A carry gives its payer the change: into a macaroon worth money by itself it goes from such a one only."""
    offer = await (shop.ask(HELLO, X_Payment_Proof="node") if first == "node" else shop.ask())
    headers = unproven(offer) if first == "node" else (await shop.pay(offer)).headers
    if first == "node":
        paid_on_a_phone(shop, offer)
    await spent(shop, headers)

    answer = await shop.client.post(
        CHAT, json=HELLO, headers={**headers, **({"X-Payment-Proof": "node"} if then == "node" else {})}
    )

    facts = facts_of(answer)
    assert facts["carry"] == offer.json()["payment_hash"] and answer.json()["amount_sats"] == 2
    assert facts["proof"] == ("node" if (first, then) == ("node", "node") else "")


async def test_a_difference_paid_from_a_phone_joins_the_account(shop: World):
    """438 msat were left, 2 sat come: the next call is paid by both, and both macaroons own them."""
    offer = await shop.ask(HELLO, X_Payment_Proof="node")
    paid_on_a_phone(shop, offer)
    await spent(shop, unproven(offer))
    difference = await ask(shop, offer, X_Payment_Proof="node")
    paid_on_a_phone(shop, difference)

    answer = await ask(shop, difference)

    assert answer.status_code == 200
    assert await balance(shop, unproven(difference)) == await balance(shop, unproven(offer)) == 438 + 2_000 - 15


# Top-ups and claims


@pytest.mark.parametrize("door", ["body", "authorization", "topup"])
async def test_a_top_up_paid_from_a_phone(shop: World, door: str):
    """Pending until it is paid; then the macaroon alone gives the token: nothing to copy from the phone."""
    offer = await asked(shop, X_Payment_Proof="node")
    assert (facts_of(offer)["proof"], offer.json()["kind"]) == ("node", "topup")

    async def claimed() -> httpx.Response:
        match door:
            case "body":
                return await claim_unproven(shop, offer.json()["macaroon"])
            case "authorization":
                return await shop.client.post("/topup/claim", headers=unproven(offer))
            case _:
                return await shop.client.post("/topup", json={"amount_sats": 120}, headers=unproven(offer))

    before = await shop.invoices()
    pending(await claimed())
    assert await shop.invoices() == before
    paid_on_a_phone(shop, offer)
    answer = await claimed()

    token = token_of(answer)
    assert answer.json() == {"kind": "topup", "token": token, "balance_sats": 120, "balance_msat": 120_000}
    assert await booked(shop, token) == [("credit", 120_000)]


async def test_a_lost_token_is_fetched_again(shop: World):
    """The page was closed before it showed the token: asked again it gives another one, until one is used."""
    offer = await asked(shop, X_Payment_Proof="node")
    paid_on_a_phone(shop, offer)

    lost, kept = [token_of(await claim_unproven(shop, offer.json()["macaroon"])) for _ in range(2)]
    await shop.client.post(CHAT, json=HELLO, headers=bearer(kept))
    again = await claim_unproven(shop, offer.json()["macaroon"])

    assert await is_dead(shop, lost) and await balance(shop, bearer(kept)) == 119_985
    refused(again, 400, "payment_already_used")


async def test_an_ordinary_top_up_needs_its_preimage(shop: World):
    """Its macaroon alone claims nothing, paid or not."""
    offer = await asked(shop)
    paid_on_a_phone(shop, offer)

    refused(await claim_unproven(shop, offer.json()["macaroon"]), 400, "invalid_payment")

    assert facts_of(offer)["proof"] == ""


async def test_a_refill_paid_from_a_phone(shop: World):
    """Credited once the node says paid; no token, and its balance only with its Bearer."""
    token = await new_token(shop)
    offer = await asked(shop, 180, token, X_Payment_Proof="node")
    pending(await claim_unproven(shop, offer.json()["macaroon"]))
    paid_on_a_phone(shop, offer)

    answer = await claim_unproven(shop, offer.json()["macaroon"])

    assert answer.json() == {"kind": "refill", "credited_sats": 180, "credited_msat": 180_000}
    assert await balance(shop, bearer(token)) == 300_000
    assert await booked(shop, token) == [("credit", 120_000), ("credit", 180_000)]


async def test_the_change_of_a_call_paid_from_a_phone_is_claimed(shop: World):
    """By the macaroon alone, as it was spent."""
    offer = await shop.ask(HELLO, X_Payment_Proof="node")
    paid_on_a_phone(shop, offer)
    await ask(shop, offer)
    await balance(shop, unproven(offer))

    answer = await claim_unproven(shop, offer.json()["macaroon"])

    assert (answer.json()["kind"], answer.json()["balance_msat"]) == ("call", 1_985)


async def test_the_balance_of_a_payment_from_a_phone(shop: World):
    """Pending while it is unpaid; then it is credited by looking, and active at once: the node has spoken."""
    offer = await shop.ask(HELLO, X_Payment_Proof="node")
    pending(await shop.client.get("/api/balance", headers=unproven(offer)))
    paid_on_a_phone(shop, offer)

    found = (await shop.client.get("/api/balance", headers=unproven(offer))).json()

    assert (found["kind"], found["status"], found["balance_msat"]) == ("l402", "active", 2_000)


async def test_a_claimed_macaroon_is_spent(shop: World):
    """After the claim it buys nothing: a fresh invoice, not pending for ever."""
    offer = await asked(shop, X_Payment_Proof="node")
    paid_on_a_phone(shop, offer)
    token = token_of(await claim_unproven(shop, offer.json()["macaroon"]))

    answer = await ask(shop, offer)

    assert (facts_of(answer)["kind"], facts_of(answer)["carry"]) == ("call", "")
    assert await balance(shop, bearer(token)) == 120_000
