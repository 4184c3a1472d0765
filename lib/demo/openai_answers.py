"""What the OpenAI double answers: texts, usage and vectors by simple rules. Nothing here knows HTTP."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import struct
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lib.demo.words import DEFAULT_REASONING_TOKENS, canned_text, pieces_of, text_of, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lib.demo.scenario import Scenario

TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3
EMBEDDING_DIMENSIONS = {"text-embedding-3-large": 3_072}
DEFAULT_DIMENSIONS = 1_536
MODELS: dict[str, str | None] = {
    **dict.fromkeys(("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"), "2027-01-14"),
    **dict.fromkeys(("gpt-5", "gpt-5-mini", "gpt-5-nano", "o3"), "2026-12-11"),
    **dict.fromkeys(("gpt-5.1", "gpt-5.4-nano"), "2027-04-01"),
    **dict.fromkeys(("gpt-5.2", "gpt-5.4", "gpt-5.4-mini", "gpt-5.5")),
    **dict.fromkeys(("gpt-5.6-luna", "gpt-5.6-terra", "gpt-5.6-sol", "gpt-6-luna", "gpt-6-sol", "gpt-6-astra")),
    **dict.fromkeys(("gpt-6.1-terra", "gpt-6.1-sol", "gpt-6.2-sol", "gpt-6.2-astra")),
    **dict.fromkeys(("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002")),
    **dict.fromkeys(("gpt-image-1.5", "gpt-image-1-mini"), "2026-12-01"),
    **dict.fromkeys(("gpt-4o-mini-tts", "tts-1", "tts-1-hd"), "2027-01-06"),
    **dict.fromkeys(("gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper-1"), "2027-02-26"),
    **dict.fromkeys(("gpt-image-2", "gpt-transcribe", "omni-moderation-latest")),
}
"""What it lists, and the day on which each ends."""


def model_object(name: str, shutdown_date: str | None) -> dict[str, Any]:
    """A model in the list of models."""
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "system",
        "shutdown_date": shutdown_date,
    }


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
        pieces = pieces_of(canned_text(_texts(body), scenario), scenario)
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


def _texts(body: dict[str, Any]) -> list[str]:
    return [message_text(message) for message in body["messages"]]


def message_text(message: Any) -> str:
    """The text of a message."""
    return text_of(cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else message)


def prompt_tokens(messages: list[Any]) -> int:
    """About four bytes a token, three for each message and three for the reply."""
    return sum(TOKENS_PER_MESSAGE + tokens_of(message_text(message)) for message in messages) + TOKENS_PER_REPLY


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
