"""How the OpenAI double misbehaves on demand."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import httpx
import pytest

from lib.demo.parts import DemoParts
from tests.demo.conftest import answered, until

HELLO: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
STREAM: dict[str, Any] = {**HELLO, "stream": True, "stream_options": {"include_usage": True}}


def data_of(text: str) -> list[str]:
    return [line.removeprefix("data: ") for line in text.split("\n") if line]


def contents(text: str) -> list[str]:
    """The pieces of text of a stream, its first empty delta left out."""
    chunks = [json.loads(item) for item in data_of(text) if item != "[DONE]"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk.get("choices")]
    return [delta["content"] for delta in deltas if delta.get("content")]


async def chat(upstream: httpx.AsyncClient, body: dict[str, Any] = HELLO) -> httpx.Response:
    return await upstream.post("chat/completions", json=body)


async def test_a_scenario_is_set_shown_and_cleared(upstream: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    """POST replaces, GET shows what was set, DELETE ends it; a typo changes nothing and is named."""
    await control.post("/upstream/scenario", json={"status": 500})
    typo = await control.post("/upstream/scenario", json={"stauts": 400})
    shown = (await control.get("/upstream/scenario")).json()
    during = await chat(upstream)
    await control.delete("/upstream/scenario")
    after = await chat(upstream)

    assert (typo.status_code, "stauts" in typo.json()["error"]) == (400, True)
    assert (shown, during.status_code, after.status_code) == ({"status": 500}, 500, 200)


async def test_a_scenario_lasts_as_long_as_it_says(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """`times: 2` is for two requests."""
    parts.scenario(status=503, times=2)

    statuses = [(await chat(upstream)).status_code for _ in range(3)]

    assert statuses == [503, 503, 200]


async def test_errors_have_openais_shape_or_any_other(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """A status brings its usual error and Retry-After, or the error that is given."""
    parts.scenario(status=429, retry_after=7)
    usual = await chat(upstream)
    parts.scenario(status=418, error={"code": "teapot"})
    given = await chat(upstream)

    assert (usual.status_code, usual.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert usual.headers["retry-after"] == "7"
    assert (given.status_code, given.json()) == (418, {"error": {"code": "teapot"}})


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -1}, "many", {"completion_tokens": 10**30}])
@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["json", "stream"])
async def test_usage_can_be_anything(
    upstream: httpx.AsyncClient, parts: DemoParts, body: dict[str, Any], usage: Any
) -> None:
    """What is said replaces the real usage; the journal keeps what was really done."""
    parts.scenario(usage=usage)

    text = (await chat(upstream, body)).text
    said = json.loads(data_of(text)[-2] if body is STREAM else text)["usage"]

    assert said == usage
    assert parts.journal()[0]["usage"]["total_tokens"] == 25


async def test_usage_can_be_raw_missing_or_twice(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """Raw text says what JSON cannot; twice means two chunks in a stream and two keys in JSON."""
    parts.scenario(usage_raw='{"prompt_tokens": NaN}')
    raw = await chat(upstream)
    parts.scenario(usage_missing=True)
    missing, missing_in_stream = await chat(upstream), await chat(upstream, STREAM)
    parts.scenario(usage_twice=True)
    twice, twice_in_stream = await chat(upstream), await chat(upstream, STREAM)

    assert raw.text.endswith('"usage": {"prompt_tokens": NaN}}')
    assert "usage" not in missing.json()
    assert '"choices": []' not in missing_in_stream.text
    assert twice.text.count('"usage": {') == 2
    assert twice_in_stream.text.count('"choices": []') == 2


async def test_the_answer_can_have_any_text_and_length(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """Given text in given pieces; or pieces of one length; or no text at all, only reasoning."""
    parts.scenario(content="a\u2028b c", chunks=2)
    given = await chat(upstream, STREAM)
    parts.scenario(chunks=3, chunk_bytes=1000)
    long = await chat(upstream, STREAM)
    parts.scenario(reasoning_only=True)
    silent = (await chat(upstream, {**HELLO, "max_completion_tokens": 9})).json()

    assert contents(given.text) == ["a\u2028", "b c"]
    assert [len(piece) for piece in contents(long.text)] == [1000] * 3
    assert (silent["choices"][0]["message"]["content"], silent["choices"][0]["finish_reason"]) == ("", "length")
    assert silent["usage"]["completion_tokens_details"]["reasoning_tokens"] == 9
    assert silent["usage"]["completion_tokens"] == 9


async def test_a_stream_can_be_cut(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """Exactly so many chunks arrive, then the connection ends without the end of the body."""
    parts.scenario(chunks=20, cut_after_chunks=3)
    received = io.StringIO()

    async def read_on() -> None:
        async with upstream.stream("POST", "chat/completions", json=STREAM) as reply:
            async for text in reply.aiter_text():
                received.write(text)

    with pytest.raises(httpx.RemoteProtocolError):
        await read_on()

    assert len(contents(received.getvalue())) == 3
    entry = parts.journal()[0]
    assert (entry["completed"], entry["disconnected"], entry["usage"]["completion_tokens"]) == (False, False, 3)


async def test_a_json_reply_can_be_cut(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """The connection ends in the middle of the body."""
    parts.scenario(cut_after_chunks=0)

    with pytest.raises(httpx.RemoteProtocolError):
        await chat(upstream)


async def test_an_error_can_come_in_the_stream(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """After so many chunks an error event, then nothing: no usage, no [DONE]."""
    parts.scenario(error_in_band_after_chunks=2)

    reply = await chat(upstream, STREAM)

    assert len(contents(reply.text)) == 2
    assert json.loads(data_of(reply.text)[-1])["error"]["type"] == "server_error"


async def test_a_stream_can_end_without_done(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """The usage chunk is then the last event."""
    parts.scenario(no_done=True)

    reply = await chat(upstream, STREAM)

    assert json.loads(data_of(reply.text)[-1])["choices"] == []


async def test_events_can_be_split_anywhere(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """Written in pieces of seven bytes, the whole is the same stream."""
    parts.scenario(split_bytes=7, content="Zürich 😀 is split")
    pieces: list[bytes] = []

    async with upstream.stream("POST", "chat/completions", json=STREAM) as reply:
        pieces = [piece async for piece in reply.aiter_raw()]

    whole = b"".join(pieces).decode()
    assert {len(piece) for piece in pieces[:-1]} == {7}
    assert "".join(contents(whole)) == "Zürich 😀 is split"
    assert whole.endswith("data: [DONE]\n\n")


async def test_a_connection_can_close_without_an_answer(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """The request arrived and no byte came back."""
    parts.scenario(close_before_answer=True)

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await chat(upstream)

    assert len(parts.journal()) == 1


async def test_upstream_can_redirect_or_answer_html(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """A redirect would carry the key elsewhere; HTML with status 200 is not an answer."""
    parts.scenario(redirect=True)
    elsewhere = await chat(upstream)
    parts.scenario(not_json=True)
    page = await chat(upstream)

    assert (elsewhere.status_code, elsewhere.headers["location"]) == (302, "/v1/elsewhere")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_two_hundred_calls_wait_for_each_other(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """The barrier holds every reply until the last of 200 requests has arrived."""
    parts.scenario(wait_for=200)
    early = [asyncio.create_task(chat(upstream)) for _ in range(199)]
    await until(lambda: len(parts.journal()) == 199)
    assert not await answered(early)

    last = await chat(upstream)

    replies = [*await asyncio.gather(*early), last]
    assert [reply.status_code for reply in replies] == [200] * 200


async def test_a_hanging_answer_comes_when_the_scenario_ends(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """`hang_before_answer` holds the call; the next scenario lets it go."""
    parts.scenario(hang_before_answer=True)
    asking = asyncio.create_task(chat(upstream))
    await until(parts.journal)
    assert not await answered([asking])

    parts.scenario()

    assert (await asking).status_code == 200


async def test_a_caller_who_leaves_is_noticed(upstream: httpx.AsyncClient, parts: DemoParts) -> None:
    """The stream stops and the journal says how far it came."""
    parts.scenario(chunks=1000, chunk_delay_ms=20)

    async with upstream.stream("POST", "chat/completions", json=STREAM) as reply:
        async for _ in reply.aiter_raw():
            break
    await until(lambda: parts.journal()[0]["disconnected"])

    entry = parts.journal()[0]
    assert entry["completed"] is False
    assert entry["usage"]["completion_tokens"] < 1000


async def test_a_mix_draws_a_scenario_for_each_request(upstream: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    """Requests meet what they draw, in an order that the seed decides; DELETE ends it."""
    draws = [{"weight": 3, "scenario": {"status": 500}}, {"weight": 1}]
    rounds: list[list[int]] = []
    for _ in range(2):
        await control.post("/upstream/mix", json={"seed": 7, "draws": draws})
        rounds.append([(await chat(upstream)).status_code for _ in range(20)])
    await control.delete("/upstream/mix")

    assert rounds[0] == rounds[1]
    assert 0 < rounds[0].count(200) < rounds[0].count(500)
    assert (await control.get("/upstream/mix")).json() == {}
    assert (await chat(upstream)).status_code == 200


async def test_a_scenario_ends_a_mix(upstream: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    """One of both at a time; what a mix cannot draw for a request alone is refused, and changes nothing."""
    await control.post("/upstream/mix", json={"draws": [{"weight": 1, "scenario": {"status": 500}}]})
    refused = await control.post("/upstream/mix", json={"draws": [{"weight": 1, "scenario": {"times": 2}}]})
    during = await chat(upstream)
    await control.post("/upstream/scenario", json={"status": 503})

    assert (refused.status_code, during.status_code, (await chat(upstream)).status_code) == (400, 500, 503)


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["json", "stream"])
async def test_the_journal_says_what_went_wrong_and_how_much_text_was_written(
    upstream: httpx.AsyncClient, control: httpx.AsyncClient, parts: DemoParts, body: dict[str, Any]
) -> None:
    """Each entry tells the scenario as it was set, and the bytes of generated text: what an auditor needs."""
    await control.post("/upstream/mix", json={"draws": [{"weight": 1, "scenario": {"content": "été", "chunks": 3}}]})
    await chat(upstream, body)
    parts.scenario()
    await chat(upstream, body)

    mixed, healthy = parts.journal()
    assert (mixed["scenario"], mixed["text_bytes"]) == ({"content": "été", "chunks": 3}, 5)
    assert healthy["scenario"] == {} and healthy["text_bytes"] > 50
