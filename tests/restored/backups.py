"""Backups as docs/operations.md makes them and puts them back, and a shop that lost a part of its ledger by one."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lib.core.money import Msat
from lib.demo.parts import DemoParts
from lib.store.data_directory import LEDGER_FILE
from tests.databases.postgres import BINARIES
from tests.prepaid.counter import bearer, new_token, topped_up
from tests.programs import Ended, run
from tests.world import CHAT, HELLO, Paid, opened_server

SCHEMA = "alittlebitofmoney"


class Place(Protocol):
    """Where a shop's ledger is, and how it is copied."""

    data_dir: Path
    env: dict[str, str]

    async def back_up(self) -> None:
        """While a server may run."""
        ...

    async def put_back(self) -> None:
        """While none runs."""
        ...


async def migrate(place: Place, *arguments: str) -> Ended:
    """Run `scripts/migrate` on it."""
    env = {"ALITTLEBITOFMONEY_DATA_DIR": str(place.data_dir), "ALITTLEBITOFMONEY_DEMO": "1", **place.env}
    return await run("scripts/migrate", *arguments, env=env)


@dataclass
class InFile:
    """SQLite."""

    data_dir: Path

    def __post_init__(self) -> None:
        self.env: dict[str, str] = {}

    async def back_up(self) -> None:
        env = {"ALITTLEBITOFMONEY_DATA_DIR": str(self.data_dir), "ALITTLEBITOFMONEY_DEMO": "1"}
        done = await run("scripts/backup", str(self._copy), env=env)
        assert done.code == 0, done.complained

    async def put_back(self) -> None:
        for name in (LEDGER_FILE, f"{LEDGER_FILE}-wal", f"{LEDGER_FILE}-shm"):
            (self.data_dir / name).unlink(missing_ok=True)
        shutil.copy(self._copy, self.data_dir / LEDGER_FILE)

    @property
    def _copy(self) -> Path:
        return self.data_dir / "copy"


@dataclass
class InPostgres:
    """A PostgreSQL."""

    data_dir: Path
    url: str

    def __post_init__(self) -> None:
        self.env = {"DATABASE_URL": self.url}

    async def back_up(self) -> None:
        _postgres("pg_dump", "--format=custom", f"--schema={SCHEMA}", f"--file={self._copy}", self.url)

    async def put_back(self) -> None:
        _postgres("psql", "--quiet", f"--command=DROP SCHEMA {SCHEMA} CASCADE", self.url)
        _postgres("pg_restore", "--exit-on-error", f"--dbname={self.url}", str(self._copy))

    @property
    def _copy(self) -> Path:
        return self.data_dir / "copy"


def _postgres(program: str, *arguments: str) -> None:
    done = subprocess.run([str(BINARIES / program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True, slots=True)
class Sold:
    """What buyers hold. All but `kept` and `kept_token` were paid and used in the lost part only."""

    kept: Paid
    """A call's credential from before the backup, spent further afterwards."""
    kept_msat: Msat
    """What it was worth in the backup."""
    kept_token: str
    call: Paid
    topup: Paid
    """Not claimed."""
    claimed: Paid
    """Claimed for `token`."""
    token: str
    refill: Paid
    """Of `kept_token`, credited."""


async def sold_and_restored(parts: DemoParts, place: Place) -> Sold:
    """Sell, back up, sell more, stop in order, put the backup back."""
    async with opened_server(parts, place.data_dir, place.env) as world:
        kept, kept_token = await world.buy(), await new_token(world)
        assert (await world.ask(paid=kept)).status_code == 200
        kept_msat = (await world.settled(kept)).balance
        await place.back_up()
        call, claimed = await world.buy(), await topped_up(world)
        token = (await world.client.post("/topup/claim", headers=claimed.headers)).json()["token"]
        sold = Sold(
            kept=kept,
            kept_msat=kept_msat,
            kept_token=kept_token,
            call=call,
            topup=await topped_up(world),
            claimed=claimed,
            token=token,
            refill=await topped_up(world, token=kept_token),
        )
        refilled = await world.client.post("/topup/claim", headers=sold.refill.headers)
        calls = [await world.ask(paid=paid) for paid in (kept, call)]
        spent = await world.client.post(CHAT, json=HELLO, headers=bearer(token))
        assert [answer.status_code for answer in (*calls, spent, refilled)] == [200] * 4
    await place.put_back()
    return sold
