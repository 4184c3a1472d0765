"""The OpenAI double when all goes well: answers, streams, usage, refusals and headers as OpenAI gives them."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import httpx
import pytest

from lib.demo.parts import DemoParts
from tests.demo.conftest import client_of

HELLO: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def events(text: str) -> list[Any]:
    """The data of each event; `[DONE]` stays text."""
    data = [line.removeprefix("data: ") for line in text.split("\n") if line]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


async def test_an_answer_says_what_it_is_and_what_it_used(upstream: httpx.AsyncClient) -> None:
    """Canned text that admits it and counts the prompt's words; usage adds up: 5 bytes are 2 tokens, 3 + 3 around."""
    reply = (await upstream.post("chat/completions", json=HELLO)).json()

    content = reply["choices"][0]["message"]["content"]
    assert content == "This is a canned answer of the demo: no model was asked. Your prompt had 1 word."
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert (reply["object"], reply["model"], reply["service_tier"]) == ("chat.completion", "gpt-4o-mini", "default")
    assert reply["usage"] == {
        "prompt_tokens": 8,
        "completion_tokens": 17,
        "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
async def test_a_cap_ends_every_choice(upstream: httpx.AsyncClient, cap: str) -> None:
    """Three choices of at most four tokens are twelve tokens, each ended by its length."""
    reply = (await upstream.post("chat/completions", json={**HELLO, cap: 4, "n": 3})).json()

    assert [choice["message"]["content"] for choice in reply["choices"]] == ["This is a canned"] * 3
    assert {choice["finish_reason"] for choice in reply["choices"]} == {"length"}
    assert reply["usage"]["completion_tokens"] == 12


async def test_a_stream_tells_its_usage_last(upstream: httpx.AsyncClient) -> None:
    """With include_usage: `usage: null` on every chunk, one chunk without choices that has it, then [DONE]."""
    body = {**HELLO, "n": 2, "stream": True, "stream_options": {"include_usage": True}}
    reply = await upstream.post("chat/completions", json=body)
    plain = (await upstream.post("chat/completions", json={**HELLO, "n": 2})).json()

    *chunks, last, done = events(reply.text)
    texts = ["", ""]
    for chunk in chunks:
        texts[chunk["choices"][0]["index"]] += chunk["choices"][0]["delta"].get("content", "")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert texts == [choice["message"]["content"] for choice in plain["choices"]]
    assert all(chunk["usage"] is None and chunk["service_tier"] == "default" for chunk in chunks)
    assert (last["choices"], last["usage"], done) == ([], plain["usage"], "[DONE]")


async def test_a_stream_tells_usage_only_when_asked(upstream: httpx.AsyncClient) -> None:
    """Without include_usage no chunk has the key."""
    reply = await upstream.post("chat/completions", json={**HELLO, "stream": True})

    *chunks, done = events(reply.text)
    assert done == "[DONE]"
    assert not any("usage" in chunk for chunk in chunks)


async def test_embeddings_are_unit_vectors_of_their_input(upstream: httpx.AsyncClient) -> None:
    """The same text gives the same vector, as numbers or base64; tokens are counted over all inputs."""
    body: dict[str, Any] = {"model": "text-embedding-3-small", "input": ["Hello", "Hello"], "dimensions": 8}
    numbers = (await upstream.post("embeddings", json=body)).json()
    packed = (await upstream.post("embeddings", json={**body, "encoding_format": "base64"})).json()
    of_ids = (await upstream.post("embeddings", json={"model": "text-embedding-3-large", "input": [1, 2, 3]})).json()

    vector = numbers["data"][0]["embedding"]
    assert numbers["data"][1] == {"object": "embedding", "index": 1, "embedding": vector}
    assert sum(x * x for x in vector) == pytest.approx(1)
    assert struct.unpack("<8f", base64.b64decode(packed["data"][0]["embedding"])) == pytest.approx(vector)
    assert numbers["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert (len(of_ids["data"][0]["embedding"]), of_ids["usage"]["total_tokens"]) == (3_072, 3)


async def test_models_are_listed(upstream: httpx.AsyncClient) -> None:
    """In OpenAI's shape."""
    reply = (await upstream.get("models")).json()

    assert reply["object"] == "list"
    assert "gpt-4o-mini" in [model["id"] for model in reply["data"]]


@pytest.mark.parametrize(
    ("key", "code", "words"),
    [(None, None, "You didn't provide an API key"), ("sk-secret-12345", "invalid_api_key", "Incorrect API key")],
)
async def test_a_wrong_key_is_refused(parts: DemoParts, key: str | None, code: str | None, words: str) -> None:
    """401 in OpenAI's shape; the key is neither in the reply nor in the journal."""
    async with client_of(parts.openai_url, key=key) as client:
        reply = await client.post("chat/completions", json=HELLO)

    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["code"]) == (401, "invalid_request_error", code)
    assert error["message"].startswith(words)
    assert parts.journal()[0]["authorized"] is False
    assert "secret" not in reply.text + json.dumps(parts.journal())


@pytest.mark.parametrize(
    ("change", "status", "param", "code"),
    [
        ({"model": None}, 400, None, None),
        ({"model": "claude"}, 404, None, "model_not_found"),
        ({"messages": None}, 400, "messages", "missing_required_parameter"),
        ({"messages": "Hello"}, 400, "messages", "invalid_type"),
        ({"messages": []}, 400, "messages", "empty_array"),
        ({"n": 0}, 400, "n", "integer_below_min_value"),
        ({"n": 129}, 400, "n", "integer_above_max_value"),
        ({"n": True}, 400, "n", "invalid_type"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, 400, "max_tokens", "invalid_parameter_combination"),
        ({"stream": "yes"}, 400, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options", None),
    ],
)
async def test_mistakes_are_refused_in_openais_shape(
    upstream: httpx.AsyncClient, change: dict[str, Any], status: int, param: str | None, code: str | None
) -> None:
    """The error names the parameter and has OpenAI's code."""
    reply = await upstream.post("chat/completions", json={**HELLO, **change})

    error = reply.json()["error"]
    assert (reply.status_code, error["type"]) == (status, "invalid_request_error")
    assert (error["param"], error["code"]) == (param, code)


async def test_unknown_addresses_and_broken_json_are_refused(upstream: httpx.AsyncClient) -> None:
    """404 and 400 in OpenAI's shape."""
    nowhere = await upstream.post("files", json={})
    broken = await upstream.post("chat/completions", content=b"{")

    assert (nowhere.status_code, nowhere.json()["error"]["message"]) == (404, "Invalid URL (POST /v1/files)")
    assert (broken.status_code, broken.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_replies_carry_the_headers_that_must_be_stripped(upstream: httpx.AsyncClient) -> None:
    """What a reseller must not pass on is there to be passed on."""
    reply = await upstream.post("chat/completions", json=HELLO)

    told = "x-request-id openai-organization openai-processing-ms x-ratelimit-remaining-tokens set-cookie".split()
    assert set(told) <= set(reply.headers)


async def test_the_journal_tells_what_arrived(upstream: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    """Method, path, headers without the key, body, usage and how it ended; DELETE empties it."""
    await upstream.post("chat/completions?beta=true", json=HELLO, headers={"x-custom": "yes"})

    entry = (await control.get("/journal")).json()[0]
    emptied = (await control.delete("/journal")).json()

    assert (entry["method"], entry["path"], entry["query"]) == ("POST", "/v1/chat/completions", "beta=true")
    assert (entry["body"], entry["headers"]["x-custom"], entry["authorized"]) == (HELLO, "yes", True)
    assert entry["headers"]["authorization"].startswith("sha256:")
    assert (entry["completed"], entry["disconnected"], entry["usage"]["total_tokens"]) == (True, False, 25)
    assert emptied == []
