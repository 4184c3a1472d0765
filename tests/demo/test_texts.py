"""The doubles of responses, moderations, decisions, messages and a search, as the official SDKs see them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from lib.demo.parts import DemoParts
from tests.demo.conftest import client_of

MODEL, CLAUDE = "gpt-4o-mini", "claude-haiku-5-5"
SAID = "This is a canned answer of the demo: no model was asked. Your prompt had 1 word."
ASKED: list[Any] = [{"role": "user", "content": "Hello"}]
MESSAGE: dict[str, Any] = {"model": CLAUDE, "max_tokens": 100, "messages": ASKED}
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture
async def of_openai(parts: DemoParts) -> AsyncGenerator[openai.AsyncOpenAI]:
    """OpenAI's SDK, without repetitions, at the double."""
    async with openai.AsyncOpenAI(base_url=parts.openai_url, api_key=parts.upstream_key, max_retries=0) as client:
        yield client


@pytest.fixture
async def of_anthropic(parts: DemoParts) -> AsyncGenerator[anthropic.AsyncAnthropic]:
    """Anthropic's SDK, without repetitions, at the double."""
    url = parts.anthropic_url.removesuffix("/v1")
    async with anthropic.AsyncAnthropic(base_url=url, api_key=parts.upstream_key, max_retries=0) as client:
        yield client


async def test_a_response_says_what_it_used(of_openai: openai.AsyncOpenAI) -> None:
    """Canned text; 5 bytes are 2 tokens, 3 + 3 around; a piece of the answer is a token."""
    answer = await of_openai.responses.create(model=MODEL, input="Hello")

    assert (answer.output_text, answer.status) == (SAID, "completed")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (8, 17, 25)


async def test_a_response_ends_at_its_cap(of_openai: openai.AsyncOpenAI) -> None:
    """It is incomplete, and says why."""
    answer = await of_openai.responses.create(model=MODEL, input="Hello", max_output_tokens=16)

    assert (answer.status, answer.output_text) == ("incomplete", SAID.removesuffix(" word."))
    assert answer.incomplete_details is not None and answer.incomplete_details.reason == "max_output_tokens"


async def test_a_response_streams_as_numbered_named_events(of_openai: openai.AsyncOpenAI) -> None:
    """The texts of the deltas are the answer, and the last event repeats it whole with its usage."""
    stream = await of_openai.responses.create(model=MODEL, input="Hello", stream=True)
    events = [event async for event in stream]

    last = events[-1]
    assert last.type == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == SAID
    assert last.response.output_text == SAID
    assert last.response.usage is not None and last.response.usage.output_tokens == 17


@pytest.mark.parametrize(
    ("scenario", "last"),
    [
        ({"error_in_band_after_chunks": 2}, "error"),
        ({"error_in_band_after_chunks": 2, "failed": True}, "response.failed"),
        ({"failed": True}, "response.failed"),
        ({"no_done": True}, "response.output_item.done"),
        ({"reasoning_only": True}, "response.incomplete"),
    ],
    ids=["error event", "failed after text", "failed", "no end", "reasoning only"],
)
async def test_a_response_ends_as_the_scenario_says(
    of_openai: openai.AsyncOpenAI, parts: DemoParts, scenario: dict[str, Any], last: str
) -> None:
    """Each ending has an event of its own."""
    parts.scenario(**scenario)

    stream = await of_openai.responses.create(model=MODEL, input="Hello", stream=True)

    assert [event.type async for event in stream][-1] == last


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"metadatum": {}}, 400, "unknown_parameter"),
        ({"stream": True, "stream_options": {"include_usage": True}}, 400, "unknown_parameter"),
        ({"max_output_tokens": 5}, 400, "integer_below_min_value"),
        ({"previous_response_id": "resp_1"}, 400, "previous_response_not_found"),
        ({"input": []}, 400, "invalid_value"),
        ({"model": "claude-1"}, 404, "model_not_found"),
    ],
    ids=["parameter", "chat's option", "cap", "earlier response", "input", "model"],
)
async def test_a_response_is_refused(
    upstream: httpx.AsyncClient, wrong: dict[str, Any], status: int, code: str
) -> None:
    """With OpenAI's codes."""
    refused = await upstream.post("responses", json={"model": MODEL, "input": "Hello", **wrong})

    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


async def test_a_moderation_flags_one_word(of_openai: openai.AsyncOpenAI) -> None:
    """A verdict for each text; parts get one together."""
    both = await of_openai.moderations.create(input=["A walk", "Violence!"])
    parts = await of_openai.moderations.create(input=[{"type": "text", "text": "A walk"}])

    assert [(result.flagged, result.categories.violence) for result in both.results] == [(False, False), (True, True)]
    assert [result.flagged for result in parts.results] == [False]


async def test_decisions_come_in_the_order_of_their_questions(of_openai: openai.AsyncOpenAI) -> None:
    """Each of its own kind."""
    decision = await of_openai.decisions.create(
        model="gpt-6-luna",
        input="The parcel was late.",
        questions=[
            {"type": "predicate", "name": "late", "instructions": "Was it late?"},
            {"type": "choice", "instructions": "What?", "choices": [{"value": "parcel"}, {"value": "train"}]},
            {"type": "score", "instructions": "How late?", "levels": [{"label": "a little"}, {"label": "very"}]},
        ],
    )

    assert [answer.type for answer in decision.answers] == ["predicate", "choice", "score"]
    assert decision.usage.output_tokens == 3 and decision.usage.input_tokens > 30


async def test_a_message_says_what_it_used(of_anthropic: anthropic.AsyncAnthropic) -> None:
    """As a response does; what the cache was told to keep is counted beside the input."""
    cached: Any = {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}
    plain = await of_anthropic.messages.create(model=CLAUDE, max_tokens=100, messages=ASKED)
    kept = await of_anthropic.messages.create(
        model=CLAUDE, max_tokens=100, messages=[{"role": "user", "content": [cached]}]
    )

    assert [block.text for block in plain.content if block.type == "text"] == [SAID]
    assert (plain.stop_reason, plain.usage.input_tokens, plain.usage.output_tokens) == ("end_turn", 8, 17)
    assert (kept.usage.input_tokens, kept.usage.cache_creation_input_tokens) == (6, 2)


async def test_a_message_streams_its_usage_in_two_parts(of_anthropic: anthropic.AsyncAnthropic) -> None:
    """What was read comes first, what was written last; the SDK puts the message together again."""
    async with of_anthropic.messages.stream(model=CLAUDE, max_tokens=4, messages=ASKED) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        whole = await stream.get_final_message()

    assert text == "This is a canned"
    assert (whole.stop_reason, whole.usage.input_tokens, whole.usage.output_tokens) == ("max_tokens", 8, 4)


async def test_an_error_in_a_stream_of_messages_is_the_sdks_error(
    of_anthropic: anthropic.AsyncAnthropic, parts: DemoParts
) -> None:
    """As Anthropic sends it."""
    parts.scenario(error_in_band_after_chunks=1)

    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        async with of_anthropic.messages.stream(model=CLAUDE, max_tokens=100, messages=ASKED) as stream:
            await stream.get_final_message()


@pytest.mark.parametrize(
    ("headers", "body", "status", "said"),
    [
        ({"x-api-key": "wrong"}, MESSAGE, 401, "invalid x-api-key"),
        ({"authorization": "Bearer wrong"}, MESSAGE, 401, "invalid x-api-key"),
        ({"anthropic-version": ""}, MESSAGE, 400, "not a valid version"),
        ({}, {"model": CLAUDE, "messages": ASKED}, 400, "max_tokens: Field required"),
        ({}, {**MESSAGE, "max_tokens": 0}, 400, "greater than or equal to 1"),
        ({}, {**MESSAGE, "seed": 1}, 400, "seed: Extra inputs are not permitted"),
        ({"anthropic-version": "2026-10-21"}, {**MESSAGE, "top_p": 1}, 400, "top_p: Extra inputs are not permitted"),
        ({}, {**MESSAGE, "messages": []}, 400, "at least one message"),
        ({}, {**MESSAGE, "thinking": {"type": "enabled", "budget_tokens": 1024}}, 400, "greater than `thinking"),
        ({}, {**MESSAGE, "model": MODEL}, 404, f"model: {MODEL}"),
    ],
    ids=["key", "two keys", "version", "no cap", "cap", "parameter", "sampling", "messages", "budget", "model"],
)
async def test_a_message_is_refused(
    parts: DemoParts, headers: dict[str, str], body: dict[str, Any], status: int, said: str
) -> None:
    """In Anthropic's shape."""
    async with client_of(parts.anthropic_url) as client:
        sent = {"x-api-key": parts.upstream_key, **VERSION, **headers}
        refused = await client.post("messages", json=body, headers=sent)

    assert (refused.status_code, refused.json()["type"]) == (status, "error")
    assert said in refused.json()["error"]["message"]
    assert parts.upstream_key not in str(parts.journal())


async def test_a_status_is_worded_as_its_api_words_it(parts: DemoParts) -> None:
    """One scenario, three shapes."""
    parts.scenario(status=429)
    shapes: list[set[str]] = []
    for url in (parts.openai_url, parts.anthropic_url, parts.search_url):
        async with client_of(url) as client:
            key = {"authorization": f"Bearer {parts.upstream_key}"}
            headers = {"x-api-key": parts.upstream_key, **VERSION} if url == parts.anthropic_url else key
            shapes.append(set((await client.post("search", json={}, headers=headers)).json()))

    assert shapes == [{"error"}, {"type", "error", "request_id"}, {"detail"}]


async def test_a_search_finds_the_same_for_the_same(parts: DemoParts) -> None:
    """As many results as were asked for; without a query it is refused."""
    async with client_of(parts.search_url, key=parts.upstream_key) as client:
        found = [(await client.post("search", json={"query": "bitcoin", "max_results": 3})).json() for _ in "ab"]
        refused = await client.post("search", json={})

    assert found[0] == found[1] and len(found[0]["results"]) == 3
    assert (refused.status_code, refused.json()) == (400, {"detail": {"error": "Query is missing."}})
