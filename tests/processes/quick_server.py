"""`python -m tests.processes.quick_server`: the server, in which the death of another one is noticed within seconds."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lib import config, jobs, run, services
from lib.web.app import create_app
from tests.world import ROOT

TIMES = jobs.LeaseTimes(renew_seconds=0.2, stale_seconds=3.0)


@asynccontextmanager
async def open_services(current: services.Current) -> AsyncGenerator[None]:
    """As server.py does."""
    settings = config.read(config.process_environment(), ROOT)
    async with services.opened(settings) as current.services, jobs.running(current, TIMES):
        yield


if __name__ == "__main__":
    sys.exit(run.main(create_app(open_services, ROOT / "frontend" / "dist"), ROOT, __doc__))
