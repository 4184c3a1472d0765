"""A whole shop on real sockets: the server, its ledger, and the doubles of node and upstream, with words for tests."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, cast

import httpx
import uvicorn
from fastapi import FastAPI

from lib import config, jobs, reload, services
from lib.core.money import Msat
from lib.demo.parts import DemoParts, demo_parts
from lib.services import Current, Services
from lib.store.ledger import Balance, Entry, Owner
from lib.web.app import create_app

ROOT = Path(__file__).parent.parent
CHAT = "/openai/v1/chat/completions"
SMALL_BUFFER_BYTES = 4_096
"""Socket buffers in tests, so that a client that stops reading is felt at once."""
REQUEST_SECONDS = 60.0
STOP_SECONDS = 5
"""How long a server that is stopped lets running requests go on before it cancels them."""
HELLO: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
STREAM: dict[str, Any] = {**HELLO, "stream": True}
SELLING_MODULES = frozenset({"lib.purchase", "lib.challenge", "lib.topup"})
"""Where the parts of a Services that sell are defined: `exchange` looks into these."""
SHUTDOWN = re.compile(r"(shutdown: )20")
BTC_USD = "100000"
"""At this price one msat is 10⁻⁶ dollars."""


@dataclass(frozen=True, slots=True)
class Paid:
    """An L402 credential as a buyer holds it."""

    macaroon: str
    preimage: str
    amount: Msat

    @property
    def authorization(self) -> str:
        """The header's value."""
        return f"L402 {self.macaroon}:{self.preimage}"

    @property
    def headers(self) -> dict[str, str]:
        """The header."""
        return {"Authorization": self.authorization}

    @property
    def payment_hash(self) -> bytes:
        """What the macaroon commits to."""
        return hashlib.sha256(bytes.fromhex(self.preimage)).digest()


@dataclass(frozen=True, slots=True)
class World:
    """Everything a test may touch."""

    url: str
    parts: DemoParts
    services: Services
    client: httpx.AsyncClient
    app: FastAPI

    def exchange(self, **parts: Any) -> Services:
        """Serve requests with other parts (`price`, `clock`, `settings`, …) from now on; running jobs keep theirs."""
        self.app.state.services = _with_parts(self.app.state.services, parts)
        return self.app.state.services

    @property
    def newest(self) -> Services:
        """What requests are served with now."""
        return cast("Current", self.app.state).services

    async def reload(self, settings: config.Settings) -> None:
        """What a hang-up does when these are the settings that are found."""
        await reload.reload(cast("Current", self.app.state), lambda: settings)

    async def ask(self, body: Mapping[str, Any] = HELLO, paid: Paid | None = None, **headers: str) -> httpx.Response:
        """Send a chat completion and read the whole answer."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(CHAT, json=dict(body), headers={**(paid.headers if paid else {}), **names})

    async def buy(self, body: Mapping[str, Any] = HELLO) -> Paid:
        """Get a 402 for a request and pay its invoice."""
        return await self.pay(await self.ask(body))

    async def pay(self, challenge: httpx.Response) -> Paid:
        """Pay the invoice of a 402."""
        assert challenge.status_code == 402, challenge.text
        offer = challenge.json()
        preimage = await self.parts.pay(offer["invoice"])
        return Paid(offer["macaroon"], preimage, Msat(offer["amount_sats"] * 1_000))

    async def leak(self, challenge: httpx.Response) -> Paid:
        """Learn the preimage of a 402's invoice from the seller's node, as its limited password allows; pay nothing."""
        assert challenge.status_code == 402, challenge.text
        offer = challenge.json()
        async with httpx.AsyncClient(auth=("", self.parts.seller_limited_password), trust_env=False) as node:
            known = await node.get(f"{self.parts.seller_url}/payments/incoming/{offer['payment_hash']}")
        assert known.json()["isPaid"] is False
        return Paid(offer["macaroon"], known.json()["preimage"], Msat(offer["amount_sats"] * 1_000))

    async def account(self, paid: Paid) -> Balance:
        """The ledger's word on a credential's account."""
        found = await self.services.ledger.balance(Owner.of_payment(paid.payment_hash))
        assert found is not None
        return found

    async def entries(self, paid: Paid) -> list[Entry]:
        """The account's history, oldest first."""
        account = await self.account(paid)
        return list(reversed(await self.services.ledger.entries(account.account, before=None, limit=1_000)))

    async def settled(self, paid: Paid) -> Balance:
        """The account once no call of it runs any more."""
        async with asyncio.timeout(REQUEST_SECONDS):
            while (found := await self.account(paid)).held:
                await asyncio.sleep(0.005)
        return found

    async def invoices(self) -> int:
        """How many invoices the seller's node has ever made."""
        return len(self.parts.ledger("seller")["incoming"])


def _with_parts(whole: Any, parts: Mapping[str, Any]) -> Any:
    """A copy of a frozen whole, and of what it is built of, in which these names mean something else."""
    changed = dict(parts)
    for name in {field.name for field in fields(whole)} - parts.keys():
        inner = getattr(whole, name)
        if type(inner).__module__ in SELLING_MODULES and is_dataclass(inner):
            changed[name] = _with_parts(inner, parts)
    return replace(whole, **{name: part for name, part in changed.items() if hasattr(whole, name)})


@asynccontextmanager
async def opened_world(
    data_dir: Path, env: Mapping[str, str] | None = None, stop_seconds: int = STOP_SECONDS, **limits: Any
) -> AsyncGenerator[World]:
    """Bring everything up; `limits` replace those of config.yaml, unchecked, so that they can be short."""
    async with demo_parts() as parts, opened_server(parts, data_dir, env, stop_seconds, **limits) as world:
        yield world


@asynccontextmanager
async def opened_server(
    parts: DemoParts,
    data_dir: Path,
    env: Mapping[str, str] | None = None,
    stop_seconds: int = STOP_SECONDS,
    **limits: Any,
) -> AsyncGenerator[World]:
    """The server alone, beside doubles that outlive it: open it twice to restart it."""
    settings = _settings(parts, data_dir, env or {}, limits)
    app = create_app(lambda current: _open(current, settings), ROOT / "frontend" / "dist")
    async with serving(app, stop_seconds) as url, _client(url) as client:
        yield World(url, parts, app.state.services, client, app)


@asynccontextmanager
async def _open(current: Current, settings: config.Settings) -> AsyncGenerator[None]:
    async with services.opened(settings) as current.services, jobs.running(current):
        yield


def _client(url: str) -> httpx.AsyncClient:
    """A client without a pool limit: two hundred parallel calls shall really be parallel."""
    return httpx.AsyncClient(
        base_url=url, timeout=REQUEST_SECONDS, limits=httpx.Limits(max_connections=None), trust_env=False
    )


@asynccontextmanager
async def serving(app: Any, stop_seconds: int = STOP_SECONDS) -> AsyncGenerator[str]:
    """Serve an ASGI application on a free loopback port with small buffers."""
    # asyncio switches Nagle off only where the protocol is named; with it every answer would take 40 ms more.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER_BYTES)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=stop_seconds)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            while not server.started:
                if running.done():
                    running.result()
                await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


def environment(parts: DemoParts, data_dir: Path) -> dict[str, str]:
    """What a server is told to sell with these doubles."""
    return {
        "L402_ROOT_KEY": "5a" * 32,
        **parts.upstream_environment,
        "PHOENIX_URL": parts.seller_url,
        "PHOENIX_PASSWORD": parts.seller_limited_password,
        "PHOENIX_TEST_URL": parts.payer_url,
        "PHOENIX_TEST_PASSWORD": parts.payer_password,
        "BTC_USD": BTC_USD,
        "ALITTLEBITOFMONEY_DEMO": "1",
        "ALITTLEBITOFMONEY_DATA_DIR": str(data_dir),
        "ALITTLEBITOFMONEY_CONFIG": str(_config_of_a_century_later(data_dir)),
    }


def changed_config(tmp_path: Path, old: str, new: str) -> dict[str, str]:
    """The shipped config.yaml with a text replaced where it first is; as the environment of a world."""
    shipped = (ROOT / "config.yaml").read_text(encoding="utf-8")
    assert old in shipped
    path = tmp_path / "config.yaml"
    path.write_text(shipped.replace(old, new, 1), encoding="utf-8")
    return {"ALITTLEBITOFMONEY_CONFIG": str(path)}


def _config_of_a_century_later(data_dir: Path) -> Path:
    """The shipped configuration with models that end a hundred years later: what is sold today must not end a test."""
    path = data_dir / "sold-for-a-century.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SHUTDOWN.sub(r"\g<1>21", (ROOT / "config.yaml").read_text()))
    return path


def _settings(parts: DemoParts, data_dir: Path, env: Mapping[str, str], limits: dict[str, Any]) -> config.Settings:
    settings = config.read({**environment(parts, data_dir), **env}, data_dir)
    generous = {
        "unpaid_per_ip_per_minute": 100_000,
        "unpaid_per_network_per_minute": 100_000,
        "unpaid_uploads_per_ip_per_minute": 100_000,
        "unpaid_uploads_per_network_per_minute": 100_000,
        "invoices_per_minute": 100_000,
        "differences_per_account_per_minute": 100_000,
        **limits,
    }
    changed = settings.config.model_copy(update={"limits": settings.config.limits.model_copy(update=generous)})
    return replace(settings, config=changed)
