"""The world as a fixture."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.world import World, opened_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    """A shop with the shipped configuration and generous limits on what is free."""
    async with opened_world(tmp_path) as opened:
        yield opened
