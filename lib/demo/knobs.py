"""Faults of a node, set from outside while it runs: how it answers, and how payments to and from it end."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

HANG_LIMIT_SECONDS = 300.0
MAX_DELAY_MS = 600_000

Milliseconds = Annotated[int, Field(ge=0, le=MAX_DELAY_MS)]
PaymentHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Knobs(BaseModel):
    """One node's faults; the defaults are a healthy node. Unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refuse: bool = Field(default=False, description="The port refuses connections; open ones are dropped.")
    peer_offline: bool = Field(default=False, description="The ACINQ peer is away: balance 0, nothing can be paid.")
    delay_ms: Milliseconds = Field(default=0, description="Every reply comes this much later; its work is done before.")
    hang: bool = Field(default=False, description="No reply until cleared; the work is done nevertheless.")
    error_500: str | None = Field(default=None, description="Every call is answered 500 with this text, work undone.")
    pay_delay_ms: Milliseconds = Field(default=0, description="Our payments stay pending this long.")
    pay_reason: str | None = Field(default=None, description="Our payments fail with this reason.")
    fee_credit: bool = Field(default=False, description="What we receive becomes fee credit instead of balance.")
    overpay_factor: float = Field(default=1.0, ge=1, le=2, description="We pay this many times what is asked.")
    allow_pay_after_expiry: bool = Field(default=False, description="Our expired invoices can be paid (a late HTLC).")
    received_short_sat: int = Field(default=0, description="Liquidity fee taken from what we receive, in sat.")
    forget: frozenset[PaymentHash] = Field(default=frozenset(), description="Our invoices we have no record of.")
    forget_all: bool = Field(default=False, description="We have no record of any incoming payment.")
    say_unpaid: bool = Field(default=False, description="We call every incoming payment unpaid.")

    def forgot(self, payment_hash: str) -> bool:
        """Has the node lost its memory of this incoming payment?"""
        return self.forget_all or payment_hash in self.forget


class KnobBoard:
    """A node's current knobs. Replies that hang wait here for a change."""

    def __init__(self) -> None:
        self.current = Knobs()
        self._changed = asyncio.Event()

    def merge(self, patch: dict[str, Any]) -> Knobs:
        """Set the named knobs, leave the others. Raises pydantic's ValidationError and then changes nothing."""
        return self._set(Knobs.model_validate({**self.current.model_dump(), **patch}))

    def reset(self) -> Knobs:
        """Back to a healthy node; hanging replies go out."""
        return self._set(Knobs())

    async def until_replies_may_leave(self) -> None:
        """Waits for `delay_ms`, then while `hang` is set. Raises TimeoutError after HANG_LIMIT_SECONDS of hanging."""
        await asyncio.sleep(self.current.delay_ms / 1000)
        async with asyncio.timeout(HANG_LIMIT_SECONDS):
            while self.current.hang:
                await self._changed.wait()

    def _set(self, knobs: Knobs) -> Knobs:
        self.current = knobs
        self._changed.set()
        self._changed = asyncio.Event()
        return knobs
