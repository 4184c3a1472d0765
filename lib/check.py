"""`python server.py --check`: says in plain words what is missing before anything is sold."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lib import config, services
from lib.config import ConfigError, Settings
from lib.core import catalog
from lib.core.place import InFile
from lib.lightning.node import NodeUnavailable
from lib.services import Surroundings
from lib.store.ledger import Ledger, LedgerNewerThanCode, LedgerOlderThanCode, LedgerUnavailable
from lib.store.sqlite import LedgerLocked
from lib.store.watermark import PositionUnreadable


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. A `note` is not a fault."""

    ok: bool
    what: str
    note: bool = False


async def findings(root: Path) -> AsyncGenerator[Finding]:
    """Every finding, as it is made: configuration, environment, ledger, node, price, upstreams."""
    try:
        settings = config.read(config.process_environment(), root)
    except ConfigError as error:
        yield Finding(ok=False, what=str(error))
        return
    yield Finding(ok=True, what="config.yaml and the environment are valid")
    for api in sorted(settings.overridden):
        yield Finding(
            ok=True, what=f"{api} is bought at {settings.upstream_urls[api]} (from the environment)", note=True
        )
    async for finding in _ledger(settings):
        yield finding
    async with services.surroundings(settings) as around:
        yield await _node(settings, around)
        yield await _price(around)
        async for finding in _catalog(settings, around):
            yield finding


async def _ledger(settings: Settings) -> AsyncGenerator[Finding]:
    place = settings.ledger
    where = settings.data_dir if isinstance(place, InFile) else place.kind
    try:
        async with services.opened(settings, _open_at_once) as opened:
            if opened.lease.went_back:
                waits = "was restored from a backup and waits for scripts/migrate --restored honour|review"
                yield Finding(ok=False, what=f"the ledger in {where} {waits}")
            else:
                yield Finding(ok=opened.lease.id is not None, what=f"the ledger in {where} opens")
            for difference in await opened.ledger.audit():
                yield Finding(ok=False, what=f"audit: {difference}")
    except LedgerLocked as error:
        yield Finding(ok=True, what=f"the ledger is in use by a running server ({error})", note=True)
    except (LedgerUnavailable, LedgerOlderThanCode, LedgerNewerThanCode, PositionUnreadable) as error:
        yield Finding(ok=False, what=f"the ledger in {place.kind}: {error}")


async def _open_at_once(settings: Settings) -> Ledger:
    return await services.open_ledger(settings, wait_seconds=0)


async def _node(settings: Settings, around: Surroundings) -> Finding:
    try:
        info = await around.node.info()
    except NodeUnavailable as error:
        hint = "" if settings.secrets.phoenix_password else "; PHOENIX_PASSWORD is not set"
        return Finding(ok=False, what=f"the node at {settings.phoenix_url}: {str(error).rstrip('.')}{hint}")
    return Finding(ok=info.ready, what=f"the node at {settings.phoenix_url} is phoenixd {info.version}: {info.detail}")


async def _price(around: Surroundings) -> Finding:
    if around.feed is not None:
        await around.feed.refresh()
    priced = around.price.current()
    return Finding(
        ok=priced is not None, what=f"a bitcoin costs {priced.price.usd()} USD" if priced else "no bitcoin price"
    )


async def _catalog(settings: Settings, around: Surroundings) -> AsyncGenerator[Finding]:
    sold = catalog.build(settings.config)
    for ending in sold.ending(datetime.now(UTC).date()):
        yield Finding(ok=True, what=ending, note=True)
    for name, api in sold.apis.items():
        if name in settings.secrets.upstream_keys:
            trouble = await around.upstream.check(api)
            yield Finding(ok=trouble is None, what=f"{name}: {trouble or 'upstream accepts our key'}")
        else:
            missing = f"{api.rules.api_key_env} is not set"
            meant = name in settings.offered
            yield Finding(ok=not meant, what=f"{name}{':' if meant else ' is not sold:'} {missing}", note=not meant)


async def report(root: Path) -> int:
    """Print every finding as it is made; 1 if any is a fault."""
    faults = 0
    async for finding in findings(root):
        faults += not finding.ok
        sys.stdout.write(f"{'note' if finding.note else 'ok' if finding.ok else 'FAULT':6}{finding.what}\n")
        sys.stdout.flush()
    return min(faults, 1)
