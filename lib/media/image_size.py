"""How large an image is, from its header: nothing is unpacked, so a small file that claims gigabytes is cheap."""

from __future__ import annotations

import io
import warnings

from PIL import Image, UnidentifiedImageError

from lib.core.vision import Size, UnusableImage

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""What providers take."""
PIXELS_MAX = 50_000_000
"""Width × height of an image that we take; no model looks at so many."""


def size_of(image: bytes) -> Size:
    """Width and height of a PNG, JPEG, WEBP or still GIF. Raises UnusableImage.

    Of an image within the bounds memory grows by less than 1 MB beyond the bytes themselves.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(image), formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large() from error
    except UnidentifiedImageError as error:
        raise UnusableImage("it is not a PNG, JPEG, WEBP or GIF image") from error
    except Exception as error:  # whatever a header that is made up runs into
        raise UnusableImage("its header cannot be read") from error
    with opened:
        return _checked(opened)


def _checked(opened: Image.Image) -> Size:
    width, height = opened.size
    if width * height > PIXELS_MAX:
        raise _too_large()
    if width < 1 or height < 1:
        raise UnusableImage("it has no pixels")
    try:
        moves = bool(getattr(opened, "is_animated", False))
    except Exception as error:  # looking for a second picture reads on in the file
        raise UnusableImage("what follows its header cannot be read") from error
    if moves:
        raise UnusableImage("it is animated")
    return Size(width, height)


def _too_large() -> UnusableImage:
    return UnusableImage(f"it has more than {PIXELS_MAX} pixels")
