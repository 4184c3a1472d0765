"""How many tokens a text can be at most: counted where the model's vocabulary is public, its UTF-8 bytes elsewhere.

Every byte-level tokenizer begins with single bytes and only ever merges them, so bytes are a bound for each of them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal, TypeAlias

import splintr

if TYPE_CHECKING:
    from collections.abc import Iterable

Vocabulary: TypeAlias = Literal["o200k_base", "cl100k_base"]
"""Public vocabularies of OpenAI's models. Newer models than those it published them for have none."""

COUNTED_MAX_BYTES = 262_144
"""Of one call; what goes beyond counts as its bytes. Random text of this length takes 35 ms, English 2."""
MARKED_MAX_BYTES = 4_096
"""Of one text with SPECIAL in it; a longer one counts as its bytes."""
FORGOTTEN_AFTER_BYTES = 1_000_000
"""The library remembers pieces of texts, up to 22 MB. They are buyers' words, so they are forgotten now and then."""
ID_BYTES = 4
"""A token's id, where the library hands out many at once."""
SPECIAL = "<|"
"""Begins `<|endoftext|>` and its like: text where a buyer writes it, one token to the way of counting most texts."""
LONG_S = "\u017f"
"""The long s, an `s` to upstream's rule for `'s`, not to the library's: a text with it counts as its bytes."""


class Tokenizer:
    """Counts the tokens of one vocabulary. Several threads may count at once."""

    def __init__(self, vocabulary: Vocabulary, library: splintr.AnyTokenizer) -> None:
        """`library` is the library's tokenizer with this vocabulary."""
        self.vocabulary = vocabulary
        self._library = library
        self._remembered_bytes = 0

    def bound(self, texts: Iterable[str]) -> int:
        """The sum of the texts' tokens, each counted for itself, or more. Raises ValueError for a lone surrogate.

        Other threads run meanwhile.
        """
        total, left, plain = 0, COUNTED_MAX_BYTES, list[str]()
        for text in texts:
            size = len(text.encode())
            if size > left or LONG_S in text or (SPECIAL in text and size > MARKED_MAX_BYTES):
                total += size
                continue
            left -= size
            if SPECIAL in text:
                total += len(self._library.encode_ordinary(text))
            else:
                plain.append(text)
        ids, _ = self._library.encode_batch_flat(plain)
        self._forget(COUNTED_MAX_BYTES - left)
        return total + len(ids) // ID_BYTES

    def _forget(self, counted_bytes: int) -> None:
        self._remembered_bytes += counted_bytes
        if self._remembered_bytes > FORGOTTEN_AFTER_BYTES:
            self._remembered_bytes = 0
            self._library.clear_cache()


@functools.cache
def tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """The one counter of a vocabulary in this process; the first call takes a tenth of a second and 30 MB."""
    return Tokenizer(vocabulary, splintr.Tokenizer.from_pretrained(vocabulary))


def bound(texts: Iterable[str], counter: Tokenizer | None) -> int:
    """The most tokens these texts can be to a model: exact with its counter, their UTF-8 bytes without one.

    What upstream adds around them is not in it. Raises ValueError for a lone surrogate, which is no text.
    """
    return sum(len(text.encode()) for text in texts) if counter is None else counter.bound(texts)
