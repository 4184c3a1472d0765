"""Credits made on a preimage alone: phoenixd tells the preimage of an unpaid invoice to whoever may ask it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.core.money import Msat, Sat
from lib.demo.parts import DemoParts, demo_parts
from lib.jobs import Confirmations
from lib.lightning.node import IncomingPayment, NodeUnavailable, PaymentState
from lib.lightning.phoenixd import Phoenixd
from lib.store.ledger import AccountStatus, Balance
from tests.world import CHAT, HELLO, ROOT, Paid, World, environment, opened_world

CHARGE = Msat(15)
PAID = Msat(2_000)
FROZEN_SECONDS = 10.0
START_SECONDS = 30.0


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Oracle:
    """A node of which only one question is asked."""

    def __init__(self, state: PaymentState) -> None:
        self.state, self.asked = state, 0

    async def incoming(self, payment_hash: bytes) -> IncomingPayment:
        """The same of every payment."""
        self.asked += 1
        return IncomingPayment(self.state, Sat(2), PAID)


async def frozen(world: World, paid: Paid) -> Balance:
    """The account once it is frozen."""
    async with asyncio.timeout(FROZEN_SECONDS):
        while (found := await world.account(paid)).status is not AccountStatus.FROZEN:
            await asyncio.sleep(0.01)
    return found


async def unconfirmed_call(world: World) -> Paid:
    """A paid credential, used once while the node cannot confirm it."""
    paid = await world.buy()
    await world.parts.knobs("seller", error_500="busy")
    assert (await world.ask(paid=paid)).status_code == 200
    assert (await world.settled(paid)).status is AccountStatus.UNCONFIRMED
    return paid


def offers_nothing(answer: httpx.Response) -> bool:
    """No challenge that a client could pay."""
    return "www-authenticate" not in answer.headers and list(answer.json()) == ["error"]


async def steps(clock: Seconds, confirmations: Confirmations, *after_seconds: float) -> None:
    """One round at once, and one more after each of these pauses."""
    await confirmations.step()
    for seconds in after_seconds:
        clock.now += seconds
        await confirmations.step()


# The leak


async def test_a_leaked_preimage_buys_one_call_and_freezes(world: World):
    """An unpaid invoice's preimage is served once; seconds later its account is frozen: 403, and nothing to pay."""
    unpaid = await world.leak(await world.ask())

    first = await world.ask(paid=unpaid)
    account = await frozen(world, unpaid)
    second = await world.ask(paid=unpaid)

    assert first.status_code == 200
    assert (second.status_code, second.json()["error"]["code"]) == (403, "account_frozen")
    assert offers_nothing(second)
    assert (account.balance, account.held) == (PAID - CHARGE, Msat.ZERO)
    assert len(world.parts.journal()) == 1


async def test_the_loss_is_known(world: World):
    """What a denied payment bought before the freeze is summed for the operator."""
    unpaid = await world.leak(await world.ask())
    await world.ask(paid=unpaid)
    await frozen(world, unpaid)

    totals = await world.services.ledger.totals()

    assert (totals.denied, totals.denied_spent, totals.unconfirmed) == (PAID, CHARGE, Msat.ZERO)
    assert await world.services.ledger.audit() == []


async def test_a_call_that_runs_when_its_account_freezes_is_settled(world: World):
    """Freezing stops new holds only: the running call is answered and charged."""
    unpaid = await world.leak(await world.ask())
    world.parts.scenario(hang_before_answer=True)
    call = asyncio.create_task(world.ask(paid=unpaid))
    async with asyncio.timeout(FROZEN_SECONDS):
        while not world.parts.journal():
            await asyncio.sleep(0.01)
    assert (await frozen(world, unpaid)).held == Msat(1_643)

    world.parts.scenario()
    answer = await call

    assert (answer.status_code, answer.headers["x-charge-msat"]) == (200, "15")
    assert (await world.settled(unpaid)).balance == PAID - CHARGE


async def test_every_credential_of_a_frozen_account_is_frozen(world: World):
    """A real payment that joined an account with a false one waits with it: no hold, no challenge."""
    unpaid = await world.leak(await world.ask())
    await world.ask(paid=unpaid)
    difference = await world.ask({**HELLO, "max_completion_tokens": 16_384}, unpaid)
    await frozen(world, unpaid)
    joined = await world.pay(difference)

    answer = await world.ask(paid=joined)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "account_frozen")
    assert offers_nothing(answer)
    assert (await world.account(joined)).balance == PAID - CHARGE + joined.amount


async def test_a_later_payment_thaws(world: World):
    """The invoice is paid after all: the node's yes unfreezes, and nothing was lost to anybody."""
    unpaid = await world.leak(await world.ask())
    await world.ask(paid=unpaid)
    await frozen(world, unpaid)

    world.parts.settle(unpaid.payment_hash.hex())
    await Confirmations(world.services).step()

    assert (await world.account(unpaid)).status is AccountStatus.ACTIVE
    assert (await world.ask(paid=unpaid)).status_code == 200
    totals = await world.services.ledger.totals()
    assert (totals.denied, totals.denied_spent) == (Msat.ZERO, Msat.ZERO)


async def test_a_denied_payment_is_asked_for_again(world: World):
    """Every half minute, not at every round: a later yes is noticed, the node is not flooded."""
    paid = await unconfirmed_call(world)
    node, clock = Oracle(PaymentState.OPEN), Seconds()
    confirmations = Confirmations(world.exchange(node=node), clock)

    await steps(clock, confirmations, 1, 28.9)
    assert (await world.account(paid)).status is AccountStatus.FROZEN and node.asked == 1
    node.state = PaymentState.PAID
    await steps(clock, confirmations, 0.1)

    assert (await world.account(paid)).status is AccountStatus.ACTIVE and node.asked == 2


async def test_an_overpayment_is_an_entry_of_its_own(world: World):
    """A stranger pays 5,000 msat for an invoice over 2,000: the rest is the buyer's, once the node says so."""
    unpaid = await world.leak(await world.ask())
    world.parts.settle(unpaid.payment_hash.hex(), amount_msat=5_000)
    await world.ask(paid=unpaid)

    async with asyncio.timeout(FROZEN_SECONDS):
        while (await world.account(unpaid)).status is not AccountStatus.ACTIVE:
            await asyncio.sleep(0.01)

    amounts = sorted((entry.kind.value, entry.amount.value) for entry in await world.entries(unpaid))
    assert amounts == [("charge", -15), ("credit", 2_000), ("over", 3_000)]


# What is no clear no


@pytest.mark.parametrize("knob", [{"error_500": "busy"}, {"refuse": True}, {"hang": True}], ids=str)
async def test_a_node_in_trouble_freezes_nobody(world: World, knob: dict[str, Any]):
    """Silence, errors and a closed port say nothing about a payment, however often they are met."""
    await world.parts.knobs("seller", say_unpaid=True)  # even if it would deny: it is not heard
    unpaid = await world.leak(await world.ask())
    await world.parts.knobs("seller", **knob)
    node = Phoenixd(world.parts.seller_url, world.parts.seller_limited_password, read_timeout_seconds=0.1)
    confirmations = Confirmations(world.exchange(node=node))
    assert (await world.ask(paid=unpaid)).status_code == 200

    for _ in range(3):
        with pytest.raises(NodeUnavailable):
            await confirmations.step()

    assert (await world.settled(unpaid)).status is AccountStatus.UNCONFIRMED
    assert (await world.ask(paid=unpaid)).status_code == 200
    await node.aclose()


async def test_a_node_that_refuses_our_password_freezes_nobody(world: World):
    """401 is about us, not about the payment."""
    paid = await unconfirmed_call(world)
    node = Phoenixd(world.parts.payer_url, "wrong")

    with pytest.raises(NodeUnavailable):
        await Confirmations(world.exchange(node=node)).step()

    assert (await world.account(paid)).status is not AccountStatus.FROZEN
    await node.aclose()


async def test_a_node_that_comes_back_confirms(world: World):
    """What could not be asked is asked again."""
    paid = await unconfirmed_call(world)

    await world.parts.reset_knobs("seller")
    await Confirmations(world.services).step()

    assert (await world.account(paid)).status is AccountStatus.ACTIVE


async def test_one_404_freezes_nobody(world: World):
    """A node that just does not know the payment yet is asked again before anything follows."""
    paid = await unconfirmed_call(world)
    await world.parts.knobs("seller", error_500=None, forget=[paid.payment_hash.hex()])
    clock = Seconds()
    confirmations = Confirmations(world.services, clock)

    await steps(clock, confirmations, 1, 1, 1, 1.9)
    assert (await world.account(paid)).status is AccountStatus.UNCONFIRMED
    await world.parts.reset_knobs("seller")
    await steps(clock, confirmations)

    assert (await world.account(paid)).status is AccountStatus.ACTIVE


async def test_two_404s_five_seconds_apart_freeze(world: World):
    """A node that knows its newest payments but not this one was never paid."""
    known = await world.buy()
    await world.ask(paid=known)
    await Confirmations(world.services).step()
    paid = await unconfirmed_call(world)
    await world.parts.knobs("seller", error_500=None, forget=[paid.payment_hash.hex()])
    clock = Seconds()

    await steps(clock, Confirmations(world.services, clock), 5)

    assert (await world.account(paid)).status is AccountStatus.FROZEN
    assert (await world.account(known)).status is AccountStatus.ACTIVE
    assert world.services.health.alarms == {}


async def test_a_node_that_lost_its_memory_raises_an_alarm(world: World):
    """It has also forgotten what it confirmed before: nothing freezes, the operator is told until it remembers."""
    known = await world.buy()
    await world.ask(paid=known)
    await Confirmations(world.services).step()
    paid = await unconfirmed_call(world)
    await world.parts.knobs("seller", error_500=None, forget_all=True)
    clock = Seconds()
    confirmations = Confirmations(world.services, clock)

    await steps(clock, confirmations, 5, 60)
    alarmed = (await world.client.get("/api/health")).json()["alarms"]
    status = (await world.account(paid)).status
    served = (await world.ask(paid=paid)).status_code
    await world.parts.reset_knobs("seller")
    await steps(clock, confirmations, 60)

    assert list(alarmed) == ["node memory"] and "nothing is frozen" in alarmed["node memory"]
    assert (status, served) == (AccountStatus.UNCONFIRMED, 200)
    assert (await world.account(paid)).status is AccountStatus.ACTIVE
    assert world.services.health.alarms == {}


# Too much to take on trust


async def test_a_large_payment_asks_the_node_first(tmp_path: Path):
    """Above `unconfirmed_max_sats` a credit is made on the node's word, and is active at once."""
    async with opened_world(tmp_path, unconfirmed_max_sats=1) as world:
        paid = await world.buy()

        answer = await world.ask(paid=paid)

        assert answer.status_code == 200, answer.text
        assert (await world.settled(paid)).status is AccountStatus.ACTIVE


@pytest.mark.parametrize("path", [CHAT, "/api/balance"])
async def test_a_large_payment_waits_for_a_node_that_is_down(tmp_path: Path, path: str):
    """503 with Retry-After and no challenge; nothing is credited, and the credential stays good."""
    async with opened_world(tmp_path, unconfirmed_max_sats=1) as world:
        paid = await world.buy()
        await world.parts.knobs("seller", refuse=True)

        method = "POST" if path == CHAT else "GET"
        answer = await world.client.request(method, path, json=HELLO, headers=paid.headers)
        accounts = (await world.services.ledger.totals()).accounts
        await world.parts.reset_knobs("seller")
        again = await world.ask(paid=paid)

        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "phoenix_unavailable")
        assert int(answer.headers["retry-after"]) > 0 and offers_nothing(answer)
        assert accounts == 0 and again.status_code == 200


@pytest.mark.parametrize("knob", [{}, {"forget_all": True}], ids=["open", "unknown"])
@pytest.mark.parametrize("path", [CHAT, "/api/balance"])
async def test_a_large_payment_that_is_not_paid_is_pending(tmp_path: Path, path: str, knob: dict[str, Any]):
    """402 payment_pending with Retry-After, no challenge and no credit: a leaked preimage buys nothing here."""
    async with opened_world(tmp_path, unconfirmed_max_sats=1) as world:
        unpaid = await world.leak(await world.ask())
        await world.parts.knobs("seller", **knob)

        method = "POST" if path == CHAT else "GET"
        answer = await world.client.request(method, path, json=HELLO, headers=unpaid.headers)

        assert (answer.status_code, answer.json()["error"]["code"]) == (402, "payment_pending")
        assert int(answer.headers["retry-after"]) > 0 and offers_nothing(answer)
        assert (await world.services.ledger.totals()).accounts == 0
        assert world.parts.journal() == [] and await world.invoices() == 1


async def test_many_small_payments_ask_the_node_too(tmp_path: Path):
    """Once `unconfirmed_total_max_sats` are credited on trust, the next credit waits for the node's word."""
    async with opened_world(tmp_path, unconfirmed_max_sats=2, unconfirmed_total_max_sats=4) as world:
        bought = [await world.buy() for _ in range(3)]
        await world.parts.knobs("seller", error_500="busy")

        answers = [await world.ask(paid=paid) for paid in bought]
        unconfirmed = (await world.services.ledger.totals()).unconfirmed
        await world.parts.reset_knobs("seller")
        again = await world.ask(paid=bought[2])

        assert [answer.status_code for answer in answers] == [200, 200, 503]
        assert unconfirmed == Msat(4_000)
        assert again.status_code == 200


async def test_what_leaks_is_bounded_in_all(tmp_path: Path):
    """However many unpaid invoices are redeemed, frozen or not: after the total the node is asked, and says no."""
    async with opened_world(tmp_path, unconfirmed_max_sats=2, unconfirmed_total_max_sats=4) as world:
        leaked = [await world.leak(await world.ask()) for _ in range(4)]

        first = [await world.ask(paid=unpaid) for unpaid in leaked[:2]]
        for unpaid in leaked[:2]:
            await frozen(world, unpaid)
        later = [await world.ask(paid=unpaid) for unpaid in leaked[2:]]

        assert [answer.status_code for answer in first] == [200, 200]
        assert [answer.json()["error"]["code"] for answer in later] == ["payment_pending"] * 2
        assert (await world.services.ledger.totals()).denied_spent == Msat(30)


# A restart forgets none


@asynccontextmanager
async def server_process(parts: DemoParts, data_dir: Path, port: int) -> AsyncGenerator[int]:
    """`uvicorn server:app` as a process of its own, once it answers; its process id. Killed at the end."""
    env = {"PATH": os.environ["PATH"], **environment(parts, data_dir)}
    command = [sys.executable, "-m", "uvicorn", "server:app", "--port", str(port), "--log-level", "warning"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert process.returncode is None, "the server ended"
                try:
                    await client.get(f"http://127.0.0.1:{port}/api/health/live")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def leaked_credential(parts: DemoParts, client: httpx.AsyncClient) -> dict[str, str]:
    """The header of an unpaid call whose preimage the node gave away."""
    offer = (await client.post(CHAT, json=HELLO)).json()
    async with httpx.AsyncClient(auth=("", parts.seller_limited_password), trust_env=False) as node:
        known = await node.get(f"{parts.seller_url}/payments/incoming/{offer['payment_hash']}")
    return {"Authorization": f"L402 {offer['macaroon']}:{known.json()['preimage']}"}


@pytest.mark.slow
async def test_a_killed_server_remembers_what_is_unconfirmed(tmp_path: Path):
    """SIGKILL between redemption and confirmation: the next process on the same ledger freezes it within seconds."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    async with demo_parts() as parts, httpx.AsyncClient(base_url=address, trust_env=False) as client:
        async with server_process(parts, tmp_path, port) as pid:
            headers = await leaked_credential(parts, client)
            await parts.knobs("seller", error_500="busy")
            first = await client.post(CHAT, json=HELLO, headers=headers)
            os.kill(pid, signal.SIGKILL)
        await parts.reset_knobs("seller")

        async with server_process(parts, tmp_path, port):
            async with asyncio.timeout(FROZEN_SECONDS):
                while (await client.get("/api/balance", headers=headers)).json()["status"] != "frozen":
                    await asyncio.sleep(0.05)
            after = await client.post(CHAT, json=HELLO, headers=headers)

    assert first.status_code == 200
    assert (after.status_code, after.json()["error"]["code"]) == (403, "account_frozen")
    assert len(parts.journal()) == 1
