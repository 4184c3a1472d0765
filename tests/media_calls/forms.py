"""Calls with files, as tests send them."""

from __future__ import annotations

from typing import Any

import httpx

from tests.world import Paid, World

TRANSCRIPTIONS = "/openai/v1/audio/transcriptions"
TRANSLATIONS = "/openai/v1/audio/translations"
SPEECH = "/openai/v1/audio/speech"
IMAGES = "/openai/v1/images/generations"
EDITS = "/openai/v1/images/edits"
Files = list[tuple[str, tuple[str, bytes, str]]]


async def send(
    world: World, path: str, fields: dict[str, Any], files: Files, paid: Paid | None = None, **headers: str
) -> httpx.Response:
    """Send a form and read the whole answer."""
    auth = paid.headers if paid else {}
    return await world.client.post(path, data=fields, files=files, headers={**auth, **headers})


async def buy(world: World, path: str, fields: dict[str, Any], files: Files) -> Paid:
    """Get a 402 for a form and pay its invoice."""
    return await world.pay(await send(world, path, fields, files))
