"""Recordings made on the spot, and others whose headers lie."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import io
import math
import struct
from array import array
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream

RATE = 48_000
KINDS = {
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "wav": ("wav", "pcm_s16le"),
    "ogg": ("ogg", "libopus"),
    "oga": ("ogg", "vorbis"),
    "webm": ("webm", "libopus"),
    "flac": ("flac", "flac"),
    "mpeg": ("mpeg", "mp2"),
}
"""File ending → the container and codec as libav names them."""
STEP = 1_024
OGG_POLYNOMIAL = 0x04C11DB7


def tone(kind: str, seconds: float, *, tracks: int = 1) -> bytes:
    """A tone in a file of this kind."""
    container_format, codec = KINDS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        streams = [cast("AudioStream", container.add_stream(codec, rate=RATE)) for _ in range(tracks)]
        for stream in streams:
            stream.codec_context.layout = "stereo"
            stream.codec_context.options = {"strict": "experimental"}  # libav's own Vorbis encoder wants it
        for start in range(0, int(RATE * seconds), STEP):
            for stream in streams:
                container.mux(stream.encode(_frame(start, min(STEP, int(RATE * seconds) - start))))
        for stream in streams:
            container.mux(stream.encode(None))
    return file.getvalue()


def _frame(start: int, samples: int) -> av.AudioFrame:
    values = [int(8_000 * math.sin(2 * math.pi * 440 * (start + n) / RATE)) for n in range(samples)]
    frame = av.AudioFrame(format="s16", layout="stereo", samples=samples)
    frame.planes[0].update(array("h", [value for value in values for _ in range(2)]).tobytes())
    frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
    return frame


def patched(whole: bytes, mark: bytes, offset: int, new: bytes, occurrence: int = 1) -> bytes:
    """The file with other bytes so far behind a mark in it."""
    at = -1
    for _ in range(occurrence):
        at = whole.index(mark, at + 1)
    start = at + len(mark) + offset
    return whole[:start] + new + whole[start + len(new) :]


def lying_xing(seconds: float) -> bytes:
    """An MP3 whose first frame says that ten frames follow."""
    whole = tone("mp3", seconds)
    mark = b"Xing" if b"Xing" in whole else b"Info"
    return patched(whole, mark, 4, struct.pack(">I", 10))


def lying_streaminfo(seconds: float) -> bytes:
    """A FLAC whose STREAMINFO says that it has one second of samples."""
    whole = bytearray(tone("flac", seconds))
    at = 4 + 4 + 10  # marker, block header, then the frame and block sizes
    packed = int.from_bytes(whole[at : at + 8])
    whole[at : at + 8] = ((packed >> 36 << 36) | RATE).to_bytes(8)
    return bytes(whole)


def lying_wav(seconds: float) -> bytes:
    """A WAV whose sizes say that it has one second of samples."""
    whole = tone("wav", seconds)
    return patched(
        patched(whole, b"data", 0, struct.pack("<I", RATE * 4)), b"RIFF", 0, struct.pack("<I", RATE * 4 + 36)
    )


def lying_mvhd(seconds: float) -> bytes:
    """An MP4 whose movie, track and media headers say that it lasts a hundredth of a second."""
    whole = tone("m4a", seconds)
    whole = patched(whole, b"mvhd", 16, struct.pack(">I", 10))
    whole = patched(whole, b"mdhd", 16, struct.pack(">I", 480))
    return patched(whole, b"tkhd", 20, struct.pack(">I", 10))


def lying_stts(seconds: float) -> bytes:
    """An MP4 whose table of sample times says that every packet lasts one sample, not 1,024."""
    whole = lying_mvhd(seconds)
    at = whole.index(b"stts") + 8
    (entries,) = struct.unpack(">I", whole[at : at + 4])
    for entry in range(entries):
        whole = patched(whole, b"stts", 8 + 8 * entry + 4, struct.pack(">I", 1))
    return whole


def lying_webm(seconds: float) -> bytes:
    """A WebM whose Duration element says half a second."""
    return patched(tone("webm", seconds), b"\x44\x89\x88", 0, struct.pack(">d", 500.0))


def lying_ogg(seconds: float) -> bytes:
    """An Ogg whose every page, with the right checksum, says that half a second has passed."""
    whole, pages = tone("ogg", seconds), bytearray()
    at = 0
    while at < len(whole):
        segments = whole[at + 26]
        end = at + 27 + segments + sum(whole[at + 27 : at + 27 + segments])
        page = bytearray(whole[at:end])
        if int.from_bytes(page[6:14], "little"):
            page[6:14] = (RATE // 2).to_bytes(8, "little")
        page[22:26] = bytes(4)
        page[22:26] = _ogg_checksum(page).to_bytes(4, "little")
        pages += page
        at = end
    return bytes(pages)


def _ogg_checksum(page: bytearray) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (OGG_POLYNOMIAL if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


LIES = {
    "Xing": lying_xing,
    "STREAMINFO": lying_streaminfo,
    "WAV sizes": lying_wav,
    "mvhd": lying_mvhd,
    "stts": lying_stts,
    "Duration": lying_webm,
    "granule": lying_ogg,
}
