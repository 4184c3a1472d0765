"""The ledger's SQL functions called through Supabase's API, by Supabase's own client and the project's secret key.

The client builds the requests. The connections are ours, because only so do they have limits, and our look at every
reply comes before the client's: what it raises tells no status, and it takes a page of text for an answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import httpx
import orjson
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from lib.store import postgres_values as values
from lib.store.ledger import LedgerUnavailable, LedgerWentBack
from lib.store.postgres_calls import ANSWERED_THOUGH_GONE_BACK, SCANS, Argument, Uncancelled
from lib.store.supabase_connections import CONNECTIONS_MAX_COUNT, Connections
from lib.store.supabase_errors import OutcomeUnknown, judged
from lib.store.watermark import Watermark

log = logging.getLogger(__name__)

SCAN_LIMIT_SECONDS = 600.0
CONNECT_LIMIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Patience:
    """When a call is given up."""

    call_seconds: float = 30.0
    """No further attempt begins after this, nor does one wait longer for a connection to become free."""
    attempt_seconds: float = 10.0
    """For one, once it has a connection. More than Supabase gives a statement (8 s): then it has ended."""
    pauses_seconds: tuple[float, ...] = (0.1, 0.4, 1.0, 2.0)
    """Before the second attempt, the third, and so on."""


PATIENCE = Patience()


class SupabaseCalls:
    """`Calls` through a project's API. Cancelling a caller neither undoes nor loses its call."""

    def __init__(
        self, client: AsyncClient, connections: httpx.AsyncClient, watermark: Watermark, patience: Patience
    ) -> None:
        """Made by `open`."""
        self._client = client
        self._connections = connections
        self._watermark = watermark
        self._patience = patience
        self._ledger_id: bytes | None = None
        self._doubts, self._dispelled = 1, 0
        self._free = asyncio.Semaphore(CONNECTIONS_MAX_COUNT)
        self._calls = Uncancelled()

    @classmethod
    async def open(
        cls, project_url: str, secret_key: str, watermark: Watermark, patience: Patience = PATIENCE
    ) -> SupabaseCalls:
        """Connects when first called. The key is a new one (`sb_secret_…`) or a JWT of the role service_role."""
        connections = httpx.AsyncClient(
            transport=Connections(),
            timeout=httpx.Timeout(None, connect=CONNECT_LIMIT_SECONDS),  # `_attempt` bounds the whole exchange
            follow_redirects=False,  # it would carry the key elsewhere
            trust_env=False,
            event_hooks={"response": [_look]},
        )
        options = AsyncClientOptions(
            auto_refresh_token=False, persist_session=False, postgrest_client_retry=False, httpx_client=connections
        )
        return cls(await acreate_client(project_url, secret_key, options), connections, watermark, patience)

    async def call(self, function: str, **arguments: Argument) -> Any:
        """See `Calls`."""
        return await self._calls.run(lambda: self._repeated(function, arguments))

    async def aclose(self) -> None:
        """See `Calls`."""
        await self._calls.close()
        await self._connections.aclose()

    async def _repeated(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        body = {name: _on_the_wire(value) for name, value in arguments.items()}
        until = time.monotonic() + self._patience.call_seconds
        pauses = iter(self._patience.pauses_seconds)
        while True:
            try:
                await self._make_sure(function)
                return await self._attempt(function, body)
            except OutcomeUnknown as unknown:
                pause = next(pauses, None)
                if pause is None or time.monotonic() + pause >= until:
                    raise LedgerUnavailable(f"Supabase's API does not answer {function}: {unknown}") from unknown
                log.warning("%s has no answer (%s): asking again", function, unknown)
                await asyncio.sleep(pause)

    async def _make_sure(self, function: str) -> None:
        """After any failure, and while the ledger has gone back, see first whether it is still where it was.

        A database is restored or exchanged only while calls to it fail. Raises LedgerWentBack, and what `_attempt`
        raises.
        """
        doubts = self._doubts
        if doubts > self._dispelled or self._watermark.went_back:
            mark = self._watermark.mark()
            position = values.position(await self._attempt("alb_position", {}))
            if self._ledger_id not in {None, position.ledger_id}:
                raise LedgerUnavailable("another ledger is at ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL than before")
            self._ledger_id = position.ledger_id
            with suppress(LedgerWentBack):  # it is raised to those whom it concerns
                await self._watermark.observe(position, mark)
            self._dispelled = max(self._dispelled, doubts)
        if function not in ANSWERED_THOUGH_GONE_BACK:
            self._watermark.require()

    async def _attempt(self, function: str, body: dict[str, Any]) -> Any:
        """Once. Raises OutcomeUnknown, LedgerUnavailable, or SupabaseRefused."""
        limit_seconds = SCAN_LIMIT_SECONDS if function in SCANS else self._patience.attempt_seconds
        await self._become_free()
        try:
            async with asyncio.timeout(limit_seconds):
                return (await self._client.rpc(function, body).execute()).data
        except TimeoutError:
            self._doubts += 1
            raise OutcomeUnknown(f"nothing within {limit_seconds:g} s") from None
        except httpx.HTTPError as error:
            self._doubts += 1
            raise OutcomeUnknown(type(error).__name__) from None  # its request holds the key
        except (OutcomeUnknown, LedgerUnavailable):
            self._doubts += 1
            raise
        finally:
            self._free.release()

    async def _become_free(self) -> None:
        """Wait for a connection, in turn. The client's own queue is slower the longer it is."""
        try:
            async with asyncio.timeout(self._patience.call_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise LedgerUnavailable("more calls wait for Supabase's API than it can do") from None


def _on_the_wire(value: Argument) -> Any:
    """How PostgREST takes it: a bytea as PostgreSQL writes it in text."""
    return "\\x" + value.hex() if isinstance(value, bytes) else value


async def _look(response: httpx.Response) -> None:
    """Raise what an error means while its status is known, and for what is no JSON, which the client takes for text."""
    content = await response.aread()
    if not response.is_success:
        code, message = _told(content)
        raise judged(response.status_code, code, message)
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        raise OutcomeUnknown(f"{response.status_code} without JSON") from None


def _told(content: bytes) -> tuple[str | None, str]:
    """Code and message of an error's body, as far as it has them."""
    with suppress(orjson.JSONDecodeError):
        body: object = orjson.loads(content)
        if isinstance(body, dict):
            told = cast("dict[str, object]", body)
            code, message = told.get("code"), told.get("message")
            return code if isinstance(code, str) else None, message if isinstance(message, str) else ""
    return None, ""
