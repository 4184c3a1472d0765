"""Every protocol: however the wire cut its streams, whatever JSON upstream makes up, the reading is the same and sane.

Chat completions in detail are in test_usage.py.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core.errors import ApiError, Code
from lib.core.protocols.base import Protocol
from lib.core.protocols.registry import PROTOCOLS
from lib.core.sse import Event, EventKind, StreamReader
from lib.core.usage import TOKENS_MAX, Reading, Usage

BROKEN = ApiError(Code.UPSTREAM_ERROR, "It broke.")
EVENT_TYPES = (
    *("response.created", "response.output_text.delta", "response.completed", "response.incomplete"),
    *("response.failed", "response.reasoning_summary_text.delta", "response", "error", "ping"),
    *("message", "message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop"),
)
COUNTED = (
    *("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "thinking_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
    "prompt_cache_hit_tokens",
)
HOLDERS = (
    *("choices", "delta", "message", "response", "usage", "output", "content", "error", "incomplete_details"),
    *("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details"),
)
LABELS = ("object", "status", "stop_reason", "finish_reason", "reason", "text", "id", "role")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
words = texts | st.sampled_from(
    ["response", "completed", "failed", "max_output_tokens", "max_tokens", "length", "stop"]
)
counts = (
    st.integers(-3, TOKENS_MAX + 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
    | texts
)
leaves = counts | words


members = st.sampled_from([*COUNTED, *HOLDERS, *LABELS])


def _merged(kind: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    return {**kind, **rest}


def _objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with the members that protocols look at, each of the right or of the wrong form."""
    kinds: st.SearchStrategy[Any] = st.sampled_from(EVENT_TYPES) | leaves | children
    return st.builds(
        _merged,
        st.fixed_dictionaries({}, optional={"type": kinds}),
        st.dictionaries(members, children, max_size=4),
    )


anything: st.SearchStrategy[Any] = st.recursive(
    leaves, lambda children: _objects(children) | st.lists(children, max_size=3), max_leaves=8
)
payloads = _objects(anything)


def event(payload: dict[str, Any]) -> bytes:
    """On the wire, with a name where its type is one."""
    kind = payload.get("type")
    name = f"event: {kind}\n".encode() if isinstance(kind, str) and kind.isprintable() else b""
    return name + b"data: " + json.dumps(payload, ensure_ascii=False).encode()


events = st.one_of(
    payloads.map(event),
    st.sampled_from([b"data: [DONE]", b": comment", b"event: ping\ndata: {}", b"data:", b"", b"\xff\xfe"]),
    st.binary(max_size=20),
)


def stream_of(parts: list[bytes], line_end: bytes) -> bytes:
    """Events, each closed by a blank line."""
    return b"".join(part.replace(b"\n", line_end) + line_end + line_end for part in parts)


streams = st.builds(stream_of, st.lists(events, max_size=6), st.sampled_from([b"\n", b"\r\n"]))
streamed = pytest.mark.parametrize("name", ["chat_completions", "responses", "messages"])
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=list(PROTOCOLS))


def read(protocol: Protocol, *pieces: bytes) -> tuple[Reading, list[Event]]:
    """A stream that came in these pieces."""
    reader, found = StreamReader(protocol), list[Event]()
    for piece in pieces:
        found += reader.feed(piece)
    found += reader.finish()
    return reader.reading, found


def assert_sane(reading: Reading) -> None:
    """Whatever is claimed can be billed: no count is negative or absurd, no part larger than its whole."""
    assert reading.visible_bytes >= 0
    if reading.usage is not None:
        billed = reading.usage.billed()
        assert all(count >= 0 for count in billed.values())
        assert sum(billed.values()) == reading.usage.input + reading.usage.output <= 4 * TOKENS_MAX


@streamed
@given(stream=streams, cuts=st.lists(st.integers(0, 2_000), max_size=8))
def test_where_the_wire_cut_a_stream_does_not_matter(name: str, stream: bytes, cuts: list[int]) -> None:
    """The same reading and the same events, whose bytes are the stream's own."""
    at = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
    pieces = [stream[start:end] for start, end in itertools.pairwise(at)]

    whole, cut_up = read(PROTOCOLS[name], stream), read(PROTOCOLS[name], *pieces)

    assert cut_up == whole
    assert b"".join(found.raw for found in whole[1]) in (stream, stream + b"\n", stream + b"\n\n")
    assert_sane(whole[0])


@every_protocol
@given(payload=payloads)
def test_a_reading_takes_any_payload(protocol: Protocol, payload: dict[str, Any]) -> None:
    """No JSON makes it fail, and what becomes of an event that tells a usage is JSON again."""
    reading = Reading()

    kind = protocol.take(reading, payload)

    assert_sane(reading)
    if kind is EventKind.USAGE:
        priced = protocol.priced(payload, {"charge_msat": 1, "balance_msat": 2})
        rest = protocol.without_usage(payload)
        assert all(json.loads(orjson.dumps(shown)) is not None for shown in (priced, rest) if shown is not None)


@every_protocol
@given(body=st.binary(max_size=60) | anything.map(orjson.dumps))
def test_a_whole_answer_is_complete_or_failed(protocol: Protocol, body: bytes) -> None:
    """Never both, never neither; a failed one cannot be charged as answered."""
    reading = protocol.read_whole(body, {})

    assert reading.complete is not reading.failed
    assert reading.answered is reading.complete
    assert_sane(reading)


@streamed
def test_our_own_word_for_a_break_reads_as_a_failure(name: str) -> None:
    """Who resells what we sell is told of a break in the form that this very protocol reads as one."""
    reading, [told] = read(PROTOCOLS[name], PROTOCOLS[name].broken(BROKEN))

    assert (told.kind, reading.failed, reading.complete) == (EventKind.ERROR, True, False)


# What each protocol says of its usage, in its own words, and what is read of it.


def response(status: str, **more: Any) -> dict[str, Any]:
    """A response with a usage of which each part has a number of its own."""
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 30},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 40},
        "total_tokens": 150,
    }
    output = [
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi!"}]}
    ]
    return {"object": "response", "status": status, "error": None, "output": output, "usage": usage, **more}


CUT: dict[str, Any] = {"incomplete_details": {"reason": "max_output_tokens"}}
OF_RESPONSE = Usage(100, 50, cached=20, cache_write=30, reasoning=40)
DELTA: dict[str, Any] = {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "Hi!"}
THOUGHT: dict[str, Any] = {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "delta": "Hm."}
ARGUMENTS: dict[str, Any] = {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": '{"a":1}'}


@pytest.mark.parametrize(
    ("told", "usage", "visible", "ends"),
    [
        ([DELTA, {"type": "response.completed", "response": response("completed")}], OF_RESPONSE, 3, (True, False)),
        ([THOUGHT, ARGUMENTS], None, 10, (False, False)),
        ([{"type": "response.incomplete", "response": response("incomplete", **CUT)}], OF_RESPONSE, 0, (True, False)),
        ([DELTA, {"type": "response.failed", "response": response("failed")}], None, 3, (False, True)),
        ([DELTA, {"type": "error", "code": "server_error", "message": "Sorry", "param": None}], None, 3, (False, True)),
        ([DELTA, {"error": {"message": "Sorry"}}], None, 3, (False, True)),
        (
            [{"type": "response.created", "response": {**response("in_progress"), "usage": None}}],
            None,
            0,
            (False, False),
        ),
    ],
    ids=["completed", "deltas", "incomplete", "failed", "error event", "chat's error", "begun"],
)
def test_a_stream_of_a_response(told: list[Any], usage: Usage | None, visible: int, ends: tuple[bool, bool]) -> None:
    """The usage is in the last event, and does not count if the response failed; all deltas are visible text."""
    reading, _ = read(PROTOCOLS["responses"], *(event(one) + b"\n\n" for one in told))

    assert (reading.usage, reading.visible_bytes, (reading.complete, reading.failed)) == (usage, visible, ends)


def test_a_response_that_is_whole() -> None:
    """Its text is visible once; a failed one is no answer, whatever it used."""
    whole = PROTOCOLS["responses"].read_whole(orjson.dumps(response("completed")), {})
    failed = PROTOCOLS["responses"].read_whole(orjson.dumps(response("failed", error={"code": "server_error"})), {})

    assert (whole.usage, whole.visible_bytes, whole.answered) == (OF_RESPONSE, 3, True)
    assert not failed.answered


def test_a_response_that_only_thought_ended_by_its_cap() -> None:
    """It is told apart from one that was stopped with text."""
    nothing = PROTOCOLS["responses"].read_whole(orjson.dumps(response("incomplete", **CUT, output=[])), {})
    something = PROTOCOLS["responses"].read_whole(orjson.dumps(response("incomplete", **CUT)), {})

    assert (nothing.empty_by_cap, something.empty_by_cap) == (True, False)


@pytest.mark.parametrize(("sealed", "empty"), [("gAAAA", False), (None, True)])
def test_thoughts_that_can_be_gone_on_from_are_an_answer(sealed: str | None, empty: bool) -> None:
    """Else whoever asks for them sealed, and names no cap, would think for nothing, call after call."""
    thought: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed}
    told = response("incomplete", **CUT, output=[thought])
    whole = PROTOCOLS["responses"].read_whole(orjson.dumps(told), {})
    streamed, _ = read(PROTOCOLS["responses"], event({"type": "response.incomplete", "response": told}) + b"\n\n")

    assert (whole.empty_by_cap, streamed.empty_by_cap) == (empty, empty)


READ: dict[str, Any] = {"input_tokens": 50, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 30}
START: dict[str, Any] = {
    "type": "message_start",
    "message": {"type": "message", "content": [], "usage": {**READ, "output_tokens": 1}},
}
TEXT: dict[str, Any] = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi!"}}
JSON: dict[str, Any] = {
    "type": "content_block_delta",
    "index": 1,
    "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'},
}
SIGNED: dict[str, Any] = {
    "type": "content_block_delta",
    "index": 2,
    "delta": {"type": "signature_delta", "signature": "x" * 99},
}
WRITTEN: dict[str, Any] = {"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 40}}
STOP: dict[str, Any] = {"type": "message_stop"}


def delta(**usage: Any) -> dict[str, Any]:
    """The last word on the usage."""
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


@pytest.mark.parametrize(
    ("told", "usage", "visible", "ends"),
    [
        ([START, TEXT, delta(**WRITTEN), STOP], OF_RESPONSE, 3, (True, False)),
        ([START, JSON, SIGNED, delta(**WRITTEN)], OF_RESPONSE, 7, (False, False)),
        ([START, delta(**WRITTEN, input_tokens=60), STOP], Usage(110, 50, 20, 30, 40), 0, (True, False)),
        ([START, delta(**WRITTEN, input_tokens=None), STOP], OF_RESPONSE, 0, (True, False)),
        ([START, delta(**WRITTEN), delta(output_tokens=51), STOP], Usage(100, 51, 20, 30), 0, (True, False)),
        ([START, delta(**WRITTEN), delta(output_tokens=-1), STOP], OF_RESPONSE, 0, (True, False)),
        ([delta(**WRITTEN), STOP], None, 0, (True, False)),
        ([START, TEXT], None, 3, (False, False)),
        ([START, {"type": "error", "error": {"type": "overloaded_error"}}], None, 0, (False, True)),
    ],
    ids=["whole", "tools", "more", "null", "twice", "unbelievable", "no start", "cut", "error"],
)
def test_a_stream_of_a_message(told: list[Any], usage: Usage | None, visible: int, ends: tuple[bool, bool]) -> None:
    """What was read is said first, what was written last; what the cache kept or had is beside the input."""
    reading, _ = read(PROTOCOLS["messages"], *(event(one) + b"\n\n" for one in told))

    assert (reading.usage, reading.visible_bytes, (reading.complete, reading.failed)) == (usage, visible, ends)


def test_a_message_that_is_whole() -> None:
    """As a stream of it; the cap that ended it is told as other protocols tell it."""
    told: dict[str, Any] = {"type": "message", "content": [], "stop_reason": "max_tokens", "usage": {**READ, **WRITTEN}}

    reading = PROTOCOLS["messages"].read_whole(orjson.dumps(told), {})

    assert (reading.usage, reading.answered, reading.empty_by_cap) == (OF_RESPONSE, True, True)


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "cache_read_input_tokens"])
@pytest.mark.parametrize("value", [-1, 2.5, "7", True, TOKENS_MAX + 1, [1]])
def test_a_message_whose_usage_is_unbelievable_has_none(name: str, value: Any) -> None:
    """One count that cannot be is enough."""
    told: dict[str, Any] = {"type": "message", "content": [], "usage": {**READ, **WRITTEN, name: value}}

    assert PROTOCOLS["messages"].read_whole(orjson.dumps(told), {}).usage is None


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
@pytest.mark.parametrize("value", [-1, 2.5, "7", True, None, TOKENS_MAX + 1, [1]])
def test_a_response_whose_usage_is_unbelievable_has_none(name: str, value: Any) -> None:
    """One count that cannot be is enough, for decisions too."""
    told = response("completed")
    told["usage"] = {**told["usage"], name: value}

    assert PROTOCOLS["responses"].read_whole(orjson.dumps(told), {}).usage is None
    assert PROTOCOLS["decisions"].read_whole(orjson.dumps({"answers": [], "usage": told["usage"]}), {}).usage is None
