"""What a protocol must say: how one kind of endpoint is asked, how its answers are read, and what can be billed.

A protocol is stateless and does no I/O. The ones that are sold are listed in lib/core/protocols/registry.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, cast

import orjson

from lib.core.sse import EVENT_MAX_BYTES, EventKind, encoded
from lib.core.units import Unit
from lib.core.usage import Reading, list_of, object_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from lib.core.catalog import Model
    from lib.core.errors import ApiError
    from lib.core.protocols.images import Found
    from lib.core.schema import Endpoint

NO_PARAMETERS: Mapping[str, Any] = MappingProxyType({})
"""Of a request whose answers look alike, whatever it says."""
TOKENS_PER_PIECE = 32
"""What upstream adds to a message or tool at most."""
QUOTES = 2
"""Bytes around a text in JSON."""
TOKENS_PER_CALL = 64
"""What upstream adds to a conversation at most."""


@dataclass(frozen=True, slots=True)
class Media:
    """What a request has beside its text, as it was measured."""

    image_tokens: int = 0
    """The most that the images it reads can be billed as."""
    encoded_bytes: int = 0
    """What images take of a JSON body: no text, so no text tokens."""
    seconds: int = 0
    """How long its recording plays."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What an order can use, told from the request alone."""

    input_bytes: int = 0
    """UTF-8 bytes of the text that is read. No byte-level tokenizer makes more tokens than bytes."""
    input_tokens: int = 0
    """The most tokens that text can be, with all that upstream adds to it."""
    image_tokens: int = 0
    """The most tokens that the images are, which are read beside the text."""
    output_tokens: int = 0
    """The most tokens that each answer is, where not a cap bounds them but what is drawn or spoken."""
    usual_output_tokens: int = 0
    """The same for a typical answer."""
    measured: Mapping[Unit, int] = field(default_factory=dict[Unit, int])
    """What is known before the call and billed with its answer, unless the answer knows better."""


def texts_of(content: object) -> Iterator[str]:
    """A text, or the texts among content parts."""
    if isinstance(content, str):
        yield content
    for part in map(object_of, list_of(content)):
        text = part.get("text")
        if isinstance(text, str):
            yield text


def _without_usage_members(holder: dict[str, Any], private: Collection[str]) -> dict[str, Any]:
    """The very same object if its usage has none of them."""
    usage = object_of(holder.get("usage"))
    if usage.keys().isdisjoint(private):
        return holder
    return {**holder, "usage": {name: value for name, value in usage.items() if name not in private}}


class Protocol:
    """The rules that most JSON protocols share; each overrides what it has of its own."""

    name: ClassVar[str]
    writes: ClassVar[bool] = False
    """The answer is text whose tokens upstream counts. One without a usage costs what it visibly holds."""

    meters: ClassVar[bool] = True
    """Its answers say what they used."""

    accepts: ClassVar[str] = "application/json"
    """The content type of its answers, streams apart."""

    stream_words: ClassVar[Mapping[str, Any]] = {"stream": True}
    """How a body asks for a stream."""

    answer_in: ClassVar[str] = ""
    """The member of a stream's events that is the answer, as far as it is there."""

    event_max_bytes: ClassVar[int] = EVENT_MAX_BYTES
    """The largest event of a stream."""

    def spoken_by(self, endpoint: Endpoint) -> Protocol:
        """The protocol as this endpoint's upstream speaks it."""
        return self

    def amend(self, fields: dict[str, Any]) -> None:
        """Check what JSON Schema cannot say, and fill in what must not be left open. Raises ApiError."""

    def images(self, fields: Mapping[str, Any]) -> Iterator[Found]:
        """The images that are read. What is left open about each is filled in. Raises ApiError."""
        yield from ()

    def demand(self, model: Model, parameters: Mapping[str, Any], media: Media) -> Demand:
        """What can be used by a request whose body is `parameters`. Raises ApiError for what has no bound."""
        size = len(orjson.dumps(parameters)) - media.encoded_bytes
        most = size + self.pieces(parameters) * TOKENS_PER_PIECE + TOKENS_PER_CALL
        if model.tokenizer is not None:
            texts = list(self.texts(parameters))
            written = sum(len(orjson.dumps(text)) - QUOTES for text in texts)
            most += model.tokenizer.bound(texts) - written
        return Demand(input_bytes=size, input_tokens=most, image_tokens=media.image_tokens)

    def texts(self, parameters: Mapping[str, Any]) -> Iterator[str]:
        """The texts that upstream reads as they are. All else of a body, as tools, it may write in a way of its own."""
        yield from ()

    def pieces(self, parameters: Mapping[str, Any]) -> int:
        """Messages and tools: upstream adds a few tokens to each."""
        return 0

    def candidates(self, parameters: Mapping[str, Any]) -> int:
        """How many tokens are told, with their log probabilities, for each that is written."""
        return 0

    def streams(self, model: Model, fields: Mapping[str, Any]) -> bool:
        """Whether upstream is to stream events. Raises ApiError if this model cannot."""
        return bool(fields.get("stream"))

    def unpacks(self, model: Model, fields: Mapping[str, Any]) -> bool:
        """Whether the buyer gets the bytes that a stream's events carry, not the events."""
        return False

    def passes(self, content_type: bytes) -> bool:
        """Whether an answer of this type is handed on as it comes, because it says nothing that is billed."""
        return False

    def carried(self, payload: dict[str, Any]) -> bytes:
        """The bytes that an event carries, for a buyer who gets nothing else."""
        return b""

    def unpacked_type(self, parameters: Mapping[str, Any]) -> bytes:
        """The content type of such bytes."""
        return b"application/octet-stream"

    def streamed(self, endpoint: Endpoint) -> dict[str, Any]:
        """What the body says so that upstream streams, and says at the end what was used."""
        return dict(self.stream_words)

    def shows_usage(self, fields: Mapping[str, Any]) -> bool:
        """Whether the buyer asked to see the usage of a stream."""
        return True

    def take(self, reading: Reading, payload: dict[str, Any]) -> EventKind:
        """Read one event of a stream, or a whole JSON body."""
        if payload.get("error") is not None:
            reading.failed = True
            return EventKind.ERROR
        return EventKind.TEXT

    def read_whole(self, body: bytes, parameters: Mapping[str, Any] = NO_PARAMETERS) -> Reading:
        """Read a whole answer to `parameters`. A body that is no JSON object counts as failed."""
        reading = Reading()
        try:
            payload: object = orjson.loads(body)
        except orjson.JSONDecodeError:
            payload = None
        if not isinstance(payload, dict):
            reading.failed = True
            return reading
        self.take(reading, cast("dict[str, Any]", payload))
        reading.complete = not reading.failed
        return reading

    def priced(self, payload: dict[str, Any], price: dict[str, int]) -> dict[str, Any]:
        """An event that says what was used, with what it costs here."""
        usage = payload.get("usage")
        return {**payload, "usage": {**cast("dict[str, Any]", usage), **price}} if isinstance(usage, dict) else payload

    def published(self, payload: dict[str, Any], private: Collection[str]) -> dict[str, Any]:
        """An event or a whole answer without those members of its usage that are no business of the buyer's.

        The very same object if it has none.
        """
        if not private:  # of most providers, at every event of every stream
            return payload
        answer = object_of(payload.get(self.answer_in))
        shown = _without_usage_members(answer, private)
        if shown is not answer:
            payload = {**payload, self.answer_in: shown}
        return _without_usage_members(payload, private)

    def without_usage(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """The same event for a buyer who did not ask for the usage; None if nothing is left to say."""
        return payload

    def broken(self, error: ApiError) -> bytes:
        """An event that tells of a failure in the middle of a stream, as the protocol's SDKs raise it."""
        return encoded({"type": "error", **error.as_body()}, b"error")
