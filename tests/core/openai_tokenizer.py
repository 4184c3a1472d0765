"""OpenAI's own tokenizer without the net: its rules, and the merges that our library brings."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import splintr
import tiktoken
from tiktoken_ext import openai_public

from lib.core.tokens import Vocabulary

SIZES = {"o200k_base": 199_998, "cl100k_base": 100_256}


@functools.cache
def ranks(vocabulary: Vocabulary) -> dict[bytes, int]:
    """The merges as our library knows them, which tiktoken would fetch from the net."""
    library = splintr.Tokenizer.from_pretrained(vocabulary)
    return {library.decode_token_bytes(rank): rank for rank in range(SIZES[vocabulary])}


@functools.cache
def openai_tokenizer(vocabulary: Vocabulary) -> tuple[tiktoken.Encoding, str]:
    """OpenAI's tokenizer with these merges and its own rules, and the hash by which it knows the right merges."""
    hashes: list[str] = []

    def load(_url: str, expected_hash: str) -> dict[bytes, int]:
        hashes.append(expected_hash)
        return ranks(vocabulary)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", load)
        rules: Callable[[], dict[str, object]] = getattr(openai_public, vocabulary)
        return tiktoken.Encoding(**rules()), hashes[0]  # pyright: ignore[reportArgumentType]


def upstream_count(text: str, vocabulary: Vocabulary) -> int:
    """What OpenAI's tokenizer makes of a text in which nothing is special."""
    return len(openai_tokenizer(vocabulary)[0].encode_ordinary(text))
