"""What the Anthropic double answers: one message, whole or as named events."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lib.demo.stream import named_event, with_usage
from lib.demo.words import DEFAULT_REASONING_TOKENS, canned_text, pieces_of, text_of, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lib.demo.scenario import Scenario

TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3


@dataclass(frozen=True, slots=True)
class MessageAnswer:
    """One answer, decided before the first byte. A piece is a token."""

    id: str
    model: str
    pieces: list[str]
    stop_reason: str
    input_tokens: int
    """Without those that the cache was told to keep."""
    cache_write_tokens: int
    thinking_tokens: int

    def usage(self, emitted: int | None = None) -> dict[str, Any]:
        """Anthropic's usage object, for all pieces or only for those `emitted`."""
        return {
            **self.read(),
            "output_tokens": (len(self.pieces) if emitted is None else emitted) + self.thinking_tokens,
            "output_tokens_details": {"thinking_tokens": self.thinking_tokens},
            "service_tier": "standard",
        }

    def read(self) -> dict[str, Any]:
        """The part of the usage that is known before anything is written."""
        return {
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": self.cache_write_tokens,
            "cache_read_input_tokens": 0,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_tokens,
                "ephemeral_1h_input_tokens": 0,
            },
        }

    def text_bytes(self) -> int:
        """Of all pieces."""
        return sum(len(piece.encode()) for piece in self.pieces)

    def shell(self) -> dict[str, Any]:
        """The message before anything is written, without its usage."""
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    def whole(self) -> dict[str, Any]:
        """The message without its usage."""
        content = [{"type": "text", "text": "".join(self.pieces)}] if self.pieces else []
        return {**self.shell(), "content": content, "stop_reason": self.stop_reason}


def message_answer(body: dict[str, Any], scenario: Scenario) -> MessageAnswer:
    """Answer a request that was validated. At most `max_tokens` pieces."""
    cap: int = body["max_tokens"]
    texts = [text_of(body.get("system")), *(text_of(message["content"]) for message in body["messages"])]
    texts = texts if texts[0] else texts[1:]
    if scenario.reasoning_only:
        thinking, pieces, cut = min(cap, DEFAULT_REASONING_TOKENS), list[str](), True
    else:
        pieces = pieces_of(canned_text(texts, scenario), scenario)
        cut = len(pieces) > cap
        thinking, pieces = 0, pieces[:cap]
    kept = sum(tokens_of(text) for text in _kept(body))
    read = sum(TOKENS_PER_MESSAGE + tokens_of(text) for text in texts) + TOKENS_PER_REPLY
    return MessageAnswer(
        id=f"msg_{uuid.uuid4().hex[:24]}",
        model=body["model"],
        pieces=pieces,
        stop_reason="max_tokens" if cut else "end_turn",
        input_tokens=max(0, read - kept),
        cache_write_tokens=min(kept, read),
        thinking_tokens=thinking,
    )


def _kept(body: dict[str, Any]) -> Iterator[str]:
    """The texts that the cache is told to keep."""
    for content in (body.get("system"), *(message["content"] for message in body["messages"])):
        for block in cast("list[dict[str, Any]]", content if isinstance(content, list) else []):
            if block.get("cache_control"):
                yield text_of([block])


class MessageStream:
    """Named events: what was read comes first, what was written with the end."""

    def __init__(self, answer: MessageAnswer, scenario: Scenario) -> None:
        self._answer, self._scenario = answer, scenario

    def pieces(self) -> Iterator[tuple[int, str]]:
        """One block of text."""
        return ((0, piece) for piece in self._answer.pieces)

    def usage(self, emitted: int) -> dict[str, Any]:
        """Anthropic's usage object."""
        return self._answer.usage(emitted)

    def begin(self) -> Iterator[bytes]:
        """The message begins, then its one block."""
        usage = self._usage_texts({**self._answer.read(), "output_tokens": 1, "service_tier": "standard"})
        message = with_usage(self._answer.shell(), usage[:1])
        yield f'event: message_start\ndata: {{"type": "message_start", "message": {message}}}\n\n'.encode()
        if self._answer.pieces:
            block = {"type": "text", "text": ""}
            yield named_event({"type": "content_block_start", "index": 0, "content_block": block})
        yield named_event({"type": "ping"})

    def piece(self, index: int, text: str) -> bytes:
        """Some text of the block."""
        delta = {"type": "text_delta", "text": text}
        return named_event({"type": "content_block_delta", "index": index, "delta": delta})

    def error(self) -> bytes:
        """As Anthropic breaks off."""
        return named_event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})

    def end(self) -> Iterator[bytes]:
        """The block is over; then why, with the tokens that were written: the others were said at the beginning."""
        if self._answer.pieces:
            yield named_event({"type": "content_block_stop", "index": 0})
        written = {"output_tokens": self._answer.usage()["output_tokens"]}
        delta = {"stop_reason": self._answer.stop_reason, "stop_sequence": None}
        for text in self._usage_texts(written) or [None]:
            told = with_usage({"type": "message_delta", "delta": delta}, [text] if text else [])
            yield f"event: message_delta\ndata: {told}\n\n".encode()

    def done(self) -> bytes:
        """It says nothing else."""
        return named_event({"type": "message_stop"})

    def _usage_texts(self, real: dict[str, Any]) -> list[str]:
        return self._scenario.usage_texts(real)
