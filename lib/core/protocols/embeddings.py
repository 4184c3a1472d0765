"""Embeddings: texts are read, nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib.core.protocols.base import Protocol
from lib.core.sse import EventKind
from lib.core.usage import Usage, list_of, object_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lib.core.usage import Reading


class Embeddings(Protocol):
    """`POST /embeddings`."""

    name = "embeddings"

    def texts(self, parameters: Mapping[str, Any]) -> Iterator[str]:
        """The input; lists of token ids count as they are written."""
        told = parameters.get("input")
        yield from (text for text in ([told] if isinstance(told, str) else list_of(told)) if isinstance(text, str))

    def take(self, reading: Reading, payload: dict[str, Any]) -> EventKind:
        """A whole answer."""
        usage = object_of(payload.get("usage"))
        reading.usage = Usage.believed(usage.get("prompt_tokens"), 0)
        return super().take(reading, payload)
