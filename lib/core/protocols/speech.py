"""Speech: a text in, sound out as it is made. The sound itself says nothing of what it cost."""

from __future__ import annotations

import base64
import binascii
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

from lib.core.errors import ApiError, Code
from lib.core.protocols.base import Demand, Protocol
from lib.core.sse import EventKind
from lib.core.units import Unit
from lib.core.usage import Usage, object_of, text_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.core.catalog import Model
    from lib.core.protocols.base import Media
    from lib.core.usage import Reading

SOUNDS = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/ogg",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}
"""`response_format` → content type."""


class Speech(Protocol):
    """`POST /audio/speech`: billed by the characters that are read, or by the tokens of the sound.

    Where sound is billed by tokens, upstream is always asked for events, because only they say how many there were; a
    buyer who did not ask for events gets the sound that they carry.
    """

    name = "speech"
    meters = False
    accepts = "*/*"
    stream_words: ClassVar[Mapping[str, Any]] = {"stream_format": "sse"}

    def demand(self, model: Model, parameters: Mapping[str, Any], media: Media) -> Demand:
        """Every character of the text. Instructions are not spoken."""
        demand = super().demand(model, parameters, media)
        characters, rule = len(parameters["input"]), model.speech
        slower = 1 / Decimal(str(min(1, parameters.get("speed", 1))))
        return Demand(
            demand.input_bytes,
            demand.input_tokens,
            output_tokens=ceil(characters * rule.most_tokens_per_character * slower) if rule else 0,
            usual_output_tokens=ceil(characters * rule.usual_tokens_per_character * slower) if rule else 0,
            measured={Unit.CHARACTER: characters},
        )

    def streams(self, model: Model, fields: Mapping[str, Any]) -> bool:
        """`stream_format: sse`, or sound whose tokens must be known."""
        if fields.get("stream_format") == "sse" and not model.meters_tokens:
            message = f"`{model.id}` has no events: leave `stream_format` out."
            raise ApiError(Code.INVALID_FIELD_VALUE, message, param="stream_format")
        return model.meters_tokens

    def unpacks(self, model: Model, fields: Mapping[str, Any]) -> bool:
        """The buyer wants sound."""
        return model.meters_tokens and fields.get("stream_format") != "sse"

    def unpacked_type(self, parameters: Mapping[str, Any]) -> bytes:
        """By the format that was asked for."""
        return SOUNDS[parameters.get("response_format", "mp3")]

    def passes(self, content_type: bytes) -> bool:
        """Sound."""
        return content_type.startswith((b"audio/", b"application/octet-stream"))

    def carried(self, payload: dict[str, Any]) -> bytes:
        """A piece of sound. What is no base64 is none."""
        sound = payload.get("audio")
        if payload.get("type") != "speech.audio.delta" or not isinstance(sound, str):
            return b""
        try:
            return base64.b64decode(sound, validate=True)
        except binascii.Error:
            return b""

    def take(self, reading: Reading, payload: dict[str, Any]) -> EventKind:
        """One event."""
        match payload.get("type"):
            case "speech.audio.delta":
                reading.visible_bytes += text_bytes(payload.get("audio"))
                return EventKind.TEXT
            case "speech.audio.done":
                usage = object_of(payload.get("usage"))
                reading.usage = Usage.believed(usage.get("input_tokens"), usage.get("output_tokens")) or reading.usage
                reading.complete = True
                return EventKind.USAGE
            case None:  # an answer that is neither sound nor events of it is none
                reading.failed = True
                return EventKind.ERROR
            case _:
                return super().take(reading, payload)
