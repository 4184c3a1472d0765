"""What runs beside requests: the lease, confirmations, the price, losses, health. One task group.

Jobs are idempotent, so every process may run them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lib.doubt import NOT_PAID, judge
from lib.health import UPSTREAM, Health
from lib.lease import Lease
from lib.lightning.node import IncomingPayment, NodeUnavailable, PaymentState
from lib.metrics import LedgerSums
from lib.purchase import NOT_SET_UP
from lib.services import Current, Services, renewed
from lib.store.ledger import CreditInDoubt, LedgerUnavailable

log = logging.getLogger(__name__)

CONFIRM_SECONDS = 1.0
CONFIRM_MAX_CREDITS = 100
FORGOTTEN_AFTER_SECONDS = 5.0
"""Two 404s at least so far apart mean that the node does not know a payment."""
DENIED_AGAIN_SECONDS = 30.0
"""How often a denied payment is asked for again: a later yes thaws its account."""
TOPUP_SECONDS = 2.0
TOPUP_MAX_INVOICES = 200
LOSSES_SECONDS = 5.0
PAUSES_SECONDS = 5.0
HEALTH_SECONDS = 15.0
UNREACHABLE_SECONDS = 2.0
"""How often it is tried again: until then nobody is asked to pay."""
FIGURES_SECONDS = 30.0
"""Sums over the whole ledger are not read at every scrape."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How a process proves that it lives, and when others take it for dead. The same for all of one ledger."""

    renew_seconds: float = 10.0
    stale_seconds: float = 60.0
    """A lease not renewed for so long is a dead process's; only who has itself renewed for so long may say so."""


@asynccontextmanager
async def running(current: Current, lease: LeaseTimes = LeaseTimes()) -> AsyncGenerator[None]:
    """Run every job until the block ends; those that a reload concerns look at the services of the moment."""
    services = current.services
    confirmations = Confirmations(services)
    jobs: list[tuple[str, float, Callable[[], Awaitable[None]]]] = [
        ("lease", lease.renew_seconds, LeaseKeeper(services, lease).step),
        ("confirm", CONFIRM_SECONDS, confirmations.step),
        ("top-ups", TOPUP_SECONDS, lambda: credit_topups(services)),
        ("losses", LOSSES_SECONDS, lambda: current.services.stop_loss.refresh(services.ledger)),
        ("pauses", PAUSES_SECONDS, lambda: current.services.purchase.pauses.refresh(current.services.ledger)),
        ("health", HEALTH_SECONDS, lambda: look_around(current.services)),
        ("upstreams", UNREACHABLE_SECONDS, lambda: look_again(current.services)),
        ("figures", FIGURES_SECONDS, lambda: read_figures(current.services)),
    ]
    if services.feed is not None:
        jobs.append(("price", services.settings.config.btc_price.refresh_seconds, services.feed.refresh))
    tasks = [asyncio.create_task(_every(seconds, name, step), name=f"job {name}") for name, seconds, step in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _every(seconds: float, name: str, step: Callable[[], Awaitable[None]]) -> None:
    """Repeat a step for ever; one that fails is told and tried again, because a dead job would be silent."""
    while True:
        try:
            await step()
        except (LedgerUnavailable, NodeUnavailable) as error:
            log.warning("job %s: %s", name, error)
        except Exception:
            log.exception("job %s failed", name)
        await asyncio.sleep(seconds)


class LeaseKeeper:
    """Renews this process's lease; expires others' only after unbroken renewals of its own.

    A pause of the machine or the database makes every lease look stale: who just came back from one waits until all
    who live have had the time to renew.
    """

    def __init__(
        self, services: Services, times: LeaseTimes = LeaseTimes(), clock: Callable[[], float] = time.time
    ) -> None:
        """Nothing is renewed yet. `clock` is in seconds, and runs on while the machine sleeps."""
        self._services = services
        self._times = times
        self._clock = clock
        self._lease: str | None = None
        self._unbroken_since = self._renewed_at = clock()

    async def step(self) -> None:
        """Renew; while the ledger cannot be reached, no calls are taken."""
        await renewed(self._services.ledger, self._services.lease)
        self._note(self._services.lease.id, self._clock())
        if self._renewed_at - self._unbroken_since >= self._times.stale_seconds:
            lapsed = await self._services.ledger.expire(self._times.stale_seconds)
            if lapsed:
                log.warning("%d holds of a dead process lapsed", lapsed)

    def _note(self, lease: str | None, now: float) -> None:
        """A renewal succeeded. Another lease than before, or a pause since, breaks the row."""
        pause = now - self._renewed_at
        if lease != self._lease or not 0 <= pause <= self._times.stale_seconds / 2:
            self._unbroken_since = now
        self._lease, self._renewed_at = lease, now


class Confirmations:
    """Asks the node about credits that were made on a preimage alone, oldest first.

    A clear no freezes the account; silence, errors and time-outs never do. The node hands out preimages of unpaid
    invoices to everyone with its limited password, so a preimage alone proves less than it should.
    """

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Nothing was asked yet. `monotonic` is in seconds."""
        self._services = services
        self._monotonic = monotonic
        self._unknown_since: dict[bytes, float] = {}
        self._ask_again_at: dict[bytes, float] = {}

    async def step(self) -> None:
        """One round. Raises NodeUnavailable at the first unanswered question: nothing is concluded from it."""
        for credit in await self._services.ledger.in_doubt(CONFIRM_MAX_CREDITS):
            if self._monotonic() >= self._ask_again_at.get(credit.payment_hash, 0):
                await self._judge(credit, await self._services.node.incoming(credit.payment_hash))

    async def _judge(self, credit: CreditInDoubt, known: IncomingPayment) -> None:
        match known.state:
            case PaymentState.PAID:
                await judge(self._services.ledger, credit.payment_hash, known)
                self._forget(credit.payment_hash)
                self._services.health.alarms.pop("node memory", None)
            case PaymentState.OPEN | PaymentState.EXPIRED:
                await self._deny(credit, NOT_PAID)
            case PaymentState.UNKNOWN:
                await self._unknown(credit)

    async def _unknown(self, credit: CreditInDoubt) -> None:
        since = self._unknown_since.setdefault(credit.payment_hash, self._monotonic())
        if self._monotonic() - since < FORGOTTEN_AFTER_SECONDS:
            return
        if await self._node_lost_its_memory():
            alarm = "the node does not know payments that it confirmed before: nothing is frozen, look at the node"
            self._services.health.alarms["node memory"] = alarm
            log.error("%s", alarm)
            self._ask_again_at[credit.payment_hash] = self._monotonic() + DENIED_AGAIN_SECONDS
            return
        await self._deny(credit, "the node does not know the invoice")

    async def _node_lost_its_memory(self) -> bool:
        newest = await self._services.ledger.newest_confirmed()
        return newest is not None and (await self._services.node.incoming(newest)).state is PaymentState.UNKNOWN

    async def _deny(self, credit: CreditInDoubt, reason: str) -> None:
        if not credit.denied:
            await self._services.ledger.deny(credit.payment_hash, reason)
            totals = await self._services.ledger.totals()
            log.error(
                "account frozen, %s: %d msat credited; lost to unpaid invoices in all: %d msat",
                reason,
                credit.amount.value,
                totals.denied_spent.value,
            )
        self._ask_again_at[credit.payment_hash] = self._monotonic() + DENIED_AGAIN_SECONDS

    def _forget(self, payment_hash: bytes) -> None:
        self._unknown_since.pop(payment_hash, None)
        self._ask_again_at.pop(payment_hash, None)


async def credit_topups(services: Services) -> None:
    """Credit every top-up and refill that the node calls paid, whether or not anybody comes back for it."""
    for topup in await services.ledger.open_topups(TOPUP_MAX_INVOICES):
        known = await services.node.incoming(topup.payment_hash)
        if known.state is PaymentState.PAID:
            await services.ledger.credit_topup(topup.payment_hash, known.received)
        elif known.state is not PaymentState.OPEN:
            await services.ledger.close_topup(topup.payment_hash)


async def look_around(services: Services) -> None:
    """Refresh what /api/health says."""
    health = services.health
    _hear_ledger(health, services.lease, services.settings.ledger.kind)
    try:
        info = await services.node.info()
        health.hear("node", info.detail, ok=info.ready)
    except NodeUnavailable as error:
        health.hear("node", str(error), ok=False)
    priced = services.price.current()
    health.hear("price", "fresh" if priced else "no fresh bitcoin price", ok=priced is not None)
    offered = services.settings.offered & services.catalog.apis.keys()
    for name in [name for name in health.parts if name.startswith(UPSTREAM)]:
        if name.removeprefix(UPSTREAM) not in offered:
            del health.parts[name]  # a reload took it off the catalog, or its key away
    await asyncio.gather(*(services.upstream.look(services.catalog.apis[api]) for api in offered))
    for api in sorted(offered):
        trouble = NOT_SET_UP if services.settings.missing(api) else services.upstream.trouble(api)
        health.hear(UPSTREAM + api, trouble or "for sale", ok=trouble is None)
    _alarm(health.alarms, "stop-loss", services.stop_loss.alarm)


async def look_again(services: Services) -> None:
    """Sell what can be reached again."""
    away = [api for name, api in services.catalog.apis.items() if services.upstream.unreachable(name)]
    await asyncio.gather(*(services.upstream.look(api) for api in away))


async def read_figures(services: Services) -> None:
    """Refresh what GET /metrics says of the whole ledger and of the node's balance, where anybody may read it."""
    if not services.settings.secrets.metrics_token:
        return
    services.metrics.ledger = LedgerSums(await services.ledger.totals(), time.monotonic())
    services.metrics.node_balance = None
    services.metrics.node_balance = await services.node.balance()


def _hear_ledger(health: Health, lease: Lease, kind: str) -> None:
    leased = lease.id is not None
    words = f"{kind}: holds a lease" if leased else f"{kind}: cannot be reached"
    if lease.went_back:
        words = f"{kind}: restored from a backup, waits for scripts/migrate --restored honour|review"
    health.hear("ledger", words, ok=leased and not lease.went_back)
    _alarm(health.alarms, "ledger restored", words if lease.went_back else "")


def _alarm(alarms: dict[str, str], name: str, words: str | None) -> None:
    """Raise it, or clear it where there is nothing to say."""
    if words:
        alarms[name] = words
    else:
        alarms.pop(name, None)
