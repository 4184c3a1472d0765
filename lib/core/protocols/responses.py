"""Responses and decisions: OpenAI's newer usage object, and the named events of its streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib.core.protocols import images
from lib.core.protocols.base import Protocol, texts_of
from lib.core.sse import EventKind
from lib.core.usage import Usage, list_of, object_of, text_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lib.core.protocols.images import Found
    from lib.core.usage import Reading

READ = ("content", "output")
"""Members of an item with what is read."""
TERMINAL = frozenset({"response.completed", "response.incomplete"})
"""The last event of a stream; it carries the whole response with its usage."""


class Responses(Protocol):
    """`POST /responses`: an answer is a list of items; a stream repeats it whole in its last event."""

    name = "responses"
    writes = True
    answer_in = "response"
    event_max_bytes = 67_108_864  # the last one repeats the whole answer

    def amend(self, fields: dict[str, Any]) -> None:
        """Clients send thoughts back by their id alone. Nothing is stored, so upstream would look for them in vain."""
        if isinstance(fields.get("input"), list):
            fields["input"] = [item for item in fields["input"] if not _is_thought_by_name(object_of(item))]

    def pieces(self, parameters: Mapping[str, Any]) -> int:
        """Items, the parts of each beyond its first, tools, and the instructions."""
        items = [object_of(item) for item in list_of(parameters.get("input"))]
        parts = sum(max(1, *(len(list_of(item.get(name))) for name in READ)) for item in items)
        return parts + sum(map(_tools, [parameters, *items])) + 2

    def texts(self, parameters: Mapping[str, Any]) -> Iterator[str]:
        """The instructions, and what messages and tools say."""
        yield from texts_of(parameters.get("instructions"))
        told = parameters.get("input")
        if isinstance(told, str):
            yield told
        for item in map(object_of, list_of(told)):
            for name in READ:
                yield from texts_of(item.get(name))

    def images(self, fields: Mapping[str, Any]) -> Iterator[Found]:
        """Parts of messages and of what tools put out."""
        yield from _images(fields)

    def candidates(self, parameters: Mapping[str, Any]) -> int:
        """The written one, and `top_logprobs` others."""
        asked = "message.output_text.logprobs" in list_of(parameters.get("include"))
        return 1 + int(parameters.get("top_logprobs", 0)) if asked else 0

    def take(self, reading: Reading, payload: dict[str, Any]) -> EventKind:
        """One event, or a whole response."""
        kind = str(payload.get("type"))
        if payload.get("object") == "response":
            _take_response(reading, payload)
            reading.visible_bytes += text_bytes(payload.get("output"))
            return EventKind.ERROR if reading.failed else EventKind.USAGE
        if kind in TERMINAL:
            _take_response(reading, object_of(payload.get("response")))
            reading.complete = True
            return EventKind.USAGE
        if kind in {"error", "response.failed"} or payload.get("error") is not None:
            reading.failed = True  # what a failed response says it used is not the buyer's to pay
            return EventKind.ERROR
        if kind.endswith(".delta"):
            reading.visible_bytes += text_bytes(payload.get("delta"))
        return EventKind.TEXT

    def priced(self, payload: dict[str, Any], price: dict[str, int]) -> dict[str, Any]:
        """The usage is inside of the response."""
        response = object_of(payload.get("response"))
        return {**payload, "response": super().priced(response, price)}


class Decisions(Protocol):
    """`POST /decisions`: questions about a text, answered with probabilities. Nothing is written."""

    name = "decisions"

    def pieces(self, parameters: Mapping[str, Any]) -> int:
        """Items and questions."""
        return len(list_of(parameters.get("input"))) + len(list_of(parameters.get("questions"))) + 2

    def images(self, fields: Mapping[str, Any]) -> Iterator[Found]:
        """Parts of messages and of what tools put out."""
        yield from _images(fields)

    def take(self, reading: Reading, payload: dict[str, Any]) -> EventKind:
        """A whole answer. Its output is not billed."""
        usage = usage_of(payload.get("usage"))
        reading.usage = usage or reading.usage
        return super().take(reading, payload)


def _tools(holder: Mapping[str, Any]) -> int:
    """How many tools a body has, or an item, those in namespaces included."""
    tools = [object_of(tool) for tool in list_of(holder.get("tools"))]
    return len(tools) + sum(map(_tools, tools))


def _is_thought_by_name(item: Mapping[str, Any]) -> bool:
    return item.get("type") == "reasoning" and not (item.get("encrypted_content") or item.get("content"))


def _images(fields: Mapping[str, Any]) -> Iterator[Found]:
    for at, item in enumerate(map(object_of, list_of(fields.get("input")))):
        for name in READ:
            yield from images.of_parts(item.get(name), f"input[{at}].{name}")


def _take_response(reading: Reading, response: dict[str, Any]) -> None:
    reading.usage = usage_of(response.get("usage")) or reading.usage
    if response.get("status") == "failed" or response.get("error") is not None:
        reading.failed = True
    items = map(object_of, list_of(response.get("output")))
    reading.resumable = any(item.get("encrypted_content") for item in items)
    reason = object_of(response.get("incomplete_details")).get("reason")
    reading.finish_reasons.add("length" if reason == "max_output_tokens" else str(response.get("status")))


def usage_of(value: object) -> Usage | None:
    """The `usage` of a response; None if it cannot be believed."""
    usage = object_of(value)
    details = object_of(usage.get("input_tokens_details"))
    return Usage.believed(
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        cached=details.get("cached_tokens"),
        cache_write=details.get("cache_write_tokens"),
        reasoning=object_of(usage.get("output_tokens_details")).get("reasoning_tokens"),
    )
