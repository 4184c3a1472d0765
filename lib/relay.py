"""Carries an answer from upstream to the buyer, and reads on the way what it used.

Upstream is read at its own pace, never at the buyer's: a buyer who reads slowly, stalls or leaves delays neither the
metering nor the end of the call, and hanging up does not make it cheaper.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import orjson

from lib.core.endings import Ending
from lib.core.errors import ApiError, Code
from lib.core.money import Msat
from lib.core.order import Order
from lib.core.usage import Event, EventKind, Reading, StreamReader, read_json
from lib.upstream import Reply, UpstreamBroke, UpstreamFailure

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
HeaderList: TypeAlias = list[tuple[bytes, bytes]]

SEND_PIECE_BYTES = 65_536
BROKEN_STREAM = ApiError(
    Code.UPSTREAM_ERROR, "The provider's stream ended before its end. You pay only for what it visibly sent."
)


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call owes as far as it has been read, and what its account is left with after that."""

    charge: Msat
    balance: Msat


class Counter(Protocol):
    """Who prices a reading and books its end."""

    def bill(self, reading: Reading) -> Bill:
        """What the call owes as far as it has been read."""
        ...

    def finish(self, ending: Ending, reading: Reading) -> None:
        """Begin to settle: everything is read. Called once, before the last byte is handed to the buyer's socket.

        So a buyer who has the whole answer and calls again finds the settlement in the ledger's queue before it.
        """
        ...


class Relay:
    """One answer on its way."""

    def __init__(self, order: Order, counter: Counter, send_seconds: float) -> None:
        """`send_seconds` is how long the buyer may take for one piece."""
        self.reading = Reading()
        """What has been read so far: what a relay that is cancelled charges."""
        self._order, self._counter, self._send_seconds = order, counter, send_seconds
        self._gone = asyncio.Event()
        self._finished = False

    async def run(self, reply: Reply, headers: HeaderList, receive: Receive, send: Send) -> None:
        """Relay the whole answer. Raises UpstreamFailure while the buyer has not been sent anything yet."""
        content_type = dict(reply.headers).get(b"content-type", b"")
        if self._order.streaming and content_type.startswith(b"text/event-stream"):
            await self._stream(reply, headers, receive, send)
        else:
            await self._whole(reply, headers, send)

    async def _whole(self, reply: Reply, headers: HeaderList, send: Send) -> None:
        body = await self._read_whole(reply)
        self.reading = read_json(body, writes=self._order.writes)
        if self.reading.failed:
            raise UpstreamFailure(Ending.UNANSWERED, ApiError(Code.UPSTREAM_ERROR))
        bill = self._counter.bill(self.reading)
        self._finish(Ending.ANSWERED if self.reading.usage else Ending.UNMETERED)
        start = [
            *reply.headers,
            *headers,
            (b"content-length", str(len(body)).encode()),
            (b"x-charge-msat", str(bill.charge.value).encode()),
            (b"x-balance-msat", str(bill.balance.value).encode()),
        ]
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": start})
        for at in range(0, len(body), SEND_PIECE_BYTES):
            more = at + SEND_PIECE_BYTES < len(body)
            piece = body[at : at + SEND_PIECE_BYTES]
            await self._send(send, {"type": "http.response.body", "body": piece, "more_body": more})

    async def _read_whole(self, reply: Reply) -> bytes:
        pieces: list[bytes] = []
        size = 0
        try:
            async for chunk in reply.chunks():
                pieces.append(chunk)
                size += len(chunk)
                if size > self._order.endpoint.rules.max_reply_bytes:
                    raise UpstreamFailure(Ending.CUT, ApiError(Code.UPSTREAM_ERROR, "The answer is too large."))
        except UpstreamBroke as broke:
            raise UpstreamFailure(
                Ending.UNANSWERED if broke.timed_out else Ending.BROKEN, ApiError(Code.UPSTREAM_ERROR)
            ) from broke
        return b"".join(pieces)

    async def _stream(self, reply: Reply, headers: HeaderList, receive: Receive, send: Send) -> None:
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue()  # bounded by max_reply_bytes
        start = [*reply.headers, *headers]
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(receive))
            sending = tasks.create_task(self._send_all(pieces, start, send))
            await self._read_stream(reply, pieces)
            pieces.put_nowait(None)
            await sending
            watching.cancel()

    async def _watch(self, receive: Receive) -> None:
        """Notice that the buyer left: an ASGI server's send() does not say so."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone.set()

    async def _send_all(self, pieces: asyncio.Queue[bytes | None], start: HeaderList, send: Send) -> None:
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": start})
        more = True
        while more:
            ready = [await pieces.get()]
            while not pieces.empty():  # what came while the last piece was taken goes out in one
                ready.append(pieces.get_nowait())
            more = ready[-1] is not None
            body = b"".join([piece for piece in ready if piece is not None])
            if body:
                await self._send(send, {"type": "http.response.body", "body": body, "more_body": True})
        await self._send(send, {"type": "http.response.body", "body": b""})

    async def _send(self, send: Send, message: Message) -> None:
        """Send, unless the buyer has left; one who does not take a piece in time counts as gone."""
        if self._gone.is_set():
            return
        try:
            async with asyncio.timeout(self._send_seconds):
                await send(message)
        except (TimeoutError, OSError):
            self._gone.set()

    async def _read_stream(self, reply: Reply, pieces: asyncio.Queue[bytes | None]) -> None:
        """Read upstream to its end, at its own pace, and queue what the buyer shall see."""
        reader = StreamReader()
        self.reading = reader.reading
        stopped: Ending | None = None
        size = 0
        try:
            async for chunk in reply.chunks():
                size += len(chunk)
                if size > self._order.endpoint.rules.max_reply_bytes:
                    stopped = Ending.CUT
                    break
                self._queue(reader.feed(chunk), pieces)
            self._queue(reader.finish(), pieces)
        except UpstreamBroke as broke:
            stopped = Ending.CUT if broke.timed_out else Ending.BROKEN
        except ValueError:  # one event beyond all bounds
            stopped = Ending.CUT
        ending = self._stream_ending(stopped)
        self._finish(ending)
        if self.reading.failed or (ending in {Ending.BROKEN, Ending.CUT} and not self.reading.complete):
            pieces.put_nowait(_event(BROKEN_STREAM.as_body()))

    def _stream_ending(self, stopped: Ending | None) -> Ending:
        if self.reading.usage is not None:
            return Ending.ANSWERED
        if stopped is not None:
            return stopped
        if self.reading.failed or not (self.reading.complete or self.reading.finish_reasons):
            return Ending.BROKEN
        return Ending.UNMETERED

    def _finish(self, ending: Ending) -> None:
        if not self._finished:
            self._finished = True
            self._counter.finish(ending, self.reading)

    def _queue(self, events: list[Event], pieces: asyncio.Queue[bytes | None]) -> None:
        if any(event.kind is EventKind.DONE for event in events):
            self._finish(self._stream_ending(None))
        shown = b"".join([self._shown(event) for event in events])
        if shown:
            pieces.put_nowait(shown)

    def _shown(self, event: Event) -> bytes:
        """What the buyer sees of an event: usage only if asked for, and then with what it costs here."""
        if event.kind is EventKind.ERROR or (event.kind is EventKind.DONE and self.reading.failed):
            return b""  # told in our own words once the stream has ended; some servers say [DONE] after an error
        if event.kind is not EventKind.USAGE or event.payload is None:
            return event.raw
        payload = dict(event.payload)
        usage = payload.pop("usage")
        if self._order.shows_usage:
            bill = self._counter.bill(replace(self.reading, complete=True))  # what is owed if the end follows
            priced = {"charge_msat": bill.charge.value, "balance_msat": bill.balance.value}
            return _event({**payload, "usage": {**usage, **priced} if isinstance(usage, dict) else usage})
        return _event(payload) if payload.get("choices") else b""


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"
