"""A backup was put back: the ledger says so, changes nothing, and goes on once its operator has spoken."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lib.core.endings import Ending
from lib.core.money import Msat
from lib.store.data_directory import LEDGER_FILE
from lib.store.ledger import (
    Answer,
    ClaimKind,
    Ledger,
    LedgerWentBack,
    PaymentKind,
    Restored,
    Settlement,
    TokenAnswer,
    Topup,
)
from lib.store.operating import OperatorsLedger
from lib.store.sqlite import SqliteLedger
from tests.store.desk import NO_LIMITS, Desk, owner, payment, token, vouched

LOST = payment("sold after the backup", 2_000)
KEPT = payment("sold before the backup", 5_000)
KEEP = TokenAnswer(bytes(32), bytes(32), Answer(b"sealed", 600))
BACK_TO_THE_FIRST_ENTRY = (
    "DROP TRIGGER entries_never_go",
    "DELETE FROM entries WHERE id > 1",
)


@asynccontextmanager
async def opened(directory: Path) -> AsyncGenerator[SqliteLedger]:
    ledger = await SqliteLedger.open(directory)
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def sold(directory: Path) -> None:
    """Sell, back up, sell more, stop in order, and put the backup back."""
    ledger_file, backup = directory / LEDGER_FILE, directory / "backup"
    async with opened(directory) as ledger:
        await ledger.take_lease("first")
        await ledger.credit(KEPT, NO_LIMITS)
    shutil.copy(ledger_file, backup)
    async with opened(directory) as ledger:
        await ledger.take_lease("second")
        await ledger.credit(LOST, NO_LIMITS)
        await ledger.renew("second")
    backup.replace(ledger_file)


CHANGES: dict[str, Callable[[Ledger], Awaitable[object]]] = {
    "take_lease": lambda ledger: ledger.take_lease("third"),
    "renew": lambda ledger: ledger.renew("first"),
    "end_lease": lambda ledger: ledger.end_lease("first"),
    "expire": lambda ledger: ledger.expire(0.0),
    "credit": lambda ledger: ledger.credit(LOST, NO_LIMITS),
    "redeem_and_hold": lambda ledger: ledger.redeem_and_hold(LOST, Desk(ledger).request(1), NO_LIMITS),
    "hold": lambda ledger: ledger.hold(owner(KEPT), Desk(ledger).request(1)),
    "settle": lambda ledger: ledger.settle(Settlement("settle", "hold", Ending.ANSWERED, Msat(1))),
    "note_left": lambda ledger: ledger.note_left("hold"),
    "drop_answer": lambda ledger: ledger.drop_answer(owner(KEPT), bytes(32)),
    "claim": lambda ledger: ledger.claim("claim", vouched(LOST), token("new"), ClaimKind.MACAROON),
    "rotate": lambda ledger: ledger.rotate("rotate", token("old"), token("new")),
    "claim with a key": lambda ledger: ledger.claim("claim", vouched(LOST), token("new"), ClaimKind.MACAROON, KEEP),
    "rotate with a key": lambda ledger: ledger.rotate("rotate", token("old"), token("new"), KEEP),
    "revoke": lambda ledger: ledger.revoke("revoke", token("old")),
    "adjust": lambda ledger: ledger.adjust("adjust", "account", Msat(1), "reason"),
    "open_topup": lambda ledger: ledger.open_topup(Topup(bytes(32), PaymentKind.TOPUP, Msat(1), "key"), 600),
    "credit_topup": lambda ledger: ledger.credit_topup(bytes(32), Msat(1)),
    "close_topup": lambda ledger: ledger.close_topup(bytes(32)),
    "confirm": lambda ledger: ledger.confirm(KEPT.payment_hash, KEPT.amount),
    "deny": lambda ledger: ledger.deny(KEPT.payment_hash, "reason"),
    "approve": lambda ledger: ledger.approve(LOST.payment_hash),
    "freeze": lambda ledger: ledger.freeze("account", "reason"),
    "unfreeze": lambda ledger: ledger.unfreeze("account"),
    "revoke_account": lambda ledger: ledger.revoke_account("revoke account", "account"),
    "pause": lambda ledger: ledger.pause("openai", None, "reason"),
    "resume": lambda ledger: ledger.resume("openai", None),
}


async def test_nothing_of_a_restored_ledger_can_be_changed(tmp_path: Path):
    """Every operation that writes raises LedgerWentBack and writes nothing; what only reads is answered."""
    await sold(tmp_path)
    async with opened(tmp_path) as ledger:
        before = await ledger.totals()

        for change in CHANGES.values():
            with pytest.raises(LedgerWentBack, match="a backup was restored"):
                await change(ledger)

        assert await ledger.totals() == before and before.credited == KEPT.amount
        assert await ledger.audit() == [] and (await ledger.position()).newest_entry == 1
        found = await ledger.balance(owner(KEPT))
        assert found is not None and found.balance == KEPT.amount


def test_every_operation_that_writes_is_among_them():
    """The counterpart: whatever the port has and this list has not, only reads or is the operator's way out."""
    reads = {
        "ledger_id",
        "open_topups",
        "find_topup",
        "balance",
        "kept_answer",
        "entries",
        "in_doubt",
        "newest_confirmed",
        "position",
        "accept_restored",
        "reviews",
        "totals",
        "losses",
        "earned",
        "payment",
        "calls",
        "calls_of",
        "account",
        "debts",
        "pauses",
        "audit",
        "aclose",
    }

    port = {name for part in (Ledger, OperatorsLedger) for name in vars(part) if not name.startswith("_")}
    assert port - set(CHANGES) == reads


async def test_a_refused_lease_leaves_nothing_behind(tmp_path: Path):
    """A server that waits for its operator asks for a lease again and again: that must not fill the ledger."""
    await sold(tmp_path)
    async with opened(tmp_path) as ledger:
        for number in range(3):
            with pytest.raises(LedgerWentBack):
                await ledger.take_lease(f"waiting-{number}")
        await ledger.accept_restored(Restored.HONOUR)

        assert [await ledger.renew(f"waiting-{number}") for number in range(3)] == [False] * 3


async def test_the_operator_s_word_takes_it_into_service(tmp_path: Path):
    """After `accept_restored` the same process sells again, and so does one that is started later."""
    await sold(tmp_path)
    async with opened(tmp_path) as ledger:
        await ledger.accept_restored(Restored.HONOUR)
        await ledger.take_lease("third")
        await ledger.credit(LOST, NO_LIMITS)
        await ledger.renew("third")

    async with opened(tmp_path) as ledger:
        await ledger.take_lease("fourth")
        found = await ledger.balance(owner(LOST))
        assert found is not None and found.balance == LOST.amount
        assert await ledger.audit() == []


async def test_a_ledger_put_back_under_a_running_server_is_noticed_with_the_next_lease(tmp_path: Path):
    """Whoever renews looks: a ledger that lost entries since then is found out, even without a restart."""
    async with opened(tmp_path) as ledger:
        await ledger.take_lease("first")
        await ledger.credit(KEPT, NO_LIMITS)
        await ledger.credit(LOST, NO_LIMITS)
        await ledger.renew("first")
        await ledger._writer.run(  # pyright: ignore[reportPrivateUsage] - what replacing the file would do
            lambda db: [db.execute(statement) for statement in BACK_TO_THE_FIRST_ENTRY]
        )

        with pytest.raises(LedgerWentBack):
            await ledger.renew("first")
        with pytest.raises(LedgerWentBack):
            await ledger.credit(LOST, NO_LIMITS)
