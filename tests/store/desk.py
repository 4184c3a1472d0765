"""Words for the ledger's tests: a till that takes payments, opens calls and closes them, in plain msat."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field, replace

from lib.core.endings import Ending
from lib.core.money import BtcPrice, Msat
from lib.store.ledger import (
    AskNodeFirst,
    Balance,
    CallFacts,
    Claimed,
    ClaimKind,
    ClaimOutcome,
    Gone,
    Held,
    HoldOutcome,
    HoldRequest,
    Ledger,
    Owner,
    Payment,
    PaymentKind,
    Quote,
    RedeemOutcome,
    Settled,
    Settlement,
    Short,
    Topup,
    UnconfirmedLimits,
    UnderReview,
    idempotency_digest,
)

PRICE = BtcPrice(100_000_000_000)
LEASE = "lease-of-this-process"
NO_LIMITS = UnconfirmedLimits(per_payment=Msat(10**15), in_all=Msat(10**15))


def quote(ceiling_msat: int, price: BtcPrice = PRICE) -> Quote:
    """A ceiling at some bitcoin price."""
    return Quote(Msat(ceiling_msat), price)


def payment(name: str, amount_msat: int, kind: PaymentKind = PaymentKind.CALL) -> Payment:
    """A payment told apart by its name."""
    return Payment(hashlib.sha256(name.encode()).digest(), kind, Msat(amount_msat), key_id="key-1")


def carrying(paid: Payment, old: Payment) -> Payment:
    """The same payment, made for the difference to an old credential."""
    return replace(paid, carry=old.payment_hash)


def refill(name: str, amount_msat: int, account: str) -> Payment:
    """A payment into somebody's account."""
    return replace(payment(name, amount_msat, PaymentKind.REFILL), account=account)


def vouched(paid: Payment, received_msat: int | None = None) -> Payment:
    """The same payment after the node has said that it was paid, with so much."""
    return replace(paid, confirmed=True, received=paid.amount if received_msat is None else Msat(received_msat))


def order_digest(order: str) -> bytes:
    """An order told apart by its name."""
    return hashlib.sha256(order.encode()).digest()


def token(name: str) -> Owner:
    """A bearer token told apart by its name."""
    return Owner.of_token(f"alb_{name}")


def owner(paid: Payment) -> Owner:
    """Who an L402 credential for this payment proves to be."""
    return Owner.of_payment(paid.payment_hash)


@dataclass
class Desk:
    """One process at work on a ledger, under one lease."""

    ledger: Ledger
    lease: str = LEASE
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def new_id(self, what: str) -> str:
        """An op_id that no other operation has."""
        return f"{what}-{next(self._numbers)}"

    def request(
        self,
        ceiling_msat: int,
        *,
        op_id: str | None = None,
        pinned: Quote | None = None,
        model: str = "small",
        order: str = "order",
        key: str | None = None,
    ) -> HoldRequest:
        """A call whose ceiling is this, at the current price; `order` is what it asks, `key` its Idempotency-Key."""
        op_id = op_id or self.new_id("hold")
        call = CallFacts(f"req-{op_id}", "openai", "/v1/chat/completions", model, order_digest(order))
        digest = None if key is None else idempotency_digest(key)
        return HoldRequest(op_id, self.lease, call, quote(ceiling_msat), pinned, digest)

    async def account(self, credit_msat: int, name: str = "first") -> Payment:
        """An account opened by a payment that the node has confirmed."""
        paid = payment(name, credit_msat)
        assert isinstance(await self.ledger.credit(paid, NO_LIMITS), Balance)
        await self.ledger.confirm(paid.payment_hash, Msat(credit_msat))
        return paid

    async def topup(self, name: str, amount_msat: int, *, expires_in_seconds: float = 600) -> Payment:
        """A top-up whose invoice is written down; nobody has been credited yet."""
        paid = payment(name, amount_msat, PaymentKind.TOPUP)
        await self.write_down(paid, expires_in_seconds)
        return paid

    async def write_down(self, paid: Payment, expires_in_seconds: float = 600) -> None:
        """Open the invoice of a top-up or refill."""
        invoice = Topup(paid.payment_hash, paid.kind, paid.amount, paid.key_id, paid.account)
        await self.ledger.open_topup(invoice, expires_in_seconds)

    async def claim(self, paid: Payment, new: Owner, how: ClaimKind = ClaimKind.MACAROON) -> ClaimOutcome:
        """Claim it for a token, after the node has said that it was paid."""
        return await self.ledger.claim(self.new_id("claim"), vouched(paid), new, how)

    async def token(self, credit_msat: int, name: str = "first") -> Owner:
        """A token that owns so much, claimed from a top-up by macaroon."""
        outcome = await self.claim(await self.topup(f"topup of {name}", credit_msat), token(name))
        assert isinstance(outcome, Claimed)
        return token(name)

    async def account_of(self, owned_by: Owner) -> str:
        """The id of an owner's account."""
        found = await self.ledger.balance(owned_by)
        assert found is not None
        return found.account

    async def of(self, owned_by: Owner) -> tuple[int, int] | None:
        """Balance and held, in msat, of an owner's account; None if it owns none."""
        found = await self.ledger.balance(owned_by)
        return None if found is None else (found.balance.value, found.held.value)

    async def credited(self, paid: Payment, received_msat: int) -> Balance:
        """The node says that this top-up is paid."""
        outcome = await self.ledger.credit_topup(paid.payment_hash, Msat(received_msat))
        assert isinstance(outcome, Balance)
        return outcome

    async def credit(self, paid: Payment) -> Balance | AskNodeFirst | Gone | UnderReview:
        """Credit without any limit on trust."""
        return await self.ledger.credit(paid, NO_LIMITS)

    async def redeem(self, paid: Payment, ceiling_msat: int, *, pinned: Quote | None = None) -> RedeemOutcome:
        """Present the credential of a payment for one call."""
        return await self.ledger.redeem_and_hold(paid, self.request(ceiling_msat, pinned=pinned), NO_LIMITS)

    async def hold(self, paid: Payment, ceiling_msat: int) -> HoldOutcome:
        """Reserve a ceiling on the account that this payment owns."""
        return await self.ledger.hold(owner(paid), self.request(ceiling_msat))

    async def held(self, paid: Payment, ceiling_msat: int, *, model: str = "small") -> Held:
        """The same, where it must succeed."""
        outcome = await self.ledger.hold(owner(paid), self.request(ceiling_msat, model=model))
        assert isinstance(outcome, Held)
        return outcome

    def settlement(self, hold: Held, charge_msat: int, ending: Ending = Ending.ANSWERED) -> Settlement:
        """How this call ended."""
        return Settlement(self.new_id("settle"), hold.hold_id, ending, Msat(charge_msat))

    async def settle(self, hold: Held, charge_msat: int) -> Settled:
        """The answer came, and cost this."""
        return await self.ledger.settle(self.settlement(hold, charge_msat))

    async def release(self, hold: Held) -> Settled:
        """Upstream did no billable work."""
        return await self.ledger.settle(self.settlement(hold, 0, Ending.UNREACHABLE))

    async def purse(self, paid: Payment) -> tuple[int, int]:
        """Balance and held of the account that this payment owns, in msat."""
        found = await self.ledger.balance(owner(paid))
        assert found is not None
        return found.balance.value, found.held.value


def short_of(outcome: HoldOutcome | RedeemOutcome) -> tuple[int, int, int]:
    """What a refused hold says: ceiling, balance, held."""
    assert isinstance(outcome, Short)
    return outcome.quote.ceiling.value, outcome.balance.value, outcome.held.value
