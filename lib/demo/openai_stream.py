"""A chat completion as OpenAI's events, with the scenario's accidents at their exact places."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lib.demo.journal import Entry
    from lib.demo.openai_answers import ChatAnswer
    from lib.demo.scenario import Scenario

DONE = b"data: [DONE]\n\n"
IN_BAND_ERROR = {
    "message": "The server had an error processing your request.",
    "type": "server_error",
    "param": None,
    "code": None,
}


class CutOff(Exception):
    """The scenario ends the connection here; what was written before goes out."""


async def chat_events(
    answer: ChatAnswer, scenario: Scenario, entry: Entry, *, include_usage: bool
) -> AsyncGenerator[bytes, None]:
    """All events, the usage chunk last. Keeps the entry's usage true at every step. Raises CutOff."""
    chunk = _ChunkWriter(answer, include_usage=include_usage)
    for index in range(len(answer.choices)):
        yield chunk.choice(index, {"role": "assistant", "content": "", "refusal": None})
    for emitted, (index, piece) in enumerate(answer.interleaved()):
        if emitted in (scenario.cut_after_chunks, scenario.error_in_band_after_chunks):
            break
        await asyncio.sleep(scenario.chunk_delay_ms / 1000)
        entry.usage = answer.usage(emitted + 1)
        entry.text_bytes += len(piece.encode())
        yield chunk.choice(index, {"content": piece})
    if scenario.cut_after_chunks is not None:
        raise CutOff
    if scenario.error_in_band_after_chunks is not None:
        yield _event({"error": IN_BAND_ERROR})
        return
    for index in range(len(answer.choices)):
        yield chunk.choice(index, {}, answer.finish_reason)
    for text in scenario.usage_texts(answer.usage()) if include_usage else ():
        yield chunk.usage(text)
    if not scenario.no_done:
        yield DONE


class _ChunkWriter:
    def __init__(self, answer: ChatAnswer, *, include_usage: bool) -> None:
        self._null_usage = {"usage": None} if include_usage else {}
        self._head: dict[str, Any] = {
            "id": answer.id,
            "object": "chat.completion.chunk",
            "created": answer.created,
            "model": answer.model,
            "service_tier": "default",
            "system_fingerprint": None,
        }

    def choice(self, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        """A normal chunk: it has `usage: null` where a usage chunk will follow."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event({**self._head, "choices": [choice], **self._null_usage})

    def usage(self, text: str) -> bytes:
        """The final chunk: no choices, and the usage as JSON text."""
        head = json.dumps({**self._head, "choices": []})
        return f'data: {head[:-1]}, "usage": {text}}}\n\n'.encode()


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
