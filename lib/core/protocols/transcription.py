"""Transcriptions and translations: a recording in, text or subtitles out, billed by the second."""

from __future__ import annotations

from math import ceil, isfinite
from typing import TYPE_CHECKING, Any

from lib.core.protocols.base import NO_PARAMETERS, Demand, Protocol
from lib.core.sse import EventKind
from lib.core.units import Unit
from lib.core.usage import Reading, Usage, object_of, text_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.core.catalog import Model
    from lib.core.protocols.base import Media

TEXTS = frozenset({"text", "srt", "vtt"})
"""Formats that are no JSON and say nothing of what was used."""
SECONDS_MAX = 1_000_000
"""Longer than any recording that is taken."""


class Transcription(Protocol):
    """`POST /audio/transcriptions` and `/audio/translations`: priced by how long the recording was measured to be.

    An answer that says how many seconds it was billed for is believed, up to that.
    """

    name = "transcription"
    meters = False
    accepts = "*/*"

    def demand(self, model: Model, parameters: Mapping[str, Any], media: Media) -> Demand:
        """The whole recording."""
        demand = super().demand(model, parameters, media)
        return Demand(demand.input_bytes, demand.input_tokens, measured={Unit.SECOND: media.seconds})

    def take(self, reading: Reading, payload: dict[str, Any]) -> EventKind:
        """One event, or a whole answer."""
        kind = payload.get("type")
        if payload.get("error") is not None:
            return super().take(reading, payload)
        _take_usage(reading, object_of(payload.get("usage")))
        if kind == "transcript.text.delta":
            reading.visible_bytes += text_bytes(payload.get("delta"))
            return EventKind.TEXT
        if kind == "transcript.text.done":
            reading.complete = True
            return EventKind.USAGE
        return EventKind.TEXT

    def read_whole(self, body: bytes, parameters: Mapping[str, Any] = NO_PARAMETERS) -> Reading:
        """Subtitles and plain text are answers as they are, silence included."""
        if parameters.get("response_format") in TEXTS:
            return Reading(complete=True)
        return super().read_whole(body, parameters)


def _take_usage(reading: Reading, usage: dict[str, Any]) -> None:
    seconds = usage.get("seconds")
    if usage.get("type") == "duration" and isinstance(seconds, int | float) and not isinstance(seconds, bool):
        if isfinite(seconds) and 0 <= seconds <= SECONDS_MAX:
            reading.measured[Unit.SECOND] = ceil(seconds)
    elif usage.get("type") == "tokens":
        reading.usage = Usage.believed(usage.get("input_tokens"), usage.get("output_tokens")) or reading.usage
