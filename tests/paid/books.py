"""What the ledger says once a call has ended, in the words that tests of endings need."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from lib.store.ledger import EntryKind
from lib.store.sqlite import SqliteLedger
from tests.world import Paid, World

ALL_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Books:
    """A credential's closed books: nothing is held any more and the audit found nothing."""

    endings: list[str]
    """How each call ended, oldest first, those that cost nothing included."""
    charges: list[tuple[str, int]]
    """(ending, msat) of each entry that charged something, oldest first."""
    lost_usd: Decimal
    """What nobody pays, as the stop-loss counts it against this account."""


async def books(world: World, paid: Paid) -> Books:
    """Wait until no call of a redeemed credential runs; its balance must be what was paid less its charges."""
    account = await world.settled(paid)
    charges = [entry for entry in await world.entries(paid) if entry.kind is EntryKind.CHARGE]
    losses = await world.services.ledger.losses(ALL_SECONDS)

    assert await world.services.ledger.audit() == []
    assert account.balance.value == paid.amount.value + sum(entry.amount.value for entry in charges)
    return Books(
        endings=await _endings(world, account.account),
        charges=[(entry.ending.value if entry.ending else "", -entry.amount.value) for entry in charges],
        lost_usd=losses.by_account[account.account].usd() if account.account in losses.by_account else Decimal(0),
    )


def all_bytes(directory: Path) -> bytes:
    """What who steals the ledger's files has."""
    return b"".join([path.read_bytes() for path in sorted(directory.iterdir())])


async def assert_nothing_happened(world: World) -> None:
    """The ledger has not even heard of anybody, and upstream was not asked."""
    totals = await world.services.ledger.totals()
    assert (totals.accounts, totals.held.value, world.parts.journal()) == (0, 0, [])
    assert await world.services.ledger.audit() == []


async def _endings(world: World, account: str) -> list[str]:
    ledger = world.services.ledger
    assert isinstance(ledger, SqliteLedger)
    rows = await ledger._scanner.run(  # pyright: ignore[reportPrivateUsage]
        lambda db: db.execute("SELECT ending FROM holds WHERE account = ? ORDER BY rowid", (account,)).fetchall()
    )
    return [row[0] for row in rows]
