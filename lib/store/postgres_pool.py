"""The ledger's SQL functions called over a pool of direct connections.

`DATABASE_URL` must lead to PostgreSQL itself or to a pooler in *session* mode: a connection keeps its prepared
statements and its settings, which a pooler in transaction mode would hand to somebody else.

A connection lost in the middle of a call leaves the outcome unknown. Every operation may be repeated, so it is, a few
times; what still has no answer then is LedgerUnavailable, and its caller repeats it with the same op_id.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import asyncpg
import orjson

from lib.store import postgres_schema
from lib.store import postgres_values as values
from lib.store.ledger import LedgerUnavailable, LedgerWentBack
from lib.store.postgres_calls import ANSWERED_THOUGH_GONE_BACK, CLOSE_LIMIT_SECONDS, SCANS, Argument, Uncancelled
from lib.store.watermark import Watermark

log = logging.getLogger(__name__)

APPLICATION_NAME = "alittlebitofmoney"
SCAN_LIMIT_SECONDS = 600.0
"""For what reads everything: totals, losses, audit."""
REPLY_GRACE_SECONDS = 2.0
"""How much longer than the server's own limit we wait for its word that it has given up."""
MS_PER_SECOND = 1_000


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How much of the database one process may take, and when a call is given up."""

    connections: int = 10
    connect_seconds: float = 5.0
    acquire_seconds: float = 10.0
    """For a connection to become free. Longer than that, and there are more calls than the database can do."""
    statement_seconds: float = 10.0
    """For one attempt, kept by the server: afterwards it has been done or will never be."""
    call_seconds: float = 30.0
    """No further attempt begins after this."""
    pauses_seconds: tuple[float, ...] = (0.05, 0.2, 0.5, 1.0, 2.0)
    """Before the second attempt, the third, and so on."""
    idle_seconds: float = 300.0
    lifetime_seconds: float = 3_600.0
    """A connection older than that is closed after use, so that no server or address is used for ever."""


LIMITS = PoolLimits()


class _OutcomeUnknown(Exception):
    """The call may have been done or not: repeat it."""


class _Connection(asyncpg.Connection):
    """Knows its age."""

    opened_at = 0.0


class PooledCalls:
    """`Calls` over asyncpg. Cancelling a caller neither undoes nor loses its call."""

    _pool: asyncpg.Pool

    def __init__(self, watermark: Watermark, limits: PoolLimits, monotonic: Callable[[], float]) -> None:
        """Made by `open`."""
        self._watermark = watermark
        self._limits = limits
        self._monotonic = monotonic
        self._ledger_id: bytes | None = None
        self._calls = Uncancelled()

    @classmethod
    async def open(
        cls,
        url: str,
        watermark: Watermark,
        limits: PoolLimits = LIMITS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> PooledCalls:
        """Connects when first called."""
        calls = cls(watermark, limits, monotonic)
        calls._pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=limits.connections,
            max_inactive_connection_lifetime=limits.idle_seconds,
            init=calls._greet,
            reset=_leave_as_it_is,
            connection_class=_Connection,
            **_connect_arguments(limits),
        )
        return calls

    async def call(self, function: str, **arguments: Argument) -> Any:
        """See `Calls`."""
        return await self._calls.run(lambda: self._repeated(function, arguments))

    async def aclose(self) -> None:
        """See `Calls`."""
        await self._calls.close()
        try:
            async with asyncio.timeout(CLOSE_LIMIT_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _repeated(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        until = self._monotonic() + self._limits.call_seconds
        pauses = iter(self._limits.pauses_seconds)
        while True:
            try:
                return await self._attempt(function, arguments)
            except _OutcomeUnknown as unknown:
                pause = next(pauses, None)
                if pause is None or self._monotonic() + pause >= until:
                    raise LedgerUnavailable(f"the database does not answer {function}: {unknown}") from unknown
                log.warning("%s has no answer (%s): asking again", function, unknown)
                await asyncio.sleep(pause)

    async def _attempt(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        """Once. Raises _OutcomeUnknown or LedgerUnavailable for all that is the database's trouble and not a bug."""
        try:
            with _judging():
                connection = cast("_Connection", await self._pool.acquire(timeout=self._limits.acquire_seconds))
        except TimeoutError as error:
            raise LedgerUnavailable("no connection to the database became free in time") from error
        opened_at = connection.opened_at  # a connection that breaks is taken from us, and with it what it knows
        try:
            with _judging():
                return await self._ask(connection, function, arguments)
        except TimeoutError as error:
            raise _OutcomeUnknown("no reply in time") from error
        finally:
            with contextlib.suppress(*_TROUBLES):  # a connection that is broken by now is no news
                await self._let_go(connection, opened_at)

    async def _ask(self, connection: asyncpg.Connection, function: str, arguments: Mapping[str, Argument]) -> Any:
        if function not in ANSWERED_THOUGH_GONE_BACK:
            self._watermark.require()  # the connection may be new, and have told so
        query = _query(function, tuple(arguments))
        if function not in SCANS:
            limit = self._limits.statement_seconds + REPLY_GRACE_SECONDS
            return await connection.fetchval(query, *arguments.values(), timeout=limit)
        async with connection.transaction(readonly=True):
            await connection.execute(f"SET LOCAL statement_timeout = {round(SCAN_LIMIT_SECONDS * MS_PER_SECOND)}")
            return await connection.fetchval(query, *arguments.values(), timeout=SCAN_LIMIT_SECONDS)

    async def _let_go(self, connection: _Connection, opened_at: float) -> None:
        if self._monotonic() - opened_at > self._limits.lifetime_seconds:
            await connection.close(timeout=self._limits.connect_seconds)
        await self._pool.release(connection, timeout=self._limits.connect_seconds)

    async def _greet(self, connection: Any) -> None:
        """A new connection may lead to a database that was restored or exchanged while none was open."""
        connection.opened_at = self._monotonic()
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_to_json, decoder=orjson.loads)
        mark = self._watermark.mark()
        position = values.position(await connection.fetchval(_query("alb_position", ())))
        if self._ledger_id not in {None, position.ledger_id}:
            raise LedgerUnavailable("another ledger is at DATABASE_URL than before")
        self._ledger_id = position.ledger_id
        with contextlib.suppress(LedgerWentBack):  # `_ask` raises it, to those whom it concerns
            await self._watermark.observe(position, mark)


async def migrate(url: str, limits: PoolLimits = LIMITS) -> None:
    """Bring the schema up to date. Raises LedgerNewerThanCode, LedgerUnavailable."""
    async with connected(url, limits) as connection:
        await postgres_schema.migrate(connection)


@contextlib.asynccontextmanager
async def connected(url: str, limits: PoolLimits = LIMITS) -> AsyncGenerator[asyncpg.Connection]:
    """A connection beside the pool, for migrations. Raises LedgerUnavailable."""
    try:
        with _judging():
            connection = await asyncpg.connect(url, **_connect_arguments(limits))
            try:
                await connection.execute("SET statement_timeout = 0")  # it waits for who migrates at the same time
                yield connection
            finally:
                await connection.close()
    except (_OutcomeUnknown, TimeoutError) as error:
        raise LedgerUnavailable(f"the database cannot be reached: {error}") from error


def _connect_arguments(limits: PoolLimits) -> dict[str, Any]:
    return {
        "timeout": limits.connect_seconds,
        "server_settings": {
            "application_name": APPLICATION_NAME,
            "statement_timeout": str(round(limits.statement_seconds * MS_PER_SECOND)),
            # What the functions count on, whatever the database's defaults are.
            "default_transaction_isolation": "read committed",
            "synchronous_commit": "on",
            "jit": "off",
        },
    }


async def _leave_as_it_is(_: Any) -> None:
    """No call leaves anything behind, so a connection is not asked to forget it: that would cost a round trip."""


def _query(function: str, names: tuple[str, ...]) -> str:
    parameters = ", ".join(f"{name} => ${number}" for number, name in enumerate(names, start=1))
    return f"SELECT public.{function}({parameters})"


def _to_json(value: Any) -> str:
    return orjson.dumps(value).decode()


_AGAIN_CLASSES = frozenset({"08", "40", "53"})
"""The connection; rolled back by a conflict; too many connections."""
_AGAIN_STATES = frozenset({"57P01", "57P02", "57P03", "57P05"})
"""The server or this connection was stopped, or is just starting."""
_UNAVAILABLE_CLASSES = frozenset({"28", "3D", "54", "57", "58"})
"""No access, no such database, a limit of the server, ended by a time limit, its disk."""
_UNAVAILABLE_STATES = frozenset({"25006", "55P03", "42501", "42883", "42P01", "3F000"})
"""Writes refused, a lock not had in time; no right, or no ledger there."""


_TROUBLES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@contextlib.contextmanager
def _judging() -> Generator[None]:
    """Raise what a failure of the database means. Bugs, and constraints that refused something, stay what they are.

    A TimeoutError stays as well: its meaning depends on what was waited for.
    """
    try:
        yield
    except TimeoutError:
        raise
    except _TROUBLES as error:
        judged = _judged(error)
        if judged is error:
            raise
        raise judged from error


def _judged(error: Exception) -> Exception:
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        if state[:2] in _AGAIN_CLASSES or state in _AGAIN_STATES:
            return _OutcomeUnknown(f"{state} {error}")
        if state[:2] in _UNAVAILABLE_CLASSES or state in _UNAVAILABLE_STATES:
            return LedgerUnavailable(f"the database refused: {state} {error}")
        return error
    if isinstance(error, asyncpg.DataError):
        return error
    return _OutcomeUnknown(f"{type(error).__name__}: {error}")
