"""Reading usage: whatever way bytes are cut, and whatever JSON upstream makes up, the reading is the same and sane."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core.protocols.chat_completions import ChatCompletions, usage_of
from lib.core.sse import EVENT_MAX_BYTES, Event, EventKind, StreamReader
from lib.core.usage import TOKENS_MAX, Reading, Usage

CHAT = ChatCompletions()
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(texts, children, max_size=4),
    max_leaves=20,
)
counts = leaves | st.integers(0, TOKENS_MAX)
details = anything | st.dictionaries(
    st.sampled_from(["cached_tokens", "cache_write_tokens", "reasoning_tokens"]), counts
)
usages: st.SearchStrategy[Any] = anything | st.fixed_dictionaries(
    {"prompt_tokens": counts, "completion_tokens": counts},
    optional={"prompt_tokens_details": details, "completion_tokens_details": details},
)
choices = st.fixed_dictionaries(
    {}, optional={"delta": anything | st.fixed_dictionaries({"content": texts}), "finish_reason": leaves}
)
payloads: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {}, optional={"choices": anything | st.lists(choices, max_size=3), "usage": usages, "error": anything}
)
events = st.one_of(
    payloads.map(lambda value: b"data: " + json.dumps(value, ensure_ascii=False).encode()),
    st.sampled_from([b"data: [DONE]", b": comment", b"event: ping", b"data:", b"data: {\ndata: }", b"", b"\xff\xfe"]),
    st.binary(max_size=40),
)


def stream_of(parts: list[bytes], line_end: bytes) -> bytes:
    """Events, each closed by a blank line."""
    return b"".join(part.replace(b"\n", line_end) + line_end + line_end for part in parts)


streams = st.builds(stream_of, st.lists(events, max_size=8), st.sampled_from([b"\n", b"\r\n"]))


def read(*pieces: bytes) -> tuple[Reading, list[Event]]:
    """A stream that came in these pieces."""
    reader, found = StreamReader(CHAT), list[Event]()
    for piece in pieces:
        found += reader.feed(piece)
    found += reader.finish()
    return reader.reading, found


def chunk(content: str, **more: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": content}}], **more}).encode() + b"\n\n"


@given(streams, st.lists(st.integers(min_value=0, max_value=2_000)))
def test_where_the_wire_cut_a_stream_does_not_matter(stream: bytes, cuts: list[int]) -> None:
    """Any split gives the same reading, the same events and the same bytes."""
    borders = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in itertools.pairwise(borders)]

    whole, cut = read(stream), read(*pieces)

    assert cut == whole
    assert b"".join(event.raw for event in cut[1]) == stream


@given(streams)
def test_byte_by_byte_is_a_split_too(stream: bytes) -> None:
    """The worst one."""
    assert read(*[stream[at : at + 1] for at in range(len(stream))]) == read(stream)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    """And none are lost: what is not closed by a blank line is closed by us."""
    _, found = read(data)

    raw = b"".join(event.raw for event in found)
    assert raw.startswith(data) and set(raw[len(data) :]) <= {ord("\n")}


@given(usages)
def test_a_usage_is_believable_or_none(value: Any) -> None:
    """Whatever JSON comes: no exception, no negative count, and no part larger than its whole."""
    usage = usage_of(value)

    if usage is not None:
        assert 0 <= usage.input <= TOKENS_MAX
        assert 0 <= usage.output <= TOKENS_MAX
        assert min(usage.cached, usage.cache_write, usage.reasoning) >= 0
        assert usage.cached + usage.cache_write <= usage.input
        assert usage.counts()["input_tokens"] == usage.input


@given(payloads)
def test_a_reading_takes_any_payload(payload: dict[str, Any]) -> None:
    """Choices that are no choices, deltas that are no deltas: they hold no text."""
    reading = Reading()

    CHAT.take(reading, payload)

    assert reading.visible_bytes >= 0
    assert reading.failed == (payload.get("error") is not None)


@given(st.binary(max_size=60) | payloads.map(lambda value: json.dumps(value).encode()))
def test_a_plain_answer_is_complete_or_failed(body: bytes) -> None:
    """Never both, never neither."""
    reading = CHAT.read_whole(body, {})

    assert reading.complete is not reading.failed


@given(st.integers(0, TOKENS_MAX), st.integers(0, TOKENS_MAX))
def test_an_ordinary_usage_is_read_as_it_stands(tokens_in: int, tokens_out: int) -> None:
    """The happy case."""
    assert usage_of({"prompt_tokens": tokens_in, "completion_tokens": tokens_out}) == Usage(tokens_in, tokens_out)


def test_parts_of_the_usage_are_read() -> None:
    """Cached and cache-written tokens are parts of the input, reasoning is a part of the output."""
    said = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }

    assert usage_of(said) == Usage(100, 50, cached=60, cache_write=30, reasoning=40)


@pytest.mark.parametrize(
    ("cached", "written", "read_as"),
    [(200, 0, (100, 0)), (200, 200, (100, 0)), (60, 200, (60, 40)), (0, 200, (0, 100))],
)
def test_parts_never_exceed_the_whole(cached: int, written: int, read_as: tuple[int, int]) -> None:
    """The cheaper part keeps what it says, the dearer one gets the rest."""
    said = {
        "prompt_tokens": 100,
        "completion_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
    }

    usage = usage_of(said)

    assert usage and (usage.cached, usage.cache_write) == read_as


def test_separators_inside_of_texts_are_not_line_ends() -> None:
    """U+2028 and its like tore events apart in other readers, and lost their usage."""
    usage = {"prompt_tokens": 8, "completion_tokens": 17}
    payload = {"choices": [{"delta": {"content": "a\u2028b\u2029c\x85d\x0be\x0cf"}}], "usage": usage}
    stream = b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"

    reading, found = read(stream)

    assert (reading.usage, reading.visible_bytes) == (Usage(8, 17), 16)
    assert [(event.kind, event.payload) for event in found] == [(EventKind.USAGE, payload)]


def test_each_event_is_of_one_kind() -> None:
    """What the relay must know."""
    stream = (
        b": comment\n\n"
        + chunk("Hello")
        + chunk("", usage=None)
        + chunk("", usage={})
        + b'data: {"error": {}}\n\n'
        + b"data: [DONE]\n\n"
    )

    reading, found = read(stream)

    text, usage = EventKind.TEXT, EventKind.USAGE
    assert [event.kind for event in found] == [text, text, text, usage, EventKind.ERROR, EventKind.DONE]
    assert (reading.usage, reading.complete, reading.failed, reading.visible_bytes) == (None, True, True, 5)


def test_an_event_beyond_all_bounds_is_refused() -> None:
    """Memory is bounded whatever upstream sends without a line end."""
    reader = StreamReader(CHAT)

    reader.feed(b"data: " + b"x" * (EVENT_MAX_BYTES - 6))
    with pytest.raises(ValueError, match="too large"):
        reader.feed(b"x")


def test_many_lines_without_an_end_are_bounded_too() -> None:
    """The bound is on the event, not on its lines."""
    reader = StreamReader(CHAT)

    with pytest.raises(ValueError, match="too large"):
        reader.feed(b"data: x\n" * (EVENT_MAX_BYTES // 8 + 1))


def test_text_is_counted_however_deep_it_lies() -> None:
    """Deeper than our own stack."""
    delta: dict[str, Any] = {"content": "four"}
    for _ in range(5_000):
        delta = {"parts": [delta]}
    reading = Reading()

    CHAT.take(reading, {"choices": [{"delta": delta}]})

    assert reading.visible_bytes == 4


@pytest.mark.parametrize(
    ("reasons", "visible", "empty"),
    [
        ({"length"}, 0, True),
        ({"length"}, 1, False),
        ({"stop"}, 0, False),
        ({"length", "stop"}, 0, False),
        (set[str](), 0, False),
    ],
)
def test_an_answer_is_empty_by_its_cap_only_if_nothing_else_can_be(
    reasons: set[str], visible: int, empty: bool
) -> None:
    """No text at all, and every choice ran into the cap."""
    assert Reading(visible_bytes=visible, finish_reasons=reasons).empty_by_cap is empty
