"""A real sshd on loopback, for this user alone, with keys made for the moment."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.needed import program
from tests.processes.shops import free_port

PRIVILEGE_SEPARATION = Path("/run/sshd")
START_SECONDS = 30.0
WAY_TO_PACKAGES = re.compile(r"PIP_\w+|\w+_(proxy|PROXY)|SSL_CERT_\w+|REQUESTS_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class Sshd:
    """A server that is reached by its alias in a configuration file."""

    client_config: Path
    alias: str = "captain"

    @property
    def command(self) -> str:
        """ssh, told where the alias leads."""
        return f"ssh -F {self.client_config}"


def write_files(directory: Path, port: int) -> None:
    """Keys and both sides' configuration."""
    directory.mkdir(mode=0o700)
    for name in ("host", "client"):
        keygen = [program("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(keygen, check=True)
    (directory / "authorized").write_text((directory / "client.pub").read_text())
    (directory / "known").write_text(f"[127.0.0.1]:{port} {(directory / 'host.pub').read_text()}")
    (directory / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {directory}/host\nAuthorizedKeysFile {directory}/authorized\n"
        f"PidFile {directory}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        f"KbdInteractiveAuthentication no\nPrintMotd no\nAcceptEnv *\n"
    )
    (directory / "ssh_config").write_text(
        f"Host captain\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {directory}/client\n  IdentitiesOnly yes\n  UserKnownHostsFile {directory}/known\n"
        f"  StrictHostKeyChecking yes\n  BatchMode yes\n  SetEnv {' '.join(_environment())}\n"
    )
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)


@asynccontextmanager
async def sshd_at(directory: Path) -> AsyncGenerator[Sshd]:
    """It has ended after the block."""
    port = free_port()
    write_files(directory, port)
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(program("sshd", "openssh-server"), "-D", "-e", "-f", str(directory / "sshd_config")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        await _listening(port, process, directory / "log")
        yield Sshd(directory / "ssh_config")
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _environment() -> list[str]:
    """What this machine needs to reach its package index, if it says so by variables; and no bytecode, for speed."""
    told = {name: value for name, value in os.environ.items() if WAY_TO_PACKAGES.fullmatch(name)}
    return [f'"{name}={value}"' for name, value in {**told, "PIP_NO_COMPILE": "1"}.items()]


async def _listening(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.returncode is None, log.read_text()  # noqa: ASYNC240 - a test
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
