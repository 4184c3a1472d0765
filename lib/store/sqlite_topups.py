"""Top-up and refill invoices, as operations on one open SQLite transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.core.money import Msat
from lib.store import sqlite_credits, sqlite_reads
from lib.store.ledger import (
    TOPUP_GRACE_SECONDS,
    AccountUnknown,
    Payment,
    PaymentKind,
    Topup,
    TopupState,
    TopupStatus,
    TopupUnknown,
    UnderReview,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from lib.store.ledger import Balance

_MICROS_PER_SECOND = 1_000_000


def open_topup(db: sqlite3.Connection, topup: Topup, expires_in_seconds: float) -> None:
    """Write it down, once. Whoever asks for a refill has the account's token in hand."""
    if topup.account is not None:
        if db.execute("SELECT 1 FROM accounts WHERE id = ?", (topup.account,)).fetchone() is None:
            raise AccountUnknown(topup.account)
        db.execute(
            "UPDATE owners SET first_used_at_us = now_us()"
            " WHERE account = ? AND kind = 'token' AND first_used_at_us IS NULL",
            (topup.account,),
        )
    db.execute(
        "INSERT INTO topups (payment_hash, kind, amount_msat, account, key_id, opened_at_us, expires_at_us,"
        " closed_at_us) VALUES (:hash, :kind, :amount, :account, :key, now_us(), now_us() + :expires,"
        " (SELECT credited_at_us FROM credits WHERE payment_hash = :hash)) ON CONFLICT DO NOTHING",
        {
            "hash": topup.payment_hash,
            "kind": topup.kind,
            "amount": topup.amount.value,
            "account": topup.account,
            "key": topup.key_id,
            "expires": round(expires_in_seconds * _MICROS_PER_SECOND),
        },
    )


def credit_topup(
    db: sqlite3.Connection, payment_hash: bytes, received: Msat, new_account: str
) -> Balance | UnderReview:
    """What was written down is credited as the node says; its macaroon stays unused."""
    found = find_topup(db, payment_hash)
    if found is None:
        raise TopupUnknown(payment_hash.hex())
    topup = found.topup
    payment = Payment(
        payment_hash,
        topup.kind,
        topup.amount,
        topup.key_id,
        account=topup.account,
        confirmed=True,
        received=received,
    )
    refusal = sqlite_credits.book(db, payment, new_account)
    return refusal or sqlite_reads.balance_where_booked(db, payment_hash)


def open_topups(db: sqlite3.Connection, limit: int) -> Sequence[Topup]:
    """Oldest first."""
    rows = db.execute(
        "SELECT payment_hash, kind, amount_msat, key_id, account FROM topups"
        " WHERE closed_at_us IS NULL ORDER BY opened_at_us, rowid LIMIT ?",
        (limit,),
    )
    return [_topup(*row) for row in rows]


def close_topup(db: sqlite3.Connection, payment_hash: bytes) -> None:
    """Only when no payment can be on its way any more."""
    if find_topup(db, payment_hash) is None:
        raise TopupUnknown(payment_hash.hex())
    db.execute(
        "UPDATE topups SET closed_at_us = now_us()"
        " WHERE payment_hash = ? AND closed_at_us IS NULL AND expires_at_us < now_us() - ?",
        (payment_hash, round(TOPUP_GRACE_SECONDS * _MICROS_PER_SECOND)),
    )


def find_topup(db: sqlite3.Connection, payment_hash: bytes) -> TopupStatus | None:
    """However old it is."""
    row = db.execute(
        "SELECT topups.payment_hash, topups.kind, topups.amount_msat, topups.key_id, topups.account,"
        " credits.payment_hash IS NOT NULL, credits.claimed_by IS NOT NULL, max(0, expires_at_us - now_us())"
        " FROM topups LEFT JOIN credits ON credits.payment_hash = topups.payment_hash WHERE topups.payment_hash = ?",
        (payment_hash,),
    ).fetchone()
    if row is None:
        return None
    *facts, credited, claimed, left_us = row
    state = TopupState.OPEN
    if credited:
        state = TopupState.CLAIMED if claimed else TopupState.CREDITED
    return TopupStatus(_topup(*facts), state, left_us // _MICROS_PER_SECOND)


def _topup(payment_hash: bytes, kind: str, amount_msat: int, key_id: str, account: str | None) -> Topup:
    return Topup(payment_hash, PaymentKind(kind), Msat(amount_msat), key_id, account)
