"""Each fault that the documents name, provoked: what buyer, log, metrics and console show is the table they hold."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from lib.jobs import LeaseKeeper, look_around
from lib.store.ledger import LedgerUnavailable
from lib.store.sqlite import SqliteLedger
from tests.databases import shared
from tests.databases.cutter import cutter
from tests.faults.bad_tls import self_signed
from tests.faults.watch import WATCHED, Watch, listening
from tests.paid.test_not_ready import dead_feed
from tests.world import opened_world

pytestmark = pytest.mark.slow

CALLS_MAX = 200


@contextlib.asynccontextmanager
async def watched(data_dir: Path, **env: str) -> AsyncGenerator[Watch]:
    """A shop under watch; whatever broke, its books are right in the end."""
    with listening() as stream:
        async with opened_world(data_dir, {**WATCHED, **env}) as world:
            console = {
                "ALITTLEBITOFMONEY_DATA_DIR": str(data_dir),
                "ALITTLEBITOFMONEY_DEMO": "1",
                "PHOENIX_URL": world.parts.seller_url,
                "PHOENIX_PASSWORD": world.parts.seller_limited_password,
                "PORT": world.url.rpartition(":")[2],
                **{name: value for name, value in env.items() if name == "DATABASE_URL"},
            }
            yield Watch(world, console, stream)
            assert await world.services.ledger.audit() == []


async def test_node_down(tmp_path: Path):
    """Nobody is asked to pay; who has paid is served."""
    async with watched(tmp_path) as watch:
        paid = await watch.world.buy()
        await watch.world.parts.knobs("seller", refuse=True)

        watch.buyer("unpaid", await watch.world.ask())
        watch.buyer("paid", await watch.world.ask(paid=paid))

        watch.log("no invoice could be made")
        await watch.metrics(**{'up{part="node"}': 0, 'refusals_total{code="phoenix_unavailable"}': 1})
        await watch.console("node", "detail")
        watch.is_documented("node down")


async def test_upstream_key_wrong(tmp_path: Path):
    """The first call finds out and is not charged; then nobody is asked to pay until it is tried again."""
    async with watched(tmp_path) as watch:
        paid = await watch.world.buy()
        watch.world.parts.scenario(status=401)

        watch.buyer("paid", await watch.world.ask(paid=paid))
        watch.buyer("unpaid", await watch.world.ask())

        watch.log("refuses our key or quota")
        await watch.metrics(
            **{
                'up{part="upstream openai"}': 0,
                'upstream_errors_total{api="openai",code="upstream_unavailable"}': 1,
            }
        )
        await watch.console("server", "parts", "upstream openai", "detail")
        assert (await watch.world.account(paid)).balance == paid.amount
        watch.is_documented("upstream key wrong")


async def test_certificate_of_upstream_bad(tmp_path: Path):
    """It is seen before anybody pays, and nobody is asked to; our key is not sent there, and who has paid keeps it."""
    async with self_signed(tmp_path) as url, watched(tmp_path / "data") as watch:
        paid, settings = await watch.world.buy(), watch.services.settings
        await watch.world.reload(replace(settings, upstream_urls={**settings.upstream_urls, "openai": url}))
        await look_around(watch.services)

        watch.buyer("unpaid", await watch.world.ask())
        watch.log("upstream openai cannot be reached", "certificate")
        watch.buyer("paid", await watch.world.ask(paid=paid))

        await watch.metrics(
            **{
                'up{part="upstream openai"}': 0,
                'upstream_errors_total{api="openai",code="upstream_error"}': 1,
            }
        )
        await watch.console("server", "parts", "upstream openai", "detail")
        assert (await watch.world.account(paid)).balance == paid.amount
        watch.is_documented("certificate of upstream bad")


async def test_price_stale(tmp_path: Path):
    """Nothing is sold at a price that nobody vouches for; a credential stays good."""
    async with watched(tmp_path) as watch, dead_feed() as feed:
        paid = await watch.world.buy()
        watch.world.exchange(price=feed)

        watch.buyer("unpaid", await watch.world.ask())
        watch.buyer("paid", await watch.world.ask(paid=paid))

        watch.log("bitcoin price: the price feed")
        await watch.metrics(**{'up{part="price"}': 0, 'refusals_total{code="rate_unavailable"}': 2})
        await watch.console("server", "parts", "price", "detail")
        watch.is_documented("price stale")


async def test_ledger_gone(tmp_path: Path):
    """Nothing is sold, and nobody is asked to pay what could not be booked; it goes on by itself."""
    server, database = shared.server(), shared.new_database(shared.TEMPLATE)
    async with cutter(server.port) as (wire, port):
        url = server.url(database).replace(f":{server.port}/", f":{port}/")
        async with watched(tmp_path, DATABASE_URL=url) as watch:
            paid = await watch.world.buy()
            keeper = LeaseKeeper(watch.services)
            wire.lose_answers(10**9)
            with contextlib.suppress(LedgerUnavailable):
                await keeper.step()

            watch.buyer("unpaid", await watch.world.ask())
            watch.buyer("paid", await watch.world.ask(paid=paid))

            watch.log("alb_renew has no answer", until=" (")
            await watch.metrics(**{"lease": 0, 'up{part="ledger"}': 0, 'refusals_total{code="ledger_unavailable"}': 2})
            await watch.console(command=("status",), code=1, until=":")
            wire.lose_answers(0)
            await keeper.step()
            assert (await watch.world.ask(paid=paid)).status_code == 200
            watch.is_documented("ledger gone")


async def test_disk_full(tmp_path: Path):
    """What was acknowledged is there; a call that was answered is charged once there is room again."""
    async with watched(tmp_path) as watch:
        paid = await watch.world.buy()
        ledger = watch.services.ledger
        assert isinstance(ledger, SqliteLedger)
        file = ledger._writer  # pyright: ignore[reportPrivateUsage]
        full = await file.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        await file.run(lambda db: db.execute(f"PRAGMA max_page_count = {full}"))
        answer = await watch.world.ask(paid=paid)
        for _ in range(CALLS_MAX):
            if answer.status_code != 200:
                break
            answer = await watch.world.ask(paid=paid)

        watch.buyer("paid", answer)
        watch.log("the ledger refused an operation", "database or disk is full")  # a settlement may have met it first
        await watch.metrics(**{'refusals_total{code="ledger_unavailable"}': 1})
        await watch.console("server", "parts", "ledger", "detail")
        await file.run(lambda db: db.execute("PRAGMA max_page_count = 1073741823"))
        async with asyncio.timeout(60):
            while (await watch.world.ask(paid=paid)).status_code != 200:
                await asyncio.sleep(0.05)
        watch.is_documented("disk full")
