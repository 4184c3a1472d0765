"""A release runs for a moment on a port of its own, before anything that serves is touched."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.core.place import InFile, InSupabase, Place
from lib.store.data_directory import LEDGER_FILE
from release_parts.health import Health, NotReady, await_ready, settled
from release_parts.layout import Trouble

STOP_SECONDS = 60.0
LOG_TAIL_LINES = 20


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is rehearsed, as whom, and on which ledger."""

    release: Path
    user: str
    ledger: Place
    data_dir: Path
    ready_seconds: float
    """How long it may take to be ready."""

    def run(self, needed: frozenset[str]) -> Health:
        """What the release says of itself once every needed part is well. Raises Trouble with the end of its log."""
        if not isinstance(self.ledger, InFile):
            if not isinstance(self.ledger, InSupabase) or self.ledger.password:
                self._command("scripts/migrate")
            with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
                return self._serve(Path(scratch), self.data_dir, needed)
        with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=self.data_dir) as scratch:
            copy = Path(scratch) / "data"
            copy.mkdir(mode=0o700)
            for path in (Path(scratch), copy):
                give(path, self.user)
            if (self.data_dir / LEDGER_FILE).exists():
                self.copy_ledger(copy / LEDGER_FILE)
            return self._serve(Path(scratch), copy, needed)

    def copy_ledger(self, target: Path) -> None:
        """Copy the SQLite ledger. Raises Trouble if it does not add up: that is looked at before anything else."""
        self._command("scripts/backup", str(target))

    def _command(self, *command: str) -> None:
        done = subprocess.run(
            [self.release / ".venv/bin/python", *command],
            cwd=self.release,
            capture_output=True,
            text=True,
            check=False,
            **as_user(self.user),
        )
        if done.returncode:
            raise Trouble(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}".rstrip())

    def _serve(self, scratch: Path, data_dir: Path, needed: frozenset[str]) -> Health:
        port, log = _free_port(), scratch / "server.log"
        env = {**os.environ, "ALITTLEBITOFMONEY_DATA_DIR": str(data_dir), "HOST": "127.0.0.1", "PORT": str(port)}
        with log.open("wb") as out:
            server = subprocess.Popen(
                [self.release / ".venv/bin/python", "server.py"],
                cwd=self.release,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                **as_user(self.user),
            )
        with _ended(server):
            try:
                return settled(port, self._await(port, needed, server))
            except NotReady as error:
                tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
                raise Trouble("\n".join([*tail, f"The rehearsal failed: {error}."])) from error

    def _await(self, port: int, needed: frozenset[str], server: subprocess.Popen[Any]) -> Health:
        return await_ready(port, needed, limit_seconds=self.ready_seconds, runs=lambda: server.poll() is None)


def feel_at_home(user: str) -> None:
    """Whatever is read or started from now on takes this user's home for its own. Raises Trouble if there is none."""
    os.environ["HOME"] = _account(user).pw_dir


def as_user(user: str) -> dict[str, Any]:
    """How subprocess starts a program as somebody; nothing if we are they. Raises Trouble if we may not."""
    account = _account(user)
    if account.pw_uid == os.geteuid():
        return {}
    if os.geteuid() != 0:
        raise Trouble(f"Only root can run the service as {user}.")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def give(path: Path, user: str) -> None:
    """Let a file or directory belong to somebody."""
    account = _account(user)
    if os.geteuid() == 0:
        os.chown(path, account.pw_uid, account.pw_gid)


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise Trouble(f"There is no user {user} here. See SETUP_GUIDE.md.") from None


@contextlib.contextmanager
def _ended(server: subprocess.Popen[Any]) -> Generator[None]:
    """However the block ends, the server has ended after it."""
    try:
        yield
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
