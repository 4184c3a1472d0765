"""What becomes of payments after a backup was restored, as operations on one open SQLite transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lib.core.money import Msat
from lib.store.ledger import PaymentKind, Position, Restored, Review

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from lib.store.ledger import Payment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS_PER_SECOND = 1_000_000


def position(db: sqlite3.Connection) -> Position:
    """How far the ledger has got."""
    ledger_id, generation, newest = db.execute(
        "SELECT ledger_id, generation, (SELECT coalesce(max(id), 0) FROM entries) FROM meta"
    ).fetchone()
    return Position(ledger_id, generation, newest)


def accept(db: sqlite3.Connection, choice: Restored) -> Position:
    """What was quoted before now is treated as chosen."""
    db.execute(
        "UPDATE meta SET generation = generation + 1, credits_after_us = now_us(), restored = ?",
        (choice,),
    )
    return position(db)


def must_be_reviewed(db: sqlite3.Connection, payment: Payment) -> bool:
    """Of a payment that was never credited here: whether an operator decides about it, who then finds it listed."""
    (after_us,) = db.execute("SELECT CASE WHEN restored = 'review' THEN credits_after_us END FROM meta").fetchone()
    if after_us is None or not _quoted_before(db, payment, after_us) or is_approved(db, payment.payment_hash):
        return False
    db.execute(
        "INSERT INTO reviews (payment_hash, amount_msat, asked_at_us) VALUES (?, ?, now_us()) ON CONFLICT DO NOTHING",
        (payment.payment_hash, payment.amount.value),
    )
    return True


def _quoted_before(db: sqlite3.Connection, payment: Payment, after_us: int) -> bool:
    """A call's macaroon tells when it was quoted; a top-up was written down, unless its row was lost."""
    if payment.kind is PaymentKind.CALL:
        return payment.quoted_at is None or payment.quoted_at < after_us / _MICROS_PER_SECOND
    row = db.execute("SELECT opened_at_us FROM topups WHERE payment_hash = ?", (payment.payment_hash,)).fetchone()
    return row is None or row[0] < after_us


def is_approved(db: sqlite3.Connection, payment_hash: bytes) -> bool:
    """An operator said yes."""
    query = "SELECT 1 FROM reviews WHERE payment_hash = ? AND approved_at_us IS NOT NULL"
    return db.execute(query, (payment_hash,)).fetchone() is not None


def reviews(db: sqlite3.Connection, limit: int) -> Sequence[Review]:
    """Oldest first."""
    rows = db.execute(
        "SELECT payment_hash, amount_msat, asked_at_us, approved_at_us IS NOT NULL FROM reviews"
        " ORDER BY asked_at_us, rowid LIMIT ?",
        (limit,),
    )
    return [
        Review(payment_hash, Msat(amount_msat), _EPOCH + timedelta(microseconds=asked_at_us), approved=bool(approved))
        for payment_hash, amount_msat, asked_at_us, approved in rows
    ]


def approve(db: sqlite3.Connection, payment_hash: bytes) -> bool:
    """Let it be credited when its credential comes again."""
    cursor = db.execute(
        "UPDATE reviews SET approved_at_us = coalesce(approved_at_us, now_us()) WHERE payment_hash = ?",
        (payment_hash,),
    )
    return cursor.rowcount == 1
