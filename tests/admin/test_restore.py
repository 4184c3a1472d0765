"""`scripts/admin restore`: a copy takes the ledger's place whole, or nothing changes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
from pathlib import Path

import pytest

from lib.store import backup
from lib.store.data_directory import LEDGER_FILE
from lib.store.ledger import LedgerUnavailable, LedgerWentBack
from lib.store.sqlite import SqliteLedger
from lib.store.sqlite_beside import SqliteBeside
from tests.programs import run
from tests.store.desk import Desk


async def ledger_with(data_dir: Path, *credits_msat: int) -> None:
    """A ledger on which so much was credited; its server has stopped."""
    ledger = await SqliteLedger.open(data_dir)
    lease = uuid.uuid4().hex
    await ledger.take_lease(lease)
    for number, amount in enumerate(credits_msat):
        await Desk(ledger).account(amount, f"payment {amount} {number}")
    await ledger.renew(lease)
    await ledger.aclose()


async def test_a_copy_takes_the_ledgers_place(tmp_path: Path):
    """What was there is kept under another name; the server that starts then knows that a part is lost."""
    data_dir, copy = tmp_path / "data", tmp_path / "copy"
    await ledger_with(data_dir, 100)
    backup.back_up(data_dir / LEDGER_FILE, copy)
    await ledger_with(data_dir, 200)

    done = await run("scripts/admin", "restore", str(copy), env={"ALITTLEBITOFMONEY_DATA_DIR": str(data_dir)})

    assert done.code == 0 and "scripts/migrate --restored" in done.said
    [aside] = data_dir.glob("ledger.before-*")
    assert str(aside) in done.said
    restored = await SqliteLedger.open(data_dir)
    totals = await restored.totals()
    with pytest.raises(LedgerWentBack):
        await restored.take_lease("another")
    await restored.aclose()
    assert totals.balance.value == 100
    with pytest.raises(LedgerWentBack):
        await SqliteBeside(data_dir).pause("openai", None, "an order is none either")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can do what belongs to others")
async def test_root_changes_nothing_of_somebody_elses(tmp_path: Path):
    """Files of root would lock the server out: the console says as whom to run it."""
    data_dir, copy = tmp_path / "data", tmp_path / "copy"
    await ledger_with(data_dir, 100)
    backup.back_up(data_dir / LEDGER_FILE, copy)
    shutil.chown(data_dir, "nobody")
    before = set(data_dir.iterdir())
    env = {"ALITTLEBITOFMONEY_DATA_DIR": str(data_dir)}

    told = [await run("scripts/admin", *words, env=env) for words in (["restore", str(copy)], ["pause", "openai", "x"])]

    assert [ended.code for ended in told] == [1, 1]
    assert all("runuser -u nobody -- COMMAND" in ended.complained for ended in told)
    assert set(data_dir.iterdir()) <= before


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
async def test_what_is_no_ledger_is_not_put_back(tmp_path: Path, content: bytes):
    """The ledger stays as it is."""
    data_dir, copy = tmp_path / "data", tmp_path / "copy"
    await ledger_with(data_dir, 100)
    before = (data_dir / LEDGER_FILE).read_bytes()
    copy.write_bytes(content)

    with pytest.raises(LedgerUnavailable, match="no ledger"):
        backup.put_back(copy, data_dir)

    assert (data_dir / LEDGER_FILE).read_bytes() == before
    assert list(data_dir.glob("ledger.before-*")) == []


async def test_a_copy_that_does_not_add_up_is_not_put_back(tmp_path: Path):
    """It would make a wrong balance true."""
    data_dir, copy = tmp_path / "data", tmp_path / "copy"
    await ledger_with(data_dir, 100)
    backup.back_up(data_dir / LEDGER_FILE, copy)

    with sqlite3.connect(copy) as intruder:
        intruder.execute("UPDATE accounts SET balance_msat = 10000000")

    with pytest.raises(LedgerUnavailable, match="does not add up"):
        backup.put_back(copy, data_dir)


async def test_into_a_new_directory(tmp_path: Path):
    """On a new machine there is nothing to keep."""
    await ledger_with(tmp_path / "old", 100)
    backup.back_up(tmp_path / "old" / LEDGER_FILE, tmp_path / "copy")

    assert backup.put_back(tmp_path / "copy", tmp_path / "new") is None
    assert (await SqliteBeside(tmp_path / "new").totals()).balance.value == 100
    assert oct((tmp_path / "new" / LEDGER_FILE).stat().st_mode)[-3:] == "600"
