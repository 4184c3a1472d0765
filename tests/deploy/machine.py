"""A machine to deploy to, in a directory: doubles beside it, our supervisor for systemd, releases of this checkout."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lib.demo.parts import DemoParts
from tests.processes.shops import GENEROUS, NOT_HERE, free_port
from tests.programs import Ended
from tests.world import BTC_USD, REQUEST_SECONDS, ROOT, World

COMMAND_SECONDS = 400.0
DRAIN_SECONDS = 20
COPIED = ("server.py", "config.yaml", "lib", "scripts", "deploy", "requirements.txt")
NOT_COPIED = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where `scripts/release` takes releases into service."""

    path: Path
    port: int
    parts: DemoParts
    client: httpx.AsyncClient

    @property
    def world(self) -> World:
        """A buyer's way to what serves."""
        return World(f"http://127.0.0.1:{self.port}", self.parts, NOT_HERE, self.client, NOT_HERE)

    @property
    def supervisor(self) -> str:
        """The command that stands for systemctl."""
        return f"{sys.executable} {ROOT / 'scripts' / 'supervisor'} --directory {self.path}"

    @property
    def current(self) -> str:
        """The name of the release that serves."""
        return (self.path / "current").readlink().name

    @property
    def releases(self) -> list[str]:
        return sorted(path.name for path in (self.path / "releases").iterdir())

    @property
    def secrets_file(self) -> Path:
        return self.path / "shared" / ".env.secrets"

    def secrets(self, **changes: str) -> None:
        """Write the operator's file."""
        lines = {
            "L402_ROOT_KEY": "5a" * 32,
            "OPENAI_API_KEY": self.parts.upstream_key,
            "OPENAI_BASE_URL": self.parts.openai_url,
            "PHOENIX_URL": self.parts.seller_url,
            "PHOENIX_PASSWORD": self.parts.seller_limited_password,
            "BTC_USD": BTC_USD,
            "ALITTLEBITOFMONEY_DATA_DIR": str(self.path / "data"),
            **changes,
        }
        self.secrets_file.parent.mkdir(parents=True, exist_ok=True)
        self.secrets_file.touch(0o600)
        self.secrets_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def release(self, name: str, **texts: str) -> Path:
        """What deploy.sh would have copied and set up; `server` is put before the text of server.py, and so on."""
        target = self.path / "releases" / name
        for part in COPIED:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, target / part, ignore=NOT_COPIED)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / part, target / part)
        (target / ".venv").symlink_to(Path(sys.prefix))
        (target / "config.yaml").write_text(shop_config((ROOT / "config.yaml").read_text()))
        for module, text in texts.items():
            file = target / f"{module}.py"
            file.write_text(text + file.read_text().replace("from __future__ import annotations\n", "", 1))
        return target

    async def switch(self, name: str, *arguments: str) -> Ended:
        """`scripts/release` of this release, to its end."""
        program = self.path / "releases" / name / "scripts" / "release"
        options = {
            "--path": self.path,
            "--user": getpass.getuser(),
            "--port": self.port,
            "--supervisor": self.supervisor,
            "--units": self.path / "units",
            "--ready-seconds": 60,
        }
        flags = [str(part) for option in options.items() for part in option]
        return await ended([sys.executable, str(program), *flags, *arguments])

    async def token(self, sats: int) -> str:
        """Top up: what stands in Authorization."""
        offer = (await self.client.post("/topup", json={"amount_sats": sats})).json()
        preimage = await self.parts.pay(offer["invoice"])
        claim = await self.client.post("/topup/claim", json={"macaroon": offer["macaroon"], "preimage": preimage})
        return f"Bearer {claim.json()['token']}"

    async def balance_msat(self, authorization: str) -> int:
        """Once nothing is held any more."""
        async with asyncio.timeout(REQUEST_SECONDS):
            while True:
                answer = await self.client.get("/api/balance", headers={"Authorization": authorization})
                if not answer.json()["held_msat"]:
                    return int(answer.json()["balance_msat"])
                await asyncio.sleep(0.01)

    async def supervise(self, verb: str, *units: str) -> Ended:
        return await ended([*self.supervisor.split(), verb, *units])

    def log(self) -> str:
        """What the service said."""
        return (self.path / "logs" / "alittlebitofmoney.service.log").read_text()

    async def health(self) -> dict[str, Any]:
        answer = await self.client.get("/api/health")
        return answer.json()


@asynccontextmanager
async def machine_at(path: Path, parts: DemoParts) -> AsyncGenerator[Machine]:
    """An empty machine; whatever it supervises has ended after the block."""
    port = free_port()
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", timeout=REQUEST_SECONDS * 4, trust_env=False
    ) as client:
        machine = Machine(path, port, parts, client)
        machine.secrets()
        try:
            yield machine
        finally:
            await machine.supervise("shutdown")


def shop_config(shipped: str) -> str:
    """The shipped configuration, with what a test without price sources needs and a drain that a test can wait for."""
    limits = {**GENEROUS, "drain_seconds": DRAIN_SECONDS, "trusted_proxies": json.dumps(["127.0.0.1/32"])}
    lines = [f"  {name}: {value}" for name, value in limits.items()]
    return "\n".join([shipped, "allow_fixed_price: true", "limits:", *lines, ""])


async def ended(command: list[str], cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Ended:
    """A command, to its end, with nothing of ours in its environment."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**kept, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    return Ended(process.returncode or 0, said.decode(), complained.decode())
