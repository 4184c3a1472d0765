"""What the OpenAI double answers as Responses: one message, whole or as named events."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lib.demo.openai_stream import IN_BAND_ERROR
from lib.demo.stream import named_event, with_usage
from lib.demo.words import DEFAULT_REASONING_TOKENS, canned_text, pieces_of, text_of, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lib.demo.scenario import Scenario

TOKENS_PER_ITEM = 3
TOKENS_PER_REPLY = 3


@dataclass(frozen=True, slots=True)
class ResponseAnswer:
    """One answer, decided before the first byte. A piece is a token."""

    id: str
    item_id: str
    created: int
    asked: dict[str, Any]
    pieces: list[str]
    input_tokens: int
    reasoning_tokens: int
    status: str
    """`completed`, `incomplete` where the cap ended it, or `failed`."""

    def usage(self, emitted: int | None = None) -> dict[str, Any]:
        """OpenAI's newer usage object, for all pieces or only for those `emitted`."""
        output = (len(self.pieces) if emitted is None else emitted) + self.reasoning_tokens
        return {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": self.input_tokens + output,
        }

    def text_bytes(self) -> int:
        """Of all pieces."""
        return sum(len(piece.encode()) for piece in self.pieces)

    def item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        """The one item of output."""
        return {"id": self.item_id, "type": "message", "status": status, "content": content, "role": "assistant"}

    def whole(self, status: str | None = None) -> dict[str, Any]:
        """The response without its usage; with a status of its own it is the shell that a stream begins with."""
        running = status is not None
        content = [output_text("".join(self.pieces))] if self.pieces else []
        cut = self.status == "incomplete" and not running
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status or self.status,
            "error": {"code": "server_error", "message": IN_BAND_ERROR["message"]} if self.status == "failed" else None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": self.asked.get("instructions"),
            "max_output_tokens": self.asked.get("max_output_tokens"),
            "model": self.asked["model"],
            "output": [self.item(self.status, content)] if content and not running else [],
            "parallel_tool_calls": self.asked.get("parallel_tool_calls", True),
            "service_tier": "default",
            "store": self.asked.get("store", True),
            "temperature": self.asked.get("temperature", 1.0),
            "text": {"format": {"type": "text"}},
            "tool_choice": self.asked.get("tool_choice", "auto"),
            "tools": self.asked.get("tools", []),
            "top_p": self.asked.get("top_p", 1.0),
            "truncation": "disabled",
            "metadata": {},
        }


def response_answer(body: dict[str, Any], scenario: Scenario) -> ResponseAnswer:
    """Answer a request that was validated. At most `max_output_tokens` pieces."""
    cap: int | None = body.get("max_output_tokens")
    texts = _texts(body)
    if scenario.reasoning_only:
        reasoning, pieces, cut = cap or DEFAULT_REASONING_TOKENS, list[str](), True
    else:
        pieces = pieces_of(canned_text(texts, scenario), scenario)
        cut = cap is not None and len(pieces) > cap
        reasoning, pieces = 0, pieces[:cap]
    return ResponseAnswer(
        id=f"resp_{uuid.uuid4().hex}",
        item_id=f"msg_{uuid.uuid4().hex}",
        created=int(time.time()),
        asked=body,
        pieces=pieces,
        input_tokens=sum(TOKENS_PER_ITEM + tokens_of(text) for text in texts) + TOKENS_PER_REPLY,
        reasoning_tokens=reasoning,
        status="failed" if scenario.failed else "incomplete" if cut else "completed",
    )


def output_text(text: str) -> dict[str, Any]:
    """A part of an item."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


class ResponseStream:
    """Named events, numbered; the last one repeats the whole response with its usage."""

    def __init__(self, answer: ResponseAnswer, scenario: Scenario) -> None:
        self._answer, self._scenario = answer, scenario
        self._number = 0

    def pieces(self) -> Iterator[tuple[int, str]]:
        """One message."""
        return ((0, piece) for piece in self._answer.pieces)

    def usage(self, emitted: int) -> dict[str, Any]:
        """OpenAI's newer usage object."""
        return self._answer.usage(emitted)

    def begin(self) -> Iterator[bytes]:
        """The response begins, then its one message, then the message's one part."""
        shell = self._answer.whole("in_progress")
        yield self._event("response.created", response={**shell, "usage": None})
        yield self._event("response.in_progress", response={**shell, "usage": None})
        if self._answer.pieces:
            item = self._answer.item("in_progress", [])
            yield self._event("response.output_item.added", output_index=0, item=item)
            yield self._part_event("response.content_part.added", part=output_text(""))

    def piece(self, index: int, text: str) -> bytes:
        """Some text of the part."""
        return self._part_event("response.output_text.delta", delta=text, logprobs=[], output_index=index)

    def error(self) -> bytes:
        """A response that failed, if the scenario says so; else an error of the stream itself."""
        if self._scenario.failed:
            return self._last("failed")
        return self._event("error", code="server_error", message=IN_BAND_ERROR["message"], param=None)

    def end(self) -> Iterator[bytes]:
        """Part and message are done, each told whole once more."""
        if self._answer.pieces:
            text = "".join(self._answer.pieces)
            item = self._answer.item(self._answer.status, [output_text(text)])
            yield self._part_event("response.output_text.done", text=text, logprobs=[])
            yield self._part_event("response.content_part.done", part=output_text(text))
            yield self._event("response.output_item.done", output_index=0, item=item)

    def done(self) -> bytes:
        """Named by how the response ended."""
        return self._last(self._answer.status)

    def _last(self, status: str) -> bytes:
        usage = self._scenario.usage_texts(self._answer.usage())
        response = with_usage(self._answer.whole(), usage)
        head = f'{{"type": "response.{status}", "sequence_number": {self._next()}, "response": '
        return f"event: response.{status}\ndata: {head}{response}}}\n\n".encode()

    def _part_event(self, kind: str, **more: Any) -> bytes:
        where = {"item_id": self._answer.item_id, "output_index": 0, "content_index": 0}
        return self._event(kind, **{**where, **more})

    def _event(self, kind: str, **more: Any) -> bytes:
        return named_event({"type": kind, "sequence_number": self._next(), **more})

    def _next(self) -> int:
        self._number += 1
        return self._number - 1


def _texts(body: dict[str, Any]) -> list[str]:
    """The instructions, and the text of each item of the input: what was said, called or put out."""
    given = body["input"]
    instructions = body.get("instructions")
    texts = [instructions] if isinstance(instructions, str) else []
    if isinstance(given, str):
        return [*texts, given]
    for item in cast("list[dict[str, Any]]", given):
        held = [item[name] for name in ("content", "output", "arguments", "input") if name in item]
        texts.append(" ".join(text_of(value) for value in held))
    return texts
