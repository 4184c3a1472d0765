"""deploy.sh itself, from a clone over a real sshd to a directory of this machine; our supervisor stands for systemd."""

from __future__ import annotations

import asyncio
import getpass
import os
import shlex
import shutil
import subprocess
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lib.demo.parts import demo_parts
from tests.deploy.callers import calling
from tests.deploy.guide import Block, run_by_tests
from tests.deploy.machine import Machine, ended, machine_at, shop_config
from tests.deploy.sshd import Sshd, sshd_at
from tests.programs import Ended
from tests.world import ROOT, STREAM

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SLOW = {"chunks": 60, "chunk_delay_ms": 50}
"""Three seconds."""
GIT = ("git", "-c", "user.name=Operator", "-c", "user.email=operator@example.com")


@dataclass(frozen=True, slots=True)
class Operator:
    """Who deploys: a clone of this checkout, and the way to a machine."""

    clone: Path
    machine: Machine
    sshd: Sshd

    @property
    def env(self) -> dict[str, str]:
        """What deploy.sh is told of a machine that differs from the one in the guide."""
        return {
            "DEPLOY_SSH": self.sshd.command,
            "DEPLOY_PATH": str(self.machine.path),
            "DEPLOY_PORT": str(self.machine.port),
            "DEPLOY_SERVICE_USER": getpass.getuser(),
            "DEPLOY_SUPERVISOR": self.machine.supervisor,
            "DEPLOY_UNITS": str(self.machine.path / "units"),
        }

    async def deploy(self, *arguments: str) -> Ended:
        return await ended(["./deploy.sh", "prod", "--skip-tests", *arguments], cwd=self.clone, env=self.env)

    async def paste(self, block: Block) -> str:
        """What a block of the guide says where it is to be run; an invoice that it shows is paid."""
        variables = {
            "SITE": self.machine.path,
            "DATA": self.machine.path / "data",
            "SERVICE_USER": getpass.getuser(),
            "PHOENIX_CONF": self.machine.path / "phoenix.conf",
            "OPENAI_API_KEY": self.machine.parts.upstream_key,
            "PORT": self.machine.port,
            "SHOP": self.machine.world.url,
        }
        text = (
            "set -eu\n"
            + "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in variables.items())
            + block.text
        )
        shell = ["bash", "-c", text] if block.place == "here" else [*self.sshd.command.split(), "captain", text]
        process = await asyncio.create_subprocess_exec(
            *shell,
            cwd=self.clone,
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **self.env},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return await self._read(process)

    async def _read(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdin is not None and process.stdout is not None
        said = ""
        async for line in process.stdout:
            said += line.decode()
            if line.startswith(b"ln"):
                process.stdin.write(f"{await self.machine.parts.pay(line.decode().strip())}\n".encode())
        assert await process.wait() == 0, said
        return said

    def commit(self, why: str) -> None:
        subprocess.run([*GIT, "add", "--all"], cwd=self.clone, check=True)
        subprocess.run([*GIT, "commit", "--quiet", "--message", why], cwd=self.clone, check=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone would hold, committed, with the pages built already."""
    target = tmp_path / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    shutil.copytree(ROOT / "frontend" / "dist", target / "frontend" / "dist")
    (target / "frontend" / "node_modules").symlink_to(ROOT / "frontend" / "node_modules")
    subprocess.run([*GIT, "init", "--quiet"], cwd=target, check=True)
    (target / ".git" / "info" / "exclude").write_text("frontend/node_modules\n")
    (target / "config.yaml").write_text(shop_config((ROOT / "config.yaml").read_text()))
    return target


@pytest.fixture
async def operator(tmp_path: Path, clone: Path) -> AsyncGenerator[Operator]:
    async with (
        demo_parts() as parts,
        machine_at(tmp_path / "srv", parts) as machine,
        sshd_at(tmp_path / "ssh") as sshd,
    ):
        operator = Operator(clone, machine, sshd)
        operator.commit("The first release")
        yield operator


async def test_from_an_empty_server_to_a_roll_back(operator: Operator):
    """The guide's blocks lead to a sale; a second release is switched to under streams, a third is rolled back."""
    machine, clone = operator.machine, operator.clone
    (machine.path / "phoenix.conf").write_text(
        f"http-password-limited-access={machine.parts.seller_limited_password}\n"
    )
    secrets, deploy, check, sale, backup = run_by_tests()
    machine.secrets_file.unlink()
    await operator.paste(secrets)
    made = machine.secrets_file.read_text()
    with pytest.raises(AssertionError, match="cannot overwrite existing file"):
        await operator.paste(secrets)
    assert machine.secrets_file.read_text() == made
    assert f"PHOENIX_PASSWORD={machine.parts.seller_limited_password}\n" in machine.secrets_file.read_text()
    machine.secrets()  # the same, and where the doubles are
    assert "serves" in await operator.paste(deploy)
    checked = await operator.paste(check)
    assert "config.yaml and the environment are valid" in checked and '"ok"' in checked and "FAULT" not in checked
    assert "canned answer of the demo" in await operator.paste(sale)
    assert "FAIL" not in await operator.paste(backup)
    assert len(list((machine.path / "data" / "backups").glob("ledger-*.sqlite"))) == 1
    first = machine.current
    assert (machine.path / "current" / "frontend" / "dist" / "index.html").exists()
    assert not (machine.path / "current" / "tests").exists()
    assert (machine.path / "current" / ".env.secrets").readlink() == machine.secrets_file
    machine.parts.scenario(**SLOW)
    token = await machine.token(10_000)

    (clone / "LICENSE").write_text("another\n")
    refused = await operator.deploy()
    assert refused.code == 1 and "not committed" in refused.complained
    operator.commit("The second release")
    async with calling(machine.world.url) as calls, calling(machine.world.url, STREAM, token, 1.0) as streams:
        done = await operator.deploy()
    second = machine.current
    assert done.code == 0, done.said + done.complained
    assert second != first
    assert calls.failures == streams.failures == []
    assert set(calls.statuses) == {"402"} and streams.whole_streams == len(streams.statuses) > 0
    assert "Waiting for connections to close" in machine.log()

    program = clone / "server.py"
    program.write_text(program.read_text().replace("\napp = ", BROKEN + "\napp = "))
    operator.commit("A release that fails as a service")
    async with calling(machine.world.url) as calls:
        done = await operator.deploy()
    assert done.code == 3, done.said + done.complained
    assert machine.current == second
    assert calls.failures == [] and set(calls.statuses) == {"402"}

    back = await operator.deploy("--back")
    assert back.code == 0, back.said + back.complained
    assert machine.current == first
    assert machine.parts.upstream_key not in done.said + done.complained + back.said


BROKEN = "\nif 'LISTEN_FDS' in __import__('os').environ:\n    sys.exit('broken as a service')\n"


async def test_a_dry_run_touches_nothing(operator: Operator):
    """It prints each step, the commands for the other machine too, and runs none."""
    done = await operator.deploy("--dry-run")

    assert done.code == 0, done.complained
    assert "would run on captain: " in done.said and "scripts/release --path" in done.said
    assert not (operator.machine.path / "releases").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["prod", "local"], ["prod", "--stop"], ["prod", "--port", "x"], ["prod", "--path", "no"], ["--x"]]
)
async def test_what_is_not_understood_is_refused(arguments: list[str]):
    """Exit status 2 and a sentence, before anything is looked at."""
    done = await ended(["./deploy.sh", *arguments])

    assert done.code == 2 and "see --help" in done.complained
