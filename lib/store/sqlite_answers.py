"""Answers kept for their owners, as operations on one open SQLite transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.core.money import Msat
from lib.store.ledger import Kept, KeyReused, StillRunning

if TYPE_CHECKING:
    import sqlite3

    from lib.store.ledger import Answer, HoldRequest, Owner, TokenAnswer

_MICROS_PER_SECOND = 1_000_000

_RUNNING = """
SELECT order_digest FROM holds
WHERE owner_kind = :kind AND owner_digest = :digest AND idempotency = :key AND ended_at_us IS NULL AND id <> :op_id
UNION ALL
SELECT order_digest FROM holds
WHERE owner_kind = :kind AND owner_digest = :digest AND order_digest = :order AND ended_at_us IS NULL
    AND left_at_us IS NOT NULL AND id <> :op_id
LIMIT 1
"""


def recalled(db: sqlite3.Connection, owner: Owner, request: HoldRequest) -> Kept | StillRunning | KeyReused | None:
    """What the owner asked for is answered already, or on its way; None if it must be bought."""
    order = request.call.order_digest
    kept = find(db, owner, request.answer_name, order)
    if kept is not None:
        return kept
    running = db.execute(
        _RUNNING,
        {
            "kind": owner.kind,
            "digest": owner.digest,
            "key": request.idempotency,
            "order": order,
            "op_id": request.op_id,
        },
    ).fetchone()
    if running is None:
        return None
    return StillRunning() if running[0] == order else KeyReused()


def find(db: sqlite3.Connection, owner: Owner, name: bytes, order_digest: bytes) -> Kept | KeyReused | None:
    """What is kept for the owner under this name, if its time is not over."""
    row = db.execute(
        "SELECT order_digest, sealed, balance_msat FROM kept_answers"
        " WHERE owner_kind = ? AND owner_digest = ? AND name = ? AND expires_at_us > now_us()",
        (owner.kind, owner.digest, name),
    ).fetchone()
    if row is None:
        return None
    first_order, sealed, balance_msat = row
    return Kept(sealed, _msat(balance_msat)) if first_order == order_digest else KeyReused()


def of_owner(db: sqlite3.Connection, owner: Owner, name: bytes, order_digest: bytes) -> Kept | KeyReused | None:
    """The same, if the owner has an account that is not frozen."""
    spendable = db.execute(
        "SELECT 1 FROM owners JOIN accounts ON accounts.id = owners.account"
        " WHERE kind = ? AND digest = ? AND frozen = 0",
        (owner.kind, owner.digest),
    ).fetchone()
    return find(db, owner, name, order_digest) if spendable else None


def keep_for_hold(db: sqlite3.Connection, hold_id: str, answer: Answer) -> None:
    """Keep the answer of a call, in place of an older one of its name."""
    db.execute(
        "INSERT OR REPLACE INTO kept_answers"
        " (owner_kind, owner_digest, name, order_digest, hold, sealed, kept_at_us, expires_at_us)"
        " SELECT owner_kind, owner_digest, coalesce(idempotency, order_digest), order_digest, id, ?,"
        " now_us(), now_us() + ? FROM holds WHERE id = ?",
        (answer.sealed, _micros(answer.keep_seconds), hold_id),
    )


def keep_token(db: sqlite3.Connection, owner: Owner, keep: TokenAnswer, balance: Msat) -> None:
    """Keep the answer of a claim or rotation."""
    db.execute(
        "INSERT OR REPLACE INTO kept_answers"
        " (owner_kind, owner_digest, name, order_digest, sealed, balance_msat, kept_at_us, expires_at_us)"
        " VALUES (?, ?, ?, ?, ?, ?, now_us(), now_us() + ?)",
        (
            *(owner.kind, owner.digest, keep.idempotency, keep.order_digest),
            *(keep.answer.sealed, balance.value, _micros(keep.answer.keep_seconds)),
        ),
    )


def drop(db: sqlite3.Connection, owner: Owner, name: bytes) -> None:
    """It was delivered."""
    db.execute(
        "DELETE FROM kept_answers WHERE owner_kind = ? AND owner_digest = ? AND name = ?",
        (owner.kind, owner.digest, name),
    )


def drop_expired(db: sqlite3.Connection) -> None:
    """Their time is over."""
    db.execute("DELETE FROM kept_answers WHERE expires_at_us <= now_us()")


def note_left(db: sqlite3.Connection, hold_id: str) -> None:
    """Only a call that still runs can be left."""
    db.execute(
        "UPDATE holds SET left_at_us = now_us() WHERE id = ? AND ended_at_us IS NULL AND left_at_us IS NULL",
        (hold_id,),
    )


def _msat(value: int | None) -> Msat | None:
    return None if value is None else Msat(value)


def _micros(seconds: float) -> int:
    return round(seconds * _MICROS_PER_SECOND)
