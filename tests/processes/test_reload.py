"""SIGHUP to the real program: what is sold changes under running streams, and a fault in the file changes nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from lib.demo.parts import demo_parts
from tests.paid.raw_client import raw_call
from tests.processes.shops import START_SECONDS, Shop, Street
from tests.processes.test_stop import UVICORN
from tests.world import HELLO, STREAM

pytestmark = pytest.mark.slow

FIRST = b'"content":'
SLOW = {"chunks": 20, "chunk_delay_ms": 50}
"""About a second."""
PRICE, DOUBLED = "{input: 0.15, output: 0.6, cached_input: 0.075}", "{input: 0.3, output: 1.2, cached_input: 0.15}"
"""What gpt-4o-mini is sold from."""


@pytest.fixture
async def street(tmp_path: Path) -> AsyncGenerator[Street]:
    async with demo_parts() as parts:
        yield Street(parts, tmp_path, limits={"total_seconds": 1_800})


def rewrite(street: Street, change: Callable[[str], str]) -> None:
    """Change the shop's configuration file, as an editor does."""
    path = street.directory / "config.yaml"
    text = path.read_text()
    changed = change(text)
    assert changed != text
    path.write_text(changed)


async def output_price(shop: Shop) -> str:
    """What the catalog asks for a million tokens that gpt-4o-mini writes, in USD."""
    catalog: dict[str, Any] = (await shop.world.client.get("/api/catalog")).json()
    [model] = [model for model in catalog["apis"][0]["endpoints"][0]["models"] if model["id"] == "gpt-4o-mini"]
    [price] = [price for price in model["prices"] if price["unit"] == "output_token"]
    return price["usd"]


async def until(happened: Callable[[], Any]) -> None:
    """Look until it has."""
    async with asyncio.timeout(START_SECONDS):
        while not (await found if asyncio.iscoroutine(found := happened()) else found):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("program", [(), UVICORN], ids=["python server.py", "uvicorn server:app"])
async def test_a_reload_changes_what_is_sold_and_no_running_stream(street: Street, program: tuple[str, ...]):
    """In the middle of a stream prices double: the next call is quoted anew, the stream is whole and as it was sold."""
    street.parts.scenario(**SLOW)
    async with street.opened(*program) as shop:
        paid = await shop.world.buy(STREAM)
        before = (await shop.world.ask()).json()["max_price_msat"]
        async with raw_call(shop.world, STREAM, paid) as call:
            await call.until(FIRST)
            rewrite(street, lambda text: text.replace(PRICE, DOUBLED))
            shop.process.send_signal(signal.SIGHUP)

            async def doubled() -> bool:
                return await output_price(shop) == "1.56"

            await until(doubled)
            after = (await shop.world.ask()).json()["max_price_msat"]
            rest = await call.rest()

    assert b"data: [DONE]" in rest
    assert 2 * before - after in {0, 1}  # each is rounded up by itself
    assert "reloaded" in shop.log.read_text()


async def test_the_stream_pays_what_it_was_quoted(street: Street):
    """A call that began before the reload is charged at its own prices, to the msat."""
    street.parts.scenario(**SLOW)
    async with street.opened() as shop:
        charges: list[int] = []
        for reload in (False, True):
            paid = await shop.world.buy(STREAM)
            async with raw_call(shop.world, STREAM, paid) as call:
                await call.until(FIRST)
                if reload:
                    rewrite(street, lambda text: text.replace(PRICE, DOUBLED))
                    shop.process.send_signal(signal.SIGHUP)
                    await until(lambda: "was reloaded" in shop.log.read_text())
                await call.rest()
            balance = (await shop.world.client.get("/api/balance", headers=paid.headers)).json()
            charges.append(paid.amount.value - balance["balance_msat"])

    assert charges[0] == charges[1] > 0


FAULTS = {
    "at a loss": ("markup: 1.30", "markup: 0.5", "sells at a loss"),
    "no YAML": ("apis:", "apis: [", "not valid YAML"),
    "no JSON Schema": ("temperature: {type: number", "temperature: {type: nonsense", "JSON Schema"),
    "unknown key": ("max_body_bytes", "max_bodybytes", "did you mean `max_body_bytes`?"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_broken_file_changes_nothing(street: Street, fault: str):
    """The old catalog goes on selling, the log says what is wrong, and the repaired file is taken."""
    right, wrong, told = FAULTS[fault]
    async with street.opened() as shop:
        good = (street.directory / "config.yaml").read_text()
        rewrite(street, lambda text: text.replace(right, wrong))
        shop.process.send_signal(signal.SIGHUP)
        await until(lambda: "not reloaded" in shop.log.read_text())

        paid = await shop.world.buy(HELLO)
        assert (await shop.world.ask(HELLO, paid)).status_code == 200
        assert told in shop.log.read_text()

        rewrite(street, lambda _: good.replace(PRICE, DOUBLED))
        shop.process.send_signal(signal.SIGHUP)
        await until(lambda: "was reloaded" in shop.log.read_text())
        assert await output_price(shop) == "1.56"


async def test_what_needs_a_restart_is_told(street: Street):
    """A setting that a running server cannot change keeps its value, and the log names it."""
    async with street.opened() as shop:
        rewrite(street, lambda text: text + "  drain_seconds: 7\nbtc_price: {quorum: 3}\n")
        shop.process.send_signal(signal.SIGHUP)
        await until(lambda: "was reloaded" in shop.log.read_text())
        log = shop.log.read_text()

    assert "limits.drain_seconds needs a restart" in log and "btc_price needs a restart" in log
