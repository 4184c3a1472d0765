"""aimock, a server that speaks the providers' APIs, as a process: what it answers is told to it by each test."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PROGRAM = Path(__file__).parent / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
KEY = "key-of-aimock"
START_LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 10.0
POLL_SECONDS = 0.02
READY = re.compile(r"listening on (http://127\.0\.0\.1:\d+)\n")


@dataclass(frozen=True, slots=True)
class AiMock:
    """A running server, which has no idea of us. It takes one API key, as Bearer or as x-api-key."""

    url: str
    key: str = KEY

    def answers(self, match: dict[str, Any], response: dict[str, Any], **how: Any) -> None:
        """From now on requests that match get this response; of several that match, the first that was told.

        `userMessage` matches the last user message of chats, responses and messages, `inputText` an embedding's input,
        a prompt or a text to be spoken. `usage` in the response replaces its own. `how`: `truncateAfterChunks`,
        `chunkSize` and what else its fixtures know.
        """
        told = self._control("POST", "fixtures", {"fixtures": [{"match": match, "response": response, **how}]})
        assert told == {"added": 1}

    def journal(self) -> list[dict[str, Any]]:
        """What reached it since it was reset, oldest first; keys are not shown."""
        return self._control("GET", "journal")

    def reset(self) -> None:
        """Forget what was told and what was asked."""
        self._control("POST", "reset")

    def _control(self, method: str, what: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=f"{self.url}/__aimock/", headers=headers, trust_env=False) as client:
            answer = client.request(method, what, json=body)
        assert answer.is_success, answer.text
        return answer.json()


@contextlib.contextmanager
def served(directory: Path) -> Generator[AiMock]:
    """One server on a free loopback port; the directory is for its log and for what it is told at its start."""
    nothing, log = directory / "fixtures.json", directory / "aimock.log"
    nothing.write_text('{"fixtures": []}', encoding="utf-8")
    command = ["node", str(PROGRAM), "--port", "0", "--fixtures", str(nothing), "--log-level", "info"]
    environment = {"PATH": os.environ["PATH"], "AIMOCK_API_KEYS": KEY}
    with (
        log.open("wb") as words,
        subprocess.Popen(command, env=environment, stdout=words, stderr=words) as program,
    ):
        try:
            yield AiMock(_address(program, log))
        finally:
            program.terminate()
            try:
                program.wait(STOP_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                program.kill()


def _address(program: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until it says where it listens."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while (found := READY.search(log.read_text(encoding="utf-8"))) is None:
        if program.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"aimock did not start:\n{log.read_text(encoding='utf-8')}")
        time.sleep(POLL_SECONDS)
    return found[1]
