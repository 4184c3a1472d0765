"""The server: `uvicorn server:app` or `python server.py`; with --check it says what is missing and ends."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from lib import config, jobs, logs, reload, run, services
from lib.web.app import create_app

ROOT = Path(__file__).parent


@asynccontextmanager
async def open_services(current: services.Current) -> AsyncGenerator[None]:
    """Read the environment now, not at import, and again whenever the process is told SIGHUP."""
    logs.set_up(config.log_form(config.process_environment()))
    async with (
        services.opened(read()) as current.services,
        jobs.running(current),
        reload.on_hangup(current, read),
    ):
        run.collect_rarely()
        yield


def read() -> config.Settings:
    """The settings as environment and files are now."""
    return config.read(config.process_environment(), ROOT)


app = create_app(open_services, ROOT / "frontend" / "dist")

if __name__ == "__main__":
    sys.exit(run.main(app, ROOT, __doc__))
