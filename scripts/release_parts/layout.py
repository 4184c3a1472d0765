"""Where releases are kept on a machine: one directory each, and two links that say which serves and which served."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path


class Trouble(Exception):
    """The release cannot be taken into service; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`path`/releases/NAME, `path`/current, `path`/previous, `path`/shared/.env.secrets."""

    path: Path
    kept: int
    """How many releases stay on the disk."""

    @property
    def releases(self) -> Path:
        """One directory for each release."""
        return self.path / "releases"

    @property
    def secrets(self) -> Path:
        """The operator's file, the same for every release."""
        return self.path / "shared" / ".env.secrets"

    @property
    def current(self) -> str | None:
        """The name of the release that serves."""
        return _target(self.path / "current")

    @property
    def previous(self) -> str | None:
        """The name of the release that served before it."""
        return _target(self.path / "previous")

    def release(self, name: str) -> Path:
        """Where a release is."""
        return self.releases / name

    def point(self, link: str, name: str) -> None:
        """Let `current` or `previous` lead to a release, in one step: there is no moment without it."""
        fresh = self.path / f".{link}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("releases") / name)
        fresh.replace(self.path / link)

    def prune(self) -> list[str]:
        """Remove the oldest releases; never one that a link leads to. The names of those removed."""
        names = sorted(path.name for path in self.releases.iterdir() if path.is_dir())
        old = [name for name in names[: -self.kept] if name not in {self.current, self.previous}]
        for name in old:
            shutil.rmtree(self.release(name))
        return old

    @contextlib.contextmanager
    def alone(self) -> Generator[None]:
        """One deploy at a time. Raises Trouble while another runs."""
        lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Trouble("Another deploy runs on this machine.") from None
        finally:
            os.close(lock)


def _target(link: Path) -> str | None:
    return link.readlink().name if link.is_symlink() else None
