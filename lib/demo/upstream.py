"""DOUBLES of all that we resell, as one HTTP server: each API at its own prefix. They pretend: no model is asked.

How they misbehave is set by a scenario; what reached them is kept in a journal.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request

from lib.demo.anthropic import Anthropic
from lib.demo.compatible import DIALECTS, Compatible
from lib.demo.exchange import Exchange, Refusal
from lib.demo.journal import Journal
from lib.demo.openai import OpenAI
from lib.demo.scenario import Stage
from lib.demo.search import Search
from lib.demo.servers import drop_connection, finish_connection
from lib.demo.stream import CutOff

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from starlette.types import Receive, Scope, Send

    from lib.demo.exchange import Api
    from lib.demo.journal import Entry
    from lib.demo.scenario import Running


class UpstreamDoubles:
    """The ASGI application. `key` is the one API key that they all take."""

    def __init__(self, *, key: str, stage: Stage, journal: Journal) -> None:
        compatible = (Compatible(key, dialect) for dialect in DIALECTS)
        self._apis: list[Api] = [Anthropic(key), Search(key), *compatible, OpenAI(key)]
        self._stage = stage
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the request, note it, and answer it as the scenario says."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        path = request.url.path
        api = next(api for api in self._apis if path.startswith(f"{api.prefix}/"))  # OpenAI's prefix is none
        entry, running = self._arrived(api, request, body)
        entry.scenario = running.scenario.model_dump(mode="json", exclude_unset=True)
        if running.scenario.close_before_answer:
            await drop_connection(scope, receive)
            return
        exchange = Exchange(api, running, entry, send, body)
        try:
            reply = exchange.run(request.headers, path.removeprefix(api.prefix))
            answered = await _unless_client_leaves(reply, receive)
            entry.disconnected = not answered and not entry.completed
        except CutOff:
            await finish_connection(scope, receive)
        except TimeoutError:
            await drop_connection(scope, receive)

    def _arrived(self, api: Api, request: Request, body: bytes) -> tuple[Entry, Running]:
        """A call is written down and meets the scenario; who only looks at the models is neither told of nor hurt."""
        is_call = request.method != "GET"
        journal, stage = (self._journal, self._stage) if is_call else (Journal(), Stage())
        entry = journal.arrived(
            method=request.method,
            path=request.url.path,
            query=request.url.query,
            authorized=_is_authorized(api, request.headers),
            headers=dict(request.headers),
            body=body,
        )
        return entry, stage.arrive()


def _is_authorized(api: Api, headers: Mapping[str, str]) -> bool:
    try:
        api.check_key(headers)
    except Refusal:
        return False
    return True


async def _unless_client_leaves(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """True when the work was done; false when the client left before, which ends the work."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(receive())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working.done()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
