"""`python server.py`: check and end, or serve until a signal comes and stop in order."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from lib import check, config, logs
from lib.config import ConfigError
from lib.handover import Server, inherited_sockets

log = logging.getLogger(__name__)

GC_THRESHOLDS = (50_000, 50, 100)


def main(app: Any, root: Path, description: str | None) -> int:
    """The exit code: 0 after an orderly stop or a check without fault, 1 if something must be set first."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="validate configuration and parts, then end")
    if parser.parse_args().check:
        return asyncio.run(check.report(root))
    try:
        logs.set_up(config.log_form(config.process_environment()))
        settings = config.read(config.process_environment(), root)
        host, port = config.listen_address(config.process_environment())
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the server listens to it
    # Running calls go on for so long; then uvicorn cancels them, which settles each for what it got.
    drain_seconds = settings.config.limits.drain_seconds
    uvicorns = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        timeout_graceful_shutdown=drain_seconds,
    )
    return _serve(Server(uvicorns))


def collect_rarely() -> None:
    """Once everything is open: what lives now lives for ever, and a request makes no cycles worth a pause."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _serve(server: Server) -> int:
    """Serve until a signal comes; 3 if the application did not come up."""
    signal.signal(signal.SIGTERM, _ended)
    sockets = inherited_sockets(config.process_environment(), os.getpid())
    for listener in sockets:
        log.info("listening on the socket that was handed over: %s", listener.getsockname())
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=sockets or None)
    return 0 if server.started else STARTUP_FAILURE


def _ended(_number: int, _frame: FrameType | None) -> None:
    """uvicorn raises its signal once more when all is closed: an orderly stop is a success."""
    sys.exit(0)
