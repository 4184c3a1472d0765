"""Connections to PostgreSQL that are reset in the middle of something, or refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
from chaos_parts.proxy import Proxy

from lib.store.ledger import LedgerUnavailable
from lib.store.postgres import PostgresLedger
from lib.store.watermark import Watermark
from tests.databases import shared

pytestmark = pytest.mark.slow
WAIT_SECONDS = 10.0
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


async def test_a_connection_reset_in_the_middle_of_a_call_is_no_news(tmp_path: Path) -> None:
    """The call is repeated over another connection; its caller is told neither an error nor to repeat it."""
    database = shared.new_database()
    async with Proxy(shared.server().port, lambda _: None).running() as way:
        ledger = await PostgresLedger.open(
            f"postgresql://postgres@127.0.0.1:{way.port}/{database}", Watermark(tmp_path)
        )
        locker = await asyncpg.connect(shared.server().url(database))
        async with locker.transaction():
            await locker.execute("LOCK TABLE alittlebitofmoney.leases IN ACCESS EXCLUSIVE MODE")
            taking = asyncio.create_task(ledger.take_lease("of-a-server"))
            async with asyncio.timeout(WAIT_SECONDS):
                while not await locker.fetchval(WAITING):
                    await asyncio.sleep(0.01)
            way.cut()
            await asyncio.sleep(0)
        await taking

        assert await ledger.renew("of-a-server")
        await locker.close()
        await ledger.aclose()


async def test_a_database_that_cannot_be_reached_at_the_start_is_unavailable(tmp_path: Path) -> None:
    """A server that starts is told what it knows how to wait for, not a fault of ours."""
    async with Proxy(shared.server().port, lambda _: None).running() as way:
        way.refuses = True
        with pytest.raises(LedgerUnavailable):
            await PostgresLedger.open(f"postgresql://postgres@127.0.0.1:{way.port}/any", Watermark(tmp_path))
