"""The README's blocks, pasted into a shell in a fresh copy of the checkout with an empty HOME."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SET_UP_SECONDS = 600.0
SHELL_SECONDS = 60.0
POLL_SECONDS = 0.2
AS_IN_A_TERMINAL = (
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])",
)
"""A shell cannot trap what it was started ignoring, and whatever runs in the background is started ignoring Ctrl-C."""
PORTS = (3000, 9740, 9741, 9742, 9749)
"""The README names them, so these tests run one after the other, in this file alone."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SET_UP_SECONDS * 2)]


def block(marker: str) -> str:
    """The first shell block behind `<!-- marker -->`."""
    found = re.search(rf"<!-- {marker} -->\n```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a clone would hold: tracked files and new ones, nothing that is ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            target = tmp_path / "clone" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return tmp_path / "clone"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A stranger's: an empty HOME, and nothing of ours."""
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.fail(f"port {port} is in use: the README's blocks need it. Does a demo run?")
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(home)}


@contextmanager
def running(
    command: list[str], cwd: Path, environment: dict[str, str], log: Path
) -> Generator[subprocess.Popen[bytes]]:
    """A program that runs until it is told to stop, as Ctrl-C does."""
    with log.open("wb") as out:
        program = subprocess.Popen(
            [*AS_IN_A_TERMINAL, *command],
            cwd=cwd,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield program
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGINT)
            program.wait(SHELL_SECONDS)


def wait_for(what: str, log: Path, program: subprocess.Popen[bytes]) -> str:
    """Wait until the log says it; the whole log so far."""
    until = time.monotonic() + SET_UP_SECONDS
    while what not in (text := log.read_text()):
        assert program.poll() is None, text
        assert time.monotonic() < until, text
        time.sleep(POLL_SECONDS)
    return text


def paste(commands: str, cwd: Path, environment: dict[str, str], within_seconds: float = SHELL_SECONDS) -> str:
    """What a shell prints for these lines."""
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=within_seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_walkthrough_works_word_for_word(checkout: Path, environment: dict[str, str], tmp_path: Path):
    """A stranger starts the demo and pastes both walkthroughs, the README's and the one the demo prints."""
    log = tmp_path / "demo.log"
    with running(["./scripts/demo.sh"], checkout, environment, log) as demo:
        printed = wait_for("Break something", log, demo)

        said = paste(block("walkthrough"), tmp_path, environment)
        assert '"amount_sats": 6' in said
        assert "canned answer of the demo" in said
        assert "data: [DONE]" in said
        assert '"charge_msat":' in said
        balance = json.loads(said[said.rindex("{") :])
        assert balance["balance_msat"] == 6_000 - 13 - 13  # both: 8 tokens in, 17 out
        assert balance["held_msat"] == 0

        said = paste(block("topup"), tmp_path, environment)
        assert "canned answer of the demo" in said
        assert json.loads(said[said.rindex("{") :])["balance_msat"] == 120_000 - 13

        steps = printed[printed.index("  SITE=") : printed.index("Break something")]
        said = paste(steps, tmp_path, environment)
        assert "HTTP/1.1 402 Payment Required" in said
        assert "canned answer of the demo" in said
        assert "data: [DONE]" in said

        page = urllib.request.urlopen("http://127.0.0.1:3000/", timeout=SHELL_SECONDS).read().decode()
        assert "assets/" in page  # built, not the notice that it is not
    assert demo.returncode == 0, log.read_text()
    assert "stopping the demo" in log.read_text()


def test_the_quick_start_works_word_for_word(checkout: Path, environment: dict[str, str], tmp_path: Path):
    """The seed's block: a virtualenv, pip, a root key, uvicorn. The server starts and says what is missing."""
    log = tmp_path / "server.log"
    with running(["bash", "-ec", block("quick start")], checkout, environment, log) as server:
        wait_for("Uvicorn running on http://127.0.0.1:3000", log, server)

        with urllib.request.urlopen("http://127.0.0.1:3000/api/catalog", timeout=SHELL_SECONDS) as answer:
            catalog = json.load(answer)
        assert catalog["apis"][0]["unavailable_reason"] == "This server is not set up to sell it."
        assert "openai (OPENAI_API_KEY is not set)" in log.read_text()

        call = urllib.request.Request(
            "http://127.0.0.1:3000/openai/v1/chat/completions",
            data=b'{"model":"gpt-6-luna","messages":[{"role":"user","content":"Hello"}]}',
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(call, timeout=SHELL_SECONDS)  # noqa: S310 - our own
        assert refused.value.code == 503
        assert "not set up to sell it" in json.load(refused.value)["error"]["message"]

        with pytest.raises(urllib.error.HTTPError) as page:
            urllib.request.urlopen("http://127.0.0.1:3000/", timeout=SHELL_SECONDS)
        assert "has not been built" in page.value.read().decode()


def test_the_front_end_blocks_work_word_for_word(checkout: Path, environment: dict[str, str], tmp_path: Path):
    """The seed's `npm install`, `npm run build` and `npm run dev`: a built page, and one with live reload."""
    paste("cd frontend\nnpm install\nnpm run build", checkout, environment, within_seconds=SET_UP_SECONDS)
    assert "/assets/" in (checkout / "frontend" / "dist" / "index.html").read_text()

    log = tmp_path / "dev.log"
    with running(["bash", "-ec", "cd frontend\nexec npm run dev"], checkout, environment, log) as dev:
        said = wait_for("Local:", log, dev)
        address = re.search(r"http://\S+?:\d+/", re.sub(r"\x1b\[[0-9;]*m", "", said))
        assert address is not None
        with urllib.request.urlopen(address[0], timeout=SHELL_SECONDS) as page:  # noqa: S310 - our own
            assert "/src/main.tsx" in page.read().decode()
