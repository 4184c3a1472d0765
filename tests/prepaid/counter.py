"""What happens at the top-up counter, in words: asking, paying, claiming, and what is told afterwards."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from typing import Any

import httpx

from lib.core.money import Msat
from lib.store.ledger import Entry, Owner, Payment, PaymentKind, UnconfirmedLimits
from tests.core.plain_macaroon import caveats_of
from tests.world import HELLO, Paid, World

SATS = 120
SECONDS = 10.0
BIG: dict[str, Any] = {**HELLO, "n": 8, "max_completion_tokens": 16_384}
"""May cost 102,282 msat: more than a hundred sats hold, less than 120."""


def bearer(token: str) -> dict[str, str]:
    """The header."""
    return {"Authorization": f"Bearer {token}"}


def facts_of(challenge: httpx.Response) -> dict[str, str]:
    """The facts and limits of a 402's macaroon."""
    assert challenge.status_code == 402, challenge.text
    assert challenge.json()["error"]["code"] == "payment_required"
    return dict(text.split("=", 1) for text in caveats_of(challenge.json()["macaroon"]))


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """An error in OpenAI's shape without any offer to pay; its `error` object."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert not [value for value in answer.headers.get_list("www-authenticate") if value.startswith(("L402", "LSAT"))]
    assert list(answer.json()) == ["error"] and "x-lightning-invoice" not in answer.headers
    return answer.json()["error"]


def pending(answer: httpx.Response) -> dict[str, Any]:
    """Not paid yet: come again, nothing new to pay."""
    assert int(answer.headers["retry-after"]) > 0
    return refused(answer, 402, "payment_pending")


def retried_later(answer: httpx.Response, code: str) -> dict[str, Any]:
    """503 that says when to come back."""
    assert int(answer.headers["retry-after"]) > 0
    return refused(answer, 503, code)


async def asked(world: World, sats: int = SATS, token: str | None = None, **headers: str) -> httpx.Response:
    """The 402 of a top-up, or with a token of a refill."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    auth = bearer(token) if token else {}
    return await world.client.post("/topup", json={"amount_sats": sats}, headers={**auth, **named})


async def topped_up(world: World, sats: int = SATS, token: str | None = None, **headers: str) -> Paid:
    """A top-up, or with a token a refill, that is paid and that nobody has come back for."""
    return await world.pay(await asked(world, sats, token, **headers))


async def claim(world: World, paid: Paid, token: str | None = None) -> httpx.Response:
    """By macaroon and preimage in the body."""
    body = {"macaroon": paid.macaroon, "preimage": paid.preimage}
    return await world.client.post("/topup/claim", json=body, headers=bearer(token) if token else {})


async def claim_by_header(world: World, paid: Paid) -> httpx.Response:
    """By `Authorization: L402`, without a body."""
    return await world.client.post("/topup/claim", headers=paid.headers)


async def claim_bare(world: World, preimage: str, token: str | None = None) -> httpx.Response:
    """By the preimage alone."""
    headers = bearer(token) if token else {}
    return await world.client.post("/topup/claim", json={"preimage": preimage}, headers=headers)


async def claim_unproven(world: World, macaroon: str) -> httpx.Response:
    """By the macaroon alone."""
    return await world.client.post("/topup/claim", json={"macaroon": macaroon})


def token_of(answer: httpx.Response) -> str:
    """The token of a claim that succeeded."""
    assert answer.status_code == 200, answer.text
    return answer.json()["token"]


async def new_token(world: World, sats: int = SATS) -> str:
    """A token with so many sats on it, never used."""
    return token_of(await claim(world, await topped_up(world, sats)))


async def balance(world: World, headers: dict[str, str]) -> int:
    """The balance in msat that a credential is told, once no call of it runs."""
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await world.client.get("/api/balance", headers=headers)
            assert answer.status_code == 200, answer.text
            if not answer.json()["held_msat"]:
                return answer.json()["balance_msat"]
            await asyncio.sleep(0.005)


async def is_dead(world: World, token: str) -> bool:
    """Whether a token owns nothing any more."""
    answer = await world.client.get("/api/balance", headers=bearer(token))
    return answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_token"


async def alive(world: World, tokens: Iterable[str]) -> list[str]:
    """Those of these tokens that own something."""
    return [token for token in tokens if not await is_dead(world, token)]


async def owned_by(world: World, payment_hash: bytes) -> Msat | None:
    """What a payment's own credential owns, in the ledger's word; asking changes nothing. None: nothing at all."""
    found = await world.services.ledger.balance(Owner.of_payment(payment_hash))
    return None if found is None else found.balance


async def history(world: World, token: str) -> list[Entry]:
    """A token's entries, oldest first, as the ledger has them."""
    found = await world.services.ledger.balance(Owner.of_token(token))
    assert found is not None
    return list(reversed(await world.services.ledger.entries(found.account, before=None, limit=1_000)))


async def booked(world: World, token: str) -> list[tuple[str, int]]:
    """(kind, msat) of a token's entries, oldest first."""
    return [(entry.kind.value, entry.amount.value) for entry in await history(world, token)]


async def freeze(world: World, token: str) -> None:
    """Freeze a token's account as the node's clear no to one of its payments does."""
    ledger, payment_hash = world.services.ledger, secrets.token_bytes(32)
    found = await ledger.balance(Owner.of_token(token))
    assert found is not None
    payment = Payment(payment_hash, PaymentKind.REFILL, Msat(1_000), "00" * 4, account=found.account)
    await ledger.credit(payment, UnconfirmedLimits(per_payment=Msat(1_000), in_all=Msat(10**9)))
    await ledger.deny(payment_hash, "the node says no")


async def emptied(world: World) -> str:
    """A token with nothing left on it: the operator paid its balance out."""
    token = await new_token(world)
    found = await world.services.ledger.balance(Owner.of_token(token))
    assert found is not None
    await world.services.ledger.adjust(secrets.token_hex(16), found.account, -found.balance, "paid out")
    return token
