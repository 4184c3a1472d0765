"""Shops that a module's tests share: opening one takes longer than most of these tests.

Every test buys a credential of its own, so that its books are its own as well. Modules that use these fixtures run in
one event loop: `pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.paid.canned_upstream import CannedUpstream, canned_upstream
from tests.world import World, opened_world


@dataclass(frozen=True, slots=True)
class CannedShop:
    """A shop and the upstream whose bytes a test decides."""

    world: World
    upstream: CannedUpstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    async with opened_world(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_canned_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[CannedShop]:
    data_dir: Path = tmp_path_factory.mktemp("canned")
    async with canned_upstream() as upstream:
        env = {f"{name}_BASE_URL": upstream.url for name in ("OPENAI", "ANTHROPIC")}
        async with opened_world(data_dir, env) as opened:
            yield CannedShop(opened, upstream)


@pytest.fixture
def shop(shared_shop: World) -> Generator[World]:
    """The shipped configuration and the double of OpenAI, well-behaved until the test says otherwise."""
    shared_shop.parts.clear_journal()
    yield shared_shop
    shared_shop.parts.scenario()
    shared_shop.services.upstream._refused_until.clear()  # pyright: ignore[reportPrivateUsage]


@pytest.fixture
def canned(shared_canned_shop: CannedShop) -> CannedShop:
    """The shipped configuration and an upstream that says exactly what it is told."""
    shared_canned_shop.upstream.requests = 0
    return shared_canned_shop
