"""The files of an order: what they were measured to be, and how upstream is sent them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lib.core.errors import ApiError, Code
from lib.core.form import SentFile, encoded
from lib.core.protocols.base import Media
from lib.core.vision import Detail, Size, image_tokens

if TYPE_CHECKING:
    from lib.core.catalog import Model

CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "webm": "audio/webm",
    "m4a": "audio/mp4",
    "mpeg": "audio/mpeg",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
}
"""By what a file was measured to be, whatever its sender called it: upstream shall read it as we did."""


class Source(Protocol):
    """Where the files' bytes are."""

    def pieces(self, start: int, size: int) -> AsyncIterator[bytes]:
        """Some of them, piece by piece."""
        ...


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """One file of a form."""

    name: str
    """Its field's."""
    kind: str
    """What it is: one of CONTENT_TYPES."""
    start: int
    size: int
    sha256: bytes
    seconds: int = 0
    """How long it plays, if it is a recording."""
    pixels: Size | None = None
    """How large it is, if it is an image."""


@dataclass(frozen=True, slots=True)
class Attached:
    """All files of an order."""

    files: Sequence[MeasuredFile]
    source: Source

    def media(self, model: Model, others: Media) -> Media:
        """What they can cost with this model, beside others. Raises ApiError if it reads no images."""
        tokens = others.image_tokens
        for file in self.files:
            if file.pixels is not None:
                if model.vision is None:
                    raise ApiError(Code.INVALID_FIELD_VALUE, f"`{model.id}` reads no images here.", param=file.name)
                tokens += image_tokens(model.vision, file.pixels, Detail.HIGH)
        seconds = others.seconds + sum(file.seconds for file in self.files)
        return Media(image_tokens=tokens, encoded_bytes=others.encoded_bytes, seconds=seconds)

    def form(self, fields: dict[str, Any], boundary: str) -> Iterator[bytes | SentFile]:
        """The form that upstream is sent."""
        sent = [
            SentFile(file.name, f"{file.name}.{file.kind}", CONTENT_TYPES[file.kind], file.start, file.size)
            for file in self.files
        ]
        return encoded(fields, sent, boundary)
