"""What is read from a SQLite ledger without changing it."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lib.core.endings import Ending
from lib.core.money import BtcPrice, Msat, UsdPicos
from lib.store.ledger import (
    AccountStatus,
    Balance,
    CallFacts,
    CreditInDoubt,
    Entry,
    EntryKind,
    Losses,
    Owner,
    PaymentKind,
    Totals,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from lib.store.ledger import Payment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS_PER_SECOND = 1_000_000

_BALANCE = """
SELECT frozen, balance_msat, held_msat,
    EXISTS (SELECT 1 FROM credits WHERE account = accounts.id AND confirmed_at_us IS NULL)
FROM accounts WHERE id = ?
"""

_ENTRIES = """
SELECT entries.id, entries.at_us, entries.kind, entries.amount_msat, entries.balance_msat, entries.payment_hash,
    holds.id, holds.request_id, holds.api, holds.path, holds.model, holds.order_digest, holds.ending, holds.usage,
    entries.reason
FROM entries LEFT JOIN holds ON holds.id = entries.hold
WHERE entries.account = ? AND entries.id < ? ORDER BY entries.id DESC LIMIT ?
"""

_TOTALS = """
SELECT
    (SELECT count(*) FROM accounts),
    (SELECT coalesce(sum(amount_msat), 0) FROM entries WHERE kind IN ('credit', 'over')),
    (SELECT coalesce(-sum(amount_msat), 0) FROM entries WHERE kind = 'charge'),
    (SELECT coalesce(sum(balance_msat), 0) FROM accounts),
    (SELECT coalesce(sum(held_msat), 0) FROM accounts),
    (SELECT count(*) FROM holds WHERE ended_at_us IS NULL),
    (SELECT coalesce(sum(amount_msat), 0) FROM credits WHERE confirmed_at_us IS NULL AND denied_at_us IS NULL),
    (SELECT coalesce(sum(amount_msat), 0) FROM credits WHERE confirmed_at_us IS NULL AND denied_at_us IS NOT NULL),
    (SELECT coalesce(sum(max(0, denied.msat - accounts.balance_msat)), 0) FROM accounts JOIN (
        SELECT account, sum(amount_msat) AS msat FROM credits
        WHERE confirmed_at_us IS NULL AND denied_at_us IS NOT NULL GROUP BY account
    ) AS denied ON denied.account = accounts.id),
    (SELECT coalesce(sum(amount_msat), 0) FROM entries WHERE kind = 'adjust'),
    (SELECT coalesce(sum(balance_msat), 0) FROM accounts
        WHERE NOT EXISTS (SELECT 1 FROM owners WHERE owners.account = accounts.id)),
    (SELECT count(*) FROM credits),
    (SELECT count(*) FROM kept_answers)
"""

# Where upstream's cost is unknown the upper bound of the loss counts, and for an answer that was paid without its
# usage, or was running when its server died, the most that it could have cost its buyer.
_SPENT = """
SELECT coalesce(sum(coalesce(upstream_cost_usd_picos, loss_usd_picos,
    CASE WHEN ending IN ('unmetered', 'broken', 'cut', 'lapsed')
        THEN ceiling_msat * (btc_price_usd_micros / 100000) END)), 0)
FROM holds WHERE ended_at_us >= ?
"""

_NEWEST_ID = 2**63 - 1


def balance_of_owner(db: sqlite3.Connection, owner: Owner) -> Balance | None:
    """The account that the owner may spend."""
    row = db.execute("SELECT account FROM owners WHERE kind = ? AND digest = ?", (owner.kind, owner.digest)).fetchone()
    return None if row is None else _balance(db, row[0])


def balance_of_payment(db: sqlite3.Connection, payment: Payment) -> Balance | None:
    """The account of a credited payment: a refill's is where it was booked, because a refill owns nothing."""
    owned = balance_of_owner(db, Owner.of_payment(payment.payment_hash))
    if owned is not None or payment.kind is not PaymentKind.REFILL:
        return owned
    return balance_where_booked(db, payment.payment_hash)


def balance_where_booked(db: sqlite3.Connection, payment_hash: bytes) -> Balance:
    """The account that a credited payment was booked on, whoever owns that now."""
    (account,) = db.execute("SELECT account FROM credits WHERE payment_hash = ?", (payment_hash,)).fetchone()
    return _balance(db, account)


def _balance(db: sqlite3.Connection, account: str) -> Balance:
    frozen, balance_msat, held_msat, unconfirmed = db.execute(_BALANCE, (account,)).fetchone()
    status = AccountStatus.UNCONFIRMED if unconfirmed else AccountStatus.ACTIVE
    if frozen:
        status = AccountStatus.FROZEN
    return Balance(account, status, balance=Msat(balance_msat), held=Msat(held_msat))


def entries(db: sqlite3.Connection, account: str, before: int | None, limit: int) -> Sequence[Entry]:
    """Newest first."""
    rows = db.execute(_ENTRIES, (account, _NEWEST_ID if before is None else before, limit))
    return [_entry(row) for row in rows]


def _entry(row: tuple[Any, ...]) -> Entry:
    entry_id, at_us, kind, amount_msat, balance_msat, payment_hash, hold, *call, ending, usage, reason = row
    return Entry(
        id=entry_id,
        at=_moment(at_us),
        kind=EntryKind(kind),
        amount=Msat(amount_msat),
        balance=Msat(balance_msat),
        payment_hash=payment_hash,
        call=None if hold is None else CallFacts(*call),
        ending=None if ending is None else Ending(ending),
        usage=usage,
        reason=reason,
    )


def in_doubt(db: sqlite3.Connection, limit: int) -> Sequence[CreditInDoubt]:
    """Oldest first."""
    rows = db.execute(
        "SELECT payment_hash, amount_msat, account, credited_at_us, denied_at_us IS NOT NULL FROM credits"
        " WHERE confirmed_at_us IS NULL ORDER BY credited_at_us, rowid LIMIT ?",
        (limit,),
    )
    return [
        CreditInDoubt(payment_hash, Msat(amount_msat), account, _moment(at_us), denied=bool(denied))
        for payment_hash, amount_msat, account, at_us, denied in rows
    ]


def newest_confirmed(db: sqlite3.Connection) -> bytes | None:
    """The payment hash confirmed last."""
    row = db.execute(
        "SELECT payment_hash FROM credits WHERE confirmed_at_us IS NOT NULL"
        " ORDER BY confirmed_at_us DESC, rowid DESC LIMIT 1"
    ).fetchone()
    return None if row is None else row[0]


def totals(db: sqlite3.Connection) -> Totals:
    """Sums over everything."""
    row = db.execute(_TOTALS).fetchone()
    accounts, credited, charged, balance, held, live_holds, *others = row
    unconfirmed, denied, spent, adjusted, ownerless, payments, kept_answers = others
    return Totals(
        accounts=accounts,
        credited=Msat(credited),
        charged=Msat(charged),
        balance=Msat(balance),
        held=Msat(held),
        live_holds=live_holds,
        unconfirmed=Msat(unconfirmed),
        denied=Msat(denied),
        denied_spent=Msat(spent),
        adjusted=Msat(adjusted),
        ownerless=Msat(ownerless),
        payments=payments,
        kept_answers=kept_answers,
    )


def losses(db: sqlite3.Connection, within_seconds: float) -> Losses:
    """What calls cost, and each that nobody paid for in full."""
    since_us: int = db.execute("SELECT now_us() - ?", (round(within_seconds * _MICROS_PER_SECOND),)).fetchone()[0]
    (cost_picos,) = db.execute(_SPENT, (since_us,)).fetchone()
    by_account: defaultdict[str, UsdPicos] = defaultdict(lambda: UsdPicos.ZERO)
    by_model: defaultdict[tuple[str, str], UsdPicos] = defaultdict(lambda: UsdPicos.ZERO)
    for account, api, model, price, clamped_msat, loss_picos in db.execute(
        "SELECT account, api, model, btc_price_usd_micros, coalesce(clamped_msat, 0), coalesce(loss_usd_picos, 0)"
        " FROM holds WHERE ended_at_us >= ? AND (clamped_msat > 0 OR loss_usd_picos > 0)",
        (since_us,),
    ):
        lost = BtcPrice(price).picos_rounded_down(Msat(clamped_msat)) + UsdPicos(loss_picos)
        by_account[account] += lost
        by_model[api, model] += lost
    return Losses(UsdPicos(cost_picos), dict(by_account), dict(by_model))


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
