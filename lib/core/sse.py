"""Server-sent events: bytes in, events out, no I/O.

Lines end at LF or CRLF only: splitters that also honour U+2028 tear events apart and lose usage.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

import orjson

from lib.core.usage import Reading

if TYPE_CHECKING:
    from lib.core.protocols.base import Protocol

EVENT_MAX_BYTES = 4_194_304


class EventKind(Enum):
    """What the relay must do with an event."""

    TEXT = "text"
    USAGE = "usage"
    """It says what the answer used."""
    ERROR = "error"
    DONE = "done"
    """It says nothing but that the answer is over."""
    LATE = "late"
    """It comes after the end of the answer, and so is no part of it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event. `raw` includes its closing blank line; `last`: with it the answer is whole."""

    raw: bytes
    kind: EventKind
    payload: dict[str, Any] | None = None
    last: bool = False


class StreamReader:
    """Splits a stream into events and reads their usage, whatever way the bytes were cut on the wire."""

    def __init__(self, protocol: Protocol) -> None:
        """Start at the beginning of a stream."""
        self.reading = Reading()
        self._protocol = protocol
        self._lines: list[bytes] = []
        self._tail: list[bytes] = []
        self._held_bytes = 0

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; the events they complete. Raises ValueError when one event is beyond all bounds."""
        events: list[Event] = []
        self._held_bytes += len(data)
        if b"\n" in data:  # a line may come in a thousand pieces: they are joined once
            *lines, tail = (b"".join(self._tail) + data).split(b"\n")
            self._tail = [tail]
            for line in lines:
                self._lines.append(line + b"\n")
                if not line.rstrip(b"\r"):
                    events.append(self._event())
            self._held_bytes = len(tail) + sum(map(len, self._lines))
        else:
            self._tail.append(data)
        if self._held_bytes > self._protocol.event_max_bytes:
            raise ValueError("an event of the stream is too large")
        return events

    def finish(self) -> list[Event]:
        """The stream has ended: an event that lacks its closing blank line counts all the same."""
        return self.feed(b"\n\n" if any(self._tail) else b"\n") if self._held_bytes else []

    def _event(self) -> Event:
        raw, self._lines = b"".join(self._lines), []
        data = field_of(raw, b"data")
        if data == b"[DONE]":
            last = not self.reading.complete
            self.reading.complete = True
            return Event(raw, EventKind.DONE, last=last)
        if self.reading.complete:
            return Event(raw, EventKind.LATE)
        payload = _json_object(data)
        if payload is None:
            return Event(raw, EventKind.TEXT)
        kind = self._protocol.take(self.reading, payload)
        return Event(raw, kind, payload, self.reading.complete)


class BytesReader:
    """What StreamReader is for events, for an answer whose bytes say nothing: sound as it is made."""

    def __init__(self) -> None:
        """Start at the beginning."""
        self.reading = Reading()

    def feed(self, data: bytes) -> list[Event]:
        """The bytes as they came."""
        return [Event(data, EventKind.TEXT)]

    def finish(self) -> list[Event]:
        """They came to their end."""
        self.reading.complete = True
        return []


def field_of(raw: bytes, name: bytes) -> bytes:
    """The value of a field of an event; its lines joined, should it have several."""
    prefix = name + b":"
    return b"\n".join(line[len(prefix) :].strip(b" \r\n") for line in raw.split(b"\n") if line.startswith(prefix))


def encoded(payload: dict[str, Any], name: bytes = b"") -> bytes:
    """An event on the wire."""
    head = b"event: " + name + b"\n" if name else b""
    return head + b"data: " + orjson.dumps(payload) + b"\n\n"


def _json_object(data: bytes) -> dict[str, Any] | None:
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
