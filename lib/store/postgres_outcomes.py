"""What the SQL functions answer, as the outcomes and exceptions of the port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib.core.money import Msat
from lib.store import postgres_values as values
from lib.store.ledger import (
    AccountUnknown,
    AlreadyClaimed,
    AskNodeFirst,
    Claimed,
    CreditUnknown,
    Frozen,
    Gone,
    HoldEnded,
    HoldUnknown,
    InDoubt,
    Kept,
    KeyReused,
    LeaseExpired,
    LedgerUnavailable,
    NotClaimable,
    Revoked,
    Rotated,
    StillRunning,
    TopupUnknown,
    UnderReview,
)

if TYPE_CHECKING:
    from lib.store.ledger import ClaimOutcome, HoldRequest, RotateOutcome

_PLAIN: dict[str, Any] = {
    "gone": Gone(),
    "ask_node_first": AskNodeFirst(),
    "still_running": StillRunning(),
    "key_reused": KeyReused(),
    "under_review": UnderReview(),
    "already_claimed": AlreadyClaimed(),
    "not_claimable": NotClaimable(),
    "revoked": Revoked(),
}


def of_hold(told: values.Facts, request: HoldRequest) -> Any:
    """Of a hold or redemption. Raises LeaseExpired, and LedgerUnavailable for a request that was given up."""
    match told["outcome"]:
        case "held":
            return values.held(request.op_id, told)
        case "short":
            return values.short(told)
        case "frozen":
            return Frozen(told["account"])
        case "kept":
            return _kept(told)
        case "lease_expired":
            raise refusal(told, request.lease)
        case "given_up":
            raise refusal(told, request.op_id)
        case _:
            return plain(told)


def of_claim(told: values.Facts) -> ClaimOutcome:
    """Of a claim."""
    match told["outcome"]:
        case "claimed":
            return Claimed(told["account"], Msat(told["balance_msat"]), Msat(told["held_msat"]))
        case "frozen":
            return Frozen(told["account"])
        case "kept":
            return _kept(told)
        case "in_doubt":
            return InDoubt(tuple(map(bytes.fromhex, told["payment_hashes"])))
        case _:
            return plain(told)


def of_rotation(told: values.Facts) -> RotateOutcome:
    """Of a rotation."""
    match told["outcome"]:
        case "rotated":
            return Rotated(told["account"], Msat(told["balance_msat"]), Msat(told["held_msat"]))
        case "frozen":
            return Frozen(told["account"])
        case "kept":
            return _kept(told)
        case _:
            return plain(told)


def of_recall(told: values.Facts) -> Kept | KeyReused | None:
    """Of the question whether an answer is kept."""
    match told["outcome"]:
        case "kept":
            return _kept(told)
        case "gone":
            return None
        case _:
            return plain(told)


def _kept(told: values.Facts) -> Kept:
    balance_msat = told["balance_msat"]
    return Kept(bytes.fromhex(told["sealed"]), None if balance_msat is None else Msat(balance_msat))


def plain(told: values.Facts) -> Any:
    """An outcome that is nothing but a word."""
    return _PLAIN[told["outcome"]]


def refusal(told: values.Facts, about: str) -> Exception:
    """What to raise for an operation that was refused. Nothing was written."""
    match told["outcome"]:
        case "lease_expired":
            return LeaseExpired(about)
        case "hold_unknown":
            return HoldUnknown(about)
        case "hold_ended":
            return HoldEnded(about)
        case "charge_above_ceiling":
            return ValueError("a charge never exceeds its hold's ceiling")
        case "credit_unknown":
            return CreditUnknown(about)
        case "topup_unknown":
            return TopupUnknown(about)
        case "account_unknown":
            return AccountUnknown(about)
        case "given_up":
            return LedgerUnavailable(f"hold {about} was given up before its request arrived")
        case unheard_of:
            return RuntimeError(f"the database answers {unheard_of}: its functions are of another release")
