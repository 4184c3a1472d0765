"""`python server.py --check`: says in plain words what is missing before anything is sold."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from lib import config, services
from lib.config import ConfigError, Settings
from lib.core.place import InFile
from lib.lightning.node import NodeUnavailable
from lib.services import Services
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
    try:
        async with services.opened(settings, _open_at_once) as opened:
            yield _ledger(opened)
            async for finding in _parts(opened):
                yield finding
    except LedgerLocked as error:
        yield Finding(ok=True, what=f"the ledger is in use by a running server ({error})", note=True)
    except (LedgerUnavailable, LedgerOlderThanCode, LedgerNewerThanCode, PositionUnreadable) as error:
        yield Finding(ok=False, what=f"the ledger in {settings.ledger.kind}: {error}")


async def _open_at_once(settings: Settings) -> Ledger:
    return await services.open_ledger(settings, wait_seconds=0)


def _ledger(opened: Services) -> Finding:
    place = opened.settings.ledger
    where = opened.settings.data_dir if isinstance(place, InFile) else place.kind
    if opened.lease.went_back:
        waits = "was restored from a backup and waits for scripts/migrate --restored honour|review"
        return Finding(ok=False, what=f"the ledger in {where} {waits}")
    return Finding(ok=opened.lease.id is not None, what=f"the ledger in {where} opens")


async def _parts(opened: Services) -> AsyncGenerator[Finding]:
    for difference in await opened.ledger.audit():
        yield Finding(ok=False, what=f"audit: {difference}")
    yield await _node(opened)
    if opened.feed is not None:
        await opened.feed.refresh()
    price = opened.price.current()
    yield Finding(
        ok=price is not None, what=f"a bitcoin costs {price.price.usd()} USD" if price else "no bitcoin price"
    )
    for ending in opened.catalog.ending(opened.today):
        yield Finding(ok=True, what=ending, note=True)
    offered = opened.settings.offered
    for name, api in opened.catalog.apis.items():
        if name in offered:
            trouble = opened.settings.missing(name) or await opened.upstream.check(api)
            yield Finding(ok=trouble is None, what=f"{name}: {trouble or 'upstream accepts our key'}")
        else:
            yield Finding(ok=True, what=f"{name} is not sold: {opened.settings.missing(name)}", note=True)


async def _node(opened: Services) -> Finding:
    settings: Settings = opened.settings
    try:
        info = await opened.node.info()
    except NodeUnavailable as error:
        hint = "" if settings.secrets.phoenix_password else "; PHOENIX_PASSWORD is not set"
        return Finding(ok=False, what=f"the node at {settings.phoenix_url}: {str(error).rstrip('.')}{hint}")
    return Finding(ok=info.ready, what=f"the node at {settings.phoenix_url} is phoenixd {info.version}: {info.detail}")


async def report(root: Path) -> int:
    """Print every finding as it is made; 1 if any is a fault."""
    faults = 0
    async for finding in findings(root):
        faults += not finding.ok
        sys.stdout.write(f"{'note' if finding.note else 'ok' if finding.ok else 'FAULT':6}{finding.what}\n")
        sys.stdout.flush()
    return min(faults, 1)
