"""The switch from one release to another, and back when the new one is not ready."""

from __future__ import annotations

import contextlib
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from lib import config
from lib.config import ConfigError, Settings
from lib.core.place import InFile
from lib.store.data_directory import LEDGER_FILE
from release_parts.health import ALWAYS_NEEDED, Health, NotReady, await_ready, look
from release_parts.layout import Layout, Trouble
from release_parts.rehearsal import Rehearsal, give
from release_parts.units import Supervisor, SupervisorFailed, rendered

DONE, ROLLED_BACK, LOOK_NOW = 0, 3, 4
SETTLE_SECONDS = 40
"""After the drain: cut calls are settled, for at most 20 s, and as much again for a slow disk."""


@dataclass(frozen=True, slots=True)
class Place:
    """A machine that serves, or will."""

    layout: Layout
    user: str
    port: int
    supervisor: Supervisor
    ready_seconds: float
    """How long a server may take to be ready, in its rehearsal and after the switch."""

    def settings_of(self, name: str) -> Settings:
        """A release's configuration on this machine. Raises Trouble."""
        release = self.layout.release(name)
        try:
            return config.read(config.process_environment(), release)
        except ConfigError as error:
            raise Trouble(str(error)) from error


def switch(place: Place, name: str) -> int:
    """Take a release into service; the exit status. Raises Trouble as long as nothing was changed."""
    link_secrets(place, name)
    settings = place.settings_of(name)
    prepare_data(place, settings)
    serving = look(place.port) if place.layout.current else None
    needed = ALWAYS_NEEDED | serving.well if serving else ALWAYS_NEEDED
    say(f"rehearsal of {name}, which needs {', '.join(sorted(needed))}")
    seen = rehearse(place, name, settings, needed)
    tell_what_is_missing(seen, settings)
    return _take_over(place, name, settings, needed)


def switch_back(place: Place) -> int:
    """Take the release that served before into service again. Raises Trouble if there is none."""
    name = place.layout.previous
    if name is None or not place.layout.release(name).is_dir():
        raise Trouble("No release served before this one.")
    return switch(place, name)


def link_secrets(place: Place, name: str) -> None:
    """Let the release find the operator's file. Raises Trouble if others may read it or the service may not."""
    link, secrets = place.layout.release(name) / config.SECRETS_FILE, place.layout.secrets
    if not secrets.exists():
        say(f"{secrets} does not exist: everything must be in the environment")
        return
    found = secrets.stat()
    if stat.S_IMODE(found.st_mode) & 0o077 or secrets.owner() != place.user:
        fix = f"chown {place.user} {secrets} && chmod 600 {secrets}"
        raise Trouble(f"{secrets} must belong to {place.user} and be closed to others: {fix}")
    link.unlink(missing_ok=True)
    link.symlink_to(secrets)


def prepare_data(place: Place, settings: Settings) -> None:
    """Make the data directory. Raises Trouble if a release would take it along when it is removed."""
    directory = settings.data_dir.resolve()
    if directory.is_relative_to(place.layout.releases):
        raise Trouble(f"The data would be in {directory}, inside of the releases: set ALITTLEBITOFMONEY_DATA_DIR")
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True)
        give(directory, place.user)


def rehearse(place: Place, name: str, settings: Settings, needed: frozenset[str]) -> Health:
    """Run the release where nobody sees it. Raises Trouble if it is not as ready as it must be."""
    data_dir = settings.data_dir.resolve()
    rehearsal = Rehearsal(place.layout.release(name), place.user, settings.ledger, data_dir, place.ready_seconds)
    before = place.layout.current
    if changes_schema(place, before, name, settings) and (data_dir / LEDGER_FILE).exists():
        copy = data_dir / f"before-{name}.sqlite"
        copy.unlink(missing_ok=True)
        rehearsal.copy_ledger(copy)
        say(f"{name} changes the ledger's schema; the ledger as it is now: {copy}")
    return rehearsal.run(needed)


def changes_schema(place: Place, before: str | None, name: str, settings: Settings) -> bool:
    """Whether a release has other migrations than the one before it."""
    if before is None:
        return False
    kind = "sqlite" if isinstance(settings.ledger, InFile) else "postgres"
    return _migrations(place.layout.release(before), kind) != _migrations(place.layout.release(name), kind)


def tell_what_is_missing(seen: Health, settings: Settings) -> None:
    """What a buyer would be refused for, and what limits would get wrong."""
    for part, detail in sorted(seen.unwell.items()):
        say(f"  not ready: {part}: {detail}")
    if not settings.trusted_proxies:
        say(
            '  note: limits.trusted_proxies is empty: behind a proxy all buyers share one address. Add ["127.0.0.1/32"]'
        )


def _take_over(place: Place, name: str, settings: Settings, needed: frozenset[str]) -> int:
    before, units = place.layout.current, place.supervisor.installed()
    say(f"switch from {before or 'nothing'}: its calls may go on for {settings.config.limits.drain_seconds} s")
    try:
        _serve(place, name, rendered(place.layout.release(name), _values(place, settings)), needed)
    except (NotReady, SupervisorFailed, OSError) as error:
        say(f"{name} is not ready: {error}")
        return _roll_back(place, before, units, can=not changes_schema(place, before, name, settings))
    if before is not None and before != name:
        place.layout.point("previous", before)
    for old in place.layout.prune():
        say(f"removed {old}")
    say(f"{name} serves")
    return DONE


def _serve(place: Place, name: str, units: dict[str, str], needed: frozenset[str]) -> None:
    there_was_one = bool(place.supervisor.installed())
    changed = place.supervisor.install(units)
    place.layout.point("current", name)
    place.supervisor.restart(listening_anew=there_was_one and any(unit.endswith(".socket") for unit in changed))
    await_ready(place.port, needed, place.ready_seconds, runs=lambda: not place.supervisor.keeps_failing())


def _roll_back(place: Place, before: str | None, units: dict[str, str], *, can: bool) -> int:
    if before is None:
        say("There is no release to go back to. Look at its log.")
        return LOOK_NOW
    if not can:
        say(f"{before} cannot read the ledger any more, so the new release stays. Look at its log now.")
        return LOOK_NOW
    say(f"going back to {before}")
    try:
        _serve(place, before, units, ALWAYS_NEEDED)
    except (NotReady, SupervisorFailed, OSError) as error:
        say(f"{before} is not ready either: {error}. Look at its log now.")
        return LOOK_NOW
    say(f"{before} serves again")
    return ROLLED_BACK


def _values(place: Place, settings: Settings) -> dict[str, str]:
    return {
        "PATH": str(place.layout.path),
        "USER": place.user,
        "PORT": str(place.port),
        "DATA": str(settings.data_dir.resolve()),
        "STOP_SECONDS": str(settings.config.limits.drain_seconds + SETTLE_SECONDS),
    }


def _migrations(release: Path, kind: str) -> set[str]:
    return {path.name for path in (release / "lib" / "store" / "migrations" / kind).glob("*.sql")}


def say(line: str) -> None:
    """Tell the operator; where nobody listens any more the work goes on."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"  {line}\n")
        sys.stdout.flush()
