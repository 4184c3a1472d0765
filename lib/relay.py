"""Carries an answer from upstream to the buyer, and reads on the way what it used.

Upstream is read at its own pace, never at the buyer's: a buyer who reads slowly, stalls or leaves delays neither the
metering nor the end of the reading, and hanging up does not make it cheaper.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, cast

import orjson

from lib.core.endings import Ending
from lib.core.errors import ApiError, Code
from lib.core.money import Msat
from lib.core.order import Order
from lib.core.sse import BytesReader, Event, EventKind, StreamReader, encoded, field_of
from lib.core.usage import Reading
from lib.kept_answers import Whole
from lib.upstream import Reply, UpstreamBroke, UpstreamFailure

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
HeaderList: TypeAlias = list[tuple[bytes, bytes]]

SEND_PIECE_BYTES = 65_536
UNSENT_PAUSE_SECONDS = 0.005
"""How often we look whether a slow reader's socket has taken the rest."""
LAST: Message = {"type": "http.response.body", "body": b""}
"""The answer is over. Sent when its end is settled: from then on an ASGI server's receive() speaks of leaving."""
PAID_FOR = frozenset({Ending.ANSWERED, Ending.UNMETERED})
"""How a whole answer ends."""
BROKEN_STREAM = ApiError(
    Code.UPSTREAM_ERROR, "The provider's stream ended before its end. You pay only for what it visibly sent."
)


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call owes as far as it has been read, and what its account is left with after that."""

    charge: Msat
    balance: Msat


@dataclass(frozen=True, slots=True)
class End:
    """How a call ended: what the settlement is made of."""

    ending: Ending
    reading: Reading
    whole: Whole | None = None
    """The answer, if it came to its end."""
    delivered: bool = False
    """Our socket took its last byte, and the buyer had not left by then."""


class Counter(Protocol):
    """Who prices a reading and books its end."""

    def bill(self, reading: Reading) -> Bill:
        """What the call owes as far as it has been read."""
        ...

    def finish(self, end: End) -> None:
        """Begin to settle. Only the first call counts.

        Called in the very step in which our socket took the last byte: a buyer who has the whole answer and calls
        again finds the settlement in the ledger's queue before it.
        """
        ...


class Wire(Protocol):
    """The connection's transport, as asyncio has it."""

    def get_write_buffer_size(self) -> int:
        """Bytes that our socket has not taken yet."""
        ...

    def is_closing(self) -> bool:
        """The connection is over."""
        ...


class Buyer:
    """The buyer's end of the connection: takes messages, and is watched for leaving."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        wire: Wire | None,
        *,
        send_seconds: float,
        on_leaving: Callable[[], None],
    ) -> None:
        """Watch from now on. `send_seconds` is how long the buyer may take for one piece.

        `on_leaving` is called once, if the buyer leaves, or stalls, before `done`. Without a `wire` the buyer has what
        the server has.
        """
        self.gone = False
        self._send, self._wire, self._send_seconds, self._on_leaving = send, wire, send_seconds, on_leaving
        self._watching = asyncio.create_task(self._watch(receive))

    async def take(self, message: Message) -> None:
        """Send, unless the buyer has left; one who does not take a piece in time counts as gone."""
        if self.gone:
            return
        try:
            async with asyncio.timeout(self._send_seconds):
                await self._send(message)
        except (TimeoutError, OSError):
            self._leave()

    async def has_all(self) -> bool:
        """Wait until our socket has taken what was sent; whether the buyer had not left by then.

        uvloop writes at the end of a turn of its loop and every transport keeps what the socket's buffer cannot take:
        `send` returns before. Nothing may be awaited between this and what is concluded from it.
        """
        try:
            async with asyncio.timeout(self._send_seconds):
                pause = 0.0
                while self._wire is not None and self._wire.get_write_buffer_size() and not self.gone:
                    await asyncio.sleep(pause)
                    pause = UNSENT_PAUSE_SECONDS
        except TimeoutError:
            self._leave()
        return not (self.gone or (self._wire is not None and self._wire.is_closing()))

    def done(self) -> None:
        """The buyer has all it came for, or nothing more will be sent. Leaving means nothing from here on."""
        self._watching.cancel()

    async def _watch(self, receive: Receive) -> None:
        """Notice that the buyer left: an ASGI server's send() does not say so."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        if not self.gone:
            self.gone = True
            self._on_leaving()


class Relay:
    """One answer on its way."""

    def __init__(self, order: Order, counter: Counter, buyer: Buyer) -> None:
        """Nothing is read yet."""
        self._reading = Reading()
        self._order, self._counter, self._buyer = order, counter, buyer
        self._ending: Ending | None = None
        self._headers: HeaderList = []
        self._shown = bytearray()
        self._unpacks = False
        """The buyer gets what events carry, not the events."""
        self._bare = False
        """The buyer gets bytes among which nothing can be said."""
        self._overlong = False
        """The answer is larger than what is sold here: the rest is read for its usage alone."""

    async def run(self, reply: Reply, headers: HeaderList) -> None:
        """Relay the whole answer. Raises UpstreamFailure while the buyer has not been sent anything yet."""
        order, content_type = self._order, dict(reply.headers).get(b"content-type", b"")
        self._headers = [*reply.headers, *headers]
        if order.streaming and content_type.startswith(b"text/event-stream"):
            self._unpacks = order.unpacked
            if self._unpacks:
                self._headers = [(b"content-type", order.protocol.unpacked_type(order.parameters)), *headers]
            await self._stream(reply, StreamReader(order.protocol))
        elif order.protocol.passes(content_type):
            self._tell_price(self._counter.bill(Reading(complete=True)))  # it says nothing that could change it
            await self._stream(reply, BytesReader())
        else:
            await self._whole(reply)

    def end(self, *, delivered: bool) -> End:
        """How the call ends if it ends now. What has not been read to its end by then is cut."""
        ending = self._ending or Ending.CUT
        whole = Whole(self._headers, bytes(self._shown)) if ending in PAID_FOR else None
        return End(ending, self._reading.last_word, whole, delivered)

    async def _whole(self, reply: Reply) -> None:
        body = await self._read_whole(reply)
        self._reading = self._order.protocol.read_whole(body, self._order.parameters)
        if self._reading.failed:
            raise UpstreamFailure(Ending.UNANSWERED, ApiError(Code.UPSTREAM_ERROR))
        bill = self._counter.bill(self._reading)
        body = self._published(body)
        self._shown += body
        self._headers.append((b"content-length", str(len(body)).encode()))
        self._tell_price(bill)
        self._ending = self._paid_ending()
        delivered = await send_whole(self._buyer, Whole(self._headers, body))
        self._counter.finish(self.end(delivered=delivered))
        await self._buyer.take(LAST)

    def _published(self, body: bytes) -> bytes:
        """A whole answer as the buyer sees it: byte for byte, unless there is something private in it."""
        private = self._order.endpoint.rules.private_usage
        answer: object = orjson.loads(body) if private else None
        if not isinstance(answer, dict):
            return body
        return orjson.dumps(self._order.protocol.published(cast("dict[str, Any]", answer), private))

    def _tell_price(self, bill: Bill) -> None:
        self._headers += [
            (b"x-charge-msat", str(bill.charge.value).encode()),
            (b"x-balance-msat", str(bill.balance.value).encode()),
        ]

    def _paid_ending(self) -> Ending:
        """An answer that should have said what it used, and did not, is unmetered."""
        metered = self._reading.usage is not None or not self._order.protocol.meters
        return Ending.ANSWERED if metered else Ending.UNMETERED

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

    async def _stream(self, reply: Reply, reader: StreamReader | BytesReader) -> None:
        pieces: asyncio.Queue[_Piece] = asyncio.Queue()  # bounded by max_reply_bytes
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send_all(pieces))
            await self._read_stream(reply, reader, pieces)
            pieces.put_nowait(_Piece(b"", last=True))
            await sending

    async def _send_all(self, pieces: asyncio.Queue[_Piece]) -> None:
        await self._buyer.take({"type": "http.response.start", "status": 200, "headers": self._headers})
        more = True
        while more:
            ready = [await pieces.get()]
            while not pieces.empty():  # what came while the last piece was taken goes out in one
                ready.append(pieces.get_nowait())
            more = not ready[-1].last
            body = b"".join([piece.body for piece in ready])
            if body:
                await self._buyer.take({"type": "http.response.body", "body": body, "more_body": True})
            # SDKs stop reading at [DONE] and may call again before the connection says that all is over.
            if any(piece.done for piece in ready) and await self._buyer.has_all():
                self._counter.finish(self.end(delivered=True))
        self._counter.finish(self.end(delivered=await self._buyer.has_all()))
        if not (self._bare and self._torn):
            await self._buyer.take(LAST)
        # Else the connection ends without that word: nothing else can say in the middle of sound that it is not whole.

    @property
    def _torn(self) -> bool:
        """The buyer has to be told that this is not the whole answer."""
        return self._ending not in PAID_FOR

    async def _read_stream(
        self, reply: Reply, reader: StreamReader | BytesReader, pieces: asyncio.Queue[_Piece]
    ) -> None:
        """Read upstream to its end, at its own pace, and queue what the buyer shall see.

        A text beyond max_reply_bytes is read to its end all the same, as for a buyer who left: else whoever asks for
        too much would get what fits without its real price.
        """
        self._bare = self._unpacks or isinstance(reader, BytesReader)
        self._reading = reader.reading
        stopped: Ending | None = None
        left_bytes = self._order.endpoint.rules.max_reply_bytes
        try:
            async for chunk in reply.chunks():
                left_bytes -= len(chunk)
                self._overlong = left_bytes < 0
                if self._overlong and not self._order.protocol.writes:
                    stopped = Ending.CUT
                    break
                self._queue(reader.feed(chunk), pieces)
            else:
                self._queue(reader.finish(), pieces)
        except UpstreamBroke as broke:
            stopped = Ending.CUT if broke.timed_out else Ending.BROKEN
        except ValueError:  # one event beyond all bounds
            stopped = Ending.CUT
        self._ending = self._ending or self._stream_ending(stopped)
        if self._torn and not self._bare:
            pieces.put_nowait(_Piece(self._order.protocol.broken(BROKEN_STREAM)))
        if self._buyer.gone or self._ending not in PAID_FOR:  # nothing is to be delivered any more
            self._counter.finish(self.end(delivered=False))

    def _stream_ending(self, stopped: Ending | None) -> Ending:
        if self._overlong:
            return Ending.CUT
        if self._reading.last_word.usage is not None:
            return Ending.ANSWERED
        if stopped is not None:
            return stopped
        if self._reading.failed or not (self._reading.complete or self._reading.finish_reasons):
            return Ending.BROKEN
        return self._paid_ending()

    def _queue(self, events: list[Event], pieces: asyncio.Queue[_Piece]) -> None:
        if self._overlong:
            return
        shown = b"".join([self._shown_of(event) for event in events])
        self._shown += shown
        done = any(event.last for event in events)
        if done:
            self._ending = self._ending or self._stream_ending(None)
        if shown or done:
            pieces.put_nowait(_Piece(shown, done=done and not self._reading.failed))

    def _shown_of(self, event: Event) -> bytes:
        """What the buyer sees of an event: usage only if asked for, and then with what it costs here."""
        if event.kind is EventKind.LATE:
            return b""
        if event.kind is EventKind.ERROR or (event.kind is EventKind.DONE and self._reading.failed):
            return b""  # told in our own words once the stream has ended; some servers say [DONE] after an error
        if self._unpacks:
            return self._order.protocol.carried(event.payload or {})
        if event.payload is None:
            return event.raw
        payload = self._order.protocol.published(event.payload, self._order.endpoint.rules.private_usage)
        shown = self._with_price(payload) if event.kind is EventKind.USAGE else payload
        if shown is event.payload:
            return event.raw
        return encoded(shown, field_of(event.raw, b"event")) if shown is not None else b""

    def _with_price(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """What is shown of an event that says what was used; None if that is nothing."""
        protocol = self._order.protocol
        if not self._order.shows_usage:
            return protocol.without_usage(payload)
        bill = self._counter.bill(replace(self._reading, complete=True))  # what is owed if the end follows
        return protocol.priced(payload, {"charge_msat": bill.charge.value, "balance_msat": bill.balance.value})


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes for the buyer. `done`: with them it has the whole answer; `last`: nothing follows."""

    body: bytes
    done: bool = False
    last: bool = False


async def send_whole(buyer: Buyer, whole: Whole) -> bool:
    """Send a complete answer, all but the word that it is over (LAST); whether the buyer has it."""
    await buyer.take({"type": "http.response.start", "status": 200, "headers": whole.headers})
    for at in range(0, len(whole.body), SEND_PIECE_BYTES):
        piece = whole.body[at : at + SEND_PIECE_BYTES]
        await buyer.take({"type": "http.response.body", "body": piece, "more_body": True})
    return await buyer.has_all()
