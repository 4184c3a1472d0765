"""What an operator may do with a SQLite ledger, in the server that runs on it or beside that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from lib.store import (
    arguments,
    operating_values,
    sqlite_audit,
    sqlite_credits,
    sqlite_operating,
    sqlite_reads,
    sqlite_restored,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lib.core.money import Msat
    from lib.store.lane import Operation
    from lib.store.ledger import (
        Adjusted,
        CreditInDoubt,
        Entry,
        Gone,
        Owed,
        Position,
        Review,
        Revoked,
        TooMuch,
        Totals,
    )
    from lib.store.operating import AccountStory, CallStory, Debt, Earned, Pause, PaymentStory

T = TypeVar("T")


class SqliteConsole(ABC):
    """The `OperatorsLedger` in a file, whatever runs its operations."""

    @abstractmethod
    async def _read(self, operation: Operation[T]) -> T:
        """Run it on one moment of the ledger."""

    @abstractmethod
    async def _scan(self, operation: Operation[T]) -> T:
        """The same for what reads everything."""

    @abstractmethod
    async def _write(self, operation: Operation[T]) -> T:
        """Run it in a transaction that reaches the disk."""

    async def position(self) -> Position:
        """See `OperatorsLedger`."""
        return await self._read(sqlite_restored.position)

    async def totals(self) -> Totals:
        """See `OperatorsLedger`."""
        return await self._scan(sqlite_reads.totals)

    async def audit(self) -> Sequence[str]:
        """See `OperatorsLedger`."""
        return await self._scan(sqlite_audit.differences)

    async def entries(self, account: str, *, before: int | None, limit: int) -> Sequence[Entry]:
        """See `OperatorsLedger`. `limit` from 1 to 1,000."""
        arguments.require_page(limit)
        return await self._read(lambda db: sqlite_reads.entries(db, account, before, limit))

    async def in_doubt(self, limit: int) -> Sequence[CreditInDoubt]:
        """See `OperatorsLedger`. `limit` from 1 to 1,000."""
        arguments.require_page(limit)
        return await self._read(lambda db: sqlite_reads.in_doubt(db, limit))

    async def reviews(self, limit: int) -> Sequence[Review]:
        """See `OperatorsLedger`. `limit` from 1 to 1,000."""
        arguments.require_page(limit)
        return await self._read(lambda db: sqlite_restored.reviews(db, limit))

    async def approve(self, payment_hash: bytes) -> bool:
        """See `OperatorsLedger`."""
        return await self._write(lambda db: sqlite_restored.approve(db, payment_hash))

    async def earned(self, since: datetime, until: datetime) -> Sequence[Earned]:
        """See `OperatorsLedger`."""
        since_us, until_us = operating_values.micros(since), operating_values.micros(until)
        return await self._scan(partial(sqlite_operating.earned, since_us=since_us, until_us=until_us))

    async def payment(self, payment_hash: bytes) -> PaymentStory:
        """See `OperatorsLedger`."""
        return await self._read(lambda db: sqlite_operating.payment(db, payment_hash))

    async def calls(self, request_id: str) -> Sequence[CallStory]:
        """See `OperatorsLedger`."""
        return await self._scan(lambda db: sqlite_operating.calls(db, request_id, arguments.PAGE_LIMIT_ROWS))

    async def calls_of(self, account: str, limit: int) -> Sequence[CallStory]:
        """See `OperatorsLedger`. `limit` from 1 to 1,000."""
        arguments.require_page(limit)
        return await self._scan(lambda db: sqlite_operating.calls_of(db, account, limit))

    async def account(self, account: str) -> AccountStory | None:
        """See `OperatorsLedger`."""
        return await self._scan(lambda db: sqlite_operating.account(db, account))

    async def debts(self) -> Sequence[Debt]:
        """See `OperatorsLedger`."""
        return await self._scan(sqlite_operating.debts)

    async def adjust(self, op_id: str, account: str, amount: Msat, reason: str) -> Adjusted | TooMuch | Gone:
        """See `OperatorsLedger`. Raises ValueError for nothing, or for no reason."""
        arguments.require_adjustment(amount, reason)
        return await self._write(lambda db: sqlite_credits.adjust(db, op_id, account, amount, reason))

    async def freeze(self, account: str, reason: str) -> bool:
        """See `OperatorsLedger`."""
        arguments.require_reason(reason)
        return await self._write(lambda db: sqlite_operating.freeze(db, account, reason))

    async def unfreeze(self, account: str) -> bool:
        """See `OperatorsLedger`."""
        return await self._write(lambda db: sqlite_operating.unfreeze(db, account))

    async def revoke_account(self, op_id: str, account: str) -> Revoked | Owed | Gone:
        """See `OperatorsLedger`."""
        return await self._write(lambda db: sqlite_operating.revoke_account(db, op_id, account))

    async def pause(self, api: str, model: str | None, reason: str) -> bool:
        """See `OperatorsLedger`."""
        arguments.require_reason(reason)
        return await self._write(lambda db: sqlite_operating.pause(db, api, model, reason))

    async def resume(self, api: str, model: str | None) -> bool:
        """See `OperatorsLedger`."""
        return await self._write(lambda db: sqlite_operating.resume(db, api, model))

    async def pauses(self) -> Sequence[Pause]:
        """See `OperatorsLedger`."""
        return await self._read(sqlite_operating.pauses)
