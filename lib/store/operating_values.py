"""What a database tells an operator, as the port's values. Rows of SQLite and JSON of PostgreSQL have the same names.

Bytes come as they are, or as hex; moments in microseconds; days counted from 1970-01-01.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

from lib.core.endings import Ending
from lib.core.money import BtcPrice, Msat, UsdPicos
from lib.store.ledger import OwnerKind, PaymentKind, Review
from lib.store.operating import (
    AccountStory,
    CallStory,
    Credited,
    Debt,
    Earned,
    Freeze,
    Handover,
    Invoiced,
    OwnerFact,
    Pause,
    PaymentStory,
)

Facts: TypeAlias = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)


def micros(moment: datetime) -> int:
    """As the database counts moments."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def earned(told: Facts) -> Earned:
    """One day, endpoint and model."""
    return Earned(
        day=_EPOCH_DAY + timedelta(days=told["day"]),
        api=told["api"],
        path=told["path"],
        model=told["model"],
        calls=told["calls"],
        charged=Msat(told["charged_msat"]),
        charged_usd=UsdPicos(told["charged_usd_picos"]),
        upstream_cost=UsdPicos(told["upstream_cost_usd_picos"]),
        unpriced=told["unpriced"],
        clamped=Msat(told["clamped_msat"]),
        shortfall=Msat(told["shortfall_msat"]),
        loss=UsdPicos(told["loss_usd_picos"]),
    )


def payment(
    payment_hash: bytes, topup_row: Facts | None, credit_row: Facts | None, review_row: Facts | None
) -> PaymentStory:
    """All rows that name one payment."""
    return PaymentStory(
        payment_hash,
        None if topup_row is None else _invoiced(topup_row),
        None if credit_row is None else _credited(credit_row),
        None if review_row is None else _review(review_row),
    )


def _invoiced(told: Facts) -> Invoiced:
    return Invoiced(
        kind=PaymentKind(told["kind"]),
        amount=Msat(told["amount_msat"]),
        account=told["account"],
        key_id=told["key_id"],
        opened_at=moment(told["opened_at_us"]),
        expires_at=moment(told["expires_at_us"]),
        closed_at=_moment(told["closed_at_us"]),
    )


def _credited(told: Facts) -> Credited:
    return Credited(
        kind=PaymentKind(told["kind"]),
        amount=Msat(told["amount_msat"]),
        account=told["account"],
        key_id=told["key_id"],
        credited_at=moment(told["credited_at_us"]),
        confirmed_at=_moment(told["confirmed_at_us"]),
        received=_msat(told["received_msat"]),
        denied_at=_moment(told["denied_at_us"]),
        denied_reason=told["denied_reason"],
        quote_spent=bool(told["quote_spent"]),
        macaroon_used_at=_moment(told["macaroon_used_at_us"]),
        claimed_at=_moment(told["claimed_at_us"]),
        claimed_bare=None if told["claimed_bare"] is None else bool(told["claimed_bare"]),
    )


def _review(told: Facts) -> Review:
    approved = told["approved_at_us"] is not None
    return Review(_bytes(told["payment_hash"]), Msat(told["amount_msat"]), moment(told["asked_at_us"]), approved)


def call(told: Facts) -> CallStory:
    """One hold."""
    return CallStory(
        hold_id=told["id"],
        request_id=told["request_id"],
        account=told["account"],
        owner=OwnerKind(told["owner_kind"]),
        payment_hash=_optional_bytes(told["payment_hash"]),
        api=told["api"],
        path=told["path"],
        model=told["model"],
        lease=told["lease"],
        ceiling=Msat(told["ceiling_msat"]),
        btc_price=BtcPrice(told["btc_price_usd_micros"]),
        opened_at=moment(told["opened_at_us"]),
        left_at=_moment(told["left_at_us"]),
        ended_at=_moment(told["ended_at_us"]),
        lapsed_at=_moment(told["lapsed_at_us"]),
        ending=None if told["ending"] is None else Ending(told["ending"]),
        charge=_msat(told["charge_msat"]),
        shortfall=Msat(told["shortfall_msat"]),
        usage=told["usage"],
        upstream_cost=_picos(told["upstream_cost_usd_picos"]),
        clamped=_msat(told["clamped_msat"]),
        loss=_picos(told["loss_usd_picos"]),
        kept_until=_moment(told["kept_until_us"]),
    )


def account(told: Facts) -> AccountStory:
    """An account with all that belongs to it."""
    return AccountStory(
        account=told["id"],
        balance=Msat(told["balance_msat"]),
        held=Msat(told["held_msat"]),
        frozen=bool(told["frozen"]),
        opened_at=moment(told["opened_at_us"]),
        owners=tuple(_owner(row) for row in told["owners"]),
        payments=tuple(_bytes(row["payment_hash"]) for row in told["payments"]),
        denied=told["denied"],
        handovers=tuple(_handover(row) for row in told["handovers"]),
        freezes=tuple(_freeze(row) for row in told["freezes"]),
        kept_answers=told["kept_answers"],
    )


def _owner(told: Facts) -> OwnerFact:
    payment_hash = _optional_bytes(told["payment_hash"])
    first_used_at = _moment(told["first_used_at_us"])
    return OwnerFact(OwnerKind(told["kind"]), payment_hash, moment(told["created_at_us"]), first_used_at)


def _handover(told: Facts) -> Handover:
    payment_hash = _optional_bytes(told["payment_hash"])
    return Handover(told["kind"], payment_hash, moment(told["at_us"]), Msat(told["balance_msat"]))


def _freeze(told: Facts) -> Freeze:
    return Freeze(told["reason"], moment(told["at_us"]), _moment(told["ended_at_us"]))


def debt(told: Facts) -> Debt:
    """What is owed under one key, or to tokens."""
    return Debt(told["key_id"], told["accounts"], Msat(told["balance_msat"]), Msat(told["open_invoices_msat"]))


def pause(told: Facts) -> Pause:
    """What is not sold for a while."""
    return Pause(told["api"], told["model"] or None, told["reason"], moment(told["at_us"]))


def moment(us: int) -> datetime:
    """In UTC."""
    return _EPOCH + timedelta(microseconds=us)


def _moment(us: int | None) -> datetime | None:
    return None if us is None else moment(us)


def _msat(value: int | None) -> Msat | None:
    return None if value is None else Msat(value)


def _picos(value: int | None) -> UsdPicos | None:
    return None if value is None else UsdPicos(value)


def _bytes(raw: bytes | str) -> bytes:
    return bytes.fromhex(raw) if isinstance(raw, str) else raw


def _optional_bytes(raw: bytes | str | None) -> bytes | None:
    return None if raw is None else _bytes(raw)
