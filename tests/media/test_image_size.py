"""The size of an image, from its header."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lib.core.vision import Size, UnusableImage
from lib.media.image_size import PIXELS_MAX, size_of
from tests.media.images import moving, png_claiming, still

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MEMORY_MAX_BYTES = 1_000_000


@pytest.mark.parametrize("kind", FORMATS)
def test_the_size_of_a_still_image_is_known(kind: str):
    """PNG, JPEG, WEBP and GIF as they are written."""
    assert size_of(still(kind, 321, 123)) == Size(321, 123)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_what_moves_is_refused(kind: str):
    """How many pictures of an animation a model would look at, nobody says."""
    with pytest.raises(UnusableImage, match="animated"):
        size_of(moving(kind))


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO"])
def test_another_format_is_refused(kind: str):
    """Only what providers take is read at all: every reader of another format is a door less."""
    with pytest.raises(UnusableImage, match="not a PNG"):
        size_of(still(kind))


@pytest.mark.parametrize(
    "junk", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x04\x00\x00\x00WEBP", b"\xff\xd8\xff\xe0"]
)
def test_a_torso_is_refused(junk: bytes):
    """A file that ends inside of its header is no image."""
    with pytest.raises(UnusableImage):
        size_of(junk)


@pytest.mark.parametrize(("width", "height"), [(65_535, 65_535), (10_000, 5_001), (100_000, 1_000), (13_000, 13_000)])
def test_an_enormous_image_is_refused_without_being_unpacked(width: int, height: int):
    """A few hundred bytes that claim gigabytes of pixels cost us nothing."""
    small_file = png_claiming(width, height)
    tracemalloc.start()
    try:
        with pytest.raises(UnusableImage, match=str(PIXELS_MAX)):
            size_of(small_file)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX_BYTES
    finally:
        tracemalloc.stop()


def test_an_image_of_no_width_is_refused():
    """Nothing times anything is nothing: no image is free."""
    with pytest.raises(UnusableImage):
        size_of(png_claiming(0, 1_000))


@given(some.sampled_from(FORMATS), some.binary(max_size=64), some.integers(0, 400))
def test_a_damaged_image_is_refused_or_has_a_size(kind: str, damage: bytes, at: int):
    """Whatever bytes are overwritten: a size within the bounds, or a refusal, and never another error."""
    whole = still(kind)
    damaged = whole[:at] + damage + whole[at + len(damage) :]
    try:
        size = size_of(damaged)
    except UnusableImage:
        return
    assert 0 < size.width * size.height <= PIXELS_MAX
