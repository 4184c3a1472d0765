"""A node that is late, wrong or away during a claim, and a ledger that is not there: 503, and nothing is lost by it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from lib.core.money import Msat, Sat
from lib.doubt import judge
from lib.lightning.node import IncomingPayment, PaymentState
from lib.lightning.phoenixd import Phoenixd
from lib.store.ledger import HoldUnknown, LedgerUnavailable
from tests.lightning.canned_http import canned_http, http_reply
from tests.prepaid.counter import (
    asked,
    balance,
    bearer,
    booked,
    claim,
    claim_bare,
    claim_unproven,
    new_token,
    owned_by,
    refused,
    retried_later,
    token_of,
    topped_up,
)
from tests.world import CHAT, HELLO, Paid, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT_SECONDS = 0.2
"""How long the server waits for its node in these tests."""


@asynccontextmanager
async def impatient(world: World, url: str | None = None) -> AsyncGenerator[None]:
    """The server waits shortly, for its own node or for another one."""
    whole = world.services
    password = world.parts.seller_limited_password
    node = Phoenixd(url or world.parts.seller_url, password, read_timeout_seconds=SHORT_SECONDS)
    world.exchange(node=node)
    try:
        yield
    finally:
        world.app.state.services = whole
        await node.aclose()


@pytest.mark.parametrize(
    "knob",
    [{"refuse": True}, {"error_500": "busy"}, {"hang": True}, {"delay_ms": 1_000}],
    ids=["away", "500", "silent", "late"],
)
async def test_a_claim_waits_for_its_node(shop: World, knob: dict[str, Any]):
    """503 phoenix_unavailable at every door; nothing is written down; afterwards the same claim succeeds."""
    paid, by_node = await topped_up(shop), await asked(shop, X_Payment_Proof="node")
    shop.parts.settle(by_node.json()["payment_hash"])
    await shop.parts.knobs("seller", **knob)

    async with impatient(shop):
        answers = [
            await claim(shop, paid),
            await claim_bare(shop, paid.preimage),
            await shop.client.post("/topup", json={"amount_sats": 120}, headers=paid.headers),
            await claim_unproven(shop, by_node.json()["macaroon"]),
        ]
    before = await owned_by(shop, paid.payment_hash)
    await shop.parts.reset_knobs("seller")

    for answer in answers:
        retried_later(answer, "phoenix_unavailable")
    assert before in {None, Msat(120_000)}  # the job may have credited it, but no token has it
    assert (await claim(shop, paid)).json()["balance_msat"] == 120_000


@pytest.mark.parametrize(
    "reply",
    [
        http_reply("{}"),
        http_reply("isPaid: true", content_type="text/plain"),
        http_reply('{"paymentHash":"%s","isPaid":true,"isExpired":false,"receivedSat":120}' % ("00" * 32)),
        http_reply("Not found", status=404, content_type="text/plain"),
        http_reply("no such page", status=404, content_type="text/plain"),
        http_reply("{}", status=302),
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["empty object", "text", "another payment", "forgotten", "another 404", "redirect", "not HTTP"],
)
async def test_a_claim_believes_only_its_node(shop: World, reply: bytes):
    """Garbage, another payment's state or a lost memory are no word at all: 503, and the claim succeeds later."""
    paid = await topped_up(shop)
    async with canned_http(reply) as wrong, impatient(shop, wrong.url):
        retried_later(await claim(shop, paid), "phoenix_unavailable")
        retried_later(await claim_bare(shop, paid.preimage), "phoenix_unavailable")

    assert (await claim(shop, paid)).json()["balance_msat"] == 120_000


async def test_a_token_needs_no_node(shop: World):
    """Calls, balance, history, rotation: none of them asks it."""
    token = await new_token(shop)
    await shop.parts.knobs("seller", refuse=True)

    call = await shop.client.post(CHAT, json=HELLO, headers=bearer(token))
    rotated = token_of(await shop.client.post("/api/token/rotate", headers=bearer(token)))

    assert call.status_code == 200
    assert await balance(shop, bearer(rotated)) == 119_985


async def test_an_invoice_s_state_waits_for_the_node(shop: World):
    """503, never `expired` by guess."""
    paid = await topped_up(shop)
    await shop.parts.knobs("seller", forget_all=True)
    forgotten = await shop.client.get(f"/api/invoices/{paid.payment_hash.hex()}", headers=paid.headers)
    await shop.parts.knobs("seller", forget_all=False, refuse=True)
    away = await shop.client.get(f"/api/invoices/{paid.payment_hash.hex()}", headers=paid.headers)

    for answer in (forgotten, away):
        retried_later(answer, "phoenix_unavailable")


async def doubtful(world: World) -> tuple[Paid, Paid]:
    """A paid credential, and an unpaid one that was credited to the same account on its leaked preimage.

    The node answers nothing afterwards, so that nobody has settled the doubt.
    """
    first = await world.buy()
    world.parts.scenario(usage={"prompt_tokens": 8, "completion_tokens": 2_000, "total_tokens": 2_008})
    assert (await world.ask(paid=first)).status_code == 200
    world.parts.scenario()
    await world.settled(first)
    second = await world.leak(await world.ask(paid=first))
    await world.parts.knobs("seller", error_500="busy")
    assert (await world.ask(paid=second)).status_code == 200
    return first, second


async def test_a_claim_asks_about_every_payment_in_doubt(shop: World):
    """Two payments of one account: claimed with the good one, the node's no to the other freezes it. A yes thaws."""
    first, second = await doubtful(shop)
    await shop.parts.reset_knobs("seller")

    refusal = await claim(shop, first)
    shop.parts.settle(second.payment_hash.hex())
    await judge(shop.services.ledger, second.payment_hash, await shop.services.node.incoming(second.payment_hash))
    thawed = await claim(shop, first)

    refused(refusal, 403, "account_frozen")
    assert thawed.json()["balance_msat"] == 2_000 - 1_562 + second.amount.value - 15


class Unreachable:
    """A ledger that nothing reaches."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        async def operation(*_: object, **__: object) -> None:
            raise HoldUnknown if name == "settle" else LedgerUnavailable("the disk is gone")

        return operation


async def test_without_a_ledger_nothing_is_claimed(shop: World):
    """503 ledger_unavailable with Retry-After at every route, and all of it works afterwards."""
    paid, token = await topped_up(shop), await new_token(shop)
    shop.exchange(ledger=Unreachable())
    client, by_token = shop.client, bearer(token)

    answers: list[httpx.Response] = [
        await asked(shop),
        await asked(shop, 180, token),
        await claim(shop, paid),
        await claim_bare(shop, paid.preimage),
        await client.post(CHAT, json=HELLO, headers=by_token),
        await client.post("/api/token/rotate", headers=by_token),
        await client.delete("/api/token", headers=by_token),
        await client.get("/api/balance", headers=by_token),
        await client.get("/api/usage", headers=by_token),
        await client.get("/api/usage", headers=paid.headers),
    ]

    for answer in answers:
        retried_later(answer, "ledger_unavailable")


class Half:
    """A ledger that loses its connection in the middle of a request: some operations still work."""

    def __init__(self, whole: Any, *broken: str) -> None:
        self._whole, self._broken = whole, broken

    def __getattr__(self, name: str) -> Any:
        return getattr(Unreachable(), name) if name in self._broken else getattr(self._whole, name)


@pytest.mark.parametrize(
    ("path", "broken"),
    [("/api/usage", "entries"), ("/topup/claim", "claim"), ("/topup/claim", "find_topup"), ("/topup", "open_topup")],
)
async def test_a_ledger_that_goes_in_the_middle(shop: World, path: str, broken: str):
    """503 like any other time, never 500; what was asked for works afterwards."""
    paid, token = await topped_up(shop), await new_token(shop)
    whole = shop.services.ledger

    async def attempt() -> httpx.Response:
        match path, broken:
            case "/api/usage", _:
                return await shop.client.get(path, headers=bearer(token))
            case "/topup", _:
                return await asked(shop)
            case _, "find_topup":
                return await claim_bare(shop, paid.preimage)
            case _:
                return await claim(shop, paid)

    shop.exchange(ledger=Half(whole, broken))
    failed = await attempt()
    shop.exchange(ledger=whole)
    succeeded = await attempt()

    retried_later(failed, "ledger_unavailable")
    assert succeeded.status_code == (402 if path == "/topup" else 200)


@pytest.mark.parametrize("broken", ["confirm", "deny"])
async def test_a_ledger_that_goes_while_doubts_are_settled(shop: World, broken: str):
    """503 too, and the claim is decided rightly once the ledger is back: a token, or frozen."""
    first, second = await doubtful(shop)
    whole = shop.services.ledger
    if broken == "confirm":
        shop.parts.settle(second.payment_hash.hex())

    shop.exchange(ledger=Half(whole, broken), node=Talking(shop))
    failed = await claim(shop, first)
    shop.exchange(ledger=whole)
    later = await claim(shop, first)

    retried_later(failed, "ledger_unavailable")
    assert later.status_code == (200 if broken == "confirm" else 403)


class Talking:
    """What the seller's node would say if it were not deaf: only those who hold this hear it."""

    def __init__(self, world: World) -> None:
        self._rows = {row["payment_hash"]: row for row in world.parts.ledger("seller")["incoming"]}

    async def incoming(self, payment_hash: bytes) -> IncomingPayment:
        row = self._rows[payment_hash.hex()]
        state = PaymentState.PAID if row["is_paid"] else PaymentState.OPEN
        return IncomingPayment(state, Sat(row["requested_msat"] // 1_000), Msat(row["received_msat"]))


async def test_a_claim_after_an_outage_books_once(shop: World):
    """Five tries into an outage, then one that succeeds."""
    paid = await topped_up(shop)
    await shop.parts.knobs("seller", error_500="busy")
    for _ in range(5):
        retried_later(await claim(shop, paid), "phoenix_unavailable")
    await shop.parts.reset_knobs("seller")

    token = token_of(await claim(shop, paid))

    assert await booked(shop, token) == [("credit", 120_000)]
