"""Who pays, by how a call with sound or pictures ends: over real sockets, to the millisat.

tts-1 is sold at 19.5 USD per million characters; SPEECH_BODY has 100 of them: 1,950 msat, or nothing.
gpt-4o-mini-tts is sold at 15.6 USD per million tokens: 50 spoken are 780 msat, and 10 read at 0.78 are 8 more.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.core.money import Msat
from tests.media.recordings import tone
from tests.media_calls.forms import IMAGES, SPEECH, TRANSCRIPTIONS, Files, buy, send
from tests.paid.canned_upstream import End, canned_upstream
from tests.paid.conftest import CannedShop
from tests.paid.raw_client import raw_call
from tests.world import Paid, World, changed_config, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = "A little bit of money. " * 5
SPEECH_BODY: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": TEXT[:100]}
BY_TOKENS: dict[str, Any] = {**SPEECH_BODY, "model": "gpt-4o-mini-tts"}
SOUND = "audio/mpeg"
PIECE = b"\xff\xfb\x90\x00" * 512
WAIT_SECONDS = 10.0
DRAWING: dict[str, Any] = {
    "model": "gpt-image-2", "prompt": "A bitcoin", "size": "1024x1024", "quality": "low", "stream": True
}  # fmt: skip
RECORDING: Files = [("file", ("tone.mp3", tone("mp3", 7.3), "audio/mpeg"))]


def named(kind: str, **more: Any) -> bytes:
    """One event with a name."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def delta(sound: bytes) -> bytes:
    """A piece of sound as an event."""
    return named("speech.audio.delta", audio=base64.b64encode(sound).decode())


SPOKEN = named("speech.audio.done", usage={"input_tokens": 10, "output_tokens": 50, "total_tokens": 60})


async def until(true: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not true():
            await asyncio.sleep(0.005)


async def paid_for(world: World, body: dict[str, Any], path: str = SPEECH) -> Paid:
    """A credential for a call."""
    return await world.pay(await world.client.post(path, json=body))


async def ended(world: World, paid: Paid) -> tuple[str | None, int]:
    """How the only call of a credential ended, and what it was charged in msat."""
    balance = (await world.settled(paid)).balance
    usage = await world.services.ledger.entries((await world.account(paid)).account, before=None, limit=10)
    endings = [entry.ending for entry in usage if entry.ending]
    return endings[0] if endings else None, (paid.amount - balance).value


async def test_sound_comes_as_it_is_made(canned: CannedShop):
    """The first piece reaches the buyer before the last one is spoken; the price is told before both."""
    spoken = asyncio.Event()
    canned.upstream.says(PIECE, spoken, PIECE, content_type=SOUND)
    paid = await paid_for(canned.world, SPEECH_BODY)

    async with canned.world.client.stream("POST", SPEECH, json=SPEECH_BODY, headers=paid.headers) as answer:
        pieces = answer.aiter_raw()
        first = await anext(pieces)
        spoken.set()
        rest = b"".join([piece async for piece in pieces])

    assert first and first + rest == PIECE * 2
    assert (answer.headers["content-type"], answer.headers["x-charge-msat"]) == (SOUND, "1950")
    assert await ended(canned.world, paid) == ("answered", 1_950)


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_who_hangs_up_on_sound_pays_for_it_and_can_have_it(canned: CannedShop, leave: str):
    """Upstream is read to its end, the whole sound is charged, kept, and handed out free to the same request."""
    gone = asyncio.Event()
    canned.upstream.says(PIECE, gone, PIECE, content_type=SOUND)
    paid = await paid_for(canned.world, SPEECH_BODY)

    async with raw_call(canned.world, SPEECH_BODY, paid, SPEECH) as call:
        await call.until(PIECE[:4])
        await (call.leave() if leave == "close" else call.reset())
        gone.set()
        assert await ended(canned.world, paid) == ("answered", 1_950)

    again = await canned.world.client.post(SPEECH, json=SPEECH_BODY, headers=paid.headers)

    assert (again.content, again.headers["x-answer-replayed"], again.headers["content-type"]) == (
        PIECE * 2, "true", SOUND
    )  # fmt: skip
    assert await ended(canned.world, paid) == ("answered", 1_950)
    assert canned.upstream.requests == 1


@pytest.mark.parametrize("pieces", [0, 1])
async def test_sound_that_breaks_off_costs_nothing(canned: CannedShop, pieces: int):
    """Upstream dies in the middle: the buyer's connection ends in the middle, too, and nothing is charged."""
    canned.upstream.says(*[PIECE] * pieces, end=End.CUT, content_type=SOUND)
    paid = await paid_for(canned.world, SPEECH_BODY)

    with pytest.raises(httpx.RemoteProtocolError):
        await canned.world.client.post(SPEECH, json=SPEECH_BODY, headers=paid.headers)

    assert await ended(canned.world, paid) == (None, 0)
    canned.upstream.says(PIECE, content_type=SOUND)
    good = await canned.world.client.post(SPEECH, json=SPEECH_BODY, headers=paid.headers)
    assert good.status_code == 200


async def test_sound_that_is_too_long_is_cut(tmp_path: Path):
    """Past the endpoint's limit we stop: nothing is charged, and the connection says that it is not whole."""
    small = changed_config(tmp_path, "max_reply_bytes: 67108864", f"max_reply_bytes: {4 * len(PIECE)}")
    async with (
        canned_upstream() as upstream,
        opened_world(tmp_path, {"OPENAI_BASE_URL": upstream.url, **small}) as shop,
    ):
        upstream.says(*[PIECE] * 5, content_type=SOUND)
        paid = await paid_for(shop, SPEECH_BODY)

        with pytest.raises(httpx.RemoteProtocolError):
            await shop.client.post(SPEECH, json=SPEECH_BODY, headers=paid.headers)

        assert await ended(shop, paid) == (None, 0)


@pytest.mark.parametrize("body", [b'{"error":{"message":"no"}}', b'{"url":"http://acme.example"}', b"<html>", b""])
async def test_an_answer_that_is_no_sound_is_none(canned: CannedShop, body: bytes):
    """502, nothing is charged."""
    canned.upstream.says(body, content_type="application/json")
    paid = await paid_for(canned.world, SPEECH_BODY)

    answer = await canned.world.client.post(SPEECH, json=SPEECH_BODY, headers=paid.headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
    assert await ended(canned.world, paid) == (None, 0)


async def test_sound_by_tokens_comes_as_it_is_made(canned: CannedShop):
    """A buyer who wants sound gets what the events carry, while they come; their usage is charged."""
    spoken = asyncio.Event()
    canned.upstream.says(delta(PIECE), spoken, delta(PIECE), SPOKEN)
    paid = await paid_for(canned.world, BY_TOKENS)

    async with canned.world.client.stream("POST", SPEECH, json=BY_TOKENS, headers=paid.headers) as answer:
        pieces = answer.aiter_raw()
        first = await anext(pieces)
        spoken.set()
        rest = b"".join([piece async for piece in pieces])

    assert first and first + rest == PIECE * 2
    assert answer.headers["content-type"] == SOUND
    assert await ended(canned.world, paid) == ("answered", 788)


@pytest.mark.parametrize("end", [End.CUT, End.WELL])
async def test_sound_by_tokens_that_breaks_off_costs_nothing(canned: CannedShop, end: End):
    """No event said what it took."""
    canned.upstream.says(delta(PIECE), end=end)
    paid = await paid_for(canned.world, BY_TOKENS)

    with pytest.raises(httpx.RemoteProtocolError):
        await canned.world.client.post(SPEECH, json=BY_TOKENS, headers=paid.headers)

    assert await ended(canned.world, paid) == (None, 0)


async def test_an_error_among_events_of_sound_ends_the_connection(canned: CannedShop):
    """A buyer of sound is told by the connection, one of events by an event."""
    error = named("error", error={"message": "no", "type": "server_error"})
    canned.upstream.says(delta(PIECE), error)
    paid = await paid_for(canned.world, BY_TOKENS)
    with pytest.raises(httpx.RemoteProtocolError):
        await canned.world.client.post(SPEECH, json=BY_TOKENS, headers=paid.headers)

    events = {**BY_TOKENS, "stream_format": "sse"}
    told = await canned.world.client.post(SPEECH, json=events, headers=paid.headers)

    assert '"upstream_error"' in told.text and "speech.audio.done" not in told.text
    assert await ended(canned.world, paid) == (None, 0)


async def test_sound_whose_tokens_nobody_counted_costs_as_usual(canned: CannedShop):
    """An upstream that has no events answers with sound: 1.4 tokens for each of 100 characters."""
    canned.upstream.says(PIECE, content_type=SOUND)
    paid = await paid_for(canned.world, BY_TOKENS)

    answer = await canned.world.client.post(SPEECH, json=BY_TOKENS, headers=paid.headers)

    assert answer.content == PIECE
    assert await ended(canned.world, paid) == ("answered", 2_184)


@pytest.mark.parametrize("end", [End.CUT, End.WELL])
async def test_a_drawing_that_breaks_off_costs_nothing(canned: CannedShop, end: End):
    """A partial image is not the image; the buyer is told by an event."""
    canned.upstream.says(named("image_generation.partial_image", b64_json="AAAA", partial_image_index=0), end=end)
    paid = await paid_for(canned.world, DRAWING, IMAGES)

    answer = await canned.world.client.post(IMAGES, json=DRAWING, headers=paid.headers)

    assert '"upstream_error"' in answer.text
    assert await ended(canned.world, paid) == (None, 0)


async def test_a_large_drawing_is_one_event(canned: CannedShop):
    """An image of twelve million characters is one line of a stream, and its usage is read all the same."""
    usage = {"input_tokens": 3, "output_tokens": 200, "input_tokens_details": {"image_tokens": 0}}
    event = named("image_generation.completed", b64_json="A" * 12_000_000, usage=usage)
    canned.upstream.says(*[event[at : at + 65_536] for at in range(0, len(event), 65_536)])
    paid = await paid_for(canned.world, DRAWING, IMAGES)

    answer = await canned.world.client.post(IMAGES, json=DRAWING, headers=paid.headers)

    assert len(answer.content) > 12_000_000 and b'"charge_msat":7820' in answer.content
    assert await ended(canned.world, paid) == ("answered", 7_820)


async def test_a_transcript_that_breaks_off_costs_nothing(canned: CannedShop):
    """Some words came, and no end."""
    canned.upstream.says(named("transcript.text.delta", delta="A little"), end=End.CUT)
    fields = {"model": "gpt-transcribe", "stream": "true"}
    paid = await buy(canned.world, TRANSCRIPTIONS, fields, RECORDING)

    answer = await send(canned.world, TRANSCRIPTIONS, fields, RECORDING, paid)

    assert "A little" in answer.text and '"upstream_error"' in answer.text
    assert await ended(canned.world, paid) == (None, 0)


async def test_a_drawing_without_an_image_is_none(canned: CannedShop):
    """A 200 with nothing drawn is 502, and nothing is charged."""
    canned.upstream.says(b'{"created":1,"data":[]}', content_type="application/json")
    body = {**DRAWING, "stream": False}
    paid = await paid_for(canned.world, body, IMAGES)

    answer = await canned.world.client.post(IMAGES, json=body, headers=paid.headers)

    assert answer.status_code == 502
    assert await ended(canned.world, paid) == (None, 0)


async def test_fewer_images_than_asked_for_cost_less(canned: CannedShop):
    """Three were asked for, one came, and nobody said what it took: one cell of the table."""
    canned.upstream.says(b'{"created":1,"data":[{"b64_json":"AAAA"}]}', content_type="application/json")
    body = {**DRAWING, "stream": False, "n": 3}
    paid = await paid_for(canned.world, body, IMAGES)

    await canned.world.client.post(IMAGES, json=body, headers=paid.headers)

    assert await ended(canned.world, paid) == ("unmetered", 8_190)
    assert paid.amount > Msat(3 * 8_190)
