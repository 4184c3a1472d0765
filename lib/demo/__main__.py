"""`python -m lib.demo`: run the doubles until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import asdict

from lib.demo.doubles import LOOPBACK, Doubles, Ports
from lib.demo.journal import MAX_ENTRIES
from lib.demo.servers import PortInUse

PORT_IN_USE_EXIT = 2


def main() -> int:
    """Exit status 0 after a signal, 2 where a port is taken."""
    given = _parser().parse_args()
    ports = Ports(given.seller_port, given.payer_port, given.openai_port, given.control_port)
    try:
        asyncio.run(_serve(Doubles(ports, given.host, given.journal_entries), print_ports=given.print_ports))
    except PortInUse as error:
        sys.stderr.write(f"lib.demo: cannot listen on {error}\n")
        return PORT_IN_USE_EXIT
    return 0


def _parser() -> argparse.ArgumentParser:
    default = Ports()
    parser = argparse.ArgumentParser(
        prog="python -m lib.demo",
        description="Doubles for the demo: two Lightning wallets and what is resold. They pretend; no bitcoin moves.",
    )
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (%(default)s)")
    parser.add_argument("--seller-port", type=int, default=default.seller, help="the seller's phoenixd (%(default)s)")
    parser.add_argument("--payer-port", type=int, default=default.payer, help="the payer's phoenixd (%(default)s)")
    parser.add_argument("--openai-port", type=int, default=default.openai, help="all upstreams (%(default)s)")
    parser.add_argument("--control-port", type=int, default=default.control, help="knobs and journal (%(default)s)")
    parser.add_argument(
        "--journal-entries",
        type=int,
        default=MAX_ENTRIES,
        help="how many of the newest requests to upstreams are remembered (%(default)s)",
    )
    parser.add_argument(
        "--print-ports",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="when ready, print one line of JSON with the ports on stdout (default); port 0 picks a free one",
    )
    return parser


async def _serve(doubles: Doubles, *, print_ports: bool) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    await doubles.start()
    try:
        _announce(doubles)
        if print_ports:
            sys.stdout.write(json.dumps(asdict(doubles.ports)) + "\n")
            sys.stdout.flush()
        await over.wait()
    finally:
        await doubles.stop()


def _announce(doubles: Doubles) -> None:
    lines = (
        "DOUBLES of the demo: no bitcoin moves, no model is asked.",
        f"  seller's phoenixd  {doubles.seller.url}",
        f"  payer's phoenixd   {doubles.payer.url}",
        f"  OpenAI             {doubles.openai.url}/v1",
        f"  Anthropic          {doubles.openai.url}/anthropic/v1",
        f"  search             {doubles.openai.url}/tavily",
        f"  control            {doubles.control.url}",
    )
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
