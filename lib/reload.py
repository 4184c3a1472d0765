"""SIGHUP: the configuration is read again and takes the place of the old one, under running calls."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from lib import config
from lib.config import ConfigError, Settings
from lib.services import Current, reloaded, tell_what_is_not_sold

log = logging.getLogger(__name__)


@asynccontextmanager
async def on_hangup(current: Current, read: Callable[[], Settings]) -> AsyncGenerator[None]:
    """Reload whenever this process is told SIGHUP, until the block ends. Needs the main thread."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told.set)
    reloading = asyncio.create_task(_whenever(told, current, read), name="reload")
    try:
        yield
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it would end the process while settlements are written
        reloading.cancel()
        await asyncio.gather(reloading, return_exceptions=True)


async def reload(current: Current, read: Callable[[], Settings]) -> None:
    """Exchange the services for those of the settings that `read` finds; on any fault they stay, and the log says why.

    Calls that run go on with what they began with.
    """
    old = current.services
    try:
        new = await asyncio.to_thread(read)
        fresh = await asyncio.to_thread(reloaded, old, config.succeeding(old.settings, new))
    except (ConfigError, ValueError) as error:
        log.error("the configuration was not reloaded, the old one stays: %s", error)  # noqa: TRY400 - no traceback
        return
    for name in config.waiting_for_restart(old.settings, new):
        log.warning("reload: a change of %s needs a restart", name)
    current.services = fresh
    tell_what_is_not_sold(fresh)
    sold = sum(len(api.endpoints) for api in fresh.catalog.apis.values())
    log.warning("the configuration was reloaded: %d APIs, %d endpoints", len(fresh.catalog.apis), sold)


async def _whenever(told: asyncio.Event, current: Current, read: Callable[[], Settings]) -> None:
    """One reload after another; hang-ups during one are one more."""
    while True:
        await told.wait()
        told.clear()
        try:
            await reload(current, read)
        except Exception:
            log.exception("the configuration was not reloaded, the old one stays")
