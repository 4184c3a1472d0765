"""Buyers: each lives one career after another, until all calls of the run have begun."""

from __future__ import annotations

import asyncio
import random
import secrets
from dataclasses import dataclass

from chaos_parts import orders
from chaos_parts.calling import Caller, Purse
from chaos_parts.doubles import PaymentRefused
from chaos_parts.market import Impatient, Market
from chaos_parts.prepaid import Counter
from chaos_parts.record import Call, Payment

BY_NODE_SHARE = 0.2
CLAIMS_CHANGE_SHARE = 0.3
ROTATES_SHARE = 0.25
TWIN_SHARE = 0.35
AT_ONCE_MAX_COUNT = 4


@dataclass(frozen=True, slots=True)
class Buyer:
    """One of many, with a seed of its own."""

    market: Market
    draw: random.Random

    async def live(self) -> None:
        """Careers, until the last call of the run has begun."""
        while not self.market.over.is_set():
            career = self.draw.choices(
                (self.pays_per_call, self.tops_up, self.uses_a_topup, self.forgets), [9, 8, 2, 1]
            )
            try:
                await career[0]()
            except (Impatient, PaymentRefused) as error:
                self.market.record.strange.append(f"a buyer gave up: {type(error).__name__} {error}")

    async def pays_per_call(self) -> None:
        """One invoice, then its change; differences are paid as they come. Some exchange what is left for a token."""
        purse = Purse(by_node=self.draw.random() < BY_NODE_SHARE)
        if not await self._calls(purse, self.draw.randint(1, 6), at_once=2, twins=False):
            return
        if purse.payments and self.draw.random() < CLAIMS_CHANGE_SHARE:
            token = await Counter(self.market, self.draw).claimed(purse.payments[-1], used=True)
            if token is not None:
                await self._spends(token, self.draw.randint(1, 3), purse.payments[-1])

    async def tops_up(self) -> None:
        """A top-up, its token, many calls at once, refills and rotations."""
        counter = Counter(self.market, self.draw)
        payment = await counter.topup(by_node=self.draw.random() < BY_NODE_SHARE)
        token = await counter.claimed(payment, used=False)
        if token is not None:
            await self._spends(token, self.draw.randint(3, 14), payment)

    async def uses_a_topup(self) -> None:
        """A top-up's credential pays for calls before it is exchanged."""
        counter = Counter(self.market, self.draw)
        purse = Purse()
        purse.take(await counter.topup(by_node=self.draw.random() < BY_NODE_SHARE), self.draw)
        if await self._calls(purse, self.draw.randint(1, 3), at_once=2, twins=False):
            token = await counter.claimed(purse.payments[0], used=True)
            if token is not None:
                await self._spends(token, 2, purse.payments[0])

    async def forgets(self) -> None:
        """Pays, and never comes back: what it paid is redeemed at the end of the run."""
        counter = Counter(self.market, self.draw)
        if self.draw.random() < 0.5:  # noqa: PLR2004 - either
            await counter.topup(by_node=False)
            return
        order = orders.order(self.draw, "forgotten")
        asked = await self.market.answer(self.draw, order.path, order.body, {})
        if "macaroon" in asked.body:
            await self.market.pay(asked.body, by_node=False)

    async def _spends(self, token: str, calls: int, claimed_with: Payment | None) -> None:
        counter = Counter(self.market, self.draw)
        purse = Purse(f"Bearer {token}")

        async def refill() -> None:
            await counter.refill(purse.authorization or "")

        async def claim_again() -> str | None:
            return await counter.claimed_again(claimed_with) if claimed_with is not None else None

        purse.refill, purse.claim_again = refill, None if claimed_with is None else claim_again
        if not await self._calls(purse, calls, at_once=AT_ONCE_MAX_COUNT, twins=True):
            return
        if self.draw.random() < ROTATES_SHARE:
            fresh = await counter.rotated(purse.authorization or "")
            if fresh is not None:
                await self._spends(fresh, self.draw.randint(1, 3), None)

    async def _calls(self, purse: Purse, calls: int, *, at_once: int, twins: bool) -> bool:
        """So many calls, some at the same time. False once one was given up, or the run is over."""
        while calls > 0:
            size = min(calls, self.draw.randint(1, at_once)) if purse.authorization else 1
            calls -= size
            begun = [name for _ in range(size) if (name := self.market.begin()) is not None]
            if not all(await asyncio.gather(*(self._call(purse, name, twins=twins) for name in begun))) or not begun:
                return False
        return True

    async def _call(self, purse: Purse, name: str, *, twins: bool) -> bool:
        draw = random.Random(self.draw.random())  # noqa: S311 - repeatable, not secret
        order = orders.order(draw, name)
        key = f"key-{secrets.token_hex(8)}" if draw.random() < orders.KEY_SHARE else None
        call = Call(name, order.kind, key)
        self.market.record.calls.append(call)
        copies = 2 if key is not None and twins and draw.random() < TWIN_SHARE else 1
        if key is not None:
            self.market.record.secrets.add(key)
        draws = [random.Random(draw.random()) for _ in range(copies)]  # noqa: S311 - repeatable, not secret
        done = await asyncio.gather(*(Caller(self.market, own, purse, order, call).run() for own in draws))
        self.market.finished += 1
        return all(done)
