"""One request to a double of an upstream and its reply, whatever API it is: key, accidents, JSON, streams, journal."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from lib.demo.forms import form_of
from lib.demo.stream import CutOff, events, with_usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol

    from starlette.types import Send

    from lib.demo.forms import SentForm
    from lib.demo.journal import Entry
    from lib.demo.scenario import Running, Scenario
    from lib.demo.stream import Wording

    class Api(Protocol):
        """One provider's API, as its double has it."""

        prefix: str
        """Where its paths begin; what follows is as the provider has it."""

        def check_key(self, headers: Mapping[str, str]) -> None:
            """Raises Refusal unless the request carries our key as this API wants it."""
            ...

        def headers(self, milliseconds: int) -> dict[str, str]:
            """What it sends with every reply; so long it took."""
            ...

        def error(self, status: int, error: Any) -> dict[str, Any]:
            """The body of an error: what a scenario says of it, or if it says None, the API's own words."""
            ...

        async def answer(self, exchange: Exchange, path: str) -> None:
            """Reply to a request for `path`, which is below the prefix. Raises Refusal, CutOff."""
            ...


SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"


class Refusal(Exception):
    """The request is answered with this status and body."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


class Exchange:
    """One request and its reply."""

    def __init__(self, api: Api, running: Running, entry: Entry, send: Send, body: bytes) -> None:
        self.entry = entry
        self.scenario = running.scenario
        self._api = api
        self._running = running
        self._out = _Writer(api, send, running.scenario)
        self._body = body

    def body(self) -> Any:
        """The request's JSON value. Raises ValueError."""
        return json.loads(self._body)

    async def form(self) -> SentForm:
        """The request's form, which the journal then shows. Raises ValueError."""
        form = await form_of(self.entry.headers.get("content-type", ""), self._body)
        self.entry.body = form.as_json()
        return form

    async def bare(self, content_type: str, pieces: Iterable[bytes]) -> None:
        """A reply that is no JSON, in pieces, with the scenario's accidents between them. Raises CutOff."""
        await self._out.start(200, content_type)
        for emitted, piece in enumerate(pieces):
            if emitted == self.scenario.cut_after_chunks:
                await self._out.flush()
                raise CutOff
            await asyncio.sleep(self.scenario.chunk_delay_ms / 1000)
            await self._out.write(piece)
        await self._finish()

    async def run(self, headers: Mapping[str, str], path: str) -> None:
        """The whole reply. Raises CutOff where the scenario ends the connection, TimeoutError after a limit."""
        await self._running.until_everybody_is_here()
        if self.scenario.hang_before_answer:
            await self._running.until_over()
        await asyncio.sleep(self.scenario.first_byte_delay_ms / 1000)
        try:
            self._api.check_key(headers)
            if not await self._accident():
                await self._api.answer(self, path)
        except Refusal as refusal:
            await self.json(refusal.status, refusal.body)

    async def json(self, status: int, value: Any) -> None:
        """A whole reply."""
        await self._json_text(status, json.dumps(value, ensure_ascii=False))

    async def json_with_usage(self, reply: dict[str, Any], usage: dict[str, Any], text_bytes: int = 0) -> None:
        """A 200 with its usage as the scenario words it."""
        self.entry.usage, self.entry.text_bytes = usage, text_bytes
        await self._json_text(200, with_usage(reply, self.scenario.usage_texts(usage)))

    async def stream(self, wording: Wording) -> None:
        """A stream of events, with the scenario's accidents at their exact places. Raises CutOff."""
        self.entry.usage = wording.usage(0)
        await self._out.start(200, SSE, **{"cache-control": "no-cache"})
        try:
            async for event in events(wording, self.scenario, self.entry):
                await self._out.write(event)
        except CutOff:
            await self._out.flush()
            raise
        await self._finish()

    async def _accident(self) -> bool:
        """Answer as the scenario wants instead of what was asked. False when it wants nothing of the kind."""
        scenario = self.scenario
        if scenario.redirect:
            await self._out.start(302, HTML, location="/v1/elsewhere")
        elif scenario.not_json:
            await self._out.start(200, HTML)
            await self._out.write(b"<html><body>502 Bad Gateway</body></html>")
        elif scenario.status is not None:
            await self.json(scenario.status, self._api.error(scenario.status, scenario.error))
            return True
        else:
            return False
        await self._finish()
        return True

    async def _json_text(self, status: int, text: str) -> None:
        """`cut_after_chunks` has no chunks to count here: it ends the connection in the middle of the body."""
        data = text.encode()
        await self._out.start(status, JSON, **{"content-length": str(len(data))})
        if self.scenario.cut_after_chunks is not None:
            await self._out.write(data[: len(data) // 2])
            await self._out.flush()
            raise CutOff
        await self._out.write(data)
        await self._finish()

    async def _finish(self) -> None:
        await self._out.finish()
        self.entry.completed = True


class _Writer:
    """The reply's bytes, in the pieces that the scenario wants, with the headers its API sends."""

    def __init__(self, api: Api, send: Send, scenario: Scenario) -> None:
        self._api = api
        self._send = send
        self._scenario = scenario
        self._started_at = time.monotonic()
        self._waiting = bytearray()

    async def start(self, status: int, content_type: str, **headers: str) -> None:
        """The status line and headers."""
        of_api = self._api.headers(int((time.monotonic() - self._started_at) * 1000))
        ours = {"content-type": content_type, "x-double": "alittlebitofmoney-demo", **of_api, **headers}
        ours |= self._scenario.headers
        if self._scenario.retry_after is not None:
            ours["retry-after"] = str(self._scenario.retry_after)
        lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in ours.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def write(self, data: bytes) -> None:
        """Some bytes of the body; with `split_bytes` only whole pieces leave, and event borders mean nothing."""
        size = self._scenario.split_bytes
        if size is None:
            await self._piece(data)
            return
        self._waiting += data
        while len(self._waiting) >= size:
            piece = bytes(self._waiting[:size])
            del self._waiting[:size]
            await self._piece(piece)

    async def flush(self) -> None:
        """What `split_bytes` held back."""
        if self._waiting:
            await self._piece(bytes(self._waiting))
            self._waiting.clear()

    async def finish(self) -> None:
        """The end of the body."""
        await self.flush()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _piece(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        await asyncio.sleep(0)  # let others run, and the piece leave on its own
