"""A DOUBLE of OpenAI's API: chat completions, embeddings and the list of models. It pretends: no model is asked.

How it misbehaves is set by a scenario; what reached it is kept in a journal.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request

from lib.demo.openai_answers import MODELS, ChatAnswer, chat_answer, embedding_answer
from lib.demo.openai_checks import Refused, check_chat, check_embeddings, check_key, default_error
from lib.demo.openai_stream import CutOff, chat_events
from lib.demo.servers import drop_connection, finish_connection

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive, Scope, Send

    from lib.demo.journal import Entry, Journal
    from lib.demo.scenario import Running, Scenario, Stage

SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"
ORGANIZATION = "demo-organization"
API_VERSION = "2020-10-01"


class OpenAIDouble:
    """The ASGI application. `key` is the one API key that it takes."""

    def __init__(self, *, key: str, stage: Stage, journal: Journal) -> None:
        self._key = key
        self._stage = stage
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the request, note it, and answer it as the scenario says."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        entry = self._arrived(request, body)
        running = self._stage.arrive()
        entry.scenario = running.scenario.model_dump(mode="json", exclude_unset=True)
        if running.scenario.close_before_answer:
            await drop_connection(scope, receive)
            return
        exchange = _Exchange(self._key, running, entry, _Writer(send, running.scenario), body)
        try:
            answered = await _unless_client_leaves(exchange.answer(request.headers.get("authorization")), receive)
            entry.disconnected = not answered and not entry.completed
        except CutOff:
            await finish_connection(scope, receive)
        except TimeoutError:
            await drop_connection(scope, receive)

    def _arrived(self, request: Request, body: bytes) -> Entry:
        return self._journal.arrived(
            method=request.method,
            path=request.url.path,
            query=request.url.query,
            authorized=request.headers.get("authorization") == f"Bearer {self._key}",
            headers=dict(request.headers),
            body=body,
        )


class _Writer:
    """The reply's bytes, in the pieces that the scenario wants, with the headers OpenAI sends."""

    def __init__(self, send: Send, scenario: Scenario) -> None:
        self._send = send
        self._scenario = scenario
        self._started_at = time.monotonic()
        self._waiting = bytearray()

    async def start(self, status: int, content_type: str, **headers: str) -> None:
        """The status line and headers."""
        ours = {"content-type": content_type, **self._openai_headers(), **headers, **self._scenario.headers}
        if self._scenario.retry_after is not None:
            ours["retry-after"] = str(self._scenario.retry_after)
        lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in ours.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def write(self, data: bytes) -> None:
        """Some bytes of the body; with `split_bytes` only whole pieces leave, and event borders mean nothing."""
        size = self._scenario.split_bytes
        if size is None:
            await self._body(data)
            return
        self._waiting += data
        while len(self._waiting) >= size:
            piece = bytes(self._waiting[:size])
            del self._waiting[:size]
            await self._body(piece)

    async def flush(self) -> None:
        """What `split_bytes` held back."""
        if self._waiting:
            await self._body(bytes(self._waiting))
            self._waiting.clear()

    async def finish(self) -> None:
        """The end of the body."""
        await self.flush()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _body(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        await asyncio.sleep(0)  # let others run, and the piece leave on its own

    def _openai_headers(self) -> dict[str, str]:
        return {
            "x-request-id": f"req_{secrets.token_hex(16)}",
            "openai-organization": ORGANIZATION,
            "openai-project": "proj_demo",
            "openai-version": API_VERSION,
            "openai-processing-ms": str(int((time.monotonic() - self._started_at) * 1000)),
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-remaining-tokens": "1999000",
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": "30ms",
            "set-cookie": f"__cf_bm={secrets.token_urlsafe(16)}; path=/; HttpOnly; Secure; SameSite=None",
            "x-double": "alittlebitofmoney-demo",
        }


class _Exchange:
    """One request and its reply."""

    def __init__(self, key: str, running: Running, entry: Entry, out: _Writer, body: bytes) -> None:
        self._key = key
        self._running = running
        self._scenario = running.scenario
        self._entry = entry
        self._out = out
        self._body = body

    async def answer(self, authorization: str | None) -> None:
        """The whole reply. Raises CutOff where the scenario ends the connection, TimeoutError after a limit."""
        await self._running.until_everybody_is_here()
        if self._scenario.hang_before_answer:
            await self._running.until_over()
        await asyncio.sleep(self._scenario.first_byte_delay_ms / 1000)
        try:
            check_key(authorization, self._key)
            if not await self._accident():
                await self._route()
        except Refused as refusal:
            await self._json(refusal.status, refusal.body)

    async def _accident(self) -> bool:
        """Answer as the scenario wants instead of what was asked. False when it wants nothing of the kind."""
        scenario = self._scenario
        if scenario.redirect:
            await self._out.start(302, HTML, location="/v1/elsewhere")
        elif scenario.not_json:
            await self._out.start(200, HTML)
            await self._out.write(b"<html><body>502 Bad Gateway</body></html>")
        elif scenario.status is not None:
            error = scenario.error if scenario.error is not None else default_error(scenario.status)
            await self._json(scenario.status, {"error": error})
            return True
        else:
            return False
        await self._finish()
        return True

    async def _route(self) -> None:
        match self._entry.method, self._entry.path:
            case "POST", "/v1/chat/completions":
                await self._chat(check_chat(_json_value(self._body)))
            case "POST", "/v1/embeddings":
                reply, usage = embedding_answer(check_embeddings(_json_value(self._body)))
                await self._json_with_usage(reply, usage)
            case "GET", "/v1/models":
                models = [{"id": name, "object": "model", "created": 0, "owned_by": "system"} for name in MODELS]
                await self._json(200, {"object": "list", "data": models})
            case method, path:
                raise Refused(404, f"Invalid URL ({method} {path})")

    async def _chat(self, body: dict[str, Any]) -> None:
        answer = chat_answer(body, self._scenario)
        if body.get("stream"):
            options: dict[str, Any] = body.get("stream_options") or {}
            await self._stream(answer, include_usage=bool(options.get("include_usage")))
            return
        message: dict[str, Any] = {"role": "assistant", "refusal": None, "annotations": []}
        choices = [
            {
                "index": index,
                "message": {**message, "content": "".join(pieces)},
                "logprobs": None,
                "finish_reason": answer.finish_reason,
            }
            for index, pieces in enumerate(answer.choices)
        ]
        reply = {
            "id": answer.id,
            "object": "chat.completion",
            "created": answer.created,
            "model": answer.model,
            "choices": choices,
            "service_tier": "default",
            "system_fingerprint": None,
        }
        await self._json_with_usage(reply, answer.usage(), answer.text_bytes())

    async def _stream(self, answer: ChatAnswer, *, include_usage: bool) -> None:
        self._entry.usage = answer.usage(0)
        await self._out.start(200, SSE, **{"cache-control": "no-cache"})
        try:
            async for event in chat_events(answer, self._scenario, self._entry, include_usage=include_usage):
                await self._out.write(event)
        except CutOff:
            await self._out.flush()
            raise
        await self._finish()

    async def _json_with_usage(self, reply: dict[str, Any], usage: dict[str, Any], text_bytes: int = 0) -> None:
        """A 200 with its usage as the scenario words it."""
        self._entry.usage, self._entry.text_bytes = usage, text_bytes
        said = "".join(f', "usage": {text}' for text in self._scenario.usage_texts(usage))
        await self._json_text(200, f"{json.dumps(reply, ensure_ascii=False)[:-1]}{said}}}")

    async def _json(self, status: int, value: dict[str, Any]) -> None:
        await self._json_text(status, json.dumps(value, ensure_ascii=False))

    async def _json_text(self, status: int, text: str) -> None:
        """`cut_after_chunks` has no chunks to count here: it ends the connection in the middle of the body."""
        data = text.encode()
        await self._out.start(status, JSON, **{"content-length": str(len(data))})
        if self._scenario.cut_after_chunks is not None:
            await self._out.write(data[: len(data) // 2])
            await self._out.flush()
            raise CutOff
        await self._out.write(data)
        await self._finish()

    async def _finish(self) -> None:
        await self._out.finish()
        self._entry.completed = True


def _json_value(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise Refused(400, "We could not parse the JSON body of your request.") from None


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
