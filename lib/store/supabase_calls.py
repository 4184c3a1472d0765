"""The ledger's SQL functions called through Supabase's API, by Supabase's own client and the project's secret key.

The client builds the requests. The connections are ours, because only so do they have limits, and our look at every
reply comes before the client's: what it raises tells no status, and it takes a page of text for an answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import httpx
import orjson
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from lib.store.ledger import LedgerUnavailable
from lib.store.postgres_calls import SCANS, Argument
from lib.store.supabase_errors import OutcomeUnknown, judged

CALL_LIMIT_SECONDS = 30.0
"""For a call with its repetitions and the pauses between them."""
SCAN_LIMIT_SECONDS = 600.0
CONNECT_LIMIT_SECONDS = 5.0
CONNECTIONS_MAX_COUNT = 20
"""More than PostgREST has to the database by default, so that it is never idle for want of ours."""
KEEPALIVE_EXPIRY_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Patience:
    """When a call is given up."""

    attempt_seconds: float = 10.0
    """For one attempt, the wait for a connection included; what reads everything has SCAN_LIMIT_SECONDS."""
    pauses_seconds: tuple[float, ...] = (0.1, 0.4, 1.0, 2.0)
    """Before the second attempt, the third, and so on."""


PATIENCE = Patience()


class SupabaseCalls:
    """`Calls` through a project's API. Calls that lost their outcome are repeated, as each may be."""

    def __init__(self, client: AsyncClient, connections: httpx.AsyncClient, patience: Patience) -> None:
        """Made by `open`."""
        self._client = client
        self._connections = connections
        self._patience = patience
        self._running = 0
        self._closed = False
        self._idle = asyncio.Event()

    @classmethod
    async def open(cls, project_url: str, secret_key: str, patience: Patience = PATIENCE) -> SupabaseCalls:
        """Connects to nothing yet. The key is a new one (`sb_secret_…`) or a JWT of the role service_role."""
        connections = httpx.AsyncClient(
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX_COUNT,
                max_keepalive_connections=CONNECTIONS_MAX_COUNT,
                keepalive_expiry=KEEPALIVE_EXPIRY_SECONDS,
            ),
            timeout=httpx.Timeout(None, connect=CONNECT_LIMIT_SECONDS),  # `_attempt` bounds the whole exchange
            follow_redirects=False,  # it would carry the key elsewhere
            trust_env=False,
            event_hooks={"response": [_look]},
        )
        options = AsyncClientOptions(
            auto_refresh_token=False, persist_session=False, postgrest_client_retry=False, httpx_client=connections
        )
        client = await acreate_client(project_url, secret_key, options)
        return cls(client, connections, patience)

    async def call(self, function: str, **arguments: Argument) -> Any:
        """See `Calls`."""
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        self._running += 1
        try:
            return await self._repeated(function, arguments)
        finally:
            self._running -= 1
            if self._running == 0:
                self._idle.set()

    async def aclose(self) -> None:
        """See `Calls`."""
        self._closed = True
        while self._running:
            self._idle.clear()
            await self._idle.wait()
        await self._connections.aclose()

    async def _repeated(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        limit = SCAN_LIMIT_SECONDS if function in SCANS else self._patience.attempt_seconds
        until = time.monotonic() + max(limit, CALL_LIMIT_SECONDS)
        body = {name: _on_the_wire(value) for name, value in arguments.items()}
        pauses = iter(self._patience.pauses_seconds)
        while True:
            try:
                return await self._attempt(function, body, min(limit, until - time.monotonic()))
            except OutcomeUnknown as unknown:
                pause = next(pauses, None)
                if pause is None or time.monotonic() + pause >= until:
                    raise LedgerUnavailable(f"Supabase's API does not answer {function}: {unknown}") from unknown
                await asyncio.sleep(pause)

    async def _attempt(self, function: str, body: dict[str, Any], limit_seconds: float) -> Any:
        """Once. Raises OutcomeUnknown, LedgerUnavailable, or SupabaseRefused."""
        try:
            async with asyncio.timeout(limit_seconds):
                reply = await self._client.rpc(function, body).execute()
        except TimeoutError:
            raise OutcomeUnknown(f"nothing within {limit_seconds:g} s") from None
        except httpx.HTTPError as error:
            raise OutcomeUnknown(type(error).__name__) from None  # its text and request hold the key
        if not isinstance(reply.data, dict | list):  # a page of somebody in between, or a bare value
            raise OutcomeUnknown("no JSON object or list")
        return reply.data


def _on_the_wire(value: Argument) -> Any:
    """How PostgREST takes it: a bytea as PostgreSQL writes it in text."""
    return "\\x" + value.hex() if isinstance(value, bytes) else value


async def _look(response: httpx.Response) -> None:
    """Raise what an error means, while its status is known, and an empty reply, which the client takes for a list."""
    content = await response.aread()
    if not response.is_success:
        code, message = _told(content)
        raise judged(response.status_code, code, message)
    if not content:
        raise OutcomeUnknown(f"{response.status_code} with nothing")


def _told(content: bytes) -> tuple[str | None, str]:
    """Code and message of an error's body, as far as it has them."""
    with suppress(orjson.JSONDecodeError):
        body: object = orjson.loads(content)
        if isinstance(body, dict):
            told = cast("dict[str, object]", body)
            code, message = told.get("code"), told.get("message")
            return code if isinstance(code, str) else None, message if isinstance(message, str) else ""
    return None, ""
