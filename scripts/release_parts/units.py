"""The units of a release, and the command that starts them: systemctl, or what stands for it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SERVICE = "alittlebitofmoney.service"
SOCKET = "alittlebitofmoney.socket"
UNITS = (SERVICE, SOCKET)
RESTARTS_MAX = 2
"""Once may be bad luck."""


def rendered(release: Path, values: Mapping[str, str]) -> dict[str, str]:
    """Each unit's text as this release wants it."""
    texts: dict[str, str] = {}
    for name in UNITS:
        text = (release / "deploy" / name).read_text(encoding="utf-8")
        for word, value in values.items():
            text = text.replace(f"@{word}@", value)
        texts[name] = text
    return texts


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Starts and stops units by a command that speaks as systemctl does."""

    command: list[str]
    directory: Path
    """Where unit files are kept."""

    def installed(self) -> dict[str, str]:
        """The units' present texts."""
        paths = [self.directory / name for name in UNITS]
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}

    def install(self, texts: Mapping[str, str]) -> set[str]:
        """Write units; the names of those that changed."""
        before = self.installed()
        changed = {name for name, text in texts.items() if before.get(name) != text}
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in changed:
            path = self.directory / name
            path.write_text(texts[name], encoding="utf-8")
            path.chmod(0o644)
        if changed:
            self.run("daemon-reload")
        return changed

    def restart(self, *, listening_anew: bool) -> None:
        """Run the service anew behind its socket, which goes on listening unless it must listen elsewhere.

        Returns when the server before has drained and ended and the new one was started.
        """
        if listening_anew:
            self.run("stop", SERVICE)
            self.run("restart", SOCKET)
        self.run("enable", *UNITS)
        self.run("start", SOCKET)
        self.run("restart", SERVICE)

    def keeps_failing(self) -> bool:
        """Whether the service had to be started again twice since it was last told to start."""
        times = self.run("show", "--property=NRestarts", "--value", SERVICE)
        return times.isdigit() and int(times) >= RESTARTS_MAX

    def run(self, *arguments: str) -> str:
        """What the command said. Raises SupervisorFailed if it failed."""
        try:
            done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)
        except OSError as error:
            raise SupervisorFailed(str(error)) from error
        if done.returncode:
            raise SupervisorFailed(f"`{' '.join([*self.command, *arguments])}`: {done.stderr.strip()}")
        return done.stdout.strip()


class SupervisorFailed(Exception):
    """A unit could not be started or stopped."""
