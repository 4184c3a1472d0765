"""Images made on the spot."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

COLOURS = ("red", "green", "blue")


def still(kind: str, width: int = 64, height: int = 48) -> bytes:
    """One picture, as PNG, JPEG, WEBP, GIF or any other format that Pillow writes."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "orange").save(file, kind)
    return file.getvalue()


def moving(kind: str, width: int = 64, height: int = 48) -> bytes:
    """Three pictures in one file."""
    first, *others = [Image.new("RGB", (width, height), colour) for colour in COLOURS]
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=others)
    return file.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A tiny PNG whose header, with the right checksum, claims another size."""

    whole = still("PNG")
    header = b"IHDR" + struct.pack(">II", width, height) + whole[24:29]
    return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]
