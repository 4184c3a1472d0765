"""A short chaos run: everything breaks for some seconds, and not one millisat is amiss."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import pytest

from tests.world import ROOT

CALLS = 200
RUN_LIMIT_SECONDS = 280.0
"""A run takes ten to twenty seconds; a busy machine is no reason to fail."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(RUN_LIMIT_SECONDS + 20)]


@pytest.mark.parametrize("ledger", ["sqlite", "postgres", "supabase"])
async def test_nothing_is_lost_and_nothing_doubled(ledger: str) -> None:
    """Paid at the node is charged or a balance; every call was asked; servers really died; no difference."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "scripts" / "chaos")),
        *("--calls", str(CALLS), "--ledger", ledger, "--seed", "1", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, complained = await asyncio.wait_for(process.communicate(), RUN_LIMIT_SECONDS)
    except TimeoutError:
        process.terminate()
        await process.wait()
        raise

    assert process.returncode == 0, said.decode() + complained.decode()
    run = json.loads(said[said.index(b"{") :])
    rows = run["rows"]
    assert run["differences"] == []
    assert rows["calls"] == CALLS
    assert rows["paid at the node, msat"] == rows["charged, msat"] + rows["balances, msat"] > 0
    assert rows["holds that live"] == 0
    assert rows["servers killed with -9 at random"] + rows["servers killed at a named point"] >= 1
    assert rows["of them kept and handed out free"] >= 1
    searched = run["searched"]
    assert (
        searched["paid calls told"] >= (rows["whole answers"] - rows["of them kept and handed out free"]) / 4
    )  # kills lose some
    assert (
        searched["secrets looked for"] > rows["payments"]
        and searched["invoices whose preimages were looked for"] >= CALLS / 4
    )


async def test_a_run_that_is_ended_leaves_no_process_behind(tmp_path: Path) -> None:
    """SIGTERM stops servers and doubles, also the server that is being started again at that moment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "scripts" / "chaos"), "--calls", "5000", "--keep", str(tmp_path)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    second_life = tmp_path / "server-0.1.log"
    async with asyncio.timeout(RUN_LIMIT_SECONDS):
        while not second_life.exists():
            await asyncio.sleep(0.005)
        before = writing_to(tmp_path)
        process.terminate()
        await process.wait()

    assert process.returncode == 1
    assert "doubles.log" in before
    assert writing_to(tmp_path) == set()


def writing_to(directory: Path) -> set[str]:
    """The logs there that some process has open."""
    found: set[str] = set()
    for standard_error in Path("/proc").glob("[0-9]*/fd/2"):
        with contextlib.suppress(OSError):
            file = standard_error.readlink()
            if file.parent == directory:
                found.add(file.name)
    return found
