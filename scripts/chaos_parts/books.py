"""What a ledger says, row by row, read from its database and not from the server: the auditor's other side."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MICROS_PER_SECOND = 1_000_000

CREDITS = "SELECT payment_hash, amount_msat, confirmed_at_us IS NOT NULL FROM credits"
ENTRIES = "SELECT id, account, kind, amount_msat, payment_hash, hold FROM entries ORDER BY id"
ACCOUNTS = "SELECT id, balance_msat, held_msat FROM accounts"
HOLDS = """
SELECT id, account, owner_digest, lease, ceiling_msat, request_id, model, opened_at_us, left_at_us, ended_at_us,
    lapsed_at_us IS NOT NULL, ending, charge_msat, shortfall_msat
FROM holds ORDER BY opened_at_us
"""


@dataclass(frozen=True, slots=True)
class Credit:
    """A payment that was booked."""

    payment_hash: str
    amount_msat: int
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an account's history."""

    id: int
    account: str
    kind: str
    amount_msat: int
    payment_hash: str | None
    hold: str | None


@dataclass(frozen=True, slots=True)
class Hold:
    """One call as the ledger remembers it. Times are Unix seconds."""

    id: str
    account: str
    owner: str
    lease: str
    ceiling_msat: int
    request_id: str
    model: str
    opened_at: float
    left_at: float | None
    ended_at: float | None
    lapsed: bool
    """Its lease ended before it did; a settlement may have followed."""
    ending: str | None
    charge_msat: int
    shortfall_msat: int

    @property
    def due_msat(self) -> int:
        """What it owed: a settlement that came after a lapse may have found less."""
        return self.charge_msat + self.shortfall_msat


@dataclass(frozen=True, slots=True)
class Account:
    """A balance."""

    id: str
    balance_msat: int
    held_msat: int


@dataclass(frozen=True, slots=True)
class Books:
    """The whole ledger, and what its own audit found."""

    credits: list[Credit]
    entries: list[Entry]
    holds: list[Hold]
    accounts: list[Account]
    differences: list[str] = field(default_factory=list[str])


def of_sqlite(file: Path) -> Books:
    """One snapshot of an embedded ledger; a server may run on it."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")
        return of_rows(*(db.execute(query).fetchall() for query in (CREDITS, ENTRIES, HOLDS, ACCOUNTS)))


def of_rows(credited: list[Any], entries: list[Any], holds: list[Any], accounts: list[Any]) -> Books:
    """From the rows of the four queries above."""
    return Books(
        credits=[Credit(_hex(name), amount, bool(confirmed)) for name, amount, confirmed in credited],
        entries=[
            Entry(number, account, kind, amount, None if name is None else _hex(name), hold)
            for number, account, kind, amount, name, hold in entries
        ],
        holds=[_hold(row) for row in holds],
        accounts=[Account(*row) for row in accounts],
    )


def _hold(row: Any) -> Hold:
    name, account, owner, lease, ceiling, request_id, model, opened, left, ended, *end = row
    lapsed, ending, charge, shortfall = end
    return Hold(
        id=str(name),
        account=str(account),
        owner=_hex(owner),
        lease=str(lease),
        ceiling_msat=ceiling,
        request_id=request_id,
        model=model,
        opened_at=opened / MICROS_PER_SECOND,
        left_at=None if left is None else left / MICROS_PER_SECOND,
        ended_at=None if ended is None else ended / MICROS_PER_SECOND,
        lapsed=bool(lapsed),
        ending=ending,
        charge_msat=charge or 0,
        shortfall_msat=shortfall or 0,
    )


def _hex(value: bytes) -> str:
    return bytes(value).hex()
