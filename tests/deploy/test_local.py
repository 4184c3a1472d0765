"""`./deploy.sh local`: the same release layout on this machine, with the demo's parts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from tests.deploy.machine import ended
from tests.processes.shops import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ANSWER_SECONDS = 30.0


@pytest.fixture
async def site(tmp_path: Path) -> AsyncGenerator[tuple[list[str], int, int]]:
    """The command, the server's port and the first of the demo's; stopped afterwards."""
    port, demo_port = free_port(), free_neighbours()
    command = ["./deploy.sh", "local", "--path", str(tmp_path / "site"), "--port", str(port)]
    command += ["--demo-port", str(demo_port)]
    yield command, port, demo_port
    await ended([*command, "--stop"])


def free_neighbours() -> int:
    """A port whose neighbours are most likely free, too: below those that systems give away."""
    return 20_000 + free_port() % 1_000 * 10


async def test_a_local_deploy_sells_play_money(site: tuple[list[str], int, int], tmp_path: Path):
    """It serves from a release of its own, ready in every part, asks for an invoice, and `--stop` ends all of it."""
    command, port, demo_port = site
    done = await ended([*command, "--skip-tests"])

    assert done.code == 0, done.said + done.complained
    assert (tmp_path / "site" / "current" / "server.py").exists()
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
        health = (await client.get(f"http://127.0.0.1:{port}/api/health")).json()
        offer = await client.post(f"http://127.0.0.1:{port}/topup", json={"amount_sats": 120})
        assert {name for name, part in health["parts"].items() if part["ok"]} >= {"ledger", "node", "price"}
        assert offer.status_code == 402 and offer.json()["amount_sats"] == 120

        assert (await ended([*command, "--stop"])).code == 0
        for gone in (port, demo_port):
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{gone}/")
