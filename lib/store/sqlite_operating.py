"""What an operator asks of a SQLite ledger and decides, as operations on one open transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib.core.money import Msat
from lib.store import operating_values as values
from lib.store import sqlite_credits, sqlite_owners
from lib.store.ledger import AccountUnknown, Gone, Owed, OwnerKind, Revoked

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from lib.store.operating import AccountStory, CallStory, Debt, Earned, Pause, PaymentStory

# A charge in dollars is msat × micros ÷ 100,000 picos, rounded down: in two parts, because the product of both can be
# more than 63 bits hold.
_EARNED = """
SELECT ended_at_us / 86400000000 AS day, api, path, model, count(*) AS calls,
    sum(charge_msat) AS charged_msat,
    sum(charge_msat * (btc_price_usd_micros / 100000) + charge_msat * (btc_price_usd_micros % 100000) / 100000)
        AS charged_usd_picos,
    sum(coalesce(upstream_cost_usd_picos, loss_usd_picos, 0)) AS upstream_cost_usd_picos,
    sum(charge_msat > 0 AND upstream_cost_usd_picos IS NULL) AS unpriced,
    sum(coalesce(clamped_msat, 0)) AS clamped_msat,
    sum(shortfall_msat) AS shortfall_msat,
    sum(coalesce(loss_usd_picos, 0)) AS loss_usd_picos
FROM holds WHERE ended_at_us >= ? AND ended_at_us < ?
GROUP BY day, api, path, model ORDER BY day, api, path, model
"""

_CALLS = """
SELECT holds.*, (SELECT max(expires_at_us) FROM kept_answers WHERE hold = holds.id) AS kept_until_us
FROM holds WHERE {} ORDER BY opened_at_us DESC, rowid DESC LIMIT ?
"""

# Whoever may spend an account is owed all of it, so one with payments under two keys counts under both.
_DEBTS = """
WITH debts AS (
    SELECT DISTINCT credits.key_id AS key_id, owners.account AS account
    FROM owners LEFT JOIN credits ON credits.payment_hash = owners.payment_hash
), keys AS (
    SELECT key_id FROM debts UNION SELECT key_id FROM topups WHERE closed_at_us IS NULL
)
SELECT keys.key_id,
    (SELECT count(*) FROM debts JOIN accounts ON accounts.id = debts.account
        WHERE debts.key_id IS keys.key_id AND balance_msat > 0) AS accounts,
    (SELECT coalesce(sum(balance_msat), 0) FROM debts JOIN accounts ON accounts.id = debts.account
        WHERE debts.key_id IS keys.key_id) AS balance_msat,
    (SELECT coalesce(sum(amount_msat), 0) FROM topups
        WHERE key_id IS keys.key_id AND closed_at_us IS NULL) AS open_invoices_msat
FROM keys ORDER BY keys.key_id IS NULL, keys.key_id
"""


def earned(db: sqlite3.Connection, since_us: int, until_us: int) -> Sequence[Earned]:
    """By day, endpoint and model."""
    return [values.earned(row) for row in _rows(db, _EARNED, since_us, until_us)]


def payment(db: sqlite3.Connection, payment_hash: bytes) -> PaymentStory:
    """The rows of three tables."""
    invoiced, credited, review = (
        next(iter(_rows(db, f"SELECT * FROM {table} WHERE payment_hash = ?", payment_hash)), None)  # noqa: S608 - our own names
        for table in ("topups", "credits", "reviews")
    )
    return values.payment(payment_hash, invoiced, credited, review)


def calls(db: sqlite3.Connection, request_id: str, limit: int) -> Sequence[CallStory]:
    """Reads all holds: no call pays for an index that operators use now and then."""
    return [values.call(row) for row in _rows(db, _CALLS.format("request_id = ?"), request_id, limit)]


def calls_of(db: sqlite3.Connection, account: str, limit: int) -> Sequence[CallStory]:
    """The same by account."""
    return [values.call(row) for row in _rows(db, _CALLS.format("account = ?"), account, limit)]


def account(db: sqlite3.Connection, name: str) -> AccountStory | None:
    """With all that belongs to it."""
    found = _rows(db, "SELECT * FROM accounts WHERE id = ?", name)
    if not found:
        return None
    payments = _rows(
        db, "SELECT payment_hash, denied_at_us FROM credits WHERE account = ? ORDER BY credited_at_us, rowid", name
    )
    (kept,) = db.execute(
        "SELECT count(*) FROM kept_answers JOIN holds ON holds.id = kept_answers.hold WHERE holds.account = ?", (name,)
    ).fetchone()
    return values.account(
        {
            **found[0],
            "owners": _rows(db, "SELECT * FROM owners WHERE account = ? ORDER BY created_at_us, digest", name),
            "payments": payments,
            "denied": sum(row["denied_at_us"] is not None for row in payments),
            "handovers": _rows(db, "SELECT * FROM handovers WHERE account = ? ORDER BY at_us", name),
            "freezes": _rows(db, "SELECT * FROM freezes WHERE account = ? ORDER BY id", name),
            "kept_answers": kept,
        }
    )


def debts(db: sqlite3.Connection) -> Sequence[Debt]:
    """Per root key, tokens last."""
    return [values.debt(row) for row in _rows(db, _DEBTS)]


def freeze(db: sqlite3.Connection, name: str, reason: str) -> bool:
    """Once at a time."""
    _require_account(db, name)
    cursor = db.execute(
        "INSERT INTO freezes (account, reason, at_us) VALUES (?, ?, now_us()) ON CONFLICT DO NOTHING", (name, reason)
    )
    db.execute("UPDATE accounts SET frozen = 1 WHERE id = ?", (name,))
    return cursor.rowcount == 1


def unfreeze(db: sqlite3.Connection, name: str) -> bool:
    """Only the operator's own freeze."""
    _require_account(db, name)
    ended = db.execute(
        "UPDATE freezes SET ended_at_us = now_us() WHERE account = ? AND ended_at_us IS NULL", (name,)
    ).rowcount
    sqlite_credits.refresh_frozen(db, name)
    return ended == 1


def revoke_account(db: sqlite3.Connection, op_id: str, name: str) -> Revoked | Owed | Gone:
    """A payment's credential cannot be taken away: it is proven by what its holder knows."""
    if sqlite_owners.was_handed_over(db, op_id):
        return Revoked()
    balance_msat, held_msat = _require_account(db, name)
    query = "SELECT 1 FROM owners WHERE account = ? AND kind = ?"
    if db.execute(query, (name, OwnerKind.TOKEN)).fetchone() is None:
        return Gone()
    if balance_msat or held_msat:
        return Owed(Msat(balance_msat), Msat(held_msat))
    sqlite_owners.give_up(db, op_id, name)
    return Revoked()


def pause(db: sqlite3.Connection, api: str, model: str | None, reason: str) -> bool:
    """Once at a time."""
    cursor = db.execute(
        "INSERT INTO pauses (api, model, reason, at_us) VALUES (?, ?, ?, now_us()) ON CONFLICT DO NOTHING",
        (api, model or "", reason),
    )
    return cursor.rowcount == 1


def resume(db: sqlite3.Connection, api: str, model: str | None) -> bool:
    """Exactly this one."""
    cursor = db.execute(
        "UPDATE pauses SET ended_at_us = now_us() WHERE api = ? AND model = ? AND ended_at_us IS NULL",
        (api, model or ""),
    )
    return cursor.rowcount == 1


def pauses(db: sqlite3.Connection) -> Sequence[Pause]:
    """Oldest first."""
    return [values.pause(row) for row in _rows(db, "SELECT * FROM pauses WHERE ended_at_us IS NULL ORDER BY id")]


def _require_account(db: sqlite3.Connection, name: str) -> tuple[int, int]:
    """Balance and held."""
    row = db.execute("SELECT balance_msat, held_msat FROM accounts WHERE id = ?", (name,)).fetchone()
    if row is None:
        raise AccountUnknown(name)
    return row


def _rows(db: sqlite3.Connection, query: str, *arguments: object) -> list[dict[str, Any]]:
    """By the names of their columns."""
    cursor = db.execute(query, arguments)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
