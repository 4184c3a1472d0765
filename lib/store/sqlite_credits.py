"""Payments into accounts, as operations on one open SQLite transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.core.money import Msat
from lib.store.ledger import AskNodeFirst, CreditUnknown, EntryKind, Owner, OwnerKind, PaymentKind

if TYPE_CHECKING:
    import sqlite3

    from lib.store.ledger import Payment, UnconfirmedLimits


def book(db: sqlite3.Connection, payment: Payment, limits: UnconfirmedLimits, new_account: str) -> AskNodeFirst | None:
    """Credit the payment unless that was done before. `new_account` is the id to use if one must be opened."""
    if db.execute("SELECT 1 FROM credits WHERE payment_hash = ?", (payment.payment_hash,)).fetchone():
        return None
    if not payment.confirmed and _too_much_on_trust(db, payment.amount, limits):
        return AskNodeFirst()
    account = _home(db, payment)
    if account is None:
        account = _open_account(db, new_account)
        _add_owner(db, payment, account)
    elif payment.kind is not PaymentKind.REFILL:
        _add_owner(db, payment, account)
    _write_credit(db, payment, account)
    return None


def confirm(db: sqlite3.Connection, payment_hash: bytes, received: Msat) -> None:
    """The node said paid, and how much arrived. Only the first such word books an overpayment."""
    row = db.execute(
        "SELECT account, amount_msat, received_msat FROM credits WHERE payment_hash = ?", (payment_hash,)
    ).fetchone()
    if row is None:
        raise CreditUnknown(payment_hash.hex())
    account, amount_msat, told_msat = row
    if told_msat is not None:
        return
    db.execute(
        "UPDATE credits SET confirmed_at_us = coalesce(confirmed_at_us, now_us()), received_msat = ?,"
        " denied_at_us = NULL, denied_reason = NULL WHERE payment_hash = ?",
        (received.value, payment_hash),
    )
    db.execute(
        "UPDATE accounts SET frozen = EXISTS (SELECT 1 FROM credits WHERE account = accounts.id"
        " AND confirmed_at_us IS NULL AND denied_at_us IS NOT NULL) WHERE id = ?",
        (account,),
    )
    if received.value > amount_msat:
        _add(db, account, EntryKind.OVER, received - Msat(amount_msat), payment_hash)


def deny(db: sqlite3.Connection, payment_hash: bytes, reason: str) -> None:
    """The node clearly said not paid: freeze. A yes it once gave stands, because Lightning takes nothing back."""
    if db.execute("SELECT 1 FROM credits WHERE payment_hash = ?", (payment_hash,)).fetchone() is None:
        raise CreditUnknown(payment_hash.hex())
    db.execute(
        "UPDATE credits SET denied_at_us = now_us(), denied_reason = ?"
        " WHERE payment_hash = ? AND confirmed_at_us IS NULL AND denied_at_us IS NULL",
        (reason, payment_hash),
    )
    db.execute(
        "UPDATE accounts SET frozen = 1 WHERE frozen = 0 AND id ="
        " (SELECT account FROM credits WHERE payment_hash = ? AND denied_at_us IS NOT NULL)",
        (payment_hash,),
    )


def _too_much_on_trust(db: sqlite3.Connection, amount: Msat, limits: UnconfirmedLimits) -> bool:
    """Denied credits count too: whoever meets a denial has reason to ask the node from then on."""
    if amount > limits.per_payment:
        return True
    (unconfirmed_msat,) = db.execute(
        "SELECT coalesce(sum(amount_msat), 0) FROM credits WHERE confirmed_at_us IS NULL"
    ).fetchone()
    return Msat(unconfirmed_msat) + amount > limits.in_all


def _home(db: sqlite3.Connection, payment: Payment) -> str | None:
    """The account that a first credit belongs to; None if it must open its own.

    A refill of an account that nobody owns any more would strand there: it opens its own as well.
    """
    if payment.kind is PaymentKind.REFILL:
        row = db.execute("SELECT account FROM owners WHERE account = ? LIMIT 1", (payment.account,)).fetchone()
    elif payment.carry is not None:
        row = db.execute(
            "SELECT account FROM owners WHERE kind = ? AND digest = ?",
            (OwnerKind.PAYMENT, Owner.of_payment(payment.carry).digest),
        ).fetchone()
    else:
        row = None
    return None if row is None else row[0]


def _open_account(db: sqlite3.Connection, account: str) -> str:
    db.execute("INSERT INTO accounts (id, opened_at_us) VALUES (?, now_us())", (account,))
    return account


def _add_owner(db: sqlite3.Connection, payment: Payment, account: str) -> None:
    owner = Owner.of_payment(payment.payment_hash)
    db.execute(
        "INSERT INTO owners (kind, digest, account, created_at_us) VALUES (?, ?, ?, now_us())",
        (owner.kind, owner.digest, account),
    )


def _write_credit(db: sqlite3.Connection, payment: Payment, account: str) -> None:
    db.execute(
        "INSERT INTO credits (payment_hash, kind, amount_msat, account, key_id, credited_at_us, confirmed_at_us)"
        " VALUES (?, ?, ?, ?, ?, now_us(), CASE WHEN ? THEN now_us() END)",
        (payment.payment_hash, payment.kind, payment.amount.value, account, payment.key_id, payment.confirmed),
    )
    _add(db, account, EntryKind.CREDIT, payment.amount, payment.payment_hash)


def _add(db: sqlite3.Connection, account: str, kind: EntryKind, amount: Msat, payment_hash: bytes) -> None:
    (balance_msat,) = db.execute(
        "UPDATE accounts SET balance_msat = balance_msat + ? WHERE id = ? RETURNING balance_msat",
        (amount.value, account),
    ).fetchone()
    db.execute(
        "INSERT INTO entries (account, at_us, kind, amount_msat, balance_msat, payment_hash)"
        " VALUES (?, now_us(), ?, ?, ?, ?)",
        (account, kind, amount.value, balance_msat, payment_hash),
    )
