"""`python server.py --check`: plain words for what is missing, and an exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from lib.demo.parts import demo_parts
from tests.faults.bad_tls import self_signed
from tests.world import ROOT, environment, opened_world


async def check(env: dict[str, str]) -> tuple[int, str]:
    """Run it as an operator does."""
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "server.py"),
        "--check",
        env={"PATH": os.environ["PATH"], **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await asyncio.wait_for(program.communicate(), 60)
    return program.returncode or 0, said.decode()


async def test_a_complete_set_up_has_no_fault(tmp_path: Path):
    """Configuration, environment, ledger, node, price and upstream key are each told to be well."""
    async with demo_parts() as parts:
        code, said = await check(environment(parts, tmp_path))

    assert code == 0, said
    assert "config.yaml and the environment are valid" in said
    assert f"the ledger in {tmp_path} opens" in said
    assert "is phoenixd" in said
    assert "a bitcoin costs 100000" in said
    assert "openai: upstream accepts our key" in said


async def test_an_api_without_a_key_is_no_fault_while_another_has_one(tmp_path: Path):
    """The operator sells what there is a key for; what is not sold is told beside it."""
    async with demo_parts() as parts:
        env = {name: value for name, value in environment(parts, tmp_path).items() if name != "ANTHROPIC_API_KEY"}
        code, said = await check(env)
        without = {name: value for name, value in env.items() if not name.endswith("_API_KEY")}
        none_code, none_said = await check(without)

    assert code == 0, said
    assert "note  anthropic is not sold: ANTHROPIC_API_KEY is not set" in said
    assert none_code == 1
    assert "FAULT openai: OPENAI_API_KEY is not set" in none_said


async def test_each_missing_part_is_named(tmp_path: Path):
    """A wrong upstream key and a node that is down are two faults, and no secret is told."""
    async with demo_parts() as parts:
        env = environment(parts, tmp_path) | {"OPENAI_API_KEY": "sk-wrong", "PHOENIX_URL": "http://127.0.0.1:9"}
        code, said = await check(env)

    assert code == 1
    assert "FAULT openai: GET" in said
    assert "answered 401" in said
    assert "FAULT the node at http://127.0.0.1:9" in said
    assert "sk-wrong" not in said


async def test_beside_a_running_server_all_but_its_ledger_is_checked(tmp_path: Path):
    """As SETUP_GUIDE.md asks after the first deploy: the ledger is in use, a bad certificate is found all the same."""
    async with opened_world(tmp_path / "shop") as world, self_signed(tmp_path) as url:
        env = environment(world.parts, tmp_path / "shop")
        code, said = await check(env | {"OPENAI_BASE_URL": url})

    assert code == 1
    assert "note  the ledger is in use by a running server" in said
    assert "is phoenixd" in said
    assert f"FAULT openai: GET {url}/models failed: its certificate is bad (self-signed certificate)" in said
    assert "ok    anthropic: upstream accepts our key" in said


async def test_what_was_never_set_is_said_first(tmp_path: Path):
    """With nothing at all the first thing to do is a root key."""
    code, said = await check({"HOME": str(tmp_path)})

    assert code == 1
    assert "FAULT L402_ROOT_KEY is not set" in said
    assert "openssl rand -hex 32" in said


async def test_what_ends_is_noted(tmp_path: Path):
    """A model that has ended and an example whose model ends are notes: nothing is wrong yet, something will be."""
    shipped = (ROOT / "config.yaml").read_text()
    ended = shipped.replace("shutdown: 2027-01-14", "shutdown: 2020-01-01")
    luna = "          - id: gpt-6-luna\n"
    (tmp_path / "config.yaml").write_text(ended.replace(luna, luna + "            shutdown: 2020-01-01\n"))
    async with demo_parts() as parts:
        env = environment(parts, tmp_path) | {"ALITTLEBITOFMONEY_CONFIG": str(tmp_path / "config.yaml")}
        code, said = await check(env)

    assert code == 0, said
    assert "note  openai/v1/chat/completions: gpt-4o ended on 2020-01-01 and is not sold: take it out" in said
    assert "note  openai/v1/chat/completions: its example uses gpt-6-luna, which ends on 2020-01-01" in said
