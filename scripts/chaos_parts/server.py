"""The server of a chaos run: the real application, whose ledger, upstream and sockets can be the last thing it does.

A program of its own: `python server.py`. Nothing in the application knows of it. The environment says where the run
keeps its plan (`CHAOS_*`); everything else is an operator's environment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from lib import config, jobs, logs, services
from lib.config import Settings
from lib.store.ledger import Ledger
from lib.web.app import create_app

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from chaos_parts import plan  # noqa: E402 - found only now
from chaos_parts.bomb import Bomb, BuyerPoints, MarkedUpstream  # noqa: E402
from chaos_parts.hurt_ledger import HurtLedger, Weather  # noqa: E402

LOOPBACK = "127.0.0.1"
SEND_BUFFER_BYTES = 16_384
"""Small, so that a buyer who does not read is felt after some ten kilobytes and not after megabytes."""
DRAIN_SECONDS = 4
LEASE_TIMES = jobs.LeaseTimes(renew_seconds=0.7, stale_seconds=4.2)
"""A run has no minute to wait for a dead process's holds. The ratio of both is the shipped one."""
PLENTY = 1_000_000
PLENTY_USD = Decimal(PLENTY)
LIMITS = {
    "unpaid_per_ip_per_minute": PLENTY,
    "unpaid_per_network_per_minute": PLENTY,
    "invoices_per_minute": PLENTY,
    "differences_per_account_per_minute": PLENTY,
    "body_seconds": 5.0,
    "connect_seconds": 3.0,
    "idle_seconds": 4.0,
    "total_seconds": 15.0,
    "send_seconds": 2.0,
    "drain_seconds": DRAIN_SECONDS,
}
"""Buyers share one address here, and a run has no half hour for a limit to pass."""
STOP_LOSS = {
    "per_account_usd": PLENTY_USD,
    "per_model_usd": PLENTY_USD,
    "max_upstream_usd_per_hour": PLENTY_USD,
    "max_upstream_usd_per_day": PLENTY_USD,
}
"""Losses are what is made here, so nothing is taken off sale for them."""


def settings() -> Settings:
    """An operator's settings, with limits that fit into a run."""
    read = config.read(config.process_environment(), ROOT)
    limits = read.config.limits.model_copy(update=LIMITS)
    stop_loss = read.config.stop_loss.model_copy(update=STOP_LOSS)
    return replace(read, config=read.config.model_copy(update={"limits": limits, "stop_loss": stop_loss}))


def application(bomb: Bomb, weather: Weather) -> ASGIApp:
    """The real one around a ledger and an upstream that can fail."""

    @asynccontextmanager
    async def open_services(current: services.Current) -> AsyncGenerator[None]:
        chosen = settings()

        async def open_ledger(_: Settings) -> Ledger:
            return HurtLedger.around(await services.open_ledger(chosen), bomb, weather)

        async with services.opened(chosen, open_ledger) as opened:
            marked = MarkedUpstream(chosen.upstream_urls, chosen.secrets.upstream_keys, chosen.config.limits)
            marked.mark(bomb)
            purchase = replace(opened.purchase, upstream=marked)
            try:
                current.services = replace(opened, upstream=marked, purchase=purchase)
                async with jobs.running(current, LEASE_TIMES):
                    yield
            finally:
                await marked.aclose()

    return BuyerPoints(create_app(open_services, ROOT / "frontend" / "dist"), bomb)


def main() -> None:
    """Serve until a signal, or until a point at which the plan says: die."""
    logs.set_up("json")
    directory = Path(os.environ["CHAOS_DIRECTORY"])
    bomb = Bomb.of(os.environ["CHAOS_POINT"], directory / f"died-{os.environ['CHAOS_LIFE']}")
    faults = plan.read(directory / "plan.json") if os.environ["CHAOS_WEATHER"] == "1" else []
    weather = Weather(faults, float(os.environ["CHAOS_BEGAN"]), directory / f"leases-{os.environ['CHAOS_LIFE']}")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    listener.bind((LOOPBACK, int(os.environ["PORT"])))
    server = uvicorn.Server(
        uvicorn.Config(
            application(bomb, weather),
            access_log=False,
            log_config=None,
            proxy_headers=False,
            log_level="info",
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    signal.signal(signal.SIGTERM, on_sigterm)
    asyncio.run(server.serve(sockets=[listener]))
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def on_sigterm(number: int, frame: FrameType | None) -> None:
    """uvicorn raises it once more when all is closed: an orderly stop is a success."""
    del number, frame
    sys.exit(0)


if __name__ == "__main__":
    main()
