"""The world as a fixture."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.world import World, opened_world

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    """A shop with the shipped configuration and generous limits on what is free."""
    async with opened_world(tmp_path) as opened:
        yield opened
