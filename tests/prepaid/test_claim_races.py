"""Two doors to one payment at the same moment: one owner afterwards, every msat once, and a clean audit."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest

from lib.core.money import Msat
from lib.jobs import credit_topups
from tests.prepaid.counter import (
    alive,
    balance,
    bearer,
    booked,
    claim,
    claim_bare,
    claim_by_header,
    is_dead,
    new_token,
    owned_by,
    token_of,
    topped_up,
)
from tests.world import Paid, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

SATS = 120
CHARGE = 15
"""HELLO."""


async def by_call(world: World, paid: Paid) -> httpx.Response:
    """The top-up's credential pays for a call."""
    return await world.ask(paid=paid)


async def by_topup(world: World, paid: Paid) -> httpx.Response:
    """The L402 client repeats its request."""
    return await world.client.post("/topup", json={"amount_sats": SATS}, headers=paid.headers)


async def by_bare(world: World, paid: Paid) -> httpx.Response:
    """The preimage alone."""
    return await claim_bare(world, paid.preimage)


async def by_balance(world: World, paid: Paid) -> httpx.Response:
    """Looking at the balance credits it."""
    return await world.client.get("/api/balance", headers=paid.headers)


async def by_job(world: World, paid: Paid) -> httpx.Response | None:
    """The server credits it by itself."""
    await credit_topups(world.services)
    return None


Door = Callable[[World, Paid], Awaitable[httpx.Response | None]]
DOORS: dict[str, Door] = {
    "claim": claim,
    "claim by header": claim_by_header,
    "topup": by_topup,
    "bare": by_bare,
    "call": by_call,
    "balance": by_balance,
    "job": by_job,
}
MACAROON = {"claim", "claim by header", "topup", "call", "balance"}


@dataclass(frozen=True)
class Outcome:
    """What everybody was told."""

    tokens: dict[str, str]
    """By door, of who got one."""
    answered_calls: int
    refusals: list[tuple[str, int, str]]
    """(door, status, code)."""


async def raced(world: World, paid: Paid, *names: str) -> Outcome:
    """Go through all these doors at once."""
    answers = await asyncio.gather(*(DOORS[name](world, paid) for name in names))
    told = [(name, answer) for name, answer in zip(names, answers, strict=True) if answer is not None]
    return Outcome(
        tokens={
            f"{number} {name}": answer.json()["token"]
            for number, (name, answer) in enumerate(told)
            if answer.status_code == 200 and "token" in answer.json()
        },
        answered_calls=sum(answer.status_code == 200 and "choices" in answer.json() for _, answer in told),
        refusals=[
            (name, answer.status_code, answer.json()["error"]["code"])
            for name, answer in told
            if answer.status_code != 200
        ],
    )


async def left_with_one_owner(world: World, paid: Paid, outcome: Outcome) -> str | None:
    """Assert that one secret owns everything that is left; the token, or None if it is the credential."""
    rest = SATS * 1_000 - outcome.answered_calls * CHARGE
    living = await alive(world, outcome.tokens.values())
    if living:
        assert len(living) == 1
        assert await balance(world, bearer(living[0])) == rest
        assert await owned_by(world, paid.payment_hash) is None
    else:
        assert await world.settled(paid)
        assert await owned_by(world, paid.payment_hash) == Msat(rest)
    assert await world.services.ledger.audit() == []
    return living[0] if living else None


PAIRS = list(itertools.combinations_with_replacement(DOORS, 2))


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=[f"{one} and {other}" for one, other in PAIRS])
async def test_two_doors_at_once_have_one_owner(shop: World, one: str, other: str):
    """Credited once, spent once, owned by one; who came too late is told so, in the contract's words."""
    paid = await topped_up(shop, SATS)
    before = (await shop.services.ledger.totals()).credited

    outcome = await raced(shop, paid, one, other)

    await left_with_one_owner(shop, paid, outcome)
    assert (await shop.services.ledger.totals()).credited - before == Msat(SATS * 1_000)
    for door, status, code in outcome.refusals:
        match door:
            case "bare":
                assert (status, code) == (400, "payment_already_used")
                assert MACAROON & {one, other} or (one, other) == ("bare", "bare")
            case "balance":
                assert (status, code) == (401, "invalid_l402")
            case "call" | "topup":
                assert (status, code) == (402, "payment_required")
            case _:
                raise AssertionError(f"{door} was refused: {status} {code}")


@pytest.mark.parametrize("turn", range(4))
async def test_a_crowd_at_every_door_has_one_owner(shop: World, turn: int):
    """Fifty at once, at all doors, in four orders."""
    paid = await topped_up(shop, SATS)
    names = [list(DOORS)[(turn + number * (turn + 1)) % len(DOORS)] for number in range(50)]

    outcome = await raced(shop, paid, *names)

    await left_with_one_owner(shop, paid, outcome)
    statuses = {status for _, status, _ in outcome.refusals}
    assert statuses <= {400, 401, 402, 409}


async def test_bare_claims_at_once_give_one_token(shop: World):
    """Twenty hops of the route at the same moment: the first one has it."""
    paid = await topped_up(shop, SATS)

    outcome = await raced(shop, paid, *["bare"] * 20)

    assert len(outcome.tokens) == 1
    assert outcome.refusals == [("bare", 400, "payment_already_used")] * 19
    assert await left_with_one_owner(shop, paid, outcome) is not None


async def test_claims_at_once_leave_the_last_token(shop: World):
    """Twenty repetitions of a lost claim: twenty tokens, of which nineteen are dead."""
    paid = await topped_up(shop, SATS)

    outcome = await raced(shop, paid, *["claim"] * 20)

    assert len(set(outcome.tokens.values())) == 20 and outcome.refusals == []
    assert await left_with_one_owner(shop, paid, outcome) is not None


async def test_a_running_call_follows_the_claim(shop: World):
    """Claimed in the middle of a call: the call is answered, and its price is paid by the token."""
    paid = await topped_up(shop, SATS)
    shop.parts.scenario(hang_before_answer=True)
    call = asyncio.create_task(shop.ask(paid=paid))
    async with asyncio.timeout(10):
        while not shop.parts.journal():
            await asyncio.sleep(0.005)

    token = token_of(await claim(shop, paid))
    shop.parts.scenario()
    answer = await call

    assert answer.status_code == 200
    assert await balance(shop, bearer(token)) == SATS * 1_000 - CHARGE
    assert await booked(shop, token) == [("credit", 120_000), ("charge", -15)]


async def test_refills_at_once_are_credited_once_each(shop: World):
    """Three payments, every door, five times each: the balance is their sum."""
    token = await new_token(shop, SATS)
    refills = [await topped_up(shop, sats, token) for sats in (100, 200, 300)]

    await asyncio.gather(
        *(DOORS[door](shop, paid) for paid in refills for door in ("claim", "bare", "topup", "job", "claim by header"))
    )

    assert await balance(shop, bearer(token)) == (SATS + 600) * 1_000
    assert sorted(amount for _, amount in await booked(shop, token)) == [100_000, 120_000, 200_000, 300_000]


async def test_rotations_at_once_leave_one_token(shop: World):
    """Ten of one token: one succeeds, and that one lives."""
    token = await new_token(shop, SATS)

    answers = await asyncio.gather(*(shop.client.post("/api/token/rotate", headers=bearer(token)) for _ in range(10)))

    [won] = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers if answer is not won} == {401}
    assert await is_dead(shop, token)
    assert await balance(shop, bearer(token_of(won))) == SATS * 1_000
