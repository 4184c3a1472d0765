"""A program that a test kills: it sells calls from a ledger as fast as it can and prints what was acknowledged.

Each line is `credit|hold|settle <id> <msat>`, printed only after the ledger said that it was done.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from lib.store.sqlite import SqliteLedger
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


async def main() -> None:
    """Sell until killed; one call is left running on purpose."""
    ledger = await SqliteLedger.open(Path(sys.argv[1]))
    await ledger.take_lease(LEASE)
    desk = Desk(ledger)
    left = await desk.held(await desk.account(CREDIT_MSAT, "left"), 500)
    say("hold", left.hold_id, 500)
    await asyncio.gather(*(sell(desk, seller) for seller in range(SELLERS)))


if __name__ == "__main__":
    asyncio.run(main())
