"""Every program that an endpoint's page shows, run as it stands against the real server: it buys the answer."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Mapping
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
from lib.store.ledger import Owner
from tests.clients.lnd import lnd_wallet
from tests.world import ROOT, World

pytestmark = pytest.mark.slow

RUN_SECONDS = 60.0
TOPUP_SATS = 20_000
JAVASCRIPT_PACKAGES = Path(__file__).parent / "js" / "node_modules"
SAMPLES = ROOT / "frontend" / "public" / "samples"
"""What stands for `@name` in the example of a form."""
PAY = b"Pay "


def every_example() -> list[tuple[str, CodeExample]]:
    """Of every endpoint that config.yaml sells, by its path on this server."""
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    sold = catalog.build(Config.model_validate(yaml.safe_load(text)))
    places = [(api, endpoint) for api in sold.apis.values() for endpoint in api.endpoints.values()]
    return [
        (f"/{api.name}{endpoint.rules.path}", example)
        for api, endpoint in places
        for example in examples_of(api, endpoint)
    ]


EXAMPLES = every_example()


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
        name = {"bash": "example.sh", "python": "example.py", "javascript": "example.mjs"}[example.language]
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


@pytest.mark.parametrize(("path", "example"), EXAMPLES, ids=[f"{path} {example.id}" for path, example in EXAMPLES])
async def test_an_example_buys_its_answer_as_it_stands(world: World, tmp_path: Path, path: str, example: CodeExample):
    """It ends well, shows something, and the provider was asked once for exactly what the catalog's example asks."""
    if example.language == "bash" and shutil.which("jq") is None:
        pytest.skip("no jq here")
    folder = tmp_path / "desk"
    folder.mkdir()
    async with opened_desk(world, folder) as desk:
        before = await balance_of(world, desk.token)

        ran = await desk.run(example)

        assert ran.code == 0, f"{ran.out}\n{ran.err}"
        assert ran.out.strip() or list(folder.glob("speech.*")), "it shows nothing"
        assert "Traceback" not in ran.err and '"error"' not in ran.out, ran.out
        [call] = world.parts.journal()
        assert_asked(world, path, call)
        spent = before - await balance_of(world, desk.token)
        assert (spent > Msat.ZERO) == (TOKEN in example.code), "who pays by token is charged, others are not"


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
