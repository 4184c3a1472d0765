"""What the node's word does to a credit that was made on a preimage alone."""

from __future__ import annotations

from lib.lightning.node import IncomingPayment, PaymentState
from lib.store.ledger import Ledger

NOT_PAID = "the node says that the invoice was not paid"


async def judge(ledger: Ledger, payment_hash: bytes, known: IncomingPayment) -> None:
    """A yes confirms the credit and thaws its account; a clear no freezes it; not knowing changes nothing."""
    match known.state:
        case PaymentState.PAID:
            await ledger.confirm(payment_hash, known.received)
        case PaymentState.OPEN | PaymentState.EXPIRED:
            await ledger.deny(payment_hash, NOT_PAID)
        case PaymentState.UNKNOWN:
            pass
