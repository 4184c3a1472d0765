"""What every ledger refuses before it asks its database. Each check raises ValueError."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.core.endings import Ending
from lib.core.money import Msat
from lib.store.ledger import ClaimKind, OwnerKind, PaymentKind

if TYPE_CHECKING:
    from lib.store.ledger import Owner, Payment, Settlement, TokenAnswer, Topup

PAGE_LIMIT_ROWS = 1_000


def require_page(limit: int) -> None:
    """A page of a list."""
    if not 1 <= limit <= PAGE_LIMIT_ROWS:
        raise ValueError(f"a page has 1 to {PAGE_LIMIT_ROWS} rows")


def require_token(owner: Owner) -> None:
    """Who takes an account over, or gives it up."""
    if owner.kind is not OwnerKind.TOKEN:
        raise ValueError("accounts are handed over from token to token, and to tokens")


def require_topup(topup: Topup) -> None:
    """An invoice to write down."""
    if topup.kind is PaymentKind.CALL or (topup.kind is PaymentKind.REFILL) != (topup.account is not None):
        raise ValueError("a refill belongs to an account, a top-up to none, and calls are not written down")


def require_claim(payment: Payment, token: Owner, how: ClaimKind, keep: TokenAnswer | None) -> None:
    """A claim."""
    require_token(token)
    if not payment.confirmed:
        raise ValueError("nothing is claimed before the node has confirmed it")
    if keep is not None and how is not ClaimKind.MACAROON:
        raise ValueError("a bare preimage is known to others: what it claimed is not told again")


def require_adjustment(amount: Msat, reason: str) -> None:
    """An operator's entry."""
    if not amount or not reason.strip():
        raise ValueError("an adjustment has an amount and a reason")


def require_settlement(settlement: Settlement) -> None:
    """The end of a hold, as far as it can be judged without the hold."""
    if settlement.charge < Msat.ZERO:
        raise ValueError("a charge is never negative")
    if settlement.ending is Ending.LAPSED:
        raise ValueError("a hold lapses with its lease; nobody settles it so")


def require_reason(reason: str) -> None:
    """Why an operator stops something."""
    if not reason.strip():
        raise ValueError("what is stopped is stopped for a reason")
