"""What the OpenAI double answers: texts, usage and vectors by simple rules. Nothing here knows HTTP."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import re
import struct
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lib.demo.scenario import Scenario

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3
DEFAULT_REASONING_TOKENS = 64
SAY = re.compile(r"\bsay (\w+)", re.IGNORECASE)
"""The one wish that the double grants: the word that a prompt asks it to say."""
EMBEDDING_DIMENSIONS = {"text-embedding-3-large": 3_072}
DEFAULT_DIMENSIONS = 1_536
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "text-embedding-3-small", "text-embedding-3-large")


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """One answer, decided before the first byte. Each choice is a list of text pieces; a piece is a token."""

    id: str
    created: int
    model: str
    choices: list[list[str]]
    finish_reason: str
    prompt_tokens: int
    reasoning_tokens: int

    def usage(self, emitted: int | None = None) -> dict[str, Any]:
        """OpenAI's usage object, for all pieces or only for those `emitted`."""
        pieces = sum(len(choice) for choice in self.choices) if emitted is None else emitted
        completion = pieces + self.reasoning_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def text_bytes(self) -> int:
        """Of all pieces."""
        return sum(len(piece.encode()) for choice in self.choices for piece in choice)

    def interleaved(self) -> Iterator[tuple[int, str]]:
        """(choice, piece) in the order of a stream: all choices grow side by side."""
        for row in itertools.zip_longest(*self.choices):
            yield from ((index, piece) for index, piece in enumerate(row) if piece is not None)


def chat_answer(body: dict[str, Any], scenario: Scenario) -> ChatAnswer:
    """Answer a request that was validated. At most `max_completion_tokens` (or `max_tokens`) pieces a choice."""
    cap: int | None = body.get("max_completion_tokens") or body.get("max_tokens")
    choices = int(body.get("n") or 1)
    if scenario.reasoning_only:
        reasoning, pieces, finish = (cap or DEFAULT_REASONING_TOKENS) * choices, list[str](), "length"
    else:
        pieces = _pieces(_text(body, scenario), scenario)
        finish = "length" if cap is not None and len(pieces) > cap else "stop"
        reasoning, pieces = 0, pieces[:cap]
    return ChatAnswer(
        id=f"chatcmpl-{uuid.uuid4().hex[:29]}",
        created=int(time.time()),
        model=body["model"],
        choices=[pieces] * choices,
        finish_reason=finish,
        prompt_tokens=prompt_tokens(body["messages"]),
        reasoning_tokens=reasoning,
    )


def prompt_tokens(messages: list[Any]) -> int:
    """About four bytes a token, three for each message and three for the reply."""
    return sum(TOKENS_PER_MESSAGE + tokens_of(message_text(message)) for message in messages) + TOKENS_PER_REPLY


def tokens_of(text: str) -> int:
    """Bytes / 4, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def message_text(message: Any) -> str:
    """The text of a message: its content, or the text parts of it. Other parts count as their JSON."""
    fields = cast("dict[str, Any]", message) if isinstance(message, dict) else {"content": message}
    content = fields.get("content")
    if isinstance(content, list):
        return " ".join(_part_text(part) for part in cast("list[Any]", content))
    return content if isinstance(content, str) else ""


def embedding_answer(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The reply without its usage, and the usage."""
    inputs = _embedding_inputs(body["input"])
    size = int(body.get("dimensions") or EMBEDDING_DIMENSIONS.get(body["model"], DEFAULT_DIMENSIONS))
    as_base64 = body.get("encoding_format") == "base64"
    data: list[dict[str, Any]] = []
    for index, item in enumerate(inputs):
        vector = _vector(item, size)
        packed = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode() if as_base64 else vector
        data.append({"object": "embedding", "index": index, "embedding": packed})
    tokens = sum(tokens_of(item) if isinstance(item, str) else len(item) for item in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body["model"]}, usage


def _text(body: dict[str, Any], scenario: Scenario) -> str:
    if scenario.content is not None:
        return scenario.content
    texts = [message_text(message) for message in body["messages"]]
    words = sum(len(text.split()) for text in texts)
    noun = "word" if words == 1 else "words"
    asked = SAY.search(texts[-1]) if texts else None
    said = f"{asked[1].capitalize()}! " if asked else ""
    return f"{said}This is a canned answer of the demo: no model was asked. Your prompt had {words} {noun}."


def _pieces(text: str, scenario: Scenario) -> list[str]:
    """Words with their leading spaces; or as many and as long as the scenario says."""
    words = re.findall(r"\s*\S+|\s+", text)
    if scenario.chunk_bytes is not None:
        filler = itertools.cycle(text.encode("ascii", "replace").decode() or ".")
        count = len(words) if scenario.chunks is None else scenario.chunks
        return ["".join(itertools.islice(filler, scenario.chunk_bytes)) for _ in range(count)]
    if scenario.chunks is None:
        return words
    if scenario.content is not None:
        return _slices(text, scenario.chunks)
    return list(itertools.islice(itertools.cycle(words), scenario.chunks))


def _slices(text: str, count: int) -> list[str]:
    """`count` pieces of nearly one length whose sum is the text."""
    return [text[len(text) * i // count : len(text) * (i + 1) // count] for i in range(count)]


def _part_text(part: Any) -> str:
    text = cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else json.dumps(part)


def _embedding_inputs(given: Any) -> list[str | list[int]]:
    """A text, texts, token ids, or lists of token ids."""
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        return [given]
    return list(given)


def _vector(item: Any, size: int) -> list[float]:
    """A unit vector that depends on the input alone."""
    seed = hashlib.sha256(json.dumps(item).encode()).digest()
    stream = hashlib.shake_256(seed).digest(size * 2)
    raw = [(int.from_bytes(stream[2 * i : 2 * i + 2]) - 32_767.5) / 32_768 for i in range(size)]
    length = math.sqrt(sum(x * x for x in raw))
    return [x / length for x in raw]
