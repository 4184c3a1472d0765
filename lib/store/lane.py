"""One thread with one SQLite connection, and operations that queue for it: the writer's group commit.

The thread takes everything that is queued, runs each operation in a savepoint of one transaction, commits once and
then tells all who wait. While the disk flushes one batch the next one gathers, so a flush is shared by as many
operations as arrive during it, and a lone operation waits for nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from lib.store.ledger import LedgerUnavailable

T = TypeVar("T")
Operation: TypeAlias = Callable[[sqlite3.Connection], T]

QUEUE_LIMIT_OPERATIONS = 10_000
"""Beyond this the lane refuses at once: a queue that long means that the disk cannot keep up."""
BATCH_LIMIT_OPERATIONS = 500
"""Bounds the time between an operation's turn and its commit."""
CLOSE_LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Job:
    operation: Operation[Any]
    waiter: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Done:
    result: Any


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class Lane:
    """Runs operations one after another, in the order in which `run` was entered, on a thread of its own.

    `run` queues its operation before it first awaits: of two operations of one event loop, the one whose call came
    first is executed first, whoever awaits it. Cancelling the caller neither undoes nor loses what was queued.
    """

    def __init__(self, connection: sqlite3.Connection, *, name: str, begin: str, limit_seconds: float) -> None:
        """Own the connection from now on. `begin` is the statement that opens each batch's transaction."""
        self._connection = connection
        self._begin = begin
        self._limit_seconds = limit_seconds
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, operation: Operation[T]) -> T:
        """What the operation returns or raises, once that is on disk.

        Raises LedgerUnavailable: at once if the lane is closed or its queue is full; if the batch could not be
        committed, then nothing of it was written; after the time limit, then the outcome is unknown.
        """
        waiter = self._submit(operation)
        timer = self._loop.call_later(self._limit_seconds, _give_up, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()

    async def aclose(self) -> None:
        """Refuse new operations, finish what is queued, close the connection. Repeating it changes nothing."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join, CLOSE_LIMIT_SECONDS)

    def _submit(self, operation: Operation[T]) -> asyncio.Future[T]:
        waiter: asyncio.Future[T] = self._loop.create_future()
        with self._wake:
            if self._closing:
                raise LedgerUnavailable("the ledger is closed")
            if len(self._queue) >= QUEUE_LIMIT_OPERATIONS:
                raise LedgerUnavailable("too many operations wait for the disk")
            self._queue.append(_Job(operation, waiter))
            self._wake.notify()
        return waiter

    def _work(self) -> None:
        while batch := self._take():
            outcomes = self._execute(batch)
            # A loop that is gone has nobody waiting in it.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_tell, batch, outcomes)
        self._connection.close()

    def _take(self) -> list[_Job]:
        """The next batch; empty when the lane is closed and drained."""
        with self._wake:
            while not self._queue and not self._closing:
                self._wake.wait()
            return [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_LIMIT_OPERATIONS))]

    def _execute(self, batch: list[_Job]) -> list[_Done | _Failed]:
        try:
            self._connection.execute(self._begin)
            outcomes = [self._attempt(job.operation) for job in batch]
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the edge of this thread: whatever it is, those who wait must hear of it
            self._roll_back()
            return [_Failed(_unavailable(error)) for _ in batch]
        return outcomes

    def _attempt(self, operation: Operation[Any]) -> _Done | _Failed:
        """Run one operation in its savepoint. Raises only if the whole transaction is lost."""
        self._connection.execute("SAVEPOINT operation")
        try:
            result = operation(self._connection)
        except Exception as error:
            # A full disk or an I/O error makes SQLite undo everything: then no operation of the batch was done.
            if not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO operation")
            self._connection.execute("RELEASE operation")
            return _Failed(_unavailable(error) if isinstance(error, sqlite3.OperationalError) else error)
        self._connection.execute("RELEASE operation")
        return _Done(result)

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _unavailable(cause: Exception) -> LedgerUnavailable:
    error = LedgerUnavailable(f"the database refused: {cause}")
    error.__cause__ = cause
    return error


def _give_up(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(LedgerUnavailable("the disk did not answer in time; the operation may still be done"))


def _tell(batch: list[_Job], outcomes: list[_Done | _Failed]) -> None:
    for job, outcome in zip(batch, outcomes, strict=True):
        if job.waiter.done():
            continue
        match outcome:
            case _Done(result):
                job.waiter.set_result(result)
            case _Failed(error):
                job.waiter.set_exception(error)
