"""Chat completions, as OpenAI defined them and most providers speak them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib.core.protocols import images
from lib.core.protocols.base import Protocol, texts_of
from lib.core.sse import EventKind, encoded
from lib.core.usage import Usage, count_of, list_of, object_of, text_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lib.core.errors import ApiError
    from lib.core.protocols.images import Found
    from lib.core.schema import Endpoint
    from lib.core.usage import Reading

MAY_SAY_NOTHING = ("refusal", "annotations", "audio", "function_call", "tool_calls")
"""Members of an answer that are mostly null or empty."""


class ChatCompletions(Protocol):
    """`POST /chat/completions`: a stream ends with `[DONE]`, and says its usage in a chunk of its own if asked to."""

    name = "chat_completions"
    writes = True

    def __init__(self, *, reasoning_apart: bool = False) -> None:
        """`reasoning_apart`: upstream counts thinking beside the completion, not in it."""
        self._usage_of = usage_with_reasoning_apart if reasoning_apart else usage_of

    def spoken_by(self, endpoint: Endpoint) -> Protocol:
        """Some providers count otherwise."""
        return ChatCompletions(reasoning_apart=endpoint.reasoning_apart)

    def amend(self, fields: dict[str, Any]) -> None:
        """SDKs send earlier answers back whole: what says nothing in them is left out; not every provider takes it."""
        for message in map(object_of, list_of(fields.get("messages"))):
            for name in MAY_SAY_NOTHING:
                if not message.get(name, True):
                    del message[name]

    def pieces(self, parameters: Mapping[str, Any]) -> int:
        """Messages, the parts of each beyond its first, and tools."""
        contents = [object_of(message).get("content") for message in list_of(parameters.get("messages"))]
        return sum(max(1, len(list_of(content))) for content in contents) + len(parameters.get("tools", ()))

    def texts(self, parameters: Mapping[str, Any]) -> Iterator[str]:
        """What messages say."""
        for message in map(object_of, list_of(parameters.get("messages"))):
            yield from texts_of(message.get("content"))

    def images(self, fields: Mapping[str, Any]) -> Iterator[Found]:
        """Parts of messages."""
        for at, message in enumerate(map(object_of, list_of(fields.get("messages")))):
            yield from images.of_parts(message.get("content"), f"messages[{at}].content")

    def candidates(self, parameters: Mapping[str, Any]) -> int:
        """The written one, and `top_logprobs` others."""
        return 1 + int(parameters.get("top_logprobs", 0)) if parameters.get("logprobs") else 0

    def streamed(self, endpoint: Endpoint) -> dict[str, Any]:
        """The usage is asked for, unless upstream sends it anyway and refuses to be asked."""
        options = {"stream_options": {"include_usage": True}} if endpoint.stream_options else {}
        return {"stream": True, **options}

    def shows_usage(self, fields: Mapping[str, Any]) -> bool:
        """`stream_options.include_usage`."""
        return bool(object_of(fields.get("stream_options")).get("include_usage"))

    def take(self, reading: Reading, payload: dict[str, Any]) -> EventKind:
        """One chunk, or a whole completion. Of several usages the last believable one counts."""
        for choice in map(object_of, list_of(payload.get("choices"))):
            reason = choice.get("finish_reason")
            if isinstance(reason, str):
                reading.finish_reasons.add(reason)
            reading.visible_bytes += text_bytes(choice.get("delta") or choice.get("message") or {})
        reading.usage = self._usage_of(payload.get("usage")) or reading.usage
        if payload.get("error") is not None:
            reading.failed = True
            return EventKind.ERROR
        return EventKind.USAGE if payload.get("usage") is not None else EventKind.TEXT

    def without_usage(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """The usage chunk has no choices: without its usage nothing is left of it."""
        rest = {name: value for name, value in payload.items() if name != "usage"}
        return rest if rest.get("choices") else None

    def broken(self, error: ApiError) -> bytes:
        """SDKs raise `data: {"error": …}`."""
        return encoded(error.as_body())


def usage_of(value: object) -> Usage | None:
    """OpenAI's `usage` of a completion; None if it cannot be believed.

    DeepSeek says `prompt_cache_hit_tokens` for what OpenAI calls `cached_tokens`.
    """
    usage = object_of(value)
    details = object_of(usage.get("prompt_tokens_details"))
    return Usage.believed(
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        cached=details.get("cached_tokens", usage.get("prompt_cache_hit_tokens")),
        cache_write=details.get("cache_write_tokens"),
        reasoning=object_of(usage.get("completion_tokens_details")).get("reasoning_tokens"),
    )


def usage_with_reasoning_apart(value: object) -> Usage | None:
    """The same where thinking is counted beside the completion, as xAI and Gemini do; None if it cannot be believed.

    What was written is what the total leaves beside the prompt: so it is right also where thinking is not told apart,
    and where a provider has begun to count as OpenAI does. Without a usable total it is the sum of both.
    """
    usage = object_of(value)
    prompt, said = count_of(usage.get("prompt_tokens"), required=True), count_of(usage.get("completion_tokens"))
    details = object_of(usage.get("completion_tokens_details"))
    total, thought = count_of(usage.get("total_tokens"), required=True), count_of(details.get("reasoning_tokens"))
    if prompt is None or said is None or thought is None:
        return None
    written = said + thought if total is None or total < prompt + said else total - prompt
    told = {**details, "reasoning_tokens": thought or written - said}
    return usage_of({**usage, "completion_tokens": written, "completion_tokens_details": told})
