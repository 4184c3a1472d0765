"""Payments that nobody tells us of: the server credits them by itself, also what was paid while it was down."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from lib.core.money import Msat
from lib.demo.parts import demo_parts
from lib.jobs import credit_topups
from lib.store.ledger import TopupState
from tests.prepaid.counter import asked, balance, bearer, booked, claim, claim_bare, new_token, owned_by, token_of
from tests.world import World, opened_server

SECONDS = 10.0
HOUR_SECONDS = 3_600


async def credited(world: World, payment_hash: bytes) -> None:
    """Wait until the server has booked a payment, without asking it anything."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = await world.services.ledger.find_topup(payment_hash)
            if found is not None and found.state is not TopupState.OPEN:
                return
            await asyncio.sleep(0.02)


async def test_what_was_paid_while_the_server_was_down_is_credited(tmp_path: Path):
    """Top-up and refill were made, the server stopped, they were paid, it starts again: both are credited by itself.

    Nobody comes back for the refill; the top-up's claim afterwards gives its token, and nothing twice.
    """
    async with demo_parts() as parts:
        async with opened_server(parts, tmp_path) as world:
            token = await new_token(world)
            top_up, refill = await world.leak(await asked(world)), await world.leak(await asked(world, 180, token))
        for paid in (top_up, refill):
            parts.settle(paid.payment_hash.hex())

        async with opened_server(parts, tmp_path) as world:
            await credited(world, top_up.payment_hash)
            await credited(world, refill.payment_hash)
            grown = await balance(world, bearer(token))
            claimed = token_of(await claim(world, top_up))

            assert grown == 300_000
            assert await booked(world, token) == [("credit", 120_000), ("credit", 180_000)]
            assert await booked(world, claimed) == [("credit", 120_000)]
            assert await world.services.ledger.audit() == []


def an_hour_passed(data_dir: Path) -> None:
    """Age what a stopped server has written down."""
    with contextlib.closing(sqlite3.connect(next(data_dir.glob("*.sqlite*")))) as file, file:
        file.execute(
            "UPDATE topups SET opened_at_us = opened_at_us - ?1, expires_at_us = expires_at_us - ?1",
            (HOUR_SECONDS * 1_000_000,),
        )


async def test_what_was_paid_during_a_long_stop_is_credited(tmp_path: Path):
    """The server was away for an hour, longer than any invoice lives: what was paid meanwhile is still its owner's."""
    async with demo_parts() as parts:
        async with opened_server(parts, tmp_path) as world:
            token = await new_token(world)
            refill = await world.leak(await asked(world, 180, token))
        parts.settle(refill.payment_hash.hex())
        parts.advance_clock(HOUR_SECONDS)
        an_hour_passed(tmp_path)

        async with opened_server(parts, tmp_path) as world:
            await credit_topups(world.services)

            assert await balance(world, bearer(token)) == 300_000


async def test_a_refill_needs_nobody(world: World):
    """Paid from a phone, and the page is closed: the balance grows."""
    token = await new_token(world)
    refill = await world.pay(await asked(world, 180, token))

    await credited(world, refill.payment_hash)

    assert await balance(world, bearer(token)) == 300_000


@pytest.mark.parametrize("door", ["macaroon", "bare"])
async def test_a_credited_top_up_waits_for_its_owner(world: World, door: str):
    """Credited by itself is not claimed: either proof still fetches the token."""
    paid = await world.pay(await asked(world))
    await credit_topups(world.services)

    answer = await (claim(world, paid) if door == "macaroon" else claim_bare(world, paid.preimage))

    assert answer.json()["balance_msat"] == 120_000
    assert await world.services.ledger.audit() == []


async def test_an_unpaid_offer_is_never_credited(world: World):
    """The node's clear no, its silence and its ignorance book nothing."""
    unpaid = await world.leak(await asked(world))

    await credit_topups(world.services)
    await world.parts.knobs("seller", forget_all=True)
    await credit_topups(world.services)

    assert await owned_by(world, unpaid.payment_hash) is None
    assert (await world.services.ledger.totals()).credited == Msat(0)


# More or less than was asked


async def test_an_overpayment_is_an_entry_of_its_own(world: World):
    """Asked 120, paid 150: 120 are the credit, 30 are `over`, and all of it is the token's."""
    unpaid = await world.leak(await asked(world))
    world.parts.settle(unpaid.payment_hash.hex(), amount_msat=150_000)

    answer = await claim(world, unpaid)

    assert (answer.json()["balance_sats"], answer.json()["balance_msat"]) == (150, 150_000)
    assert await booked(world, token_of(answer)) == [("credit", 120_000), ("over", 30_000)]


@pytest.mark.parametrize("door", ["bare", "job", "call"])
async def test_an_overpayment_is_booked_at_every_door(world: World, door: str):
    """However the payment was first heard of, and once."""
    unpaid = await world.leak(await asked(world))
    world.parts.settle(unpaid.payment_hash.hex(), amount_msat=150_000)

    match door:
        case "bare":
            token = token_of(await claim_bare(world, unpaid.preimage))
        case "job":
            await credit_topups(world.services)
            token = token_of(await claim(world, unpaid))
        case _:
            assert (await world.ask(paid=unpaid)).status_code == 200
            token = token_of(await claim(world, unpaid))

    spent = 15 if door == "call" else 0
    assert await balance(world, bearer(token)) == 150_000 - spent
    entries = [entry for entry in await booked(world, token) if entry[0] != "charge"]
    assert entries == [("credit", 120_000), ("over", 30_000)]


async def test_a_wallet_that_pays_more(world: World):
    """The payer's node rounds up by a tenth: the refill says what arrived."""
    token = await new_token(world)
    await world.parts.knobs("payer", overpay_factor=1.1)
    refill = await world.pay(await asked(world, 200, token))

    answer = await claim(world, refill, token)

    assert answer.json() == {
        "kind": "refill",
        "credited_sats": 220,
        "credited_msat": 220_000,
        "balance_sats": 340,
        "balance_msat": 340_000,
    }
    assert await booked(world, token) == [("credit", 120_000), ("credit", 200_000), ("over", 20_000)]


async def test_our_node_s_fees_are_not_the_buyer_s(world: World):
    """Asked and paid 120, of which a channel took 20: 120 are credited, no more and no less."""
    await world.parts.knobs("seller", received_short_sat=20)
    paid = await world.pay(await asked(world))

    token = token_of(await claim(world, paid))

    assert await booked(world, token) == [("credit", 120_000)]


async def test_fees_are_never_added_to_an_overpayment(world: World):
    """Asked 120, paid 150, a channel took 20: 130 arrived, so 10 are `over`."""
    await world.parts.knobs("seller", received_short_sat=20)
    unpaid = await world.leak(await asked(world))
    world.parts.settle(unpaid.payment_hash.hex(), amount_msat=150_000)

    token = token_of(await claim(world, unpaid))

    assert await booked(world, token) == [("credit", 120_000), ("over", 10_000)]


async def test_an_overpaid_call_is_claimed_whole(world: World):
    """Its first use is the claim: the overpayment is on the token at once."""
    unpaid = await world.leak(await world.ask())
    world.parts.settle(unpaid.payment_hash.hex(), amount_msat=3_000)

    answer = await claim(world, unpaid)

    assert (answer.json()["kind"], answer.json()["balance_msat"]) == ("call", 3_000)
    assert await booked(world, token_of(answer)) == [("credit", 2_000), ("over", 1_000)]
