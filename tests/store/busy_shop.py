"""A program that a test kills: it sells calls from a ledger as fast as it can and prints what was acknowledged.

Its arguments are a directory and, for a ledger in PostgreSQL, a URL. Each line is `credit|hold|settle <id> <msat>`,
printed only after the ledger said that it was done.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from lib.store.ledger import Ledger
from lib.store.postgres import PostgresLedger
from lib.store.sqlite import SqliteLedger
from lib.store.watermark import Watermark
from tests.store.desk import LEASE, Desk

CREDIT_MSAT = 1_000_000_000
SELLERS = 16


async def sell(desk: Desk, seller: int) -> None:
    """Credit an account of its own, then call after call."""
    name = f"seller-{seller}"
    paid = await desk.account(CREDIT_MSAT, name)
    say("credit", paid.payment_hash.hex(), CREDIT_MSAT)
    while True:
        hold = await desk.held(paid, 100)
        say("hold", hold.hold_id, 100)
        await desk.settle(hold, 7)
        say("settle", hold.hold_id, 7)


def say(what: str, name: str, msat: int) -> None:
    """One whole line at once, so that a kill cuts none in two."""
    os.write(1, f"{what} {name} {msat}\n".encode())


async def opened(directory: Path, url: str | None = None) -> Ledger:
    """The ledger to sell from."""
    if url is None:
        return await SqliteLedger.open(directory)
    return await PostgresLedger.open(url, Watermark(directory))


async def main() -> None:
    """Sell until killed; one call is left running on purpose."""
    directory, *url = sys.argv[1:]
    ledger = await opened(Path(directory), *url)
    await ledger.take_lease(LEASE)
    desk = Desk(ledger)
    left = await desk.held(await desk.account(CREDIT_MSAT, "left"), 500)
    say("hold", left.hold_id, 500)
    await asyncio.gather(*(sell(desk, seller) for seller in range(SELLERS)))


if __name__ == "__main__":
    asyncio.run(main())
