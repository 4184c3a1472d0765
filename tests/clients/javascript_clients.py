"""Clients in JavaScript: each is one Node process, started once per buyer."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.clients.lines import buyer
from tests.clients.observed import Client, Kind
from tests.clients.python_clients import USED, Way
from tests.world import World

HERE = Path(__file__).parent / "js"


def _kind(name: str, module: str, client: str, used: str, way: Way | None = None) -> Kind:
    """A row; `module` is its folder in node_modules and `client` what buyer.mjs calls it."""

    @asynccontextmanager
    async def opened(world: World, url: str, folder: Path) -> AsyncGenerator[Client]:
        async with buyer("node", "buyer.mjs", client, url, world.parts.payer_url, cwd=HERE, way=way) as running:
            yield running

    return Kind(name, lambda: _version(module), pays=way is None, used=used, opened=opened)


def _version(module: str) -> str:
    return json.loads((HERE / "node_modules" / module / "package.json").read_text(encoding="utf-8"))["version"]


def kinds() -> list[Kind]:
    """Every row of this module."""
    alby, old = "@getalby/lightning-tools", "alby-lightning-tools-6"
    return [
        _kind(f"{alby} `fetch402`", alby, "fetch402", "npm; as it is"),
        _kind(f"{alby} `fetch402`", alby, "fetch402 keeping", "npm; its `credentials` given back"),
        _kind(f"{alby} `fetchWithL402`", alby, "fetchWithL402", "npm; as it is"),
        _kind(f"{alby} `fetchWithL402`", alby, "fetchWithL402 keeping", "npm; its `credentials` given back"),
        _kind(f"{alby} `fetchWithL402`", old, "fetchWithL402 6", "npm; the last that caches by itself"),
        _kind("lsat-js", "lsat-js", "lsat-js", "npm; you send the requests and keep the token"),
        _kind("openai (JavaScript)", "openai", "openai", USED["header"], "header"),
        _kind("openai (JavaScript)", "openai", "openai", USED["key"], "key"),
    ]
