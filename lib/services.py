"""Builds everything once: a frozen Services, opened in the lifespan and closed with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol, TypeAlias

from lib.btc_price import PUBLIC_SOURCES, BtcPriceFeed, BtcPriceSource, FeedLimits, FixedBtcPrice
from lib.challenge import Keys, Randomness, Till
from lib.config import Settings
from lib.core import catalog
from lib.core.blocklist import Blocklist
from lib.core.catalog import Catalog
from lib.core.place import InFile, InPostgres, InSupabase, Place
from lib.health import Health
from lib.ids import Ids
from lib.lease import Lease
from lib.lightning.node import LightningNode
from lib.lightning.payer import DemoWallet
from lib.lightning.phoenixd import Phoenixd
from lib.media.audio_meter import AudioMeter
from lib.metrics import Metrics
from lib.moderation import Moderation
from lib.purchase import Purchase
from lib.stop_loss import StopLoss
from lib.store.ledger import Ledger, LedgerUnavailable, LedgerWentBack
from lib.store.postgres import PostgresLedger
from lib.store.sqlite import SqliteLedger
from lib.store.watermark import Watermark
from lib.throttle import CountsFree, MemoryThrottle, SharedThrottle, Throttle
from lib.topup import Topups
from lib.uploads import Spool
from lib.upstream import Upstream

log = logging.getLogger(__name__)

SETTLE_AT_STOP_SECONDS = 20.0
LEDGER_START_SECONDS = 60.0
"""How long a server that starts waits for a database that does not answer: both may be starting."""
LEDGER_RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What others run and we need."""

    node: LightningNode
    upstream: Upstream
    price: BtcPriceSource
    feed: BtcPriceFeed | None
    """Set unless the price is fixed; who wants a price refreshes it."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a request may use. Nothing is global and nothing is patched: a test opens its own."""

    settings: Settings
    catalog: Catalog
    ledger: Ledger
    node: LightningNode
    price: BtcPriceSource
    feed: BtcPriceFeed | None
    """Set unless the price is fixed; a job refreshes it."""
    upstream: Upstream
    stop_loss: StopLoss
    throttle: Throttle
    lease: Lease
    health: Health
    purchase: Purchase
    topups: Topups
    uploads: Spool
    audio_meter: AudioMeter
    blocklist: Blocklist
    moderation: Moderation | None
    """Reads paid calls first; None where the operator wants none."""
    demo_wallet: DemoWallet | None
    """Pays with play money; None outside the demo."""

    @property
    def metrics(self) -> Metrics:
        """What this process counts."""
        return self.purchase.till.metrics

    @property
    def today(self) -> date:
        """The day by UTC, for shutdown dates."""
        return datetime.fromtimestamp(self.purchase.till.clock(), UTC).date()


class Current(Protocol):
    """Holds the Services of this moment: the one reference that a reload exchanges."""

    services: Services


OpenLedger: TypeAlias = Callable[[Settings], Awaitable[Ledger]]


async def open_ledger(settings: Settings, wait_seconds: float = LEDGER_START_SECONDS) -> Ledger:
    """The ledger that the settings name. One that cannot be reached is tried again for `wait_seconds`.

    Raises LedgerUnavailable after that, and what the ledger's own opening raises.
    """
    until = time.monotonic() + wait_seconds
    while True:
        try:
            return await ledger_at(settings.ledger, settings.data_dir)
        except LedgerUnavailable as error:
            left = until - time.monotonic()
            if left <= 0:
                log.critical("no server without its ledger: %s cannot be reached (%s)", settings.ledger.kind, error)
                raise
            log.warning("%s cannot be reached, %.0f s left to wait for it: %s", settings.ledger.kind, left, error)
            await asyncio.sleep(min(left, LEDGER_RETRY_SECONDS))


async def ledger_at(place: Place, data_dir: Path) -> Ledger:
    """Open the ledger once. Raises LedgerUnavailable, and what the ledger's own opening raises."""
    match place:
        case InFile():
            return await SqliteLedger.open(data_dir)
        case InPostgres(url):
            return await PostgresLedger.open(url, await asyncio.to_thread(Watermark, data_dir))
        case InSupabase():
            from lib.store import supabase  # noqa: PLC0415 - its client takes 0.3 s and 30 MB, which others keep

            watermark = await asyncio.to_thread(Watermark, data_dir)
            return await supabase.open_ledger(place.project_url, place.secret_key, watermark)


@asynccontextmanager
async def opened(settings: Settings, open_ledger: OpenLedger = open_ledger) -> AsyncGenerator[Services]:
    """Open the ledger and the connections, take a lease; on exit write what is still to be settled, then close."""
    async with AsyncExitStack() as stack:
        ledger = await open_ledger(settings)
        stack.push_async_callback(ledger.aclose)
        around = await stack.enter_async_context(surroundings(settings))
        wallet = _demo_wallet(settings)
        if wallet is not None:
            stack.push_async_callback(wallet.aclose)
        meter = AudioMeter()
        stack.push_async_callback(meter.aclose)
        services = await _assembled(settings, ledger, around, wallet, meter)
        stack.push_async_callback(_given_back, services)
        with contextlib.suppress(LedgerUnavailable):
            await services.purchase.pauses.refresh(ledger)
        services.metrics.sells(services.catalog.models())
        for api in sorted(settings.overridden):
            log.warning("the address of %s comes from the environment: %s", api, settings.upstream_urls[api])
        tell_what_is_not_sold(services)
        yield services


def tell_what_is_not_sold(services: Services) -> None:
    """Into the log: what is not set up, by the names that buyers are not told, and what ends soon."""
    missing = {api: services.settings.missing(api) for api in services.catalog.apis}
    waiting = [f"{api} ({why})" for api, why in missing.items() if why]
    if waiting:
        log.warning("not sold: %s", ", ".join(waiting))
    for ending in services.catalog.ending(services.today):
        log.warning("%s", ending)


@asynccontextmanager
async def surroundings(settings: Settings) -> AsyncGenerator[Surroundings]:
    """Clients of all that others run; closed in the end. Nothing is asked of it yet."""
    async with AsyncExitStack() as stack:
        node = Phoenixd(settings.phoenix_url, settings.secrets.phoenix_password)
        stack.push_async_callback(node.aclose)
        upstream = Upstream(settings.upstream_urls, settings.secrets.upstream_keys, settings.config.limits)
        stack.push_async_callback(upstream.aclose)
        feed = _feed(settings)
        if feed is not None:
            stack.push_async_callback(feed.aclose)
        yield Surroundings(node, upstream, feed or _fixed(settings), feed)


async def _assembled(
    settings: Settings, ledger: Ledger, around: Surroundings, wallet: DemoWallet | None, meter: AudioMeter
) -> Services:
    config, price, upstream = settings.config, around.price, around.upstream
    till = await _till(settings, ledger, around.node)
    stop_loss, lease = StopLoss(config.stop_loss), till.lease
    with contextlib.suppress(LedgerUnavailable):  # until the lease job has one, no calls are taken
        await renewed(ledger, lease)
    purchase = Purchase(
        till=till,
        ledger=ledger,
        price=price,
        upstream=upstream,
        stop_loss=stop_loss,
        lease=lease,
        missing=settings.missing,
        unsettled=set(),
    )
    sold = catalog.build(config)
    return Services(
        settings=settings,
        catalog=sold,
        ledger=ledger,
        node=around.node,
        price=price,
        feed=around.feed,
        upstream=upstream,
        stop_loss=stop_loss,
        throttle=till.throttle,
        lease=lease,
        health=Health(),
        purchase=purchase,
        topups=Topups(config.topup, till, ledger, price),
        uploads=Spool(settings.data_dir / "uploads", config.limits.upload_space_bytes),
        audio_meter=meter,
        blocklist=_blocklist(settings),
        moderation=Moderation.of(config.moderation, sold, upstream),
        demo_wallet=wallet,
    )


async def _till(settings: Settings, ledger: Ledger, node: LightningNode) -> Till:
    return Till(
        title=settings.config.title,
        limits=settings.config.limits,
        keys=Keys(settings.secrets.root_keys, await ledger.ledger_id()),
        node=node,
        throttle=_throttle(ledger),
        lease=Lease(),
        clock=time.time,
        randomness=Randomness(secrets.token_bytes, Ids(secrets.token_bytes)),
    )


def reloaded(services: Services, settings: Settings) -> Services:
    """The same shop under other settings: the ledger, the node, the connections and what runs stay as they are.

    Raises ValueError for a catalog that is not valid.
    """
    config, old = settings.config, services.purchase
    sold = catalog.build(config)
    till = replace(old.till, title=config.title, limits=config.limits)
    upstream = services.upstream.changed(settings.upstream_urls, settings.secrets.upstream_keys, config.limits)
    stop_loss = services.stop_loss.under(config.stop_loss)
    purchase = replace(old, till=till, upstream=upstream, stop_loss=stop_loss, missing=settings.missing)
    return replace(
        services,
        settings=settings,
        catalog=sold,
        upstream=upstream,
        stop_loss=stop_loss,
        purchase=purchase,
        topups=replace(services.topups, rules=config.topup, till=till),
        blocklist=_blocklist(settings),
        moderation=Moderation.of(config.moderation, sold, upstream),
    )


def _blocklist(settings: Settings) -> Blocklist:
    return Blocklist([*settings.config.blocklist.words, *settings.blocked_words], settings.config.blocklist.patterns)


async def renewed(ledger: Ledger, lease: Lease) -> None:
    """Renew the lease, or take a new one if it expired. Raises LedgerUnavailable; then no calls are taken."""
    try:
        if lease.id is None or not await ledger.renew(lease.id):
            fresh = uuid.uuid4().hex
            await ledger.take_lease(fresh)
            lease.id = fresh
    except LedgerUnavailable as error:
        lease.id, lease.went_back = None, lease.went_back or isinstance(error, LedgerWentBack)
        raise
    lease.went_back = False


async def _given_back(services: Services) -> None:
    """The orderly end: running settlements first, then the lease, which without a ledger to give it to will lapse."""
    until = time.monotonic() + SETTLE_AT_STOP_SECONDS
    while services.purchase.unsettled and time.monotonic() < until:  # a settlement may follow a call that ends now
        await asyncio.wait(services.purchase.unsettled, timeout=until - time.monotonic())
    if services.lease.id is not None:
        lease, services.lease.id = services.lease.id, None
        try:
            await services.ledger.renew(lease)  # how far the ledger has got is remembered with it
            await services.ledger.end_lease(lease)
        except LedgerUnavailable as error:
            log.warning("the lease could not be given back: %s", error)


def _throttle(ledger: Ledger) -> Throttle:
    """What is free is counted where all processes of the ledger count, if it can."""
    return SharedThrottle(ledger.count_free) if isinstance(ledger, CountsFree) else MemoryThrottle()


def _demo_wallet(settings: Settings) -> DemoWallet | None:
    """Real money is never paid from here: only a demo has such a wallet."""
    if not settings.demo or not settings.secrets.demo_wallet_password:
        return None
    return DemoWallet(settings.demo_wallet_url, settings.secrets.demo_wallet_password)


def _feed(settings: Settings) -> BtcPriceFeed | None:
    if settings.fixed_btc_price is not None:
        return None
    rules = settings.config.btc_price
    limits = FeedLimits(
        refresh_seconds=rules.refresh_seconds,
        max_age_seconds=rules.max_age_seconds,
        quorum=rules.quorum,
        max_deviation=rules.max_deviation,
        max_jump=rules.max_jump,
    )
    return BtcPriceFeed(PUBLIC_SOURCES, limits, _now)


def _fixed(settings: Settings) -> FixedBtcPrice:
    if settings.fixed_btc_price is None:
        raise ValueError("no fixed price is set")
    return FixedBtcPrice(settings.fixed_btc_price, _now)


def _now() -> datetime:
    return datetime.now(UTC)
