"""What an operator does not serve: words and patterns that no request may hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from lib.core.errors import ApiError, Code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lib.core.order import Order

NO_TEXT = frozenset({"model", "role", "type", "id", "call_id", "tool_call_id", "detail", "format", "voice"})
"""Members whose texts are names that upstream gives, not words of a buyer."""
ENCODED = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,", re.IGNORECASE)
"""An inline file: its letters are no words."""


class Blocklist:
    """Compiled once. What was found is never told nor logged: it is the buyer's text, and the list the operator's."""

    def __init__(self, words: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """Words and phrases as a whole, in any case; patterns as Python's `re` reads them. Raises ValueError."""
        listed = [re.escape(word.strip()) for word in words if word.strip()]
        whole = [rf"(?<!\w)(?:{'|'.join(listed)})(?!\w)"] if listed else []
        try:
            self._rules = [re.compile(rule, re.IGNORECASE) for rule in [*whole, *patterns]]
        except re.error as error:
            raise ValueError(f"blocklist.patterns: {error}") from error

    def require_served(self, order: Order) -> None:
        """Raises ApiError content_blocked; nothing was invoiced."""
        if self._rules and any(rule.search(text) for text in words_of(order) for rule in self._rules):
            raise ApiError(Code.CONTENT_BLOCKED)


def words_of(order: Order) -> Iterator[str]:
    """Every text that a buyer wrote into a request, wherever it stands."""
    yield from _texts(dict(order.parameters))


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            if not ENCODED.match(value):
                yield value
        case dict():
            for name, member in cast("dict[str, object]", value).items():
                if not (name in NO_TEXT and isinstance(member, str)):
                    yield from _texts(member)
        case list():
            for member in cast("list[object]", value):
                yield from _texts(member)
        case _:
            return
