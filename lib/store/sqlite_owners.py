"""Who may spend an account, and how it changes hands, as operations on one open SQLite transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.core.money import Msat
from lib.store import sqlite_answers, sqlite_credits
from lib.store.ledger import (
    AlreadyClaimed,
    Claimed,
    ClaimKind,
    Frozen,
    Gone,
    InDoubt,
    NotClaimable,
    Owed,
    Owner,
    OwnerKind,
    PaymentKind,
    Revoked,
    Rotated,
)

if TYPE_CHECKING:
    import sqlite3

    from lib.store.ledger import ClaimOutcome, Payment, RotateOutcome, TokenAnswer

# Every payment that owned the account, and every one that the dying token had been claimed with.
_CLAIM_PAYMENTS = """
UPDATE credits SET claimed_by = :token, claimed_at_us = now_us(), claimed_bare = :bare
WHERE account = :account AND (
    payment_hash IN (SELECT payment_hash FROM owners WHERE account = :account AND kind = 'payment')
    OR claimed_by IN (SELECT digest FROM owners WHERE account = :account AND kind = 'token'))
"""


def claim_and_keep(
    db: sqlite3.Connection, op_id: str, payment: Payment, token: Owner, keep: TokenAnswer, *, new_account: str
) -> ClaimOutcome:
    """Claim by macaroon, or hear again what was answered to the same Idempotency-Key."""
    if (first := _first_result(db, op_id)) is not None:
        return Claimed(*first)
    owner = Owner.of_payment(payment.payment_hash)
    kept = sqlite_answers.find(db, owner, keep.idempotency, keep.order_digest)
    if kept is not None:
        return kept
    outcome = claim(db, op_id, payment, token, ClaimKind.MACAROON, new_account=new_account)
    if isinstance(outcome, Claimed):
        sqlite_answers.keep_token(db, owner, keep, outcome.balance)
    return outcome


def claim(
    db: sqlite3.Connection, op_id: str, payment: Payment, token: Owner, how: ClaimKind, *, new_account: str
) -> ClaimOutcome:
    """Credit if first seen; then the token takes the account, if this claim may have it."""
    if (first := _first_result(db, op_id)) is not None:
        return Claimed(*first)
    if not _claimable(db, payment, how):
        return NotClaimable()
    if (refusal := sqlite_credits.book(db, payment, new_account)) is not None:
        return refusal
    if how is ClaimKind.MACAROON:
        note_macaroon(db, payment.payment_hash)
    account, claimed_by, used_at_us, frozen = db.execute(
        "SELECT account, claimed_by, macaroon_used_at_us, frozen FROM credits"
        " JOIN accounts ON accounts.id = credits.account WHERE payment_hash = ?",
        (payment.payment_hash,),
    ).fetchone()
    if how is ClaimKind.BARE and (claimed_by or used_at_us):
        return AlreadyClaimed()
    if claimed_by is not None and not _never_used(db, claimed_by):
        return AlreadyClaimed()
    if claimed_by is None and not _owns(db, Owner.of_payment(payment.payment_hash)):
        return Gone()
    if frozen:
        return Frozen(account)
    if doubts := _doubts(db, account):
        return InDoubt(doubts)
    db.execute(_CLAIM_PAYMENTS, {"token": token.digest, "account": account, "bare": how is ClaimKind.BARE})
    return Claimed(*_hand_over(db, op_id, "claim", account, token, payment.payment_hash))


def rotate_and_keep(
    db: sqlite3.Connection, op_id: str, token: Owner, new_token: Owner, keep: TokenAnswer
) -> RotateOutcome:
    """Rotate, or hear again what was answered to the same Idempotency-Key: the old token owns nothing then."""
    if (first := _first_result(db, op_id)) is not None:
        return Rotated(*first)
    kept = sqlite_answers.find(db, token, keep.idempotency, keep.order_digest)
    if kept is not None:
        return kept
    outcome = rotate(db, op_id, token, new_token)
    if isinstance(outcome, Rotated):
        sqlite_answers.keep_token(db, token, keep, outcome.balance)
    return outcome


def rotate(db: sqlite3.Connection, op_id: str, token: Owner, new_token: Owner) -> Rotated | Frozen | Gone:
    """The new token takes the account."""
    if (first := _first_result(db, op_id)) is not None:
        return Rotated(*first)
    row = _account_of(db, token)
    if row is None:
        return Gone()
    note_use(db, token)
    account, frozen, _, _ = row
    if frozen:
        return Frozen(account)
    return Rotated(*_hand_over(db, op_id, "rotate", account, new_token, None))


def revoke(db: sqlite3.Connection, op_id: str, token: Owner) -> Revoked | Owed | Gone:
    """Nobody takes the account, which must be empty."""
    if _first_result(db, op_id) is not None:
        return Revoked()
    row = _account_of(db, token)
    if row is None:
        return Gone()
    note_use(db, token)
    account, _, balance_msat, held_msat = row
    if balance_msat or held_msat:
        return Owed(Msat(balance_msat), Msat(held_msat))
    _hand_over(db, op_id, "revoke", account, None, None)
    return Revoked()


def was_handed_over(db: sqlite3.Connection, op_id: str) -> bool:
    """This very operation was done before."""
    return _first_result(db, op_id) is not None


def give_up(db: sqlite3.Connection, op_id: str, account: str) -> None:
    """Nobody owns the account, which is empty, any more."""
    _hand_over(db, op_id, "revoke", account, None, None)


def note_use(db: sqlite3.Connection, owner: Owner) -> None:
    """A token that was used has arrived: the claim that made it is not repeated any more."""
    db.execute(
        "UPDATE owners SET first_used_at_us = now_us() WHERE kind = ? AND digest = ? AND first_used_at_us IS NULL",
        (owner.kind, owner.digest),
    )


def note_macaroon(db: sqlite3.Connection, payment_hash: bytes) -> None:
    """The payment's macaroon was presented. The first time, it undoes a claim by the bare preimage."""
    account, used_at_us, claimed_bare = db.execute(
        "SELECT account, macaroon_used_at_us, claimed_bare FROM credits WHERE payment_hash = ?", (payment_hash,)
    ).fetchone()
    if used_at_us is not None:
        return
    if claimed_bare:
        db.execute("DELETE FROM owners WHERE account = ?", (account,))
        sqlite_credits.add_owner(db, payment_hash, account)
        db.execute(
            "UPDATE credits SET claimed_by = NULL, claimed_at_us = NULL, claimed_bare = NULL WHERE payment_hash = ?",
            (payment_hash,),
        )
    db.execute("UPDATE credits SET macaroon_used_at_us = now_us() WHERE payment_hash = ?", (payment_hash,))


def _claimable(db: sqlite3.Connection, payment: Payment, how: ClaimKind) -> bool:
    """A bare preimage claims written-down top-ups; a refill is claimed only where it had to open its own account."""
    if how is ClaimKind.BARE:
        query = "SELECT 1 FROM topups WHERE payment_hash = ? AND kind = 'topup' AND amount_msat = ?"
        return db.execute(query, (payment.payment_hash, payment.amount.value)).fetchone() is not None
    if payment.kind is not PaymentKind.REFILL or _owns(db, Owner.of_payment(payment.payment_hash)):
        return True
    query = "SELECT 1 FROM credits WHERE payment_hash = ? AND claimed_by IS NOT NULL"
    return db.execute(query, (payment.payment_hash,)).fetchone() is not None


def _owns(db: sqlite3.Connection, owner: Owner) -> bool:
    query = "SELECT 1 FROM owners WHERE kind = ? AND digest = ?"
    return db.execute(query, (owner.kind, owner.digest)).fetchone() is not None


def _never_used(db: sqlite3.Connection, token_digest: bytes) -> bool:
    """True while the token still owns its account and nobody has used it."""
    query = "SELECT 1 FROM owners WHERE kind = ? AND digest = ? AND first_used_at_us IS NULL"
    return db.execute(query, (OwnerKind.TOKEN, token_digest)).fetchone() is not None


def _doubts(db: sqlite3.Connection, account: str) -> tuple[bytes, ...]:
    rows = db.execute(
        "SELECT payment_hash FROM credits WHERE account = ? AND confirmed_at_us IS NULL ORDER BY credited_at_us, rowid",
        (account,),
    )
    return tuple(payment_hash for (payment_hash,) in rows)


def _account_of(db: sqlite3.Connection, owner: Owner) -> tuple[str, int, int, int] | None:
    return db.execute(
        "SELECT id, frozen, balance_msat, held_msat FROM accounts"
        " WHERE id = (SELECT account FROM owners WHERE kind = ? AND digest = ?)",
        (owner.kind, owner.digest),
    ).fetchone()


def _first_result(db: sqlite3.Connection, op_id: str) -> tuple[str, Msat, Msat] | None:
    row = db.execute("SELECT account, balance_msat, held_msat FROM handovers WHERE op_id = ?", (op_id,)).fetchone()
    return None if row is None else (row[0], Msat(row[1]), Msat(row[2]))


def _hand_over(
    db: sqlite3.Connection, op_id: str, kind: str, account: str, token: Owner | None, payment_hash: bytes | None
) -> tuple[str, Msat, Msat]:
    """Replace all owners, and write it down."""
    db.execute("DELETE FROM owners WHERE account = ?", (account,))
    if token is not None:
        db.execute(
            "INSERT INTO owners (kind, digest, account, created_at_us) VALUES (?, ?, ?, now_us())",
            (token.kind, token.digest, account),
        )
    balance_msat, held_msat = db.execute(
        "INSERT INTO handovers (op_id, kind, account, payment_hash, at_us, balance_msat, held_msat)"
        " SELECT ?, ?, id, ?, now_us(), balance_msat, held_msat FROM accounts WHERE id = ?"
        " RETURNING balance_msat, held_msat",
        (op_id, kind, payment_hash, account),
    ).fetchone()
    return account, Msat(balance_msat), Msat(held_msat)
