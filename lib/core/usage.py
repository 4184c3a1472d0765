"""What an answer used, as values. How each protocol says it is in lib/core/protocols.

Upstream is not trusted: a usage that is negative, fractional, text or absurd counts as unknown, and what an unknown
usage costs is decided in pricing.py from what the answer visibly holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

from lib.core.units import Unit

TOKENS_MAX = 100_000_000
"""More tokens than any model reads or writes: a larger count is a mistake of upstream's."""
LABELS = frozenset({"role", "id", "type", "status", "call_id", "signature", "encrypted_content"})
"""Members of a message that hold nothing a buyer reads."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `cached`, `cache_write` and `image_input` are parts of `input`, `reasoning` of `output`."""

    input: int
    output: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    image_input: int = 0

    @staticmethod
    def believed(
        tokens_in: object,
        tokens_out: object,
        *,
        cached: object = None,
        cache_write: object = None,
        reasoning: object = None,
        image_input: object = None,
    ) -> Usage | None:
        """A usage of these counts as upstream says them; None if one cannot be believed.

        The first two are required. Parts never exceed their whole: the cheaper part keeps what it says.
        """
        counts = [count_of(tokens_in, required=True), count_of(tokens_out, required=True)]
        counts += [count_of(part) for part in (cached, cache_write, reasoning, image_input)]
        known = [count for count in counts if count is not None]
        if len(known) != len(counts):
            return None
        whole, written, read, stored, thought, seen = known
        read = min(read, whole)
        stored = min(stored, whole - read)
        return Usage(whole, written, read, stored, min(thought, written), min(seen, whole - read - stored))

    def billed(self) -> dict[Unit, int]:
        """Each token under the one unit that it is billed as."""
        return {
            Unit.INPUT: self.input - self.cached - self.cache_write - self.image_input,
            Unit.CACHED_INPUT: self.cached,
            Unit.CACHE_WRITE: self.cache_write,
            Unit.IMAGE_INPUT: self.image_input,
            Unit.OUTPUT: self.output - self.reasoning,
            Unit.REASONING: self.reasoning,
        }

    def counts(self) -> dict[str, int]:
        """For the buyer's history: our own names; what most models lack only where it is there."""
        counts = {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cached_input_tokens": self.cached,
            "cache_write_tokens": self.cache_write,
            "reasoning_tokens": self.reasoning,
        }
        if self.image_input:
            counts["image_input_tokens"] = self.image_input
        return counts


@dataclass(slots=True)
class Reading:
    """What has been read of an answer so far."""

    usage: Usage | None = None
    """The last that was believable. Some providers say in every event what was used so far."""
    visible_bytes: int = 0
    """UTF-8 bytes of generated text: content, reasoning, refusals, tool arguments."""
    complete: bool = False
    """The answer came to its end: its protocol's last event, or one whole body."""
    failed: bool = False
    """Upstream sent an error instead of (the rest of) an answer."""
    finish_reasons: set[str] = field(default_factory=set[str])
    """Why each answer ended; `length` where the output cap ended it, whatever the protocol calls that."""
    resumable: bool = False
    """It holds thoughts, unreadable to the buyer, that another request can go on from."""
    answers: int | None = None
    """How many answers there are, where that is seen."""
    measured: dict[Unit, int] = field(default_factory=dict[Unit, int])
    """What the answer says of what is billed beside tokens."""
    said: dict[str, Any] = field(default_factory=dict[str, Any])
    """What was said of the usage in parts, where a protocol does so."""

    @property
    def answered(self) -> bool:
        """The whole answer is there."""
        return self.complete and not self.failed

    @property
    def last_word(self) -> Reading:
        """The same, without a usage that was said before upstream broke off: it was not the whole."""
        ended = (self.complete or self.finish_reasons) and not self.failed
        return self if ended else replace(self, usage=None)

    @property
    def empty_by_cap(self) -> bool:
        """Nothing of use, because the output cap was reached before the model spoke."""
        return not self.visible_bytes and not self.resumable and self.finish_reasons == {"length"}


def object_of(value: object) -> dict[str, Any]:
    """A JSON object, or an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """A JSON array, or an empty one for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def count_of(value: object, *, required: bool = False) -> int | None:
    """A believable count; None if it is not one. An absent optional count is 0."""
    if value is None and not required:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= TOKENS_MAX:
        return None
    return value


def text_bytes(value: object) -> int:
    """UTF-8 bytes of all generated text in a message or delta: every string but the labels.

    Without recursion: JSON may be nested deeper than our stack.
    """
    size, left = 0, [value]
    while left:
        part = left.pop()
        if isinstance(part, str):
            size += len(part.encode("utf-8", "ignore"))
        elif isinstance(part, dict):
            members = cast("dict[str, object]", part)
            left += [member for name, member in members.items() if name not in LABELS]
        elif isinstance(part, list):
            left += cast("list[object]", part)
    return size
