"""llama.cpp as the upstream of a whole shop: a server that nobody here wrote, and that counts tokens for itself."""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.llamacpp.tiny_model import write_tiny_model
from tests.world import World, opened_world

KEY = "key-of-the-llama"
START_LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 10.0
METRIC = "llamacpp:"


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """A running server of llama.cpp, which has no idea of us."""

    url: str
    key: str = KEY

    def counted(self, name: str) -> int:
        """One of its own counters, since it started: `tokens_predicted_total`, for one."""
        answer = httpx.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {self.key}"}, trust_env=False)
        lines = answer.raise_for_status().text.splitlines()
        [value] = [line.split()[1] for line in lines if line.startswith(f"{METRIC}{name} ")]
        return int(value)


@pytest.fixture(scope="session")
def llamacpp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCpp]:
    """llama.cpp with a tiny model, one for all tests of this process."""
    directory = tmp_path_factory.mktemp("llamacpp")
    with _served(write_tiny_model(directory / "tiny.gguf"), directory / "server.log") as url:
        yield LlamaCpp(url)


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCpp]:
    """Another one that makes vectors of texts: one server does either."""
    directory = tmp_path_factory.mktemp("vectors")
    with _served(write_tiny_model(directory / "tiny.gguf"), directory / "server.log", "vectors") as url:
        yield LlamaCpp(url)


@pytest.fixture
async def shop(llamacpp: LlamaCpp, tmp_path: Path) -> AsyncGenerator[World]:
    """The shipped configuration, with llama.cpp where the providers would be: it answers to every model's name."""
    async with opened_world(tmp_path, environment_of(llamacpp)) as opened:
        yield opened


def environment_of(llamacpp: LlamaCpp) -> dict[str, str]:
    """It speaks as OpenAI does, as Mistral too, and as Anthropic."""
    names = ("OPENAI", "ANTHROPIC", "MISTRAL")
    keys = {f"{name}_API_KEY": llamacpp.key for name in names}
    return {**keys, **{f"{name}_BASE_URL": f"{llamacpp.url}/v1" for name in names}}


@contextlib.contextmanager
def _served(model: Path, log: Path, *what: str) -> Generator[str]:
    command = [sys.executable, str(Path(__file__).parent / "serve.py"), str(model), KEY, *what]
    with log.open("wb") as words, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, text=True) as program:
        try:
            assert program.stdout is not None
            readable, _, _ = select.select([program.stdout], [], [], START_LIMIT_SECONDS)
            url = program.stdout.readline().strip() if readable else ""
            assert url.startswith("http://127.0.0.1:"), f"llama.cpp did not start: {log.read_text()[-2_000:]}"
            yield url
        finally:
            program.terminate()
            try:
                program.wait(STOP_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                program.kill()
