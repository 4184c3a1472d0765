"""A chat completion as OpenAI's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib.demo.stream import data_event, with_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lib.demo.openai_answers import ChatAnswer
    from lib.demo.scenario import Scenario

DONE = b"data: [DONE]\n\n"
IN_BAND_ERROR = {
    "message": "The server had an error processing your request.",
    "type": "server_error",
    "param": None,
    "code": None,
}


class ChatStream:
    """Chunks of choices, the usage chunk last if it was asked for, and `[DONE]`."""

    def __init__(self, answer: ChatAnswer, scenario: Scenario, *, include_usage: bool) -> None:
        self._answer, self._scenario, self._include_usage = answer, scenario, include_usage
        self._null_usage = {"usage": None} if include_usage else {}
        self._head: dict[str, Any] = {
            "id": answer.id,
            "object": "chat.completion.chunk",
            "created": answer.created,
            "model": answer.model,
            "service_tier": "default",
            "system_fingerprint": None,
        }

    def pieces(self) -> Iterator[tuple[int, str]]:
        """All choices grow side by side."""
        return self._answer.interleaved()

    def usage(self, emitted: int) -> dict[str, Any]:
        """OpenAI's usage object."""
        return self._answer.usage(emitted)

    def begin(self) -> Iterator[bytes]:
        """Each choice says its role."""
        for index in range(len(self._answer.choices)):
            yield self._choice(index, {"role": "assistant", "content": "", "refusal": None})

    def piece(self, index: int, text: str) -> bytes:
        """A chunk of one choice."""
        return self._choice(index, {"content": text})

    def error(self) -> bytes:
        """As OpenAI breaks off."""
        return data_event({"error": IN_BAND_ERROR})

    def end(self) -> Iterator[bytes]:
        """Each choice says why it ended; then a chunk for each usage, without choices."""
        for index in range(len(self._answer.choices)):
            yield self._choice(index, {}, self._answer.finish_reason)
        for text in self._scenario.usage_texts(self._answer.usage()) if self._include_usage else ():
            yield f"data: {with_usage({**self._head, 'choices': []}, [text])}\n\n".encode()

    def done(self) -> bytes:
        """No JSON."""
        return DONE

    def _choice(self, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        """A normal chunk: it has `usage: null` where a usage chunk will follow."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return data_event({**self._head, "choices": [choice], **self._null_usage})
