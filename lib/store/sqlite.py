"""The embedded ledger: one SQLite file, one process, one writer thread with group commit.

Ended with `aclose()` or with a kill, it loses nothing that it acknowledged: an operation returns after its commit
has reached the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from lib.core.money import Msat
from lib.store import (
    arguments,
    schema,
    sqlite_answers,
    sqlite_credits,
    sqlite_holds,
    sqlite_owners,
    sqlite_reads,
    sqlite_restored,
    sqlite_topups,
)
from lib.store.data_directory import DataDirectory, LedgerLocked
from lib.store.lane import Lane, Operation
from lib.store.ledger import (
    AskNodeFirst,
    ClaimKind,
    Gone,
    LedgerWentBack,
    Owner,
    Topup,
    UnderReview,
)
from lib.store.sqlite_console import SqliteConsole
from lib.store.watermark import Watermark, is_below

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from lib.store.ledger import (
        Balance,
        ClaimOutcome,
        HoldOutcome,
        HoldRequest,
        Kept,
        KeyReused,
        Losses,
        Owed,
        Payment,
        Position,
        RedeemOutcome,
        Restored,
        Revoked,
        RotateOutcome,
        Settled,
        Settlement,
        TokenAnswer,
        TopupStatus,
        UnconfirmedLimits,
    )

__all__ = ["LedgerLocked", "SqliteLedger", "system_clock_us"]

T = TypeVar("T")
ClockUs: TypeAlias = Callable[[], int]
"""Microseconds since 1970 UTC: the `now_us()` of all SQL."""
Randomness: TypeAlias = Callable[[int], bytes]

OPERATION_LIMIT_SECONDS = 30.0
SCAN_LIMIT_SECONDS = 600.0
"""For what reads everything: totals, losses, audit."""
LEDGER_ID_BYTES = 16
ACCOUNT_ID_BYTES = 16


def system_clock_us() -> int:
    """The clock of the machine that the database lives on."""
    return time.time_ns() // 1_000


@dataclass(frozen=True, slots=True)
class _Opened:
    """What opening leaves behind, before any thread runs on it."""

    directory: DataDirectory
    watermark: Watermark
    ledger_id: bytes
    writer: sqlite3.Connection
    reader: sqlite3.Connection
    scanner: sqlite3.Connection


class SqliteLedger(SqliteConsole):
    """The `Ledger` in a file.

    Operations that write are executed in the order in which their coroutines first ran, because they are queued
    before they first await: a settle awaited (or started) before a hold is done before it. Cancelling a caller neither
    undoes nor loses its operation. Reads go beside the writer and see all that was acknowledged before they began.
    """

    def __init__(self, opened: _Opened, randomness: Randomness) -> None:
        """Start the threads. Made by `open`."""
        self._directory = opened.directory
        self._watermark = opened.watermark
        self._ledger_id = opened.ledger_id
        self._randomness = randomness
        self._writer = Lane(
            opened.writer, name="ledger-writer", begin="BEGIN IMMEDIATE", limit_seconds=OPERATION_LIMIT_SECONDS
        )
        self._reader = Lane(opened.reader, name="ledger-reader", begin="BEGIN", limit_seconds=OPERATION_LIMIT_SECONDS)
        self._scanner = Lane(opened.scanner, name="ledger-scanner", begin="BEGIN", limit_seconds=SCAN_LIMIT_SECONDS)

    @classmethod
    async def open(
        cls, directory: Path, *, clock: ClockUs = system_clock_us, randomness: Randomness = secrets.token_bytes
    ) -> SqliteLedger:
        """Claim the directory, bring the schema up to date and return to accounts what a dead server held.

        A ledger that is older than what the directory remembers of it opens all the same: then all that would change
        it raises LedgerWentBack. Raises LedgerLocked if another process runs on the directory, LedgerNewerThanCode if
        a newer release did.
        """
        ledger = cls(await asyncio.to_thread(_open, directory, clock, randomness), randomness)
        with contextlib.suppress(LedgerWentBack):
            await ledger._in_view(_nothing)
        return ledger

    async def ledger_id(self) -> bytes:
        """See `Ledger`. It never changes, so it is read once."""
        return self._ledger_id

    async def take_lease(self, lease: str) -> None:
        """See `Ledger`. Raises LeaseExpired if this very lease has ended before."""
        await self._in_view(partial(sqlite_holds.take_lease, lease=lease))

    async def renew(self, lease: str) -> bool:
        """See `Ledger`."""
        return await self._in_view(partial(sqlite_holds.renew, lease=lease))

    async def end_lease(self, lease: str) -> None:
        """See `Ledger`."""
        await self._write(partial(sqlite_holds.end_lease, lease=lease))

    async def expire(self, stale_after_seconds: float) -> int:
        """See `Ledger`."""
        return await self._write(partial(sqlite_holds.expire, stale_after_seconds=stale_after_seconds))

    async def redeem_and_hold(self, payment: Payment, request: HoldRequest, limits: UnconfirmedLimits) -> RedeemOutcome:
        """See `Ledger`."""
        account = self._new_account_id()
        return await self._write(
            lambda db: sqlite_holds.redeem_and_hold(db, payment, request, limits, new_account=account)
        )

    async def credit(self, payment: Payment, limits: UnconfirmedLimits) -> Balance | AskNodeFirst | Gone | UnderReview:
        """See `Ledger`."""
        account = self._new_account_id()

        def operation(db: sqlite3.Connection) -> Balance | AskNodeFirst | Gone | UnderReview:
            refusal = sqlite_credits.book_on_trust(db, payment, limits, new_account=account)
            if refusal is not None:
                return refusal
            sqlite_owners.note_macaroon(db, payment.payment_hash)
            return sqlite_reads.balance_of_payment(db, payment) or Gone()

        return await self._write(operation)

    async def open_topup(self, topup: Topup, expires_in_seconds: float) -> None:
        """See `Ledger`."""
        arguments.require_topup(topup)
        await self._write(lambda db: sqlite_topups.open_topup(db, topup, expires_in_seconds))

    async def open_topups(self, limit: int) -> Sequence[Topup]:
        """See `Ledger`. `limit` from 1 to 1,000."""
        arguments.require_page(limit)
        return await self._reader.run(lambda db: sqlite_topups.open_topups(db, limit))

    async def close_topup(self, payment_hash: bytes) -> None:
        """See `Ledger`."""
        await self._write(lambda db: sqlite_topups.close_topup(db, payment_hash))

    async def find_topup(self, payment_hash: bytes) -> TopupStatus | None:
        """See `Ledger`."""
        return await self._reader.run(lambda db: sqlite_topups.find_topup(db, payment_hash))

    async def credit_topup(self, payment_hash: bytes, received: Msat) -> Balance | UnderReview:
        """See `Ledger`."""
        account = self._new_account_id()
        return await self._write(lambda db: sqlite_topups.credit_topup(db, payment_hash, received, new_account=account))

    async def claim(
        self, op_id: str, payment: Payment, token: Owner, how: ClaimKind, keep: TokenAnswer | None = None
    ) -> ClaimOutcome:
        """See `Ledger`."""
        arguments.require_claim(payment, token, how, keep)
        account = self._new_account_id()
        if keep is not None:
            return await self._write(
                lambda db: sqlite_owners.claim_and_keep(db, op_id, payment, token, keep, new_account=account)
            )
        return await self._write(lambda db: sqlite_owners.claim(db, op_id, payment, token, how, new_account=account))

    async def rotate(
        self, op_id: str, token: Owner, new_token: Owner, keep: TokenAnswer | None = None
    ) -> RotateOutcome:
        """See `Ledger`."""
        arguments.require_token(token)
        arguments.require_token(new_token)
        if keep is not None:
            return await self._write(lambda db: sqlite_owners.rotate_and_keep(db, op_id, token, new_token, keep))
        return await self._write(lambda db: sqlite_owners.rotate(db, op_id, token, new_token))

    async def revoke(self, op_id: str, token: Owner) -> Revoked | Owed | Gone:
        """See `Ledger`."""
        arguments.require_token(token)
        return await self._write(lambda db: sqlite_owners.revoke(db, op_id, token))

    async def hold(self, owner: Owner, request: HoldRequest) -> HoldOutcome:
        """See `Ledger`. A pinned quote belongs to a payment being redeemed, so it is not looked at here."""
        return await self._write(lambda db: sqlite_holds.hold(db, owner, request))

    async def settle(self, settlement: Settlement) -> Settled:
        """See `Ledger`. Raises HoldUnknown, HoldEnded, and ValueError for a charge outside of 0 to the ceiling."""
        arguments.require_settlement(settlement)
        return await self._write(lambda db: sqlite_holds.settle(db, settlement))

    async def note_left(self, hold_id: str) -> None:
        """See `Ledger`."""
        await self._write(lambda db: sqlite_answers.note_left(db, hold_id))

    async def kept_answer(self, owner: Owner, name: bytes, order_digest: bytes) -> Kept | KeyReused | None:
        """See `Ledger`."""
        return await self._read(lambda db: sqlite_answers.of_owner(db, owner, name, order_digest))

    async def drop_answer(self, owner: Owner, name: bytes) -> None:
        """See `Ledger`."""
        await self._write(lambda db: sqlite_answers.drop(db, owner, name))

    async def balance(self, owner: Owner) -> Balance | None:
        """See `Ledger`."""
        return await self._reader.run(lambda db: sqlite_reads.balance_of_owner(db, owner))

    async def newest_confirmed(self) -> bytes | None:
        """See `Ledger`."""
        return await self._reader.run(sqlite_reads.newest_confirmed)

    async def confirm(self, payment_hash: bytes, received: Msat) -> None:
        """See `Ledger`. Raises CreditUnknown."""
        await self._write(lambda db: sqlite_credits.confirm(db, payment_hash, received))

    async def deny(self, payment_hash: bytes, reason: str) -> None:
        """See `Ledger`. A credit once confirmed is not denied any more. Raises CreditUnknown."""
        await self._write(lambda db: sqlite_credits.deny(db, payment_hash, reason))

    async def accept_restored(self, choice: Restored) -> Position:
        """See `Ledger`."""
        mark = self._watermark.mark()
        position = await self._writer.run(lambda db: sqlite_restored.accept(db, choice))
        await self._watermark.observe(position, mark)
        return position

    async def losses(self, within_seconds: float) -> Losses:
        """See `Ledger`."""
        return await self._scanner.run(partial(sqlite_reads.losses, within_seconds=within_seconds))

    async def aclose(self) -> None:
        """See `Ledger`. Afterwards every method raises LedgerUnavailable. Repeating it changes nothing."""
        await self._scanner.aclose()
        await self._reader.aclose()
        # Last, because the last connection to leave folds the write-ahead log into the file.
        await self._writer.aclose()
        self._directory.release()

    async def _read(self, operation: Operation[T]) -> T:
        return await self._reader.run(operation)

    async def _scan(self, operation: Operation[T]) -> T:
        """On a snapshot of its own: nobody waits for it."""
        return await self._scanner.run(operation)

    async def _write(self, operation: Operation[T]) -> T:
        """Queue an operation that changes something. Raises LedgerWentBack, and then nothing was queued."""
        self._watermark.require()
        return await self._writer.run(operation)

    async def _in_view(self, operation: Operation[T]) -> T:
        """The same, done only if the ledger is found to have lost nothing, which is remembered."""
        mark = self._watermark.mark()

        def guarded(db: sqlite3.Connection) -> tuple[T | None, Position]:
            position = sqlite_restored.position(db)
            return (None if is_below(position, mark) else operation(db)), position

        result, position = await self._writer.run(guarded)
        await self._watermark.observe(position, mark)
        return cast("T", result)

    def _new_account_id(self) -> str:
        return self._randomness(ACCOUNT_ID_BYTES).hex()


def _nothing(_: sqlite3.Connection) -> None:
    """An operation that only has the ledger looked at."""


def _open(path: Path, clock: ClockUs, randomness: Randomness) -> _Opened:
    with contextlib.ExitStack() as undo:
        directory = DataDirectory.claim(path)
        undo.callback(directory.release)
        watermark = Watermark(path)
        writer = undo.enter_context(contextlib.closing(schema.connect_writer(directory.ledger_file, clock)))
        schema.migrate(writer)
        ledger_id = _begin(writer, randomness)
        reader = undo.enter_context(contextlib.closing(schema.connect_reader(directory.ledger_file)))
        scanner = schema.connect_reader(directory.ledger_file)
        # What expires and what was lost are asked for by age, on the same clock.
        reader.create_function("now_us", 0, clock)
        scanner.create_function("now_us", 0, clock)
        undo.pop_all()
    return _Opened(directory, watermark, ledger_id, writer, reader, scanner)


def _begin(db: sqlite3.Connection, randomness: Randomness) -> bytes:
    """Name a new ledger; in an old one, lapse every hold: the lock proves that whoever made them is dead."""
    db.execute("BEGIN IMMEDIATE")
    db.execute(
        "INSERT INTO meta (one, ledger_id, created_at_us) VALUES (1, ?, now_us()) ON CONFLICT DO NOTHING",
        (randomness(LEDGER_ID_BYTES),),
    )
    sqlite_holds.expire_all(db)
    (ledger_id,) = db.execute("SELECT ledger_id FROM meta").fetchone()
    db.execute("COMMIT")
    return ledger_id
