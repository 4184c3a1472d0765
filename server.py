"""The server: `uvicorn server:app` or `python server.py`; with --check it says what is missing and ends."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from lib import config, jobs, logs, run, services
from lib.web.app import create_app

ROOT = Path(__file__).parent


@asynccontextmanager
async def open_services() -> AsyncGenerator[services.Services]:
    """Read the environment now, not at import."""
    logs.set_up(config.log_form(config.process_environment()))
    settings = config.read(config.process_environment(), ROOT)
    async with services.opened(settings) as opened, jobs.running(opened):
        yield opened


app = create_app(open_services, ROOT / "frontend" / "dist")

if __name__ == "__main__":
    sys.exit(run.main(app, ROOT, __doc__))
