"""Leases, holds and their ends, as operations on one open SQLite transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.core.endings import Ending
from lib.core.money import BtcPrice, Msat
from lib.store import sqlite_answers, sqlite_credits, sqlite_owners
from lib.store.ledger import (
    EntryKind,
    Frozen,
    Gone,
    Held,
    HoldEnded,
    HoldUnknown,
    Kept,
    KeyReused,
    LeaseExpired,
    Owner,
    Quote,
    Settled,
    Short,
    StillRunning,
)

if TYPE_CHECKING:
    import sqlite3

    from lib.core.money import UsdPicos
    from lib.store.ledger import (
        HoldOutcome,
        HoldRequest,
        Payment,
        RedeemOutcome,
        Settlement,
        UnconfirmedLimits,
    )

_MICROS_PER_SECOND = 1_000_000

# One statement decides and reserves: who owns, what is free, whether the lease lives and whether this very hold was
# made before cannot change in between.
_RESERVE = """
UPDATE accounts SET held_msat = held_msat + :ceiling
WHERE id = (SELECT account FROM owners WHERE kind = :kind AND digest = :digest)
  AND frozen = 0 AND balance_msat - held_msat >= :ceiling
  AND EXISTS (SELECT 1 FROM leases WHERE id = :lease AND ended_at_us IS NULL)
  AND NOT EXISTS (SELECT 1 FROM holds WHERE id = :op_id)
RETURNING id, balance_msat, held_msat, (SELECT first_used_at_us FROM owners WHERE kind = :kind AND digest = :digest)
"""

_RECORD = """
INSERT INTO holds (id, account, owner_kind, owner_digest, payment_hash, lease, ceiling_msat, btc_price_usd_micros,
    idempotency, order_digest, request_id, api, path, model, opened_at_us, opened_balance_msat, opened_held_msat)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, now_us(), ?, ?)
"""

_END = """
UPDATE holds SET ended_at_us = now_us(), ending = ?, charge_msat = ?, shortfall_msat = ?, usage = ?,
    upstream_cost_usd_picos = ?, clamped_msat = ?, loss_usd_picos = ?, settle_op_id = ?,
    settled_balance_msat = ?, settled_held_msat = ?
WHERE id = ?
"""


def take_lease(db: sqlite3.Connection, lease: str) -> None:
    """Begin it. Asking again for one that lives renews it; for one that ended, raises LeaseExpired."""
    db.execute(
        "INSERT INTO leases (id, taken_at_us, renewed_at_us) VALUES (?, now_us(), now_us()) ON CONFLICT DO NOTHING",
        (lease,),
    )
    if not renew(db, lease):
        raise LeaseExpired(lease)


def renew(db: sqlite3.Connection, lease: str) -> bool:
    """True if it lived, and it lives on."""
    cursor = db.execute("UPDATE leases SET renewed_at_us = now_us() WHERE id = ? AND ended_at_us IS NULL", (lease,))
    return cursor.rowcount == 1


def end_lease(db: sqlite3.Connection, lease: str) -> None:
    """Give it back; what it still held lapses."""
    db.execute("UPDATE leases SET ended_at_us = now_us() WHERE id = ? AND ended_at_us IS NULL", (lease,))
    _lapse_holds_of_ended_leases(db)


def expire(db: sqlite3.Connection, stale_after_seconds: float) -> int:
    """End leases not renewed for so long; how many holds lapsed. Old kept answers go, too."""
    sqlite_answers.drop_expired(db)
    db.execute(
        "UPDATE leases SET ended_at_us = now_us() WHERE ended_at_us IS NULL AND renewed_at_us <= now_us() - ?",
        (round(stale_after_seconds * _MICROS_PER_SECOND),),
    )
    return _lapse_holds_of_ended_leases(db)


def expire_all(db: sqlite3.Connection) -> int:
    """End every lease, because every process that took one is dead; how many holds lapsed."""
    db.execute("UPDATE leases SET ended_at_us = now_us() WHERE ended_at_us IS NULL")
    return _lapse_holds_of_ended_leases(db)


def redeem_and_hold(
    db: sqlite3.Connection, payment: Payment, request: HoldRequest, limits: UnconfirmedLimits, new_account: str
) -> RedeemOutcome:
    """Credit once, then hold, under the pinned quote while that is unspent."""
    row = db.execute(
        "SELECT quote_spent FROM credits WHERE payment_hash = ? AND macaroon_used_at_us IS NOT NULL",
        (payment.payment_hash,),
    ).fetchone()
    if row is None or payment.confirmed:
        if (first := _first_result(db, request.op_id)) is not None:
            return first
        _require_lease(db, request.lease)
        if (refusal := sqlite_credits.book_on_trust(db, payment, limits, new_account)) is not None:
            return refusal
        sqlite_owners.note_macaroon(db, payment.payment_hash)
    spent = row is not None and row[0]
    quote = request.quote if spent or request.pinned is None else request.pinned
    return _reserve(db, Owner.of_payment(payment.payment_hash), request, quote, payment.payment_hash)


def hold(db: sqlite3.Connection, owner: Owner, request: HoldRequest) -> HoldOutcome:
    """Reserve the ceiling of the current quote."""
    return _reserve(db, owner, request, request.quote, None)


def settle(db: sqlite3.Connection, settlement: Settlement) -> Settled:
    """End the hold once, or return how this very settlement ended it before."""
    row = db.execute(
        "SELECT account, ceiling_msat, payment_hash, lapsed_at_us, settle_op_id, charge_msat, shortfall_msat,"
        " settled_balance_msat, settled_held_msat FROM holds WHERE id = ?",
        (settlement.hold_id,),
    ).fetchone()
    if row is None:
        raise HoldUnknown(settlement.hold_id)
    account, ceiling_msat, payment_hash, lapsed_at_us, settled_by, *first = row
    if settled_by == settlement.op_id:
        return Settled(*map(Msat, first))
    if settled_by is not None:
        raise HoldEnded(settlement.hold_id)
    if settlement.charge > Msat(ceiling_msat):
        raise ValueError("a charge never exceeds its hold's ceiling")
    if lapsed_at_us is None:
        settled = _debit(db, account, settlement.charge, release=Msat(ceiling_msat), shortfall=Msat.ZERO)
    else:
        settled = _debit_late(db, account, settlement.charge)
    _record_end(db, settlement, settled, account, payment_hash)
    return settled


def _first_result(db: sqlite3.Connection, op_id: str) -> Held | None:
    row = db.execute(
        "SELECT account, ceiling_msat, btc_price_usd_micros, opened_balance_msat, opened_held_msat"
        " FROM holds WHERE id = ?",
        (op_id,),
    ).fetchone()
    if row is None:
        return None
    account, ceiling_msat, btc_price, balance_msat, held_msat = row
    quote = Quote(Msat(ceiling_msat), BtcPrice(btc_price))
    return Held(op_id, account, quote, balance=Msat(balance_msat), held=Msat(held_msat))


def _require_lease(db: sqlite3.Connection, lease: str) -> None:
    """Asked before anything is written, so that a caller without a lease has changed nothing."""
    if db.execute("SELECT 1 FROM leases WHERE id = ? AND ended_at_us IS NULL", (lease,)).fetchone() is None:
        raise LeaseExpired(lease)


def _reserve(
    db: sqlite3.Connection, owner: Owner, request: HoldRequest, quote: Quote, payment_hash: bytes | None
) -> HoldOutcome:
    wanted = {
        "ceiling": quote.ceiling.value,
        "kind": owner.kind,
        "digest": owner.digest,
        "lease": request.lease,
        "op_id": request.op_id,
    }
    recalled = sqlite_answers.recalled(db, owner, request)
    row = None if recalled else db.execute(_RESERVE, wanted).fetchone()
    if row is None:
        return _instead(db, owner, request, quote, recalled)
    account, balance_msat, held_msat, used_at_us = row
    if used_at_us is None:
        sqlite_owners.note_use(db, owner)
    call = request.call
    db.execute(
        _RECORD,
        (
            *(request.op_id, account, owner.kind, owner.digest, payment_hash, request.lease),
            *(quote.ceiling.value, quote.btc_price.usd_micros, request.idempotency),
            *(call.order_digest, call.request_id, call.api, call.path, call.model, balance_msat, held_msat),
        ),
    )
    return Held(request.op_id, account, quote, balance=Msat(balance_msat), held=Msat(held_msat))


def _instead(
    db: sqlite3.Connection,
    owner: Owner,
    request: HoldRequest,
    quote: Quote,
    recalled: Kept | StillRunning | KeyReused | None,
) -> HoldOutcome:
    """Why nothing was reserved: it was before, or is answered, or the lease has ended, or the account says no."""
    if (first := _first_result(db, request.op_id)) is not None:
        return first
    if recalled is None:
        _require_lease(db, request.lease)
    row = db.execute(
        "SELECT id, balance_msat, held_msat, frozen FROM accounts"
        " WHERE id = (SELECT account FROM owners WHERE kind = ? AND digest = ?)",
        (owner.kind, owner.digest),
    ).fetchone()
    if row is None:
        return Gone()
    sqlite_owners.note_use(db, owner)
    account, balance_msat, held_msat, frozen = row
    if frozen:
        return Frozen(account)
    return recalled or Short(account, quote, balance=Msat(balance_msat), held=Msat(held_msat))


def _debit_late(db: sqlite3.Connection, account: str, asked: Msat) -> Settled:
    """The hold's money went back to the account before: take what is free of it now."""
    balance_msat, held_msat = db.execute(
        "SELECT balance_msat, held_msat FROM accounts WHERE id = ?", (account,)
    ).fetchone()
    charge = min(asked, Msat(balance_msat - held_msat))
    return _debit(db, account, charge, release=Msat.ZERO, shortfall=asked - charge)


def _debit(db: sqlite3.Connection, account: str, charge: Msat, *, release: Msat, shortfall: Msat) -> Settled:
    balance_msat, held_msat = db.execute(
        "UPDATE accounts SET balance_msat = balance_msat - ?, held_msat = held_msat - ? WHERE id = ?"
        " RETURNING balance_msat, held_msat",
        (charge.value, release.value, account),
    ).fetchone()
    return Settled(charge, shortfall, balance=Msat(balance_msat), held=Msat(held_msat))


def _record_end(
    db: sqlite3.Connection, settlement: Settlement, settled: Settled, account: str, payment_hash: bytes | None
) -> None:
    end = settlement
    db.execute(
        _END,
        (
            *(end.ending, settled.charge.value, settled.shortfall.value, end.usage),
            *(_value(end.upstream_cost), _value(end.clamped), _value(end.loss)),
            *(end.op_id, settled.balance.value, settled.held.value, end.hold_id),
        ),
    )
    if end.answer is not None:
        sqlite_answers.keep_for_hold(db, end.hold_id, end.answer)
    if not settled.charge:
        return
    db.execute(
        "INSERT INTO entries (account, at_us, kind, amount_msat, balance_msat, hold) VALUES (?, now_us(), ?, ?, ?, ?)",
        (account, EntryKind.CHARGE, -settled.charge.value, settled.balance.value, end.hold_id),
    )
    if payment_hash is not None:
        db.execute("UPDATE credits SET quote_spent = 1 WHERE payment_hash = ? AND quote_spent = 0", (payment_hash,))


def _value(amount: Msat | UsdPicos | None) -> int | None:
    return None if amount is None else amount.value


def _lapse_holds_of_ended_leases(db: sqlite3.Connection) -> int:
    lapsing = db.execute(
        "SELECT holds.id, holds.account, holds.ceiling_msat FROM holds JOIN leases ON leases.id = holds.lease"
        " WHERE holds.ended_at_us IS NULL AND leases.ended_at_us IS NOT NULL"
    ).fetchall()
    db.executemany(
        "UPDATE accounts SET held_msat = held_msat - ? WHERE id = ?",
        [(ceiling_msat, account) for _, account, ceiling_msat in lapsing],
    )
    db.executemany(
        "UPDATE holds SET ended_at_us = now_us(), lapsed_at_us = now_us(), ending = ?, charge_msat = 0 WHERE id = ?",
        [(Ending.LAPSED, hold_id) for hold_id, _, _ in lapsing],
    )
    return len(lapsing)
