"""How large an image is, from its header: nothing is unpacked, so a small file that claims gigabytes is cheap."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from typing import IO, cast

from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from lib.core.vision import Size, UnusableImage
from lib.media.file_range import FileRange

SIGNATURE_BYTES = 12
PIXELS_MAX = 50_000_000
"""Width × height of an image that we take; no model looks at so many."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as it was measured."""

    kind: str
    """Its format, as the ending of a file's name."""
    size: Size


def size_of(image: bytes) -> Size:
    """Width and height of a PNG, JPEG, WEBP or still GIF. Raises UnusableImage."""
    return picture_of(io.BytesIO(image)).size


async def picture_in(fileno: int, start: int, size: int) -> Picture:
    """What an image in an open file is. Raises UnusableImage."""
    return await asyncio.to_thread(picture_of, FileRange(fileno, start, size))


def picture_of(file: io.BytesIO | FileRange) -> Picture:
    """What an image is. Raises UnusableImage.

    Its first bytes decide what it is read as, and only the one reader for that sees it. Of an image within the bounds
    memory grows by less than 1 MB, except that a WEBP is read whole.
    """
    kind, reader = _reader(file.read(SIGNATURE_BYTES))
    file.seek(0)
    try:
        opened = reader(cast("IO[bytes]", file))
        moves = bool(getattr(opened, "is_animated", False))  # looks for a second picture, and so may read on
    except DecompressionBombError as error:
        raise _too_large() from error
    except Exception as error:  # whatever a header that is made up runs into
        raise UnusableImage("its header cannot be read") from error
    width, height = opened.size
    if width * height > PIXELS_MAX:
        raise _too_large()
    if width < 1 or height < 1:
        raise UnusableImage("it has no pixels")
    if moves:
        raise UnusableImage("it is animated")
    return Picture(kind, Size(width, height))


def _reader(head: bytes) -> tuple[str, type[ImageFile]]:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png", PngImageFile
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg", JpegImageFile
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif", GifImageFile
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp", WebPImageFile
    raise UnusableImage("it is not a PNG, JPEG, WEBP or GIF image")


def _too_large() -> UnusableImage:
    return UnusableImage(f"it has more than {PIXELS_MAX} pixels")
