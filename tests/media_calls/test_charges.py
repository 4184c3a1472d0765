"""What calls with sound and pictures cost, to the msat, and what upstream is asked for them."""

from __future__ import annotations

import base64
import hashlib
import io
import wave
from typing import Any

import pytest
from PIL import Image

from lib.core.money import Msat
from tests.media.images import still
from tests.media.recordings import tone
from tests.media_calls.forms import EDITS, IMAGES, SPEECH, TRANSCRIPTIONS, TRANSLATIONS, Files, buy, send
from tests.world import ROOT, Paid, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLES = ROOT / "frontend" / "public" / "samples"
DRAWING: dict[str, Any] = {"model": "gpt-image-2", "prompt": "A bitcoin", "size": "1024x1024", "quality": "low"}
MP3: Files = [("file", ("tone.wma", tone("mp3", 7.3), "video/x-ms-wma"))]


async def charged(shop: World, paid: Paid) -> Msat:
    """All that was charged to a credential once nothing runs."""
    return paid.amount - (await shop.settled(paid)).balance


async def say(shop: World, body: dict[str, Any]) -> tuple[Paid, bytes, str]:
    """Buy speech: the credential, the answer and its type."""
    paid = await shop.pay(await shop.client.post(SPEECH, json=body))
    answer = await shop.client.post(SPEECH, json=body, headers=paid.headers)
    assert answer.status_code == 200, answer.text
    return paid, answer.content, answer.headers["content-type"]


@pytest.mark.parametrize(
    ("path", "fields", "msat"),
    [
        (TRANSCRIPTIONS, {"model": "gpt-transcribe"}, 780),  # 8 s of 0.0045 USD a minute, times 1.30
        (TRANSCRIPTIONS, {"model": "gpt-transcribe", "stream": "true"}, 780),
        (TRANSCRIPTIONS, {"model": "gpt-4o-mini-transcribe"}, 520),
        (TRANSCRIPTIONS, {"model": "whisper-1", "response_format": "srt"}, 1_040),
        (TRANSCRIPTIONS, {"model": "whisper-1", "response_format": "vtt"}, 1_040),
        (TRANSCRIPTIONS, {"model": "whisper-1", "response_format": "text"}, 1_040),
        (TRANSCRIPTIONS, {"model": "whisper-1", "response_format": "verbose_json"}, 1_040),
        (TRANSLATIONS, {"model": "whisper-1"}, 1_040),
    ],
)
async def test_a_recording_is_billed_by_the_second(shop: World, path: str, fields: dict[str, str], msat: int):
    """7.3 seconds are eight, whatever the answer looks like."""
    wav: Files = [("file", ("tone.wav", tone("wav", 7.3), "audio/wav"))]
    paid = await buy(shop, path, fields, wav)

    answer = await send(shop, path, fields, wav, paid)

    assert answer.status_code == 200, answer.text
    assert "money" in answer.text
    assert await charged(shop, paid) == Msat(msat)


async def test_what_upstream_says_it_billed_counts_if_it_is_less(shop: World):
    """Upstream hears two seconds of what we measured as eight: two are charged, and told."""
    shop.parts.scenario(usage={"type": "duration", "seconds": 1.2})
    paid = await buy(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, MP3)

    answer = await send(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, MP3, paid)

    assert answer.headers["x-charge-msat"] == "195"
    assert await charged(shop, paid) == Msat(195)
    assert (await shop.entries(paid))[-1].usage == '{"seconds":2}'


@pytest.mark.parametrize("usage", [{"type": "duration", "seconds": 9_000}, {"type": "duration", "seconds": "1"}, None])
async def test_what_cannot_be_believed_costs_what_was_measured(shop: World, usage: Any):
    """Never more than was asked for before the call."""
    shop.parts.scenario(usage=usage)
    paid = await buy(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, MP3)

    await send(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, MP3, paid)

    assert await charged(shop, paid) == Msat(780)


async def test_upstream_gets_our_own_form(shop: World):
    """The same bytes under a name that says what was measured, and nothing of what the buyer called it."""
    paid = await buy(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, MP3)
    fields = {"model": "gpt-transcribe", "languages[]": ["en", "de"], "temperature": "0.5", "stream": "true"}

    await send(shop, TRANSCRIPTIONS, fields, MP3, paid)

    [call] = shop.parts.journal()
    sound = MP3[0][1][1]
    assert call["body"] == {
        "fields": {"model": "gpt-transcribe", "languages[]": ["en", "de"], "temperature": "0.5", "stream": "true"},
        "files": [
            {
                "name": "file",
                "filename": "file.mp3",
                "content_type": "audio/mpeg",
                "bytes": len(sound),
                "sha256": hashlib.sha256(sound).hexdigest(),
            }
        ],
    }
    assert call["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert call["headers"]["content-length"].isdigit()


async def test_a_polyglot_is_sent_as_what_it_was_priced_as(shop: World):
    """A WAV of one second with an MP3 behind it, called .mp3: upstream gets a WAV, priced to its last byte."""
    both = tone("wav", 1) + tone("mp3", 7.3)
    files: Files = [("file", ("song.mp3", both, "audio/mpeg"))]
    paid = await buy(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, files)

    answer = await send(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, files, paid)

    [call] = shop.parts.journal()
    assert answer.status_code == 200
    assert call["body"]["files"][0]["filename"] == "file.wav"
    assert call["body"]["files"][0]["bytes"] == len(both)
    assert paid.amount >= Msat(2 * 97)  # 1 s and 115 kB of uncompressed sound at 192 kB a second


async def test_a_repeated_upload_is_the_same_order(shop: World):
    """Boundaries differ each time; the files' hashes do not: with one Idempotency-Key it is paid once."""
    paid = await buy(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, MP3)
    key = {"Idempotency-Key": "one"}
    first = await send(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, MP3, paid, **key)

    again = await send(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, MP3, paid, **key)
    other: Files = [("file", ("tone.wav", tone("wav", 1), "audio/wav"))]
    another = await send(shop, TRANSCRIPTIONS, {"model": "gpt-transcribe"}, other, paid, **key)

    assert (again.content, again.headers["x-answer-replayed"]) == (first.content, "true")
    assert another.json()["error"]["code"] == "idempotency_key_reused"
    assert await charged(shop, paid) == Msat(780)
    assert len(shop.parts.journal()) == 1


@pytest.mark.parametrize(("model", "msat"), [("tts-1", 429), ("tts-1-hd", 858)])
async def test_speech_is_billed_by_the_character(shop: World, model: str, msat: int):
    """22 characters at 15 and 30 USD a million, times 1.30; two of them are beyond ASCII."""
    body = {"model": model, "voice": "alloy", "input": "Grüße von einem Bit. ₿"}

    paid, sound, content_type = await say(shop, body)

    with wave.open(io.BytesIO(sound)) as wav:
        assert wav.getnframes() == 8_000 * 22 * 6 // 100
    assert content_type == "audio/wav"
    assert await charged(shop, paid) == Msat(msat)
    assert (await shop.entries(paid))[-1].usage == '{"characters":22}'


@pytest.mark.parametrize("wanted", [{}, {"stream_format": "audio"}, {"stream_format": "sse"}])
async def test_speech_is_billed_by_its_tokens_where_upstream_does(shop: World, wanted: dict[str, str]):
    """3 tokens read at 0.6 and 14 spoken at 12 USD a million, times 1.30: told by events that the buyer may not see."""
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello there", **wanted}

    paid, answer, content_type = await say(shop, body)

    [call] = shop.parts.journal()
    assert call["body"]["stream_format"] == "sse"
    assert (b"speech.audio.done" in answer) == (wanted == {"stream_format": "sse"})
    if wanted == {"stream_format": "sse"}:
        assert b'"charge_msat":221' in answer
    else:
        assert content_type == "audio/mpeg"
        with wave.open(io.BytesIO(answer)) as wav:
            assert wav.getnframes() == 8_000 * 11 * 6 // 100
    assert await charged(shop, paid) == Msat(221)


@pytest.mark.parametrize(
    ("more", "msat"),
    [
        ({}, 7_820),  # 3 tokens read at 6.5 and 200 drawn at 39 USD a million
        ({"n": 3}, 23_420),
        ({"quality": "medium"}, 68_933),
        ({"stream": True, "partial_images": 2}, 15_620),
    ],
)
async def test_a_drawing_is_billed_by_what_was_used(shop: World, more: dict[str, Any], msat: int):
    """A table bounds it before; the answer says what it took."""
    body = {**DRAWING, **more}
    paid = await shop.pay(await shop.client.post(IMAGES, json=body))

    answer = await shop.client.post(IMAGES, json=body, headers=paid.headers)

    assert answer.status_code == 200, answer.text
    assert await charged(shop, paid) == Msat(msat)
    assert paid.amount >= Msat(msat)


async def test_a_drawing_without_a_usage_costs_its_cells(shop: World):
    """Upstream does not say what it took: the table's cell for each image that came."""
    shop.parts.scenario(usage_missing=True)
    paid = await shop.pay(await shop.client.post(IMAGES, json={**DRAWING, "n": 2}))

    await shop.client.post(IMAGES, json={**DRAWING, "n": 2}, headers=paid.headers)

    assert await charged(shop, paid) == Msat(2 * 210 * 39)
    assert (await shop.entries(paid))[-1].ending == "unmetered"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"size": "7x7"}, "size"),
        ({"size": "2048x2048"}, "size"),
        ({"quality": "max"}, "quality"),
        ({"response_format": "url"}, "response_format"),
        ({"output_format": "svg"}, "output_format"),
        ({"n": 11}, "n"),
        ({"stream": True, "n": 2}, "n"),
        ({"partial_images": 1}, "partial_images"),
    ],
)
async def test_a_drawing_without_a_price_is_refused(shop: World, more: dict[str, Any], param: str):
    """What is not in the table, or has no bound, is not sold; no invoice is made."""
    before = await shop.invoices()

    refused = await shop.client.post(IMAGES, json={**DRAWING, **more})

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert await shop.invoices() == before


async def test_what_is_left_to_upstream_is_quoted_at_its_dearest(shop: World):
    """`auto`, or nothing: the dearest cell that upstream could choose."""
    open_choice = {"model": "gpt-image-2", "prompt": "A bitcoin"}
    dearest = {**DRAWING, "quality": "high"}
    prices = [
        (await shop.client.post(IMAGES, json=body)).json()["max_price_msat"]
        for body in (open_choice, {**open_choice, "size": "auto", "quality": "auto"}, dearest)
    ]

    # the body's own bytes are counted as tokens, so the longer one may cost a little more
    assert all(abs(price - 7_386 * 39) < 2_000 for price in prices)


@pytest.mark.parametrize("name", ["image", "image[]"])
async def test_an_edit_by_form_is_billed_for_what_it_reads(shop: World, name: str):
    """1 token of text at 6.5, 388 of two images at 10.4 and 200 drawn at 39 USD a million; a mask counts as well."""
    fields = {"model": "gpt-image-2", "prompt": "blue", "size": "1024x1024", "quality": "low"}
    files: Files = [(name, ("a.txt", still("PNG"), "text/plain")), ("mask", ("m", still("WEBP"), "image/gif"))]
    paid = await buy(shop, EDITS, fields, files)

    answer = await send(shop, EDITS, fields, files, paid)

    [call] = shop.parts.journal()
    assert answer.status_code == 200, answer.text
    sent = [(file["name"], file["filename"], file["content_type"]) for file in call["body"]["files"]]
    assert sent == [("image", "image.png", "image/png"), ("mask", "mask.webp", "image/webp")]
    assert "safety_identifier" in call["body"]["fields"]
    assert await charged(shop, paid) == Msat(11_842)


async def test_an_edit_by_json_takes_inline_images(shop: World):
    """The same order as data: URLs; addresses are refused."""
    url = "data:image/png;base64," + base64.b64encode(still("PNG")).decode()
    body = {**DRAWING, "prompt": "blue", "images": [{"image_url": url}]}
    paid = await shop.pay(await shop.client.post(EDITS, json=body))

    answer = await shop.client.post(EDITS, json=body, headers=paid.headers)
    fetched = await shop.client.post(EDITS, json={**body, "images": [{"image_url": "https://acme.example/a.png"}]})
    nothing = await shop.client.post(EDITS, json=DRAWING)

    assert answer.status_code == 200, answer.text
    assert await charged(shop, paid) == Msat(9_825)  # half the images read
    assert fetched.json()["error"]["param"] == "images[0].image_url"
    assert (nothing.json()["error"]["code"], nothing.json()["error"]["param"]) == ("missing_required_field", "images")


async def test_a_drawing_is_a_picture_of_its_size(shop: World):
    """What the demo draws is real."""
    paid = await shop.pay(await shop.client.post(IMAGES, json=DRAWING))
    answer = await shop.client.post(IMAGES, json=DRAWING, headers=paid.headers)

    picture = Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][0]["b64_json"])))
    assert picture.size == (1024, 1024)


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS, EDITS])
async def test_the_example_of_a_form_is_sold(shop: World, path: str):
    """It can be bought as it stands, and what the end-to-end script breaks in it is refused for the reason it names."""
    place = shop.services.catalog.find("POST", path)
    assert place is not None
    example = place.endpoint.rules.example
    assert example.fields is not None
    texts = {name: value for name, value in example.fields.items() if not value.startswith("@")}
    names = {name: value[1:] for name, value in example.fields.items() if name not in texts}
    files: Files = [(name, (file, (SAMPLES / file).read_bytes(), "")) for name, file in names.items()]
    paid = await buy(shop, path, texts, files)

    answer = await send(shop, path, texts, files, paid)
    wrong = await send(shop, path, {**texts, **example.e2e.invalid}, files)
    missing = await send(shop, path, texts, [("nothing", ("a", b"b", ""))])

    assert example.e2e.keyword in answer.text
    assert wrong.json()["error"]["code"] == "invalid_field_value"
    assert missing.status_code == 400
