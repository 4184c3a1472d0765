"""Starts the servers of a measurement, each on a free loopback port and on its own processor, and stops them again."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench_parts.load import REPLY_LIMIT_SECONDS, Job, Result

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LOOPBACK = "127.0.0.1"
START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 30.0
LOAD_START_SECONDS = 15.0
POLL_SECONDS = 0.05
USER_AND_SYSTEM = slice(11, 13)
"""Where proc(5) has them, counted behind the program's name."""
LOG_TAIL_CHARS = 2_000
NGINX_CONFIGURATION = """
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  upstream models {{ server 127.0.0.1:{upstream_port}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://models; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time that it and its children have used so far; 0 where /proc does not tell."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
            fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in [self.pid, *children]]
        except OSError:
            return 0.0
        return sum(int(ticks) for row in fields for ticks in row[USER_AND_SYSTEM]) / os.sysconf("SC_CLK_TCK")


def processors() -> tuple[set[int] | None, set[int] | None]:
    """Where the measured server runs, and where everything else does; None, None where that cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    first, *others = sorted(os.sched_getaffinity(0))
    return ({first}, set(others)) if others else (None, None)


@contextlib.contextmanager
def upstream(directory: Path) -> Generator[Served]:
    """The ready-made upstream."""
    command = [sys.executable, str(HERE / "upstream.py")]
    with _running("upstream", command, directory, pinned=processors()[1]) as program:
        yield Served(int(_first_line(program)), program.pid)


@contextlib.contextmanager
def doubles(directory: Path) -> Generator[dict[str, int]]:
    """The pretended Lightning wallets of the demo; their ports by name."""
    free = [part for name in ("seller", "payer", "openai", "control") for part in (f"--{name}-port", "0")]
    command = [sys.executable, "-m", "lib.demo", *free]
    with _running("doubles", command, directory, pinned=processors()[1]) as program:
        yield json.loads(_first_line(program))


@contextlib.contextmanager
def application(name: str, arguments: list[str], env: Mapping[str, str], directory: Path) -> Generator[Served]:
    """An ASGI application in one uvicorn process, without access log."""
    port = free_port()
    options = ["--host", LOOPBACK, "--port", str(port), "--no-access-log", "--log-level", "warning"]
    command = [sys.executable, "-m", "uvicorn", *options, *arguments]
    with _running(name, command, directory, pinned=processors()[0], env=env) as program:
        _until_it_listens(port, program, directory / f"{name}.log")
        yield Served(port, program.pid)


@contextlib.contextmanager
def nginx(upstream_port: int, directory: Path) -> Generator[Served | None]:
    """Nginx with one worker as a plain reverse proxy, or None where it is not installed."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        yield None
        return
    port, home = free_port(), directory / "nginx"
    home.mkdir()
    configuration = home / "nginx.conf"
    configuration.write_text(
        NGINX_CONFIGURATION.format(directory=home, upstream_port=upstream_port, port=port), encoding="utf-8"
    )
    command = [program, "-p", str(home), "-c", str(configuration)]
    with _running("nginx", command, directory, pinned=processors()[0]) as running:
        _until_it_listens(port, running, directory / "nginx.log")
        yield Served(port, running.pid)


def load(job: Job) -> Result:
    """Run the load generator once, beside the upstream and never on the measured server's processor."""
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py")],
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        check=False,
        timeout=job.seconds + REPLY_LIMIT_SECONDS + LOAD_START_SECONDS,
        preexec_fn=lambda: _pin(processors()[1]),
    )
    if done.returncode:
        sys.exit(f"the load generator failed: {done.stderr[-LOG_TAIL_CHARS:]}")
    return Result(**json.loads(done.stdout))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def _running(
    name: str, command: list[str], directory: Path, *, pinned: set[int] | None, env: Mapping[str, str] | None = None
) -> Generator[subprocess.Popen[str]]:
    with (directory / f"{name}.log").open("w", encoding="utf-8") as log:
        program = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=lambda: _pin(pinned),  # noqa: PLW1509 - this program has one thread
        )
        with program:
            try:
                yield program
            finally:
                _stop(program)


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's gets in: no key, database or node."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, **added}


def _pin(to: set[int] | None) -> None:
    if to is not None:
        os.sched_setaffinity(0, to)


def _stop(program: subprocess.Popen[str]) -> None:
    program.terminate()
    try:
        program.wait(STOP_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()


def _first_line(program: subprocess.Popen[str]) -> str:
    if program.stdout is None:
        raise ValueError("its output goes elsewhere")
    readable, _, _ = select.select([program.stdout], [], [], START_LIMIT_SECONDS)
    line = program.stdout.readline() if readable else ""
    if not line:
        sys.exit(f"{program.args} did not start")
    return line


def _until_it_listens(port: int, program: subprocess.Popen[str], log: Path) -> None:
    until = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < until and program.poll() is None:
        try:
            socket.create_connection((LOOPBACK, port), timeout=POLL_SECONDS).close()
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            return
    sys.exit(f"{log.stem} did not start:\n{log.read_text(encoding='utf-8')[-LOG_TAIL_CHARS:]}")
