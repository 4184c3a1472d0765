"""The ledger's values as the SQL functions take and answer them: amounts and moments as integers, bytes as hex."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from lib.core.endings import Ending
from lib.core.money import BtcPrice, Msat, UsdPicos
from lib.store.ledger import (
    AccountStatus,
    Answer,
    Balance,
    CallFacts,
    CreditInDoubt,
    Entry,
    EntryKind,
    Held,
    HoldRequest,
    Losses,
    Payment,
    PaymentKind,
    Position,
    Quote,
    Review,
    Settled,
    Settlement,
    Short,
    TokenAnswer,
    Topup,
    TopupState,
    TopupStatus,
    Totals,
    UnconfirmedLimits,
)

Facts: TypeAlias = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS_PER_SECOND = 1_000_000
_LATEST_US = 2**62
"""Later than any clock here will ever show, and still a bigint."""


def micros(seconds: float) -> int:
    """Seconds as the database counts them."""
    return round(seconds * _MICROS_PER_SECOND)


def payment_facts(payment: Payment) -> Facts:
    """What crediting a payment needs."""
    return {
        "payment_hash": payment.payment_hash.hex(),
        "kind": payment.kind.value,
        "amount_msat": payment.amount.value,
        "key_id": payment.key_id,
        "carry": _hex(payment.carry),
        "account": payment.account,
        "confirmed": payment.confirmed,
        "quoted_at_us": None if payment.quoted_at is None else _quoted_us(payment.quoted_at),
        "received_msat": _value(payment.received),
    }


def _quoted_us(seconds: float) -> int:
    """Rounded down: quoted before some moment then means the same here and there."""
    return math.floor(min(seconds * _MICROS_PER_SECOND, _LATEST_US))


def limits_facts(limits: UnconfirmedLimits) -> Facts:
    """What may be credited on a preimage alone."""
    return {"per_payment_msat": limits.per_payment.value, "in_all_msat": limits.in_all.value}


def request_facts(request: HoldRequest) -> Facts:
    """What a hold remembers."""
    call = request.call
    return {
        "op_id": request.op_id,
        "lease": request.lease,
        "request_id": call.request_id,
        "api": call.api,
        "path": call.path,
        "model": call.model,
        "order_digest": call.order_digest.hex(),
        "idempotency": _hex(request.idempotency),
        "quote": _quote_facts(request.quote),
        "pinned": None if request.pinned is None else _quote_facts(request.pinned),
    }


def _quote_facts(quote: Quote) -> Facts:
    return {"ceiling_msat": quote.ceiling.value, "btc_price_usd_micros": quote.btc_price.usd_micros}


def settlement_facts(settlement: Settlement) -> Facts:
    """How a call ended."""
    return {
        "op_id": settlement.op_id,
        "hold_id": settlement.hold_id,
        "ending": settlement.ending.value,
        "charge_msat": settlement.charge.value,
        "usage": settlement.usage,
        "upstream_cost_usd_picos": _value(settlement.upstream_cost),
        "clamped_msat": _value(settlement.clamped),
        "loss_usd_picos": _value(settlement.loss),
        "answer": None if settlement.answer is None else _answer_facts(settlement.answer),
    }


def keep_facts(keep: TokenAnswer) -> Facts:
    """What a claim or rotation keeps."""
    return {
        "idempotency": keep.idempotency.hex(),
        "order_digest": keep.order_digest.hex(),
        "answer": _answer_facts(keep.answer),
    }


def _answer_facts(answer: Answer) -> Facts:
    return {"sealed": answer.sealed.hex(), "keep_us": micros(answer.keep_seconds)}


def topup_facts(topup: Topup) -> Facts:
    """An invoice to write down."""
    return {
        "payment_hash": topup.payment_hash.hex(),
        "kind": topup.kind.value,
        "amount_msat": topup.amount.value,
        "key_id": topup.key_id,
        "account": topup.account,
    }


def balance(told: Facts) -> Balance:
    """An account as its owner sees it."""
    return Balance(told["account"], AccountStatus(told["status"]), Msat(told["balance_msat"]), Msat(told["held_msat"]))


def held(op_id: str, told: Facts) -> Held:
    """A reservation, new or found again."""
    return Held(op_id, told["account"], _quote(told), Msat(told["balance_msat"]), Msat(told["held_msat"]))


def short(told: Facts) -> Short:
    """A refusal, with the quote it was judged by."""
    return Short(told["account"], _quote(told), Msat(told["balance_msat"]), Msat(told["held_msat"]))


def _quote(told: Facts) -> Quote:
    return Quote(Msat(told["ceiling_msat"]), BtcPrice(told["btc_price_usd_micros"]))


def settled(told: Facts) -> Settled:
    """The end of a hold."""
    names = ("charge_msat", "shortfall_msat", "balance_msat", "held_msat")
    return Settled(*(Msat(told[name]) for name in names))


def position(told: Facts) -> Position:
    """How far the ledger has got."""
    return Position(bytes.fromhex(told["ledger_id"]), told["generation"], told["newest_entry"])


def topup(told: Facts) -> Topup:
    """An invoice that was written down."""
    return Topup(
        bytes.fromhex(told["payment_hash"]),
        PaymentKind(told["kind"]),
        Msat(told["amount_msat"]),
        told["key_id"],
        told["account"],
    )


def topup_status(told: Facts) -> TopupStatus:
    """The same, with how far it has got."""
    return TopupStatus(topup(told), TopupState(told["state"]), told["expires_in_us"] // _MICROS_PER_SECOND)


def entry(told: Facts) -> Entry:
    """One line of an account's history."""
    return Entry(
        id=told["id"],
        at=_moment(told["at_us"]),
        kind=EntryKind(told["kind"]),
        amount=Msat(told["amount_msat"]),
        balance=Msat(told["balance_msat"]),
        payment_hash=_bytes(told["payment_hash"]),
        call=None if told["call"] is None else _call(told["call"]),
        ending=None if told["ending"] is None else Ending(told["ending"]),
        usage=told["usage"],
        reason=told["reason"],
    )


def _call(told: Facts) -> CallFacts:
    return CallFacts(told["request_id"], told["api"], told["path"], told["model"], bytes.fromhex(told["order_digest"]))


def credit_in_doubt(told: Facts) -> CreditInDoubt:
    """A credit that the node has not confirmed."""
    return CreditInDoubt(
        bytes.fromhex(told["payment_hash"]),
        Msat(told["amount_msat"]),
        told["account"],
        _moment(told["credited_at_us"]),
        denied=told["denied"],
    )


def review(told: Facts) -> Review:
    """A payment that waits for an operator's word."""
    return Review(
        bytes.fromhex(told["payment_hash"]),
        Msat(told["amount_msat"]),
        _moment(told["asked_at_us"]),
        approved=told["approved"],
    )


def totals(told: Facts) -> Totals:
    """Sums over everything."""
    return Totals(
        accounts=told["accounts"],
        credited=Msat(told["credited_msat"]),
        charged=Msat(told["charged_msat"]),
        balance=Msat(told["balance_msat"]),
        held=Msat(told["held_msat"]),
        live_holds=told["live_holds"],
        unconfirmed=Msat(told["unconfirmed_msat"]),
        denied=Msat(told["denied_msat"]),
        denied_spent=Msat(told["denied_spent_msat"]),
        adjusted=Msat(told["adjusted_msat"]),
        ownerless=Msat(told["ownerless_msat"]),
        payments=told["payments"],
        kept_answers=told["kept_answers"],
    )


def losses(told: Facts) -> Losses:
    """Valued in dollars at the bitcoin price of each call."""
    by_account: defaultdict[str, UsdPicos] = defaultdict(lambda: UsdPicos.ZERO)
    by_model: defaultdict[tuple[str, str], UsdPicos] = defaultdict(lambda: UsdPicos.ZERO)
    for call in told["lost"]:
        price = BtcPrice(call["btc_price_usd_micros"])
        lost = price.picos_rounded_down(Msat(call["clamped_msat"])) + UsdPicos(call["loss_usd_picos"])
        by_account[call["account"]] += lost
        by_model[call["api"], call["model"]] += lost
    return Losses(UsdPicos(told["upstream_cost_usd_picos"]), dict(by_account), dict(by_model))


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _hex(raw: bytes | None) -> str | None:
    return None if raw is None else raw.hex()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _value(amount: Msat | UsdPicos | None) -> int | None:
    return None if amount is None else amount.value
