"""Clients in JavaScript: each is one Node process, spoken to in lines of JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients.observed import Answer, Ask, Client, Kind
from tests.clients.python_clients import LIMIT_SECONDS, USED, Way
from tests.world import World

HERE = Path(__file__).parent / "js"
END_SECONDS = 5.0


@dataclass(slots=True)
class Buyer:
    """A running `buyer.mjs`."""

    program: asyncio.subprocess.Process
    way: Way | None = None
    credential: str | None = None

    def give(self, credential: str) -> None:
        """For the official SDK only."""
        if self.way is None:
            raise TypeError("it pays by itself")
        self.credential = credential

    async def ask(self, ask: Ask) -> Answer:
        """One line there, one back."""
        assert self.program.stdin is not None and self.program.stdout is not None
        question = {"body": ask.body, "credential": self.credential, "way": self.way}
        self.program.stdin.write(json.dumps(question).encode() + b"\n")
        line = await asyncio.wait_for(self.program.stdout.readline(), LIMIT_SECONDS)
        assert line, "buyer.mjs has ended; its words are on stderr"
        return Answer(**json.loads(line))


def _kind(name: str, module: str, client: str, used: str, way: Way | None = None) -> Kind:
    """A row; `module` is its folder in node_modules and `client` what buyer.mjs calls it."""

    @asynccontextmanager
    async def opened(world: World, url: str, folder: Path) -> AsyncGenerator[Client]:
        program = await asyncio.create_subprocess_exec(
            "node",
            "buyer.mjs",
            client,
            url,
            world.parts.payer_url,
            cwd=HERE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield Buyer(program, way)
        finally:
            assert program.stdin is not None
            program.stdin.close()
            try:
                await asyncio.wait_for(program.wait(), END_SECONDS)
            except TimeoutError:
                program.kill()

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
