"""One call from its first request to its answer: paid for, hung up on, repeated, and written down."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from chaos_parts import orders
from chaos_parts.market import OK, PAYMENT_REQUIRED, REPEATED, UNAUTHORIZED, Impatient, Market, Pause, digest_of
from chaos_parts.orders import Order
from chaos_parts.record import Attempt, Call, CallKind, Payment
from chaos_parts.wire import WELL_BEHAVED, Manner, Reply

RUDE_ATTEMPTS = 2
"""Only the first ones: a buyer wants its answer in the end."""
SERVER_BUFFER_BYTES = 32_768
"""What the server's side of a connection can hold unsent: its send buffer of 16 KiB, which Linux doubles."""
SCHEMES = ("L402", "LSAT", "l402")


@dataclass(slots=True, eq=False)
class Purse:
    """One account's credential as its buyer holds it, shared by the calls that run at once."""

    authorization: str | None = None
    """None: nothing was paid yet."""
    by_node: bool = False
    """Challenges are asked for that need no preimage."""
    refill: Callable[[], Awaitable[None]] | None = None
    """How a token's balance grows; None for an L402 credential, which pays the difference instead."""
    claim_again: Callable[[], Awaitable[str | None]] | None = None
    """Another token, should this one have been taken before its first use by a claim whose reply was lost."""
    payments: list[Payment] = field(default_factory=list[Payment])
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, payment: Payment, draw: random.Random) -> None:
        """Pay with this from now on."""
        preimage = "" if payment.by_node else payment.preimage
        self.authorization = f"{draw.choice(SCHEMES)} {payment.macaroon}:{preimage}"
        self.payments.append(payment)


@dataclass(frozen=True, slots=True)
class Caller:
    """Sends one call until it is answered."""

    market: Market
    draw: random.Random
    purse: Purse
    order: Order
    call: Call

    async def run(self) -> bool:
        """Whether it was answered."""
        pause = Pause(self.draw)
        authorization = self.purse.authorization
        try:
            for number in range(1_000_000):
                how = orders.manner(self.draw) if number < RUDE_ATTEMPTS else WELL_BEHAVED
                attempt, reply = await self._attempt(authorization, how)
                if attempt.whole:
                    return True
                if reply.complete and reply.status == PAYMENT_REQUIRED:
                    authorization = await self._paid(authorization, attempt, reply, pause)
                elif reply.status == UNAUTHORIZED and self.purse.claim_again is not None:
                    authorization = await self._claimed_again(authorization, self.purse.claim_again)
                elif not self._comes_again(attempt, reply):
                    self.call.given_up = f"{reply.status} {attempt.code}"
                    return False
                else:
                    await pause.wait(f"{self.call.name}: {reply.status or 'no reply'} {attempt.code or ''}")
        except Impatient as impatient:
            self.call.given_up = f"too long without an answer: {impatient}"
        return False

    def _comes_again(self, attempt: Attempt, reply: Reply) -> bool:
        """Lost, cut, busy and failing is repeated; everything else is an answer that no repetition changes."""
        status = reply.status or 0
        if not reply.complete or status == OK or status in REPEATED or status >= 500:  # noqa: PLR2004 - every server's fault
            return True
        self.market.record.strange.append(f"{self.call.name} was answered {status} {attempt.code}")
        return False

    async def _attempt(self, authorization: str | None, how: Manner) -> tuple[Attempt, Reply]:
        attempt = Attempt(secrets.token_hex(8), digest_of(authorization or ""), time.time())
        self.call.attempts.append(attempt)
        headers = {"X-Chaos-Attempt": attempt.id}
        if authorization is not None:
            headers["Authorization"] = authorization
        elif self.purse.by_node:
            headers["X-Payment-Proof"] = "node"
        if self.call.key is not None:
            headers["Idempotency-Key"] = self.call.key
        if how is not WELL_BEHAVED:
            self.market.record.count(f"client: {_named(how)}")
        reply = await self.market.send(self.draw, self.order.path, self.order.body, headers, how)
        _noted(attempt, reply, self.order.kind)
        return attempt, reply

    async def _paid(self, authorization: str | None, attempt: Attempt, reply: Reply, pause: Pause) -> str | None:
        """Pay what is asked, unless another call of this account has done so meanwhile; what to send next."""
        purse, offer = self.purse, _object(reply.body)
        if "macaroon" not in offer and purse.refill is None:  # the node has yet to say that it is paid
            await pause.wait(f"{self.call.name}: 402 {attempt.code}")
            return authorization
        most = offer.get("max_price_msat")
        if most is not None:
            self.call.most_msat = min(most, self.call.most_msat or most)
        async with purse.changing:
            if purse.authorization != authorization:
                return purse.authorization
            if purse.refill is not None:
                await purse.refill()
                await pause.wait(f"{self.call.name}: 402 {attempt.code}")
            else:
                purse.take(await self.market.pay(offer, by_node=purse.by_node and authorization is None), self.draw)
            return purse.authorization

    async def _claimed_again(self, authorization: str | None, claim: Callable[[], Awaitable[str | None]]) -> str | None:
        """What to send next: a claim that was done late made its own token the only one."""
        purse = self.purse
        async with purse.changing:
            if purse.authorization == authorization:
                token = await claim()
                purse.authorization, purse.claim_again = f"Bearer {token}", None
            return purse.authorization


def _noted(attempt: Attempt, reply: Reply, kind: CallKind) -> None:
    """Write down what came back."""
    attempt.status, attempt.left_at, attempt.sent = reply.status, reply.left_at, reply.sent
    attempt.received_bytes, attempt.promised_bytes = reply.received_bytes, reply.promised_bytes
    attempt.window_bytes = reply.window_bytes + SERVER_BUFFER_BYTES
    attempt.request_id = reply.headers.get("x-request-id")
    if not reply.complete:
        return
    if reply.status != OK:
        attempt.code = str(_object(reply.body).get("error", {}).get("code"))
        return
    told, error = _told_by_stream(reply.body) if kind is CallKind.STREAM else (None, False)
    if error:
        attempt.code = "broken"
        return
    charge = reply.headers.get("x-charge-msat")
    attempt.told_msat = int(charge) if charge is not None else told
    attempt.body_digest = hashlib.sha256(reply.body).hexdigest()
    attempt.whole = True


def _told_by_stream(body: bytes) -> tuple[int | None, bool]:
    """What the stream says that it cost, and whether it says that it broke."""
    told: int | None = None
    for line in body.split(b"\n"):
        if line.startswith(b"data: {"):
            payload = _object(line.removeprefix(b"data: "))
            if "error" in payload:
                return None, True
            usage = payload.get("usage")
            if isinstance(usage, dict):
                told = cast("dict[str, Any]", usage).get("charge_msat", told)
    return told, False


def _named(how: Manner) -> str:
    """For the counts."""
    if how.send_share < 1:
        return "leaves while it sends"
    if how.stall_at_bytes is not None:
        return "stalls" if how.leave_after_bytes is None else "stalls, then leaves"
    return "leaves in the middle" if how.leave_after_bytes is not None else "hangs up"


def _object(body: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
