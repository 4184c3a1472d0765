"""What an answer says it used: bytes in, values out, no I/O. JSON bodies and SSE streams of chat completions.

Upstream is not trusted: a usage that is negative, fractional, text or absurd counts as unknown, and what an unknown
usage costs is decided in pricing.py from what the answer visibly holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast

import orjson

TOKENS_MAX = 100_000_000
"""More tokens than any model reads or writes: a larger count is a mistake of upstream's."""
EVENT_MAX_BYTES = 4_194_304


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one call. `cached` and `cache_write` are parts of `input`, `reasoning` is a part of `output`."""

    input: int
    output: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @staticmethod
    def parse(value: object, *, writes: bool = True) -> TokenUsage | None:
        """OpenAI's `usage` object; None if it cannot be believed.

        `writes`: the answer is text, so its tokens must be counted; embeddings have none.
        """
        if not isinstance(value, dict):
            return None
        usage = cast("dict[str, Any]", value)
        details = _object(usage.get("prompt_tokens_details"))
        counts = (
            _count(usage.get("prompt_tokens"), required=True),
            _count(usage.get("completion_tokens"), required=writes),
            _count(details.get("cached_tokens")),
            _count(details.get("cache_write_tokens")),
            _count(_object(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        )
        known = [count for count in counts if count is not None]
        if len(known) != len(counts):
            return None
        tokens_in, tokens_out, cached, written, reasoning = known
        cached = min(cached, tokens_in)
        return TokenUsage(tokens_in, tokens_out, cached, min(written, tokens_in - cached), reasoning)

    def as_json(self) -> str:
        """For the buyer's history: our own names, sorted."""
        return orjson.dumps(
            {
                "input_tokens": self.input,
                "output_tokens": self.output,
                "cached_input_tokens": self.cached,
                "cache_write_tokens": self.cache_write,
                "reasoning_tokens": self.reasoning,
            },
            option=orjson.OPT_SORT_KEYS,
        ).decode()


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _count(value: object, *, required: bool = False) -> int | None:
    """A believable token count; None if it is not one. An absent optional count is 0."""
    if value is None and not required:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= TOKENS_MAX:
        return None
    return value


@dataclass(slots=True)
class Reading:
    """What has been read of an answer so far."""

    writes: bool = True
    """The answer is text."""
    usage: TokenUsage | None = None
    visible_bytes: int = 0
    """UTF-8 bytes of generated text: content, reasoning, refusals, tool arguments."""
    complete: bool = False
    """The answer came to its end: `[DONE]`, or one whole JSON body."""
    failed: bool = False
    """Upstream sent an error instead of (the rest of) an answer."""
    finish_reasons: set[str] = field(default_factory=set[str])

    @property
    def empty_by_cap(self) -> bool:
        """Nothing visible, because the output cap was reached before the model spoke."""
        return self.visible_bytes == 0 and self.finish_reasons == {"length"}

    def take(self, payload: dict[str, Any]) -> None:
        """Read one JSON body or one chunk of a stream. Of several usages the last believable one counts."""
        if payload.get("error") is not None:
            self.failed = True
        usage = TokenUsage.parse(payload.get("usage"), writes=self.writes)
        self.usage = usage or self.usage
        choices = payload.get("choices")
        for choice in cast("list[Any]", choices) if isinstance(choices, list) else []:
            self._choice(_object(choice))

    def _choice(self, choice: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self.finish_reasons.add(reason)
        self.visible_bytes += _text_bytes(choice.get("delta") or choice.get("message") or {})


def _text_bytes(value: object) -> int:
    """Bytes of all generated text in a message or delta: every string but the labels.

    Without recursion: JSON may be nested deeper than our stack.
    """
    size, left = 0, [value]
    while left:
        part = left.pop()
        if isinstance(part, str):
            size += len(part.encode("utf-8", "ignore"))
        elif isinstance(part, dict):
            members = cast("dict[str, object]", part)
            left += [member for name, member in members.items() if name not in {"role", "id", "type"}]
        elif isinstance(part, list):
            left += cast("list[object]", part)
    return size


def read_json(body: bytes, *, writes: bool = True) -> Reading:
    """Read a whole JSON answer. A body that is no JSON object counts as failed."""
    reading = Reading(writes=writes)
    try:
        payload: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, dict):
        reading.failed = True
        return reading
    reading.take(cast("dict[str, Any]", payload))
    reading.complete = not reading.failed
    return reading


class EventKind(Enum):
    """What the relay must do with an event."""

    TEXT = "text"
    USAGE = "usage"
    """A chunk with a usage object."""
    ERROR = "error"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event. `raw` includes its closing blank line."""

    raw: bytes
    kind: EventKind
    payload: dict[str, Any] | None = None


class StreamReader:
    """Splits an SSE stream into events and reads their usage, whatever way the bytes were cut on the wire.

    Lines end at LF or CRLF only: splitters that also honour U+2028 tear events apart and lose usage.
    """

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self.reading = Reading()
        self._lines: list[bytes] = []
        self._tail = b""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; the events they complete. Raises ValueError when one event is beyond all bounds."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        events: list[Event] = []
        for line in lines:
            self._lines.append(line + b"\n")
            if not line.rstrip(b"\r"):
                events.append(self._event())
        if len(self._tail) + sum(map(len, self._lines)) > EVENT_MAX_BYTES:
            raise ValueError("an event of the stream is too large")
        return events

    def finish(self) -> list[Event]:
        """The stream has ended: an event that lacks its closing blank line counts all the same."""
        return self.feed(b"\n\n" if self._tail else b"\n") if self._tail or self._lines else []

    def _event(self) -> Event:
        raw, self._lines = b"".join(self._lines), []
        data = b"\n".join(line[5:].strip(b" \r\n") for line in raw.split(b"\n") if line.startswith(b"data:"))
        if data == b"[DONE]":
            self.reading.complete = True
            return Event(raw, EventKind.DONE)
        payload = _json_object(data)
        if payload is None:
            return Event(raw, EventKind.TEXT)
        self.reading.take(payload)
        if payload.get("error") is not None:
            return Event(raw, EventKind.ERROR, payload)
        kind = EventKind.USAGE if payload.get("usage") is not None else EventKind.TEXT
        return Event(raw, kind, payload)


def _json_object(data: bytes) -> dict[str, Any] | None:
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
