"""SIGTERM to the real program: what runs goes on, what takes too long is cut and settled, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from lib.core.endings import Ending
from lib.demo.parts import demo_parts
from lib.store.ledger import Entry, Owner
from lib.store.sqlite import SqliteLedger
from tests.paid.raw_client import raw_call
from tests.processes.shops import Shop, Street
from tests.world import STREAM, Paid

pytestmark = pytest.mark.slow

FIRST = b'"content":'
DRAIN_SECONDS = 3
SLOW = {"chunks": 20, "chunk_delay_ms": 50}
"""About a second."""
ENDLESS = {"chunks": 2_000, "chunk_delay_ms": 50}
"""Longer than any drain here."""
UVICORN = ("-m", "uvicorn", "server:app", "--port", "{port}", "--timeout-graceful-shutdown", str(DRAIN_SECONDS))


@pytest.fixture
async def street(tmp_path: Path) -> AsyncGenerator[Street]:
    async with demo_parts() as parts:
        yield Street(parts, tmp_path, limits={"drain_seconds": DRAIN_SECONDS})


async def books(street: Street, paid: Paid) -> list[Entry]:
    """The account's entries after the server has ended; its ledger adds up, and holds and leases are given back."""
    file = street.directory / "shop"
    ledger = await SqliteLedger.open(file)
    try:
        assert await ledger.audit() == []
        found = await ledger.balance(Owner.of_payment(paid.payment_hash))
        assert found is not None and not found.held
        return list(reversed(await ledger.entries(found.account, before=None, limit=100)))
    finally:
        await ledger.aclose()


def endings(entries: list[Entry]) -> list[Ending]:
    return [entry.ending for entry in entries if entry.ending is not None]


async def refuses_connections(shop: Shop) -> bool:
    address = urlsplit(shop.world.url)
    try:
        _, writer = await asyncio.open_connection(address.hostname, address.port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_a_running_stream_is_finished(street: Street):
    """It arrives whole and is charged in full; meanwhile nobody else is let in; the exit code is 0."""
    street.parts.scenario(**SLOW)
    async with street.opened() as shop:
        paid = await shop.world.buy(STREAM)
        async with raw_call(shop.world, STREAM, paid) as call:
            await call.until(FIRST)
            stopping = asyncio.create_task(shop.stop())
            rest = await call.rest()
            assert await refuses_connections(shop)
            code = await stopping

    assert b"data: [DONE]" in rest and code == 0
    assert endings(await books(street, paid)) == [Ending.ANSWERED]


async def test_a_stream_that_takes_too_long_is_cut_and_settled(street: Street):
    """After `drain_seconds` it ends; what was visibly sent is charged, nothing stays held; the exit code is 0."""
    street.parts.scenario(**ENDLESS)
    async with street.opened() as shop:
        paid = await shop.world.buy(STREAM)
        async with raw_call(shop.world, STREAM, paid) as call:
            await call.until(FIRST)
            stopping = asyncio.create_task(shop.stop())
            rest = await call.rest()
            code = await stopping

    entries = await books(street, paid)
    assert b"data: [DONE]" not in rest and code == 0
    assert endings(entries) == [Ending.CUT]
    assert 0 < -entries[-1].amount.value < paid.amount.value


async def test_a_call_whose_client_has_left_is_read_to_its_end(street: Street):
    """Nobody waits for it, but its buyer pays for what upstream did, and finds the answer kept."""
    street.parts.scenario(**SLOW)
    async with street.opened() as shop:
        paid = await shop.world.buy(STREAM)
        async with raw_call(shop.world, STREAM, paid) as call:
            await call.until(FIRST)
            await call.leave()
            code = await shop.stop()
    entries = await books(street, paid)
    asked = len(street.parts.journal())
    async with street.opened() as shop:
        again = await shop.world.ask(STREAM, paid)

    assert code == 0 and endings(entries) == [Ending.ANSWERED]
    assert again.status_code == 200 and "data: [DONE]" in again.text
    assert len(street.parts.journal()) == asked


async def test_an_idle_connection_does_not_delay_the_stop(street: Street):
    """A client that keeps its connection alive is hung up on at once."""
    async with street.opened() as shop:
        await shop.world.client.get("/api/health/live")
        async with asyncio.timeout(DRAIN_SECONDS - 1):
            assert await shop.stop() == 0


async def test_another_server_can_start_at_once(street: Street):
    """The ledger is given back with the exit: the next server sells from the same balance."""
    async with street.opened() as shop:
        paid = await shop.world.buy()
        first = await shop.world.ask(paid=paid)
        assert await shop.stop() == 0
    async with street.opened() as shop:
        second = await shop.world.ask(paid=paid)

    assert (first.status_code, second.status_code) == (200, 200)


async def test_uvicorn_s_own_command_stops_the_same_way(street: Street):
    """With its option a stream is cut and settled as well; its exit code is that of the signal."""
    street.parts.scenario(**ENDLESS)
    async with street.opened(*UVICORN) as shop:
        paid = await shop.world.buy(STREAM)
        async with raw_call(shop.world, STREAM, paid) as call:
            await call.until(FIRST)
            code = await shop.stop()

    assert code == -15 and endings(await books(street, paid)) == [Ending.CUT]


async def test_a_configuration_that_is_wrong_is_one_sentence(street: Street):
    """No traceback: what to change, and an exit code that is not 0."""
    broken = Street(street.parts, street.directory, env={"L402_ROOT_KEY": "abc"})

    with pytest.raises(AssertionError, match="L402_ROOT_KEY") as failed:
        async with broken.opened():
            pass

    assert "Traceback" not in str(failed.value)


async def test_a_second_server_on_one_file_does_not_start(street: Street):
    """SQLite means one process: the second one says so and ends, and the first one goes on selling."""
    async with street.opened() as shop:
        with pytest.raises(AssertionError, match="one data directory, one server"):
            async with street.opened():
                pass
        paid = await shop.world.buy()
        assert (await shop.world.ask(paid=paid)).status_code == httpx.codes.OK
