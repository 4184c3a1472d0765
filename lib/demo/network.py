"""The Lightning network of the doubles: a payment finds its payee by the node id that signed the invoice."""

from __future__ import annotations

import asyncio
import uuid

from lib.demo.invoice import ReadInvoice
from lib.demo.wallet import MSAT_PER_SAT, Clock, Outgoing, Wallet

PAYER_START_SAT = 10_000_000
TRAMPOLINE_BASE_FEE_MSAT = 4_000
TRAMPOLINE_FEE_PER_THOUSAND = 4

NOT_CONNECTED = "channel is not connected yet, please retry when connected"
ALREADY_PAID = "this invoice has already been paid"
IN_PROGRESS = "another payment is in progress for that invoice"
AMOUNT_NOT_POSITIVE = "payment amount must be positive"
NOT_ENOUGH_FUNDS = "not enough funds in wallet to afford payment"
RECIPIENT_OFFLINE = "recipient node is offline or unreachable"
RECIPIENT_REJECTED = "recipient node rejected the payment"


class PaymentFailed(Exception):
    """The payment did not happen; `reason` is phoenixd's own text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def trampoline_fee_msat(amount_msat: int) -> int:
    """4 sat and 0.4 %, charged in full on every payment. Rounds down by less than 1 msat."""
    return TRAMPOLINE_BASE_FEE_MSAT + amount_msat * TRAMPOLINE_FEE_PER_THOUSAND // 1000


class Network:
    """Two wallets that can pay each other: `seller`, empty, and `payer`, with PAYER_START_SAT."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.seller = Wallet("seller", self.clock)
        self.payer = Wallet("payer", self.clock, balance_msat=PAYER_START_SAT * MSAT_PER_SAT)
        self._running: set[asyncio.Task[Outgoing]] = set()

    def wallet(self, name: str) -> Wallet | None:
        """By its name in the control port's addresses."""
        return {"seller": self.seller, "payer": self.payer}.get(name)

    async def pay(self, payer: Wallet, bolt11: str, invoice: ReadInvoice, amount_msat: int) -> Outgoing:
        """Pay, and return the payment that succeeded. Raises PaymentFailed.

        Goes on to its end even if the caller leaves, as a real HTLC does.
        """
        task = asyncio.create_task(self._attempt(payer, bolt11, invoice, amount_msat))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """End the payments that are still pending."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _finished(self, task: asyncio.Task[Outgoing]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the payment's record tells it too: a caller who left may never ask

    async def _attempt(self, payer: Wallet, bolt11: str, invoice: ReadInvoice, amount_msat: int) -> Outgoing:
        knobs = payer.knobs.current
        payment_hash = invoice.terms.payment_hash
        amount_msat = int(amount_msat * knobs.overpay_factor)
        _refuse_to_start(payer, payment_hash, amount_msat)
        payment = Outgoing(
            payment_id=str(uuid.uuid4()),
            payment_hash=payment_hash,
            bolt11=bolt11,
            amount_msat=amount_msat,
            fees_msat=trampoline_fee_msat(amount_msat),
            created_at_ms=self.clock.now_ms(),
        )
        payer.outgoing.append(payment)
        payer.balance_msat -= payment.amount_msat + payment.fees_msat
        try:
            await asyncio.sleep(knobs.pay_delay_ms / 1000)
            payment.preimage = self._deliver(payer, invoice, amount_msat)
        finally:
            payment.completed_at_ms = self.clock.now_ms()
            if payment.preimage is None:
                payer.balance_msat += payment.amount_msat + payment.fees_msat
        return payment

    def _deliver(self, payer: Wallet, invoice: ReadInvoice, amount_msat: int) -> str:
        """Hand the payment to whoever signed the invoice; its preimage comes back. Raises PaymentFailed."""
        if payer.knobs.current.pay_reason is not None:
            raise PaymentFailed(payer.knobs.current.pay_reason)
        payee = next((wallet for wallet in (self.seller, self.payer) if wallet.node_id == invoice.payee), None)
        if payee is None or payee.knobs.current.peer_offline:
            raise PaymentFailed(RECIPIENT_OFFLINE)
        if payee is payer or not payee.accepts(invoice.terms.payment_hash, amount_msat):
            raise PaymentFailed(RECIPIENT_REJECTED)
        return payee.receive(invoice.terms.payment_hash, amount_msat)


def _refuse_to_start(payer: Wallet, payment_hash: str, amount_msat: int) -> None:
    """What a wallet checks before it sends anything. Raises PaymentFailed."""
    if amount_msat <= 0:
        raise PaymentFailed(AMOUNT_NOT_POSITIVE)
    best = next(iter(payer.attempts(payment_hash)), None)
    if best is not None and best.preimage is not None:
        raise PaymentFailed(ALREADY_PAID)
    if best is not None and best.completed_at_ms is None:
        raise PaymentFailed(IN_PROGRESS)
    if payer.knobs.current.peer_offline:
        raise PaymentFailed(NOT_CONNECTED)
    if payer.balance_msat < amount_msat + trampoline_fee_msat(amount_msat):
        raise PaymentFailed(NOT_ENOUGH_FUNDS)
