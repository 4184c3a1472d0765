"""What the OpenAI double hears, says and draws: small real sounds and pictures, made by simple rules."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import struct
import time
import wave
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.demo.stream import named_event
from lib.demo.words import tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lib.demo.forms import SentForm

SAMPLES_PER_SECOND = 8_000
SECONDS_PER_CHARACTER = 0.06
SPEECH_TOKENS_PER_SECOND = 20
SPEECH_PIECE_BYTES = 4_096
BYTES_PER_SECOND = 16_000
"""Of a recording that is no WAV, for want of an ear."""
SAID = "A little bit of money. This is a canned transcription of the demo: no model listened."
IMAGE_TOKENS = {"low": 200, "medium": 1_767, "high": 7_034}
"""What a drawing says that it used, whatever its size."""
IMAGE_INPUT_TOKENS = 194
PARTIAL_TOKENS = 100
TEXTS = ("text", "srt", "vtt")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text as sound: a tone for each character."""

    sound: bytes
    read: int
    """Tokens of the text."""
    seconds: float

    def usage(self) -> dict[str, Any]:
        """As the last event of a stream says it."""
        made = math.ceil(self.seconds * SPEECH_TOKENS_PER_SECOND)
        return {"input_tokens": self.read, "output_tokens": made, "total_tokens": self.read + made}

    def slices(self) -> list[bytes]:
        """Sound as it is made."""
        return [self.sound[at : at + SPEECH_PIECE_BYTES] for at in range(0, len(self.sound), SPEECH_PIECE_BYTES)]


def spoken(body: dict[str, Any]) -> Spoken:
    """A WAV, whatever format was asked for."""
    text: str = body["input"]
    seconds = len(text) * SECONDS_PER_CHARACTER / float(body.get("speed") or 1)
    return Spoken(_tone(seconds), tokens_of(text), seconds)


class SpeechStream:
    """Speech as events."""

    def __init__(self, answer: Spoken) -> None:
        self._answer = answer

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Base64."""
        yield from ((0, base64.b64encode(piece).decode()) for piece in self._answer.slices())

    def usage(self, emitted: int) -> dict[str, Any]:
        """Upstream has spoken it all, whoever listens."""
        return self._answer.usage()

    def begin(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def piece(self, index: int, text: str) -> bytes:
        """A piece of sound."""
        return named_event({"type": "speech.audio.delta", "audio": text})

    def error(self) -> bytes:
        """Something went wrong."""
        return _failure()

    def end(self) -> Iterable[bytes]:
        """Nothing: the last event says the usage."""
        return ()

    def done(self) -> bytes:
        """With the usage."""
        return named_event({"type": "speech.audio.done", "usage": self._answer.usage()})


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording as text."""

    text: str
    seconds: float

    def usage(self) -> dict[str, Any]:
        """Billed by the second."""
        return {"type": "duration", "seconds": math.ceil(self.seconds)}

    def written(self, response_format: str) -> str:
        """Plain text or subtitles."""
        if response_format == "srt":
            return f"1\n00:00:00,000 --> {_clock(self.seconds, ',')}\n{self.text}\n\n"
        if response_format == "vtt":
            return f"WEBVTT\n\n00:00.000 --> {_clock(self.seconds, '.')[3:]}\n{self.text}\n\n"
        return f"{self.text}\n"

    def whole(self, response_format: str) -> dict[str, Any]:
        """The reply without its usage."""
        if response_format != "verbose_json":
            return {"text": self.text}
        segment = {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": self.seconds,
            "text": self.text,
            "tokens": [1],
            "temperature": 0.0,
        }
        odds = {"avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0}
        return {
            "task": "transcribe",
            "language": "english",
            "duration": self.seconds,
            "text": self.text,
            "segments": [segment | odds],
        }


def heard(form: SentForm, content: str | None) -> Heard:
    """The canned text, or the scenario's."""
    return Heard(content if content is not None else SAID, _seconds_of(form.files[0].data))


class TranscriptStream:
    """A transcription as events."""

    def __init__(self, answer: Heard) -> None:
        self._answer = answer

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Words."""
        yield from ((0, word + " ") for word in self._answer.text.split())

    def usage(self, emitted: int) -> dict[str, Any]:
        """The whole recording was heard."""
        return self._answer.usage()

    def begin(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def piece(self, index: int, text: str) -> bytes:
        """Some words."""
        return named_event({"type": "transcript.text.delta", "delta": text})

    def error(self) -> bytes:
        """Something went wrong."""
        return _failure()

    def end(self) -> Iterable[bytes]:
        """Nothing: the last event says the usage."""
        return ()

    def done(self) -> bytes:
        """All words, and the usage."""
        return named_event({"type": "transcript.text.done", "text": self._answer.text, "usage": self._answer.usage()})


@dataclass(frozen=True, slots=True)
class Drawn:
    """Pictures of one colour, which the prompt decides."""

    pictures: list[bytes]
    quality: str
    size: str
    read: int
    seen: int
    """Tokens of the pictures that were to be edited."""
    partial_images: int = 0
    edit: bool = False

    def usage(self) -> dict[str, Any]:
        """By the quality alone."""
        made = (IMAGE_TOKENS[self.quality] + self.partial_images * PARTIAL_TOKENS) * len(self.pictures)
        return {
            "input_tokens": self.read + self.seen,
            "input_tokens_details": {"text_tokens": self.read, "image_tokens": self.seen},
            "output_tokens": made,
            "total_tokens": self.read + self.seen + made,
        }

    def whole(self) -> dict[str, Any]:
        """The reply without its usage."""
        data = [{"b64_json": base64.b64encode(picture).decode()} for picture in self.pictures]
        return {"created": int(time.time()), "data": data, **self._facts()}

    def _facts(self) -> dict[str, Any]:
        return {"background": "opaque", "output_format": "png", "quality": self.quality, "size": self.size}

    def event(self, kind: str, **more: Any) -> bytes:
        """One event of a stream."""
        name = "image_edit" if self.edit else "image_generation"
        picture = base64.b64encode(self.pictures[0]).decode()
        facts = {"created_at": int(time.time()), **self._facts(), **more}
        return named_event({"type": f"{name}.{kind}", "b64_json": picture, **facts})


def drawn(fields: dict[str, Any], *, edited: int = 0, edit: bool = False) -> Drawn:
    """As many as asked for. `edited`: so many pictures were sent."""
    size = fields.get("size") or "auto"
    size = "1024x1024" if size == "auto" else size
    quality = fields.get("quality") or "auto"
    width, height = (int(side) for side in size.split("x"))
    picture = _picture(width, height, hashlib.sha256(fields["prompt"].encode()).digest()[:3])
    return Drawn(
        pictures=[picture] * int(fields.get("n") or 1),
        quality="high" if quality == "auto" else quality,
        size=size,
        read=tokens_of(fields["prompt"]),
        seen=edited * IMAGE_INPUT_TOKENS,
        partial_images=int(fields.get("partial_images") or 0),
        edit=edit,
    )


class DrawingStream:
    """A drawing as events."""

    def __init__(self, answer: Drawn) -> None:
        self._answer = answer

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Partial images."""
        yield from ((index, "") for index in range(self._answer.partial_images))

    def usage(self, emitted: int) -> dict[str, Any]:
        """It is drawn whole, whoever looks."""
        return self._answer.usage()

    def begin(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def piece(self, index: int, text: str) -> bytes:
        """One of them."""
        return self._answer.event("partial_image", partial_image_index=index)

    def error(self) -> bytes:
        """Something went wrong."""
        return _failure()

    def end(self) -> Iterable[bytes]:
        """Nothing: the last event says the usage."""
        return ()

    def done(self) -> bytes:
        """The picture, and the usage."""
        return self._answer.event("completed", usage=self._answer.usage())


def _failure() -> bytes:
    error = {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}
    return f"event: error\ndata: {json.dumps({'type': 'error', 'error': error})}\n\n".encode()


def _tone(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLES_PER_SECOND)
        samples = range(round(SAMPLES_PER_SECOND * seconds))
        values = [int(6_000 * math.sin(2 * math.pi * 330 * n / SAMPLES_PER_SECOND)) for n in samples]
        sound.writeframes(struct.pack(f"<{len(values)}h", *values))
    return file.getvalue()


def _seconds_of(recording: bytes) -> float:
    try:
        with wave.open(io.BytesIO(recording)) as sound:
            return sound.getnframes() / sound.getframerate()
    except (wave.Error, EOFError):
        return len(recording) / BYTES_PER_SECOND


def _clock(seconds: float, point: str) -> str:
    whole = int(seconds)
    thousandths = int((seconds - whole) * 1_000)
    return f"{whole // 3_600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{thousandths:03}"


def _picture(width: int, height: int, colour: bytes) -> bytes:
    """A PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + colour * width) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
