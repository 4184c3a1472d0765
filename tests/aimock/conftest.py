"""aimock as the upstream of a whole shop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from tests.aimock.server import AiMock, served
from tests.world import World, opened_world


@pytest.fixture(scope="session")
def running_aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AiMock]:
    """One server for all tests of this process: it takes a second to start."""
    with served(tmp_path_factory.mktemp("aimock")) as aimock:
        yield aimock


@pytest.fixture
def aimock(running_aimock: AiMock) -> AiMock:
    """A server that was told nothing yet."""
    running_aimock.reset()
    return running_aimock


@pytest.fixture
async def shop(aimock: AiMock, tmp_path: Path) -> AsyncGenerator[World]:
    """The shipped configuration, with aimock where the providers would be."""
    urls = {"OPENAI": f"{aimock.url}/v1", "ANTHROPIC": f"{aimock.url}/v1", "TAVILY": aimock.url}
    env = {f"{name}_BASE_URL": url for name, url in urls.items()} | {f"{name}_API_KEY": aimock.key for name in urls}
    async with opened_world(tmp_path, env) as opened:
        yield opened
