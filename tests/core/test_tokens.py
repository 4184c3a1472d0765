"""The input bound against OpenAI's own tokenizer, which is given the same vocabulary offline."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import sys
import threading
import time
from typing import get_args

import pytest
import splintr
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from lib import config
from lib.core import tokens
from lib.core.tokens import COUNTED_MAX_BYTES, MARKED_MAX_BYTES, Vocabulary, bound, tokenizer
from tests.core.openai_tokenizer import openai_tokenizer, ranks, upstream_count
from tests.world import ROOT

VOCABULARIES = get_args(Vocabulary)
READ_TEXTS = {"chat_completions", "responses", "embeddings"}
each_vocabulary = pytest.mark.parametrize("vocabulary", VOCABULARIES)

MARKS = (
    "<|endoftext|>",
    "<|endofprompt|>",
    "<|im_start|>",
    "<|think|>",
    "<|",
    "'s",
    "'\u017f",
    "'RE",
    "K",
    "İ",
    "\u200d",
)
SPACES = (" ", "   ", "\n", "\r\n", "\t", "\u2028", "\u3000", "\x85", "\x00", "\ufeff")
WORDS = ("the", "Straße", "naïve", "ǅ", "中文", "日本語", "한국어", "👩‍👩‍👧", "٣٤", "12345", "e\u0301", "!?…", "/*")
texts = st.lists(
    st.sampled_from(MARKS + SPACES + WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    max_size=12,
).map("".join)


def prose() -> str:
    """English as people write it: our own documents."""
    return (ROOT / "README.md").read_text() + (ROOT / "docs" / "money.md").read_text()


def corpus() -> dict[str, str]:
    """Texts of many kinds, and those that were written to hurt tokenizers."""
    chance = random.Random(21)
    return {
        "english": prose(),
        "chinese": "我们今天去公园玩得很开心,明天再去看看别的地方。" * 300,
        "code": (ROOT / "lib" / "core" / "money.py").read_text(),
        "json": json.dumps([{"id": number, "name": f"item {number}", "tags": ["a", "b"]} for number in range(500)]),
        "base64": base64.b64encode(chance.randbytes(15_000)).decode(),
        "emoji": "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪" * 400,
        "control characters": "".join(chr(chance.randrange(32)) for _ in range(5_000)),
        "special tokens": "<|endoftext|><|endofprompt|><|im_start|>user<|im_sep|>" * 60,
        "anything": "".join(
            chr(chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000)))) for _ in range(5_000)
        ),
        "letters": "".join(chance.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(20_000)),
        "spaces": " " * 20_000,
        "a": "a" * 20_000,
        "newlines": "\n" * 20_000,
        "digits": "1" * 20_000,
        "nothing": "",
    }


@each_vocabulary
def test_the_vocabulary_is_the_one_that_openai_published(vocabulary: Vocabulary):
    """Written as OpenAI publishes it, our library's vocabulary has the hash that tiktoken asks for."""
    lines = [base64.b64encode(piece) + b" " + str(rank).encode() + b"\n" for piece, rank in ranks(vocabulary).items()]

    assert hashlib.sha256(b"".join(lines)).hexdigest() == openai_tokenizer(vocabulary)[1]


@each_vocabulary
@given(text=texts)
def test_the_bound_is_never_below_upstreams_count(text: str, vocabulary: Vocabulary):
    """Whatever the text: with the vocabulary, and with bytes alone, which are a bound for any vocabulary."""
    counted, by_bytes, upstream = (
        bound([text], tokenizer(vocabulary)),
        bound([text], None),
        upstream_count(text, vocabulary),
    )

    assert upstream <= counted <= by_bytes


@each_vocabulary
@pytest.mark.parametrize("kind", corpus())
def test_it_is_exact_on_texts_of_every_kind(kind: str, vocabulary: Vocabulary):
    """What upstream counts, to the token, for everything that people send and for what hurts."""
    text = corpus()[kind]

    assert bound([text], tokenizer(vocabulary)) == upstream_count(text, vocabulary)


@each_vocabulary
def test_texts_are_counted_each_for_itself(vocabulary: Vocabulary):
    """Several texts are the sum of each."""
    several = [text for kind, text in corpus().items() if kind != "nothing"][:4]

    assert bound(several, tokenizer(vocabulary)) == sum(upstream_count(text, vocabulary) for text in several)


@each_vocabulary
@pytest.mark.parametrize("text", ["<|endoftext|>", "say <|endofprompt|> twice"])
def test_special_tokens_are_text(text: str, vocabulary: Vocabulary):
    """A buyer who writes a special token sends letters, which are several tokens; a long text with one, its bytes."""
    long = text + "a" * MARKED_MAX_BYTES

    assert bound([text], tokenizer(vocabulary)) == upstream_count(text, vocabulary) > 1
    assert bound([long], tokenizer(vocabulary)) == len(long)


@each_vocabulary
def test_only_so_much_is_counted(vocabulary: Vocabulary):
    """Beyond the limit of one call a text counts as its bytes: nobody can keep the tokenizer busy."""
    counter = tokenizer(vocabulary)
    most, more = "a" * COUNTED_MAX_BYTES, "a" * 1_000_000

    assert bound([most, "bc"], counter) == upstream_count(most, vocabulary) + 2
    assert bound([more], counter) == 1_000_000


def test_others_run_while_a_long_text_is_counted():
    """The count of a long text holds no lock of the interpreter: another thread takes turns meanwhile."""
    text = "".join(chr(random.Random(3).randrange(0x4E00, 0x9FFF)) for _ in range(COUNTED_MAX_BYTES // 3))
    counter, turns, counted = tokenizer("o200k_base"), 0, threading.Event()

    def count() -> None:
        for _ in range(200):
            bound([text], counter)
        counted.set()

    counting = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # a thread gives the lock back only of its own accord
    try:
        counting.start()
        while not counted.is_set():
            turns += 1
            time.sleep(0.0001)
    finally:
        sys.setswitchinterval(interval)
    counting.join()

    assert turns > 3  # with the lock held none, or one before all counts


def test_buyers_words_are_forgotten():
    """What the library remembers stays small however much is counted."""
    library = splintr.Tokenizer.from_pretrained("o200k_base")
    counter = tokens.Tokenizer("o200k_base", library)
    for number in range(40):
        bound(["".join(chr(0x4E00 + (number * 977 + step) % 20_000) + " " for step in range(12_000))], counter)

    assert library.cache_len < 50_000


def test_a_lone_surrogate_is_no_text():
    """Orders never hold one; a bound of it would mean nothing."""
    for counter in (None, tokenizer("o200k_base")):
        with pytest.raises(UnicodeEncodeError):
            bound(["\ud800"], counter)


def test_only_what_openai_says_is_claimed():
    """Where texts are read each `tokenizer` of config.yaml is what OpenAI's own table says; others have none."""
    said = {
        model.id: model.tokenizer
        for api in config.read_config(ROOT / "config.yaml").apis.values()
        for endpoint in api.endpoints
        for model in endpoint.models
        if endpoint.protocol in READ_TEXTS or model.tokenizer
    }
    known: dict[str, str | None] = dict.fromkeys(said)
    for name in said:
        with contextlib.suppress(KeyError):
            known[name] = tiktoken.encoding_name_for_model(name)

    assert said == known
    assert {"gpt-4o-mini", "gpt-6-sol"} <= said.keys()
