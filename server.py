"""The server: `uvicorn server:app`, or `python server.py --check` to see what is missing."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from lib import check, config, services
from lib.web.app import create_app

ROOT = Path(__file__).parent


def open_services() -> AbstractAsyncContextManager[services.Services]:
    """Read the environment now, not at import."""
    return services.opened(config.read(config.process_environment(), ROOT))


app = create_app(open_services, ROOT / "frontend" / "dist")


async def report() -> int:
    """Print every finding; 1 if any is a fault."""
    faults = 0
    async for finding in check.findings(ROOT):
        faults += not finding.ok
        sys.stdout.write(f"{'note' if finding.note else 'ok' if finding.ok else 'FAULT':6}{finding.what}\n")
    return min(faults, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", required=True, help="validate configuration and parts, then end"
    )
    parser.parse_args()
    sys.exit(asyncio.run(report()))
