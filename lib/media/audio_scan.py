"""How long a recording is: every packet is counted, because headers lie. Runs in a process of its own.

Three things are reckoned and the longest counts: what packets say of their duration, what lies between the first and
the last of them, and what their number or their bytes make at the least. Nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

import av
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.packet import Packet

from lib.media.file_range import FileRange
from lib.media.recording import Recording, UnusableRecording

KINDS = {
    "mp3": ("mp3", frozenset({"mp3float", "mp3"})),
    "wav": ("wav", frozenset({"pcm"})),
    "flac": ("flac", frozenset({"flac"})),
    "ogg": ("ogg", frozenset({"opus", "vorbis"})),
    "matroska,webm": ("webm", frozenset({"opus"})),
    "mov,mp4,m4a,3gp,3g2,mj2": ("m4a", frozenset({"aac", "alac", "mp3float", "mp3"})),
    "mpeg": ("mpeg", frozenset({"mp2float", "mp2", "mp3float", "mp3"})),
}
"""The container as libav names it, as providers do, and the codecs in it whose packets tell how long they are."""
NOT_SOLD: tuple[str, frozenset[str]] = ("", frozenset())
DEMUXERS = "mp3,wav,flac,ogg,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg"
HEADERS_MAX_BYTES = 4_096
"""Of an uncompressed file. Whatever follows them counts as sound, wherever they say that it ends."""
LOSSY_MAX_BITS_PER_SECOND = 576_000
"""Per channel: the most that AAC allows, and it allows the most. Fewer seconds than this makes are a lie."""
OPUS_FRAMES_PER_SECOND = (
    *((100, 50, 25, Fraction(50, 3)) * 3),
    *((100, 50) * 2),
    *((400, 200, 100, 50) * 4),
)
"""By the configuration in an Opus packet's first byte (RFC 6716, section 3.1)."""


def measured(fileno: int, start: int, size: int) -> Recording:
    """Measure a recording in a file. Raises UnusableRecording for what is none, or cannot be measured."""
    try:
        with av.open(FileRange(fileno, start, size), mode="r", options={"format_whitelist": DEMUXERS}) as container:
            kind, codecs = KINDS.get(container.format.name, NOT_SOLD)
            stream = _track(container.streams.audio)
            codec = stream.codec_context.name.partition("_")[0]
            if codec not in codecs:
                raise UnusableRecording("its format is not sold: send mp3, mp4, mpeg, m4a, flac, ogg, wav or webm")
            seconds = _seconds(stream, container.demux(stream), codec, size)
    except FFmpegError as error:
        raise UnusableRecording("it is damaged, or no audio file") from error
    if not seconds:
        raise UnusableRecording("it is empty")
    return Recording(kind, ceil(seconds))


def _track(tracks: Sequence[AudioStream]) -> AudioStream:
    if not tracks:
        raise UnusableRecording("it has no sound")
    if len(tracks) > 1:
        raise UnusableRecording("it has several sound tracks")
    return tracks[0]


@dataclass(slots=True)
class _Count:
    """What packets add up to, in the stream's time base where it is a time."""

    packets: int = 0
    size: int = 0
    ticks: int = 0
    first: int | None = None
    end: int = 0
    opus: Fraction = field(default_factory=Fraction)
    """Seconds of the Opus frames."""

    def take(self, packet: Packet[AudioStream], codec: str) -> None:
        duration = packet.duration or 0
        self.packets += 1
        self.size += packet.size
        self.ticks += max(0, duration)
        if packet.pts is not None:
            self.first = packet.pts if self.first is None else min(self.first, packet.pts)
            self.end = max(self.end, packet.pts + duration)
        if codec == "opus":
            self.opus += _opus_seconds(bytes(packet)[:2])


def _seconds(stream: AudioStream, packets: Iterator[Packet[AudioStream]], codec: str, file_size: int) -> Fraction:
    count = _Count()
    for packet in packets:
        if packet.size:
            count.take(packet, codec)
    base, context = stream.time_base or Fraction(0), stream.codec_context
    if not (count.packets and context.sample_rate):
        return Fraction(0)
    channels = max(1, context.channels)
    bounds = [count.ticks * base, (count.end - (count.first or 0)) * base, count.opus]
    bounds.append(Fraction(count.packets * context.frame_size, context.sample_rate))
    if codec == "pcm":  # whatever the length of the data that its header claims
        data_bytes = max(0, file_size - HEADERS_MAX_BYTES)
        bounds.append(Fraction(data_bytes * 8, context.sample_rate * channels * _bits(stream)))
    elif codec not in {"flac", "alac"}:
        bounds.append(Fraction(count.size * 8, LOSSY_MAX_BITS_PER_SECOND * channels))
    return max(bounds)


def _bits(stream: AudioStream) -> int:
    """Bits of one uncompressed sample, from the codec's name: `pcm_s16le`."""
    digits = "".join(letter for letter in stream.codec_context.name.split("_")[1] if letter.isdigit())
    return int(digits) if digits else 8


def _opus_seconds(head: bytes) -> Fraction:
    """How long one Opus packet plays, from its first two bytes."""
    code = head[0] & 3
    frames = (1, 2, 2, head[1] & 63 if len(head) > 1 else 0)[code]
    return Fraction(frames) / OPUS_FRAMES_PER_SECOND[head[0] >> 3]
