"""Anthropic's Messages: usage in two parts, and tokens of the prompt cache counted beside the input."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lib.core.protocols import images
from lib.core.protocols.base import Demand, Protocol
from lib.core.sse import EventKind
from lib.core.usage import Usage, count_of, list_of, object_of, text_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lib.core.catalog import Model
    from lib.core.protocols.base import Media
    from lib.core.protocols.images import Found
    from lib.core.usage import Reading

TOKENS_FOR_TOOLS = 1_024
"""What the provider's own instructions add once a request has tools; its documents say up to about 700."""

INPUT_PARTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Messages(Protocol):
    """`POST /messages`: a stream begins with what was read, ends with what was written and then `message_stop`."""

    name = "messages"
    writes = True
    answer_in = "message"

    def images(self, fields: Mapping[str, Any]) -> Iterator[Found]:
        """Blocks of messages, and of what tools put out."""
        for at, message in enumerate(map(object_of, list_of(fields.get("messages")))):
            yield from images.of_blocks(message.get("content"), f"messages[{at}].content")

    def demand(self, model: Model, parameters: Mapping[str, Any], media: Media) -> Demand:
        """Tools bring instructions of the provider's own."""
        demand = super().demand(model, parameters, media)
        more = TOKENS_FOR_TOOLS if parameters.get("tools") else 0
        return replace(demand, input_tokens=demand.input_tokens + more)

    def pieces(self, parameters: Mapping[str, Any]) -> int:
        """Messages, their blocks, tools and the system prompt's blocks."""
        messages = list_of(parameters.get("messages"))
        blocks = sum(len(list_of(object_of(message).get("content"))) for message in messages)
        return len(messages) + blocks + len(parameters.get("tools", ())) + len(list_of(parameters.get("system"))) + 1

    def take(self, reading: Reading, payload: dict[str, Any]) -> EventKind:
        """One event, or a whole message."""
        match payload.get("type"):
            case "message":
                reading.visible_bytes += text_bytes(payload.get("content"))
                _take_end(reading, payload)
                return EventKind.USAGE
            case "message_start":
                reading.said |= object_of(object_of(payload.get("message")).get("usage"))
            case "content_block_delta":
                reading.visible_bytes += text_bytes(payload.get("delta"))
            case "message_delta":
                _take_end(reading, {**object_of(payload.get("delta")), "usage": payload.get("usage")})
                return EventKind.USAGE
            case "message_stop":
                reading.complete = True
                return EventKind.DONE
            case _:
                return super().take(reading, payload)
        return EventKind.TEXT


def _take_end(reading: Reading, message: dict[str, Any]) -> None:
    """The last word on the usage. Its counts are cumulative: what it leaves out was said at the beginning."""
    said = {name: value for name, value in object_of(message.get("usage")).items() if value is not None}
    if said:
        reading.usage = usage_of({**reading.said, **said}) or reading.usage
    reason = message.get("stop_reason")
    if isinstance(reason, str):
        reading.finish_reasons.add("length" if reason == "max_tokens" else reason)


def usage_of(usage: Mapping[str, Any]) -> Usage | None:
    """Anthropic's counts as parts of one input; None if they cannot be believed."""
    told = [count_of(usage.get(name), required=name == "input_tokens") for name in INPUT_PARTS]
    parts = [count for count in told if count is not None]
    if len(parts) != len(told):
        return None
    return Usage.believed(
        sum(parts),
        usage.get("output_tokens"),
        cached=parts[1],
        cache_write=parts[2],
        reasoning=object_of(usage.get("output_tokens_details")).get("thinking_tokens"),
    )
