"""Claims and rotations whose reply was lost: with an Idempotency-Key whoever asks again has the same token."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lib.store.ledger import Ledger, LedgerUnavailable, Owner
from tests.paid.books import all_bytes
from tests.world import HELLO, Paid, World, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = {"Idempotency-Key": "claim-1"}


async def paid_topup(shop: World, sats: int = 120) -> Paid:
    """A top-up that is paid and not claimed."""
    return await shop.pay(await shop.client.post("/topup", json={"amount_sats": sats}))


async def test_a_repeated_claim_gets_the_same_token(shop: World) -> None:
    """Also after the token was used, and by either door; the answer says the balance that the first one said."""
    paid = await paid_topup(shop)
    first = await shop.client.post("/topup/claim", headers={**paid.headers, **KEY})
    token = {"Authorization": f"Bearer {first.json()['token']}"}
    called = await shop.client.post("/v1/chat/completions", json=HELLO, headers=token)

    again = await shop.client.post("/topup/claim", headers={**paid.headers, **KEY})
    by_topup = await shop.client.post("/topup", json={"amount_sats": 120}, headers={**paid.headers, **KEY})
    by_body = await shop.client.post(
        "/topup/claim", json={"macaroon": paid.macaroon, "preimage": paid.preimage}, headers=KEY
    )

    assert called.status_code == 200
    assert (first.status_code, again.status_code, by_topup.status_code, by_body.status_code) == (200, 200, 200, 200)
    assert first.json() == again.json() == by_topup.json() == by_body.json()
    assert first.json()["balance_msat"] == 120_000


async def test_parallel_claims_with_one_key_get_one_token(shop: World) -> None:
    """However many at once."""
    paid = await paid_topup(shop)

    claims = await asyncio.gather(
        *(shop.client.post("/topup/claim", headers={**paid.headers, **KEY}) for _ in range(20))
    )

    assert {claim.status_code for claim in claims} == {200}
    tokens = {claim.json()["token"] for claim in claims}
    assert len(tokens) == 1
    found = await shop.services.ledger.balance(Owner.of_token(tokens.pop()))
    assert found is not None and found.balance.value == 120_000


async def test_another_key_claims_anew(shop: World) -> None:
    """As without a key: until its first use the former token dies; after it the payment is used."""
    paid = await paid_topup(shop)
    first = (await shop.client.post("/topup/claim", headers={**paid.headers, **KEY})).json()["token"]

    second = await shop.client.post("/topup/claim", headers={**paid.headers, "Idempotency-Key": "claim-2"})

    assert second.status_code == 200
    assert second.json()["token"] != first
    assert await shop.services.ledger.balance(Owner.of_token(first)) is None


async def test_a_key_used_for_a_call_is_refused_for_the_claim(shop: World) -> None:
    """One owner, one key, two different requests: 422."""
    paid = await shop.buy({**HELLO, "max_tokens": 8_000})
    bought = await shop.ask(HELLO, paid, Idempotency_Key="claim-1")

    claimed = await shop.client.post("/topup/claim", headers={**paid.headers, **KEY})

    assert bought.status_code == 200
    assert (claimed.status_code, claimed.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert (await shop.account(paid)).balance.value > 0


async def test_a_bare_preimage_is_never_answered_twice(shop: World) -> None:
    """Every node on the payment's route knows it: with whatever key, a repetition gets no token."""
    paid = await paid_topup(shop)
    first = await shop.client.post("/topup/claim", json={"preimage": paid.preimage}, headers=KEY)

    again = await shop.client.post("/topup/claim", json={"preimage": paid.preimage}, headers=KEY)

    assert first.status_code == 200
    assert (again.status_code, again.json()["error"]["code"]) == (400, "payment_already_used")


async def test_a_macaroon_proven_by_the_node_gets_the_same_token(shop: World) -> None:
    """No preimage was ever shown; with it, it is the same secret."""
    offer = await shop.client.post("/topup", json={"amount_sats": 120}, headers={"X-Payment-Proof": "node"})
    paid = await shop.pay(offer)
    bare = {"Authorization": f"L402 {paid.macaroon}:"}

    first = await shop.client.post("/topup/claim", headers={**bare, **KEY})
    again = await shop.client.post("/topup/claim", headers={**bare, **KEY})
    shown = await shop.client.post("/topup/claim", headers={**paid.headers, **KEY})

    assert first.status_code == 200
    assert first.json() == again.json() == shown.json()


async def new_token(shop: World) -> dict[str, str]:
    """The header of a token with 120 sat."""
    claimed = await shop.client.post("/topup/claim", headers=(await paid_topup(shop)).headers)
    return {"Authorization": f"Bearer {claimed.json()['token']}"}


async def test_a_repeated_rotation_gets_the_same_token(shop: World) -> None:
    """With the old token, which owns nothing any more; without the key it is unknown."""
    old = await new_token(shop)

    first = await shop.client.post("/api/token/rotate", headers={**old, **KEY})
    again = await shop.client.post("/api/token/rotate", headers={**old, **KEY})
    without = await shop.client.post("/api/token/rotate", headers=old)
    other = await shop.client.post("/api/token/rotate", headers={**old, "Idempotency-Key": "rotate-2"})

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert first.json()["balance_msat"] == 120_000
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in (without, other)} == {
        (401, "invalid_token")
    }


async def test_a_key_used_for_a_call_is_refused_for_the_rotation(shop: World) -> None:
    """One owner, one key, two different requests: 422, and the token lives on."""
    old = await new_token(shop)
    bought = await shop.client.post("/v1/chat/completions", json=HELLO, headers={**old, **KEY})

    rotated = await shop.client.post("/api/token/rotate", headers={**old, **KEY})

    assert bought.status_code == 200
    assert (rotated.status_code, rotated.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert (await shop.client.get("/api/balance", headers=old)).status_code == 200


class Forgetful:
    """A ledger that does what it is asked and says once that it could not be reached."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._ledger, name)
        if name not in {"claim", "rotate", "revoke"}:
            return operation

        async def forgetting(*args: Any) -> Any:
            outcome = await operation(*args)
            if name in self.said:
                return outcome
            self.said.append(name)
            raise LedgerUnavailable("no reply")

        return forgetting


async def test_what_cannot_be_told_twice_is_asked_again(tmp_path: Path) -> None:
    """The ledger did it and its reply was lost: the same op_id is repeated, and the buyer has the token."""
    async with opened_world(tmp_path) as world:
        forgetful = Forgetful(world.services.ledger)
        world.exchange(ledger=forgetful)
        paid = await paid_topup(world)

        claimed = await world.client.post("/topup/claim", json={"preimage": paid.preimage})
        old = {"Authorization": f"Bearer {claimed.json()['token']}"}
        rotated = await world.client.post("/api/token/rotate", headers=old)
        new = {"Authorization": f"Bearer {rotated.json()['token']}"}
        balance = await world.client.get("/api/balance", headers=new)

        assert (claimed.status_code, rotated.status_code, balance.status_code) == (200, 200, 200)
        assert balance.json()["balance_msat"] == 120_000
        assert forgetful.said == ["claim", "rotate"]


async def test_a_kept_token_is_sealed(tmp_path: Path) -> None:
    """No file of the ledger holds it."""
    async with opened_world(tmp_path) as world:
        paid = await paid_topup(world)
        token = (await world.client.post("/topup/claim", headers={**paid.headers, **KEY})).json()["token"]
        await world.services.ledger.aclose()

    files = all_bytes(tmp_path)
    assert b"handovers" in files
    assert token.encode() not in files
