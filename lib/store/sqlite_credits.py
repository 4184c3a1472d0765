"""Payments into accounts, as operations on one open SQLite transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.core.money import Msat
from lib.store import sqlite_restored
from lib.store.ledger import (
    AccountUnknown,
    Adjusted,
    AskNodeFirst,
    CreditUnknown,
    EntryKind,
    Gone,
    Owner,
    OwnerKind,
    PaymentKind,
    TooMuch,
    UnderReview,
)

if TYPE_CHECKING:
    import sqlite3

    from lib.store.ledger import Payment, UnconfirmedLimits


def book_on_trust(
    db: sqlite3.Connection, payment: Payment, limits: UnconfirmedLimits, new_account: str
) -> AskNodeFirst | UnderReview | None:
    """Credit the payment unless that was done before, or is too much to do before the node was asked."""
    if not (payment.confirmed or _is_credited(db, payment.payment_hash)) and _too_much(db, payment.amount, limits):
        return AskNodeFirst()
    return book(db, payment, new_account)


def book(db: sqlite3.Connection, payment: Payment, new_account: str) -> UnderReview | None:
    """Credit the payment unless that was done before, or is for an operator to decide.

    `new_account` is the id to use if one must be opened. If the node said yes to it, that is noted, whether the credit
    is new or not.
    """
    if not _is_credited(db, payment.payment_hash):
        if sqlite_restored.must_be_reviewed(db, payment):
            return UnderReview()
        _credit(db, payment, new_account)
    if payment.confirmed:
        _say_yes(db, payment.payment_hash, payment.received)
    return None


def add_owner(db: sqlite3.Connection, payment_hash: bytes, account: str) -> None:
    """Let a credited payment's credential spend the account."""
    owner = Owner.of_payment(payment_hash)
    db.execute(
        "INSERT INTO owners (kind, digest, account, payment_hash, created_at_us) VALUES (?, ?, ?, ?, now_us())",
        (owner.kind, owner.digest, account, payment_hash),
    )


def confirm(db: sqlite3.Connection, payment_hash: bytes, received: Msat) -> None:
    """The node said paid, and how much arrived. Only the first such word books an overpayment."""
    _require_credit(db, payment_hash)
    _say_yes(db, payment_hash, received)


def _say_yes(db: sqlite3.Connection, payment_hash: bytes, received: Msat | None) -> None:
    account, amount_msat, told_msat, confirmed_at_us = db.execute(
        "SELECT account, amount_msat, received_msat, confirmed_at_us FROM credits WHERE payment_hash = ?",
        (payment_hash,),
    ).fetchone()
    if told_msat is not None or (received is None and confirmed_at_us is not None):
        return
    db.execute(
        "UPDATE credits SET confirmed_at_us = coalesce(confirmed_at_us, now_us()), received_msat = ?,"
        " denied_at_us = NULL, denied_reason = NULL WHERE payment_hash = ?",
        (None if received is None else received.value, payment_hash),
    )
    refresh_frozen(db, account)
    if received is not None and received.value > amount_msat:
        _add(db, account, EntryKind.OVER, received - Msat(amount_msat), payment_hash)
        _own_again(db, payment_hash, account)


def refresh_frozen(db: sqlite3.Connection, account: str) -> None:
    """An account is frozen while the node denies one of its payments, or while an operator stopped it."""
    db.execute(
        "UPDATE accounts SET frozen = EXISTS (SELECT 1 FROM credits WHERE account = accounts.id"
        " AND confirmed_at_us IS NULL AND denied_at_us IS NOT NULL)"
        " OR EXISTS (SELECT 1 FROM freezes WHERE account = accounts.id AND ended_at_us IS NULL) WHERE id = ?",
        (account,),
    )


def deny(db: sqlite3.Connection, payment_hash: bytes, reason: str) -> None:
    """The node clearly said not paid: freeze. A yes it once gave stands, because Lightning takes nothing back."""
    _require_credit(db, payment_hash)
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


def adjust(db: sqlite3.Connection, op_id: str, account: str, amount: Msat, reason: str) -> Adjusted | TooMuch | Gone:
    """An operator's entry. It never takes what is held, nor gives to an account that nobody owns."""
    first = db.execute("SELECT balance_msat FROM entries WHERE op_id = ?", (op_id,)).fetchone()
    if first is not None:
        return Adjusted(Msat(first[0]))
    row = db.execute("SELECT balance_msat, held_msat FROM accounts WHERE id = ?", (account,)).fetchone()
    if row is None:
        raise AccountUnknown(account)
    if not _is_owned(db, account):
        return Gone()
    changed = db.execute(
        "UPDATE accounts SET balance_msat = balance_msat + :amount"
        " WHERE id = :account AND balance_msat + :amount >= held_msat RETURNING balance_msat",
        {"amount": amount.value, "account": account},
    ).fetchone()
    if changed is None:
        return TooMuch(*map(Msat, row))
    db.execute(
        "INSERT INTO entries (account, at_us, kind, amount_msat, balance_msat, op_id, reason)"
        " VALUES (?, now_us(), ?, ?, ?, ?, ?)",
        (account, EntryKind.ADJUST, amount.value, changed[0], op_id, reason),
    )
    return Adjusted(Msat(changed[0]))


def _is_credited(db: sqlite3.Connection, payment_hash: bytes) -> bool:
    return db.execute("SELECT 1 FROM credits WHERE payment_hash = ?", (payment_hash,)).fetchone() is not None


def _require_credit(db: sqlite3.Connection, payment_hash: bytes) -> None:
    if not _is_credited(db, payment_hash):
        raise CreditUnknown(payment_hash.hex())


def _is_owned(db: sqlite3.Connection, account: str | None) -> bool:
    return db.execute("SELECT 1 FROM owners WHERE account = ?", (account,)).fetchone() is not None


def _own_again(db: sqlite3.Connection, payment_hash: bytes, account: str) -> None:
    """An overpayment told after its account was revoked would strand: its credential may spend and claim it."""
    if _is_owned(db, account):
        return
    add_owner(db, payment_hash, account)
    db.execute(
        "UPDATE credits SET claimed_by = NULL, claimed_at_us = NULL, claimed_bare = NULL WHERE payment_hash = ?",
        (payment_hash,),
    )


def _too_much(db: sqlite3.Connection, amount: Msat, limits: UnconfirmedLimits) -> bool:
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
        return payment.account if _is_owned(db, payment.account) else None
    if payment.carry is None:
        return None
    row = db.execute(
        "SELECT account FROM owners WHERE kind = ? AND digest = ?",
        (OwnerKind.PAYMENT, Owner.of_payment(payment.carry).digest),
    ).fetchone()
    return None if row is None else row[0]


def _credit(db: sqlite3.Connection, payment: Payment, new_account: str) -> None:
    home = _home(db, payment)
    if home is None:
        db.execute("INSERT INTO accounts (id, opened_at_us) VALUES (?, now_us())", (new_account,))
    account = home or new_account
    db.execute(
        "INSERT INTO credits (payment_hash, kind, amount_msat, account, key_id, credited_at_us, confirmed_at_us)"
        " VALUES (?, ?, ?, ?, ?, now_us(), CASE WHEN ? THEN now_us() END)",
        (payment.payment_hash, payment.kind, payment.amount.value, account, payment.key_id, payment.confirmed),
    )
    _add(db, account, EntryKind.CREDIT, payment.amount, payment.payment_hash)
    if home is None or payment.kind is not PaymentKind.REFILL:
        add_owner(db, payment.payment_hash, account)
    if home is not None and payment.carry is not None:
        # A carry is minted only for who proved the old credential: its bare preimage has lost its power by now.
        db.execute(
            "UPDATE credits SET macaroon_used_at_us = now_us() WHERE payment_hash = ? AND macaroon_used_at_us IS NULL",
            (payment.carry,),
        )


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
