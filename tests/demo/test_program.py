"""`python -m lib.demo` as the demo script and other tests start it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from lib.demo.doubles import Doubles, Ports
from lib.demo.servers import PortInUse
from tests.demo.conftest import client_of

ROOT = Path(__file__).parents[2]
END_LIMIT_SECONDS = 20


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_program_tells_its_ports_and_ends_cleanly(ending: signal.Signals) -> None:
    """One line of JSON once all ports answer, plain words on stderr, and exit status 0 after a signal."""
    free = "--seller-port 0 --payer-port 0 --openai-port 0 --control-port 0".split()
    command = [sys.executable, "-m", "lib.demo", *free]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            ports = json.loads(program.stdout.readline())
            answer = httpx.get(f"http://127.0.0.1:{ports['control']}/journal")
            program.send_signal(ending)
            _, words = program.communicate(timeout=END_LIMIT_SECONDS)
        finally:
            program.kill()

    assert set(ports) == {"seller", "payer", "openai", "control"}
    assert answer.json() == []
    assert words.startswith("DOUBLES of the demo: no bitcoin moves, no model is asked.\n")
    assert "Traceback" not in words
    assert program.returncode == 0


async def test_a_taken_port_is_named(unused_tcp_port: int) -> None:
    """Whoever starts a second demo reads which port is taken; what had started is stopped again."""
    first = Doubles(Ports(0, 0, 0, unused_tcp_port))
    await first.start()
    try:
        second = Doubles(Ports(0, 0, 0, unused_tcp_port))
        with pytest.raises(PortInUse, match=str(unused_tcp_port)):
            await second.start()
        async with client_of(second.seller.url) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("/getinfo")
    finally:
        await first.stop()
