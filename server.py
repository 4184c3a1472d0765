"""The server: `uvicorn server:app` or `python server.py`; with --check it says what is missing and ends."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn

from lib import check, config, jobs, services
from lib.web.app import create_app

ROOT = Path(__file__).parent


@asynccontextmanager
async def open_services() -> AsyncGenerator[services.Services]:
    """Read the environment now, not at import."""
    settings = config.read(config.process_environment(), ROOT)
    async with services.opened(settings) as opened, jobs.running(opened):
        yield opened


app = create_app(open_services, ROOT / "frontend" / "dist")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="validate configuration and parts, then end")
    if parser.parse_args().check:
        sys.exit(asyncio.run(check.report(ROOT)))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every question to the node
    host, port = config.listen_address(config.process_environment())
    uvicorn.run(app, host=host, port=port, access_log=False, proxy_headers=False)
