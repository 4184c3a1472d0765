"""Top-ups, claims, refills and rotations, each repeated until it is known how it ended."""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
from dataclasses import dataclass
from typing import Any

from chaos_parts import orders
from chaos_parts.market import OK, PAYMENT_REQUIRED, UNAUTHORIZED, Answered, Impatient, Market, Pause, digest_of
from chaos_parts.record import Payment

TOPUP_SATS = (100, 300)
REFILL_SATS = (100, 200)
CLAIM = "/topup/claim"
BALANCE = "/api/balance"
KEYED_SHARE = 0.3
TWICE_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Counter:
    """Where one buyer tops up."""

    market: Market
    draw: random.Random

    async def topup(self, *, by_node: bool) -> Payment:
        """An invoice for a new balance, paid. Raises Impatient, PaymentRefused."""
        proof = {"X-Payment-Proof": "node"} if by_node else {}
        offered = await self._offered({"amount_sats": self.draw.randint(*TOPUP_SATS)}, proof)
        return await self.market.pay(offered.body, by_node=by_node)

    async def refill(self, authorization: str) -> None:
        """The token's balance grows: by itself, or at once by a claim."""
        headers = {"Authorization": authorization}
        offered = await self._offered({"amount_sats": self.draw.randint(*REFILL_SATS)}, headers)
        if offered.status == UNAUTHORIZED:
            return  # taken by a late claim: the call that asks for more is told so too
        payment = await self.market.pay(offered.body, by_node=False)
        if self.draw.random() < 0.5:  # noqa: PLR2004 - the others wait for the job that looks for payments
            shown = {"macaroon": payment.macaroon, "preimage": payment.preimage}
            await self._until_paid(CLAIM, shown, headers)

    async def claimed(self, payment: Payment, *, used: bool) -> str | None:
        """The token for a payment, in one of all the ways. None if it was told that there is none to have.

        `used`: its macaroon was shown before, so its bare preimage claims nothing any more.
        """
        if self.draw.random() < KEYED_SHARE:
            return await self._by_key(payment)
        if self.draw.random() < TWICE_SHARE:
            return await self._twice(payment)
        way = self.draw.choice(("body", "header", "topup", "bare") if payment.kind == "topup" else ("body", "header"))
        if way == "bare" and not payment.by_node and not used:
            bare = await self._until_paid(CLAIM, {"preimage": payment.preimage}, {}, rude=True)
            if bare.status == OK:
                return self._token(bare)
            if bare.uncertain is None:
                self.market.record.strange.append(f"a bare claim was answered {bare.status} {bare.code}")
        if way == "topup":
            shown = {"Authorization": _authorization(payment)}
            return self._token(await self._until_paid("/topup", {"amount_sats": 100}, shown, rude=True))
        return self._token(await self._by_macaroon(payment, in_header=way == "header"))

    async def rotated(self, authorization: str) -> str | None:
        """Another token for the same account. With an Idempotency-Key, or a lost reply would take the token along."""
        key = f"rotate-{secrets.token_hex(8)}"
        self.market.record.secrets.add(key)
        headers = {"Authorization": authorization, "Idempotency-Key": key}
        reply = await self.market.answer(self.draw, "/api/token/rotate", {}, headers, rude=self._rude)
        if reply.status == OK:
            return self._token(reply)
        self.market.record.strange.append(f"a rotation ({reply.uncertain}) was answered {reply.status} {reply.code}")
        return None

    async def is_good(self, authorization: str) -> bool:
        """Whether a credential owns an account; a payment that was not credited yet is so by this."""
        looked = await self.market.answer(self.draw, BALANCE, None, {"Authorization": authorization}, method="GET")
        return looked.status == OK

    def _rude(self) -> Any:
        return orders.manner(self.draw)

    async def _offered(self, body: dict[str, Any], headers: dict[str, str]) -> Answered:
        offered = await self.market.answer(self.draw, "/topup", body, headers, rude=self._rude)
        if "macaroon" not in offered.body and not (headers and offered.status == UNAUTHORIZED):
            self.market.record.strange.append(f"a top-up was answered {offered.status} {offered.code}")
            raise Impatient("no top-up to be had")
        return offered

    async def _until_paid(
        self, path: str, body: dict[str, Any], headers: dict[str, str], *, rude: bool = False
    ) -> Answered:
        """The answer, once the node has told of the payment."""
        pause = Pause(self.draw)
        while True:
            answered = await self.market.answer(self.draw, path, body, headers, rude=self._rude if rude else None)
            if not (answered.status == PAYMENT_REQUIRED and answered.code == "payment_pending"):
                return answered
            await pause.wait(f"{path}: payment_pending")

    async def _by_macaroon(self, payment: Payment, *, in_header: bool, key: str | None = None) -> Answered:
        keyed = {"Idempotency-Key": key} if key is not None else {}
        if in_header:
            headers = {**keyed, "Authorization": _authorization(payment)}
            return await self._until_paid(CLAIM, {}, headers, rude=True)
        proof = {} if payment.by_node else {"preimage": payment.preimage}
        return await self._until_paid(CLAIM, {"macaroon": payment.macaroon, **proof}, keyed, rude=True)

    async def _by_key(self, payment: Payment) -> str | None:
        """Twice at once and once more, with one Idempotency-Key: every answer is the same."""
        key = f"claim-{secrets.token_hex(8)}"
        self.market.record.secrets.add(key)
        in_header = self.draw.random() < 0.5  # noqa: PLR2004 - either
        twins = (self._by_macaroon(payment, in_header=in_header, key=key) for _ in range(2))
        answers = [*await asyncio.gather(*twins), await self._by_macaroon(payment, in_header=in_header, key=key)]
        digests = {hashlib.sha256(answer.raw).hexdigest() for answer in answers}
        self.market.record.claims_by_key[key] = digests
        return self._token(answers[-1])

    async def _twice(self, payment: Payment) -> str | None:
        """At once, without a key: both get a token, and at most one of them lives.

        None does if an earlier try, whose reply was lost, was the last to be done: then it is claimed again.
        """
        answers = await asyncio.gather(*(self._by_macaroon(payment, in_header=False) for _ in range(2)))
        tokens = [token for token in map(self._token, answers) if token is not None]
        living = [token for token in tokens if await self.is_good(f"Bearer {token}")]
        if len(living) > 1:
            self.market.record.strange.append(f"of {len(tokens)} tokens of one payment {len(living)} live")
        return living[0] if living else await self.claimed_again(payment)

    async def claimed_again(self, payment: Payment) -> str | None:
        """A token by the macaroon, for one who lost the former token before its first use."""
        self.market.record.count("claim: repeated because a late one took the token")
        return self._token(await self._by_macaroon(payment, in_header=False))

    def _token(self, answered: Answered) -> str | None:
        """The token of a claim. An answer without one is never right: who shows the macaroon gets one."""
        token = answered.body.get("token") if answered.status == OK else None
        if token is None:
            self.market.record.strange.append(f"a claim was answered {answered.status} {answered.code}")
            return None
        self.market.record.secrets.add(token)
        return str(token)


def _authorization(payment: Payment) -> str:
    return f"L402 {payment.macaroon}:{'' if payment.by_node else payment.preimage}"


async def redeemed(market: Market, draw: random.Random, payment: Payment) -> None:
    """Make what was paid a balance: whoever comes at the end gets it all the same."""
    counter = Counter(market, draw)
    if payment.kind == "call":
        good = await counter.is_good(_authorization(payment))
        if not good:
            market.record.strange.append(f"payment {digest_of(payment.payment_hash)} could not be redeemed")
        return
    proof = {} if payment.by_node else {"preimage": payment.preimage}
    answered = await market.answer(draw, CLAIM, {"macaroon": payment.macaroon, **proof}, {})
    if answered.status != OK:
        market.record.strange.append(
            f"a {payment.kind} could not be claimed at the end: {answered.status} {answered.code}"
        )
    elif "token" in answered.body:
        market.record.secrets.add(answered.body["token"])
