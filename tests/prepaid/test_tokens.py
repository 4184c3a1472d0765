"""What a token buys and what its owner may do with it: calls, the refusal that says what would fit, rotate, revoke."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from lib.core.money import Msat
from lib.store.ledger import Owner
from tests.prepaid.counter import (
    BIG,
    SECONDS,
    asked,
    balance,
    bearer,
    booked,
    claim,
    emptied,
    facts_of,
    freeze,
    is_dead,
    new_token,
    refused,
    token_of,
    topped_up,
)
from tests.world import CHAT, HELLO, STREAM, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMBEDDINGS = "/openai/v1/embeddings"
EMBED: dict[str, Any] = {"model": "text-embedding-3-large", "input": "word " * 400}
"""500 tokens at 0.169 USD a million: 84.5, so 85 msat."""


async def call(world: World, headers: dict[str, str], body: dict[str, Any] = HELLO, path: str = CHAT) -> httpx.Response:
    """One call, read to its end."""
    return await world.client.post(path, json=body, headers=headers)


async def running_call(world: World, token: str, body: dict[str, Any] = HELLO) -> asyncio.Task[httpx.Response]:
    """A call that upstream has received and does not answer until the scenario ends."""
    world.parts.clear_journal()
    world.parts.scenario(hang_before_answer=True)
    task = asyncio.create_task(call(world, bearer(token), body))
    async with asyncio.timeout(SECONDS):
        while not world.parts.journal():
            await asyncio.sleep(0.005)
    return task


# What it buys


@pytest.mark.parametrize("header", ["Authorization", "x-api-key"])
@pytest.mark.parametrize(
    ("path", "body", "msat"),
    [(CHAT, HELLO, 15), (CHAT, STREAM, 15), (EMBEDDINGS, EMBED, 85), ("/v1/chat/completions", HELLO, 15)],
    ids=["chat", "stream", "embeddings", "default API"],
)
async def test_a_token_is_an_api_key(shop: World, header: str, path: str, body: dict[str, Any], msat: int):
    """In either header, for every endpoint, streamed or not: exactly its price goes from the balance."""
    token = await new_token(shop)
    headers = {"Authorization": f"Bearer {token}"} if header == "Authorization" else {"x-api-key": token}

    answer = await call(shop, headers, body, path)

    assert answer.status_code == 200, answer.text
    assert await balance(shop, headers) == 120_000 - msat
    assert await booked(shop, token) == [("credit", 120_000), ("charge", -msat)]


async def test_what_a_call_says_it_cost(shop: World):
    """The headers of an answer that is no stream: its charge, and what is left."""
    token = await new_token(shop)

    answer = await call(shop, bearer(token))

    assert (answer.headers["x-charge-msat"], answer.headers["x-balance-msat"]) == ("15", "119985")


async def test_the_balance_of_a_token(shop: World):
    """Every member, and nothing more."""
    token = await new_token(shop)
    await call(shop, bearer(token))
    await balance(shop, bearer(token))

    answer = await shop.client.get("/api/balance", headers=bearer(token))

    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "kind": "token",
        "status": "active",
        "balance_sats": 119,
        "balance_msat": 119_985,
        "held_msat": 0,
        "available_msat": 119_985,
    }


async def test_many_calls_at_once_never_overdraw(shop: World):
    """Sixty of which each may cost 1,644 msat on 30,000: as many as fit run at once, and each pays its 15."""
    token = await new_token(shop, 100)
    await drain(shop, token, to=30_000)
    shop.parts.clear_journal()
    shop.parts.scenario(wait_for=18)

    answers = await asyncio.gather(*(call(shop, bearer(token)) for _ in range(60)))

    served = [answer for answer in answers if answer.status_code == 200]
    refusals = {(answer.status_code, answer.json()["error"]["code"]) for answer in answers if answer not in served}
    assert len(served) >= 18 and refusals <= {(409, "payment_in_progress")}
    assert await balance(shop, bearer(token)) == 30_000 - 15 * len(served)


async def drain(world: World, token: str, *, to: int) -> None:
    """Leave so many msat on a token: its operator took the rest out."""
    found = await world.services.ledger.balance(Owner.of_token(token))
    assert found is not None
    await world.services.ledger.adjust(f"drain {token}", found.account, Msat(to) - found.balance, "taken out")


# When it holds too little


async def test_a_token_with_too_little_is_told_what_would_fit(shop: World):
    """402 without a challenge: what is needed, what is there, where to top up, and how many tokens it would buy."""
    token = await new_token(shop)
    await drain(shop, token, to=1_000)

    answer = await call(shop, bearer(token))

    error = refused(answer, 402, "insufficient_balance")
    assert set(error) == {
        *("message", "type", "param", "code", "next_action"),
        *("needed_msat", "balance_msat", "topup_url", "max_affordable_output_tokens"),
    }
    assert (error["needed_msat"], error["balance_msat"], error["topup_url"]) == (1_643, 1_000, "/topup")
    assert "www-authenticate" not in answer.headers and shop.parts.journal() == []


@pytest.mark.parametrize("msat", [48, 500, 1_000, 1_642])
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_what_would_fit_fits(shop: World, msat: int, field: str):
    """Asked for exactly so many tokens it is answered; for a few more it is not: the field's name is input as well."""
    token = await new_token(shop)
    await drain(shop, token, to=msat)
    fits = refused(await call(shop, bearer(token)), 402, "insufficient_balance")["max_affordable_output_tokens"]

    more = await call(shop, bearer(token), {**HELLO, field: fits + 8})
    exactly = await call(shop, bearer(token), {**HELLO, field: fits})

    refused(more, 402, "insufficient_balance")
    assert exactly.status_code == 200, exactly.text


async def test_nothing_would_fit(shop: World):
    """Not even the input: 0, and the same for an empty token."""
    poor, empty = await new_token(shop), await emptied(shop)
    await drain(shop, poor, to=45)

    errors = [refused(await call(shop, bearer(token)), 402, "insufficient_balance") for token in (poor, empty)]

    assert [(error["max_affordable_output_tokens"], error["balance_msat"]) for error in errors] == [(0, 45), (0, 0)]


async def test_a_held_balance_is_waited_for(shop: World):
    """What is there would do, but a running call holds it: 409 with Retry-After, never a second invoice."""
    token = await new_token(shop, 120)
    first = await running_call(shop, token, BIG)

    second = await call(shop, bearer(token), BIG)
    told = (await shop.client.get("/api/balance", headers=bearer(token))).json()
    shop.parts.scenario()
    await first

    refused(second, 409, "payment_in_progress")
    assert int(second.headers["retry-after"]) > 0
    assert told["held_msat"] == 120_000 - told["available_msat"] > 100_000
    assert (await call(shop, bearer(token), BIG)).status_code == 200


# Credentials beside tokens


async def test_a_top_up_s_credential_pays_for_calls(shop: World):
    """No claim is needed; a later one moves the rest to the token."""
    paid = await topped_up(shop)
    answers = [await shop.ask(paid=paid) for _ in range(2)]
    await shop.settled(paid)

    token = token_of(await claim(shop, paid))

    assert [answer.status_code for answer in answers] == [200, 200]
    assert await balance(shop, bearer(token)) == 120_000 - 30
    assert await booked(shop, token) == [("credit", 120_000), ("charge", -15), ("charge", -15)]


async def test_a_refill_s_credential_pays_for_nothing(shop: World):
    """Its money is the token's: a call with it is challenged afresh, and nothing is credited by that."""
    token = await new_token(shop)
    paid = await shop.leak(await asked(shop, 180, token))

    answer = await shop.ask(paid=paid)
    looked = await shop.client.get("/api/balance", headers=paid.headers)

    assert (facts_of(answer)["kind"], facts_of(answer)["carry"]) == ("call", "")
    refused(looked, 401, "invalid_l402")
    assert await balance(shop, bearer(token)) == 120_000


# Rotate


async def test_a_rotated_token_is_dead_and_its_history_lives(shop: World):
    """Balance and entries are the account's; the old name opens nothing any more."""
    old = await new_token(shop)
    await call(shop, bearer(old))
    await balance(shop, bearer(old))

    answer = await shop.client.post("/api/token/rotate", headers=bearer(old))

    new = token_of(answer)
    assert answer.json() == {"kind": "token", "token": new, "balance_sats": 119, "balance_msat": 119_985}
    assert answer.headers["cache-control"] == "no-store" and new != old
    refused(await call(shop, bearer(old)), 401, "invalid_token")
    refused(await shop.client.post("/api/token/rotate", headers=bearer(old)), 401, "invalid_token")
    assert await booked(shop, new) == [("credit", 120_000), ("charge", -15)]
    assert (await call(shop, bearer(new))).status_code == 200


async def test_a_running_call_follows_the_rotation(shop: World):
    """It is answered, and the new token pays."""
    old = await new_token(shop)
    running = await running_call(shop, old)

    new = token_of(await shop.client.post("/api/token/rotate", headers=bearer(old)))
    shop.parts.scenario()

    assert (await running).status_code == 200
    assert await balance(shop, bearer(new)) == 119_985


# Revoke


async def test_a_token_is_not_revoked_while_anything_is_owed(shop: World):
    """409 with what is still there; the token lives on."""
    token = await new_token(shop)

    answer = await shop.client.delete("/api/token", headers=bearer(token))

    error = refused(answer, 409, "balance_not_empty")
    assert (error["balance_sats"], error["balance_msat"]) == (120, 120_000)
    assert answer.headers["x-should-retry"] == "false"
    assert await balance(shop, bearer(token)) == 120_000


async def test_an_empty_token_is_revoked(shop: World):
    """204 without a body, and it is unknown from then on."""
    token = await emptied(shop)

    answer = await shop.client.delete("/api/token", headers=bearer(token))

    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (204, b"", "no-store")
    assert await is_dead(shop, token)
    refused(await shop.client.delete("/api/token", headers=bearer(token)), 401, "invalid_token")


# Who may


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/token/rotate"), ("DELETE", "/api/token")])
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_token"),
        ({"Authorization": "Bearer"}, "missing_token"),
        ({"Authorization": "Bearer l402"}, "missing_token"),
        ({"Authorization": "Bearer alb_nobody"}, "invalid_token"),
        ({"x-api-key": "alb_nobody"}, "invalid_token"),
        ({"Authorization": "Basic dTpw"}, "invalid_token"),
    ],
)
async def test_a_token_s_own_routes_need_it(shop: World, method: str, path: str, headers: dict[str, str], code: str):
    """401 with the reason."""
    answer = await shop.client.request(method, path, headers=headers)

    refused(answer, 401, code)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/token/rotate"), ("DELETE", "/api/token")])
async def test_a_credential_is_no_token(shop: World, method: str, path: str):
    """It is claimed first; here it is told so."""
    paid = await topped_up(shop)

    refused(await shop.client.request(method, path, headers=paid.headers), 401, "invalid_token")

    assert (await claim(shop, paid)).status_code == 200


async def test_a_frozen_token(shop: World):
    """403 on call and rotation, 409 on revocation; its balance and history are told, not hidden."""
    token = await new_token(shop)
    await freeze(shop, token)

    answers = [await call(shop, bearer(token)), await shop.client.post("/api/token/rotate", headers=bearer(token))]
    revoked = await shop.client.delete("/api/token", headers=bearer(token))
    told = await shop.client.get("/api/balance", headers=bearer(token))
    history = await shop.client.get("/api/usage", headers=bearer(token))

    for answer in answers:
        refused(answer, 403, "account_frozen")
    refused(revoked, 409, "balance_not_empty")
    assert (told.status_code, told.json()["status"]) == (200, "frozen")
    assert history.status_code == 200 and shop.parts.journal() == []


async def test_a_frozen_credential_is_not_claimed(shop: World):
    """The way out of a frozen account is not a token."""
    unpaid = await shop.leak(await asked(shop))
    assert (await shop.ask(paid=unpaid)).status_code == 200
    async with asyncio.timeout(SECONDS):
        while (await shop.account(unpaid)).status != "frozen":
            await asyncio.sleep(0.02)

    answers = [await claim(shop, unpaid), await shop.ask(paid=unpaid)]
    shop.parts.settle(unpaid.payment_hash.hex())
    late = await claim(shop, unpaid)

    assert answers[0].json()["error"]["code"] == "payment_pending"
    refused(answers[1], 403, "account_frozen")
    assert late.json()["balance_msat"] == 120_000 - 15
