"""A shop that a module's tests share: every test buys a credential of its own, so that its books are its own as well.

Modules that use it run in one event loop: `pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from lib.services import Services
from tests.world import World, opened_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    async with opened_world(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def shop(shared_shop: World) -> AsyncGenerator[World]:
    """The shipped configuration; whatever a test broke is whole again afterwards, and the audit found nothing."""
    whole: Services = shared_shop.services
    shared_shop.parts.clear_journal()
    yield shared_shop
    shared_shop.parts.scenario()
    await shared_shop.parts.reset_knobs("seller")
    await shared_shop.parts.reset_knobs("payer")
    shared_shop.app.state.services = whole
    assert await whole.ledger.audit() == []
