"""What every double of a text API says: canned words that admit it, counted in tokens by a simple rule."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from lib.demo.scenario import Scenario

BYTES_PER_TOKEN = 4
DEFAULT_REASONING_TOKENS = 64
SAY = re.compile(r"\bsay (\w+)", re.IGNORECASE)
"""The one wish that the doubles grant: the word that a prompt asks them to say."""


def canned_text(texts: list[str], scenario: Scenario) -> str:
    """The answer to a conversation of these texts."""
    if scenario.content is not None:
        return scenario.content
    words = sum(len(text.split()) for text in texts)
    noun = "word" if words == 1 else "words"
    asked = SAY.search(texts[-1]) if texts else None
    said = f"{asked[1].capitalize()}! " if asked else ""
    return f"{said}This is a canned answer of the demo: no model was asked. Your prompt had {words} {noun}."


def pieces_of(text: str, scenario: Scenario) -> list[str]:
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


def tokens_of(text: str) -> int:
    """Bytes / 4, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def text_of(content: Any) -> str:
    """The text of a message's content: itself, or its parts' texts. Other parts count as their JSON."""
    if isinstance(content, list):
        return " ".join(_part_text(part) for part in cast("list[Any]", content))
    return content if isinstance(content, str) else ""


def _slices(text: str, count: int) -> list[str]:
    """`count` pieces of nearly one length whose sum is the text."""
    return [text[len(text) * i // count : len(text) * (i + 1) // count] for i in range(count)]


def _part_text(part: Any) -> str:
    text = cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else json.dumps(part)
