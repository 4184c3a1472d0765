"""Every program that an endpoint's page shows, run as it stands against the real server: it buys the answer."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lib.core import catalog
from lib.core.examples import ORIGIN, TOKEN, CodeExample, examples_of, guides
from lib.core.money import Msat
from lib.core.schema import Config
from lib.demo.parts import demo_parts
from lib.store.ledger import Owner
from tests.aimock.server import AiMock, served
from tests.clients.lnd import lnd_wallet
from tests.world import ROOT, World, opened_server

pytestmark = pytest.mark.slow

RUN_SECONDS = 60.0
TOPUP_SATS = 20_000
JAVASCRIPT_PACKAGES = Path(__file__).parent / "js" / "node_modules"
SAMPLES = ROOT / "frontend" / "public" / "samples"
"""What stands for `@name` in the example of a form."""
PAY = b"Pay "


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page of an endpoint shows."""

    path: str
    examples: list[CodeExample]
    body: dict[str, Any] | None
    """Of the catalog's example; None where it is sent in parts."""


def every_endpoint() -> list[Shown]:
    """All that config.yaml sells."""
    sold = catalog.build(CONFIG)
    places = [(api, endpoint) for api in sold.apis.values() for endpoint in api.endpoints.values()]
    return [
        Shown(f"/{api.name}{endpoint.rules.path}", examples_of(api, endpoint), endpoint.rules.example.body)
        for api, endpoint in places
    ]


CONFIG = Config.model_validate(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
ENDPOINTS = every_endpoint()


@dataclass(frozen=True, slots=True)
class Run:
    """A program that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder of its own with a visitor's token, wallet and packages."""

    world: World
    folder: Path
    token: str
    wallet: Mapping[str, str]

    def command(self, example: CodeExample) -> list[str]:
        """How its user starts it, with what a page fills in filled in."""
        code = example.code.replace(ORIGIN, self.world.url).replace(TOKEN, self.token)
        name = example.id + {"bash": ".sh", "python": ".py", "javascript": ".mjs"}[example.language]
        (self.folder / name).write_text(code, encoding="utf-8")
        program = {"bash": "bash", "python": sys.executable, "javascript": "node"}[example.language]
        return [program, name]

    async def run(self, example: CodeExample) -> Run:
        """Run it to its end. Where it asks its user to pay, the invoice is paid and the preimage typed in."""
        process = await asyncio.create_subprocess_exec(
            *self.command(example),
            cwd=self.folder,
            env={**os.environ, **self.wallet, "HOME": str(self.folder)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        async with asyncio.timeout(RUN_SECONDS):
            first = await process.stdout.readline()
            if first.startswith(PAY):
                preimage = await self.world.parts.pay(first.split()[-1].decode())
                process.stdin.write(preimage.encode() + b"\n")
            out, err = await process.communicate()
            return Run(await process.wait(), (first + out).decode(), err.decode())


@asynccontextmanager
async def opened_desk(world: World, folder: Path) -> AsyncGenerator[Desk]:
    """A visitor who has topped up and has a wallet."""
    offer = await world.client.post("/topup", json={"amount_sats": TOPUP_SATS})
    preimage = (await world.pay(offer)).preimage
    claim = await world.client.post("/topup/claim", json={"macaroon": offer.json()["macaroon"], "preimage": preimage})
    (folder / "node_modules").symlink_to(JAVASCRIPT_PACKAGES)
    for sample in SAMPLES.iterdir():
        shutil.copy(sample, folder)
    async with lnd_wallet(world) as wallet:
        yield Desk(world, folder, claim.json()["token"], wallet)


async def balance_of(world: World, token: str) -> Msat:
    """What is left on a token once no call of it runs."""
    async with asyncio.timeout(RUN_SECONDS):
        while (found := await world.services.ledger.balance(Owner.of_token(token))) is None or found.held:
            await asyncio.sleep(0.005)
    return found.balance


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AiMock]:
    """Every provider that has no double of its own: it speaks OpenAI's API, whatever the model is called."""
    with served(tmp_path_factory.mktemp("aimock")) as running:
        yield running


@pytest.fixture
async def everything(tmp_path: Path, aimock: AiMock) -> AsyncGenerator[World]:
    """A shop that sells all of config.yaml."""
    aimock.reset()
    aimock.answers({"endpoint": "embedding"}, {"embedding": [0.25, 0.5, 0.75]})
    aimock.answers({}, {"content": "Hello there."})
    async with demo_parts() as parts:
        env = dict(parts.upstream_environment)
        for name, api in CONFIG.apis.items():
            env.setdefault(api.api_key_env, aimock.key)
            env.setdefault(f"{name.upper()}_BASE_URL", f"{aimock.url}/v1")
        async with opened_server(parts, tmp_path, env) as world:
            yield world


@pytest.mark.parametrize("shown", ENDPOINTS, ids=[shown.path for shown in ENDPOINTS])
async def test_the_examples_of_an_endpoint_buy_its_answer_as_they_stand(
    everything: World, aimock: AiMock, tmp_path: Path, shown: Shown
):
    """Each ends well and shows something; the provider was asked once by each, for exactly what the catalog asks."""
    if shutil.which("jq") is None:
        pytest.skip("no jq here")
    folder = tmp_path / "desk"
    folder.mkdir()
    async with opened_desk(everything, folder) as desk:
        before = await balance_of(everything, desk.token)

        runs = await asyncio.gather(*(desk.run(example) for example in shown.examples))

        for example, ran in zip(shown.examples, runs, strict=True):
            assert ran.code == 0, f"{example.id}: {ran.out}\n{ran.err}"
            assert ran.out.strip() or list(folder.glob("speech.*")), f"{example.id} shows nothing"
            assert '"next_action"' not in ran.out, f"{example.id}: {ran.out}"
        pretended, mocked = everything.parts.journal(), aimock.journal()  # the latter keeps a body in its own words
        assert len(pretended) + len(mocked) == len(shown.examples)
        for call in pretended:
            assert_asked(everything, shown.path, call)
        for call in mocked:
            assert shown.body is None or call["body"]["model"] == shown.body["model"]
        if pretended:  # the mock counts nothing for embeddings
            assert await balance_of(everything, desk.token) < before, "who pays by token is charged"


@pytest.mark.parametrize("example", guides(), ids=lambda example: example.id)
async def test_a_guide_works_as_it_stands(world: World, tmp_path: Path, example: CodeExample):
    """Topping up ends with a token that is worth what was paid."""
    if shutil.which("jq") is None:
        pytest.skip("no jq here")
    folder = tmp_path / "desk"
    folder.mkdir()
    async with opened_desk(world, folder) as desk:
        ran = await desk.run(example)

        assert ran.code == 0, f"{ran.out}\n{ran.err}"
        assert '"available_msat":1000000' in ran.out and "Your token: alb_" in ran.out, ran.out


def assert_asked(world: World, path: str, call: Mapping[str, Any]) -> None:
    """Upstream got every member of the example's body, as it is."""
    place = world.services.catalog.find("POST", path)
    assert place is not None
    example = place.endpoint.rules.example
    if example.fields is not None:
        texts = {name: value for name, value in example.fields.items() if not value.startswith("@")}
        names = [name for name in example.fields if name not in texts]
        assert ({**call["body"]["fields"], **texts}, [file["name"] for file in call["body"]["files"]]) == (
            call["body"]["fields"],
            names,
        )
    if example.body is not None:
        assert {name: call["body"].get(name) for name in example.body} == example.body
