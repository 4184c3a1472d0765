"""Where buyers meet servers: requests that are repeated as SDKs repeat them, payments, and what becomes of each."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos_parts import wire
from chaos_parts.doubles import Doubles
from chaos_parts.fleet import Fleet
from chaos_parts.record import PROMPT_MARK, Payment, Record
from chaos_parts.wire import WELL_BEHAVED, Manner, Reply

UNAUTHORIZED = 401
PAYMENT_REQUIRED = 402
OK = 200
REPEATED = frozenset({408, 409, 429})
"""What SDKs repeat by themselves, besides every status from 500 on."""
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
"""A server that says 30 is asked sooner: a run has no time, and a second is an eternity here."""
PATIENCE_SECONDS = 150.0
"""For one request until it is answered at all."""


class Impatient(Exception):
    """The servers gave no usable answer for PATIENCE_SECONDS."""


class Pause:
    """Waits longer each time, up to a bound."""

    def __init__(self, draw: random.Random) -> None:
        """The first wait is short."""
        self._draw, self._next_seconds = draw, FIRST_PAUSE_SECONDS
        self._until = time.monotonic() + PATIENCE_SECONDS

    async def wait(self, what: str) -> None:
        """Raises Impatient when it has been too long in all."""
        if time.monotonic() > self._until:
            raise Impatient(what)
        await asyncio.sleep(self._next_seconds * self._draw.uniform(0.5, 1.0))
        self._next_seconds = min(2 * self._next_seconds, LONGEST_PAUSE_SECONDS)


@dataclass(frozen=True, slots=True)
class Answered:
    """The first reply that is neither lost nor to be repeated."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]
    raw: bytes
    uncertain: str | None
    """How an earlier try ended whose outcome is not known: `lost`, or `5xx`; None if there was none."""

    @property
    def code(self) -> str:
        """Of its error."""
        return str(self.body.get("error", {}).get("code", ""))


@dataclass(slots=True, eq=False)
class Market:
    """One run's servers and what its buyers do there."""

    fleet: Fleet
    doubles: Doubles
    record: Record
    calls_max: int
    begun: int = 0
    finished: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the last call has begun."""

    def begin(self) -> str | None:
        """The name of one more call; None once all have begun."""
        if self.begun >= self.calls_max:
            return None
        self.begun += 1
        if self.begun == self.calls_max:
            self.over.set()
        return f"{PROMPT_MARK}-{self.record.nonce}-{self.begun:06d}"

    def port(self, draw: random.Random) -> int:
        """Any server, as a load balancer chooses."""
        return draw.choice(self.fleet.ports)

    async def send(
        self,
        draw: random.Random,
        path: str,
        body: object,
        headers: Mapping[str, str],
        how: Manner = WELL_BEHAVED,
        *,
        method: str = "POST",
    ) -> Reply:
        """One exchange with any server."""
        sent = b"" if body is None else json.dumps(body).encode()
        lines = {"Content-Type": "application/json", **headers}
        return await wire.exchange(self.port(draw), method, path, lines, sent, how)

    async def answer(
        self,
        draw: random.Random,
        path: str,
        body: object,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        rude: Callable[[], Manner] | None = None,
    ) -> Answered:
        """Send until it is answered. Raises Impatient. `rude` is how the first exchange goes."""
        pause, uncertain = Pause(draw), None
        how = rude() if rude else WELL_BEHAVED
        while True:
            reply = await self.send(draw, path, body, headers, how, method=method)
            how = WELL_BEHAVED
            status = reply.status or 0
            if not reply.complete:
                uncertain = "lost"
            elif status >= 500:  # noqa: PLR2004 - every server's fault
                uncertain = uncertain or "5xx"
            elif status not in REPEATED:
                return Answered(status, reply.headers, _object(reply.body), reply.body, uncertain)
            await pause.wait(f"{method} {path}: {status or 'no reply'}")

    async def pay(self, offer: Mapping[str, Any], *, by_node: bool) -> Payment:
        """Pay a challenge's invoice once. Raises PaymentRefused."""
        preimage = await self.doubles.pay(offer["invoice"])
        payment = Payment(offer["payment_hash"], offer["kind"], offer["macaroon"], preimage, by_node)
        self.record.payments.append(payment)
        self.record.secrets.update((payment.macaroon, payment.preimage))
        return payment


def digest_of(secret: str) -> str:
    """What stands for a credential in the record."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


def _object(body: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]
