"""The official SDKs buy sound and pictures, unchanged, from an upstream that nobody here wrote: charges to the msat."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncGenerator

import openai
import pytest

from lib.core.money import Msat
from lib.store.ledger import Owner
from tests.aimock.server import AiMock
from tests.world import ROOT, World

pytestmark = pytest.mark.slow

SAMPLES = ROOT / "frontend" / "public" / "samples"
RECORDING, PICTURE = SAMPLES / "recording.wav", SAMPLES / "picture.png"
SOUND = b"\xff\xfb\x90\x00" * 300
DRAWN = base64.b64encode(b"a picture").decode()
SAID = "A little bit of money."
TOPUP_SATS = 100_000
SECONDS_LIMIT = 60.0
SDK_FOLDER = ROOT / "tests" / "clients" / "js"


@pytest.fixture
def told(aimock: AiMock) -> AiMock:
    """What it answers."""
    aimock.answers({"endpoint": "speech"}, {"audio": base64.b64encode(SOUND).decode()})
    aimock.answers({"endpoint": "transcription"}, {"transcription": {"text": SAID, "duration": 1.01}})
    aimock.answers({"endpoint": "translation"}, {"transcription": {"text": SAID, "duration": 1.01}})
    aimock.answers({"endpoint": "image"}, {"images": [{"b64Json": DRAWN}]})
    aimock.answers({"endpoint": "image-edit"}, {"images": [{"b64Json": DRAWN}]})
    return aimock


@pytest.fixture
async def token(shop: World) -> str:
    """A prepaid token."""
    offer = await shop.client.post("/topup", json={"amount_sats": TOPUP_SATS})
    paid = await shop.pay(offer)
    claim = await shop.client.post("/topup/claim", json={"macaroon": paid.macaroon, "preimage": paid.preimage})
    return claim.json()["token"]


@pytest.fixture
async def sdk(shop: World, token: str) -> AsyncGenerator[openai.AsyncOpenAI]:
    """The official Python SDK with our address and token."""
    async with openai.AsyncOpenAI(base_url=f"{shop.url}/v1", api_key=token, max_retries=0) as client:
        yield client


async def charges(shop: World, token: str) -> list[int]:
    """What each call was charged in msat, oldest first, once none runs."""
    async with asyncio.timeout(SECONDS_LIMIT):
        while (found := await shop.services.ledger.balance(Owner.of_token(token))) is None or found.held:
            await asyncio.sleep(0.005)
    entries = await shop.services.ledger.entries(found.account, before=None, limit=100)
    return [-entry.amount.value for entry in reversed(entries) if entry.amount < Msat.ZERO]


async def test_speech_is_bought_as_bytes_and_as_a_stream(
    shop: World, told: AiMock, sdk: openai.AsyncOpenAI, token: str
):
    """11 characters at 19.5 USD a million, twice."""
    whole = await sdk.audio.speech.create(model="tts-1", voice="alloy", input="Hello there")
    async with sdk.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="Hello there"
    ) as answer:
        pieces = b"".join([piece async for piece in answer.iter_bytes()])

    assert (whole.content, pieces) == (SOUND, SOUND)
    assert await charges(shop, token) == [215, 215]


async def test_a_recording_is_transcribed_and_translated(
    shop: World, told: AiMock, sdk: openai.AsyncOpenAI, token: str
):
    """2 seconds at 0.0045 and 0.006 USD a minute, times 1.30; as JSON, in full, as subtitles and as a stream."""
    plain = await sdk.audio.transcriptions.create(model="gpt-transcribe", file=RECORDING)
    full = await sdk.audio.transcriptions.create(
        model="whisper-1", file=RECORDING, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    stream = await sdk.audio.transcriptions.create(model="gpt-transcribe", file=RECORDING, stream=True)
    streamed = "".join([event.delta async for event in stream if event.type == "transcript.text.delta"])
    with pytest.deprecated_call():  # the SDK says so of every model that is retired one day
        translated = await sdk.audio.translations.create(  # pyright: ignore[reportDeprecated]
            model="whisper-1", file=RECORDING
        )

    assert (plain.text, full.text, streamed, translated.text) == (SAID, SAID, SAID, SAID)
    assert await charges(shop, token) == [195, 260, 195, 260]


async def test_pictures_are_drawn_and_edited(shop: World, told: AiMock, sdk: openai.AsyncOpenAI, token: str):
    """It says no usage: the table's cell, 210 tokens at 39 USD a million, for each image."""
    drawn = await sdk.images.generate(model="gpt-image-2", prompt="A bitcoin", size="1024x1024", quality="low")
    edited = await sdk.images.edit(
        model="gpt-image-2", prompt="Blue", image=[PICTURE, PICTURE], mask=PICTURE, size="1024x1024", quality="low"
    )

    assert [image.b64_json for answer in (drawn, edited) for image in answer.data or []] == [DRAWN, DRAWN]
    assert await charges(shop, token) == [8_190, 8_190]


async def test_the_javascript_sdk_buys_the_same(shop: World, told: AiMock, token: str):
    """JSON, binary, streams and forms, by the other official SDK."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(ROOT / "tests" / "aimock" / "media_buyer.mjs"),
        *(shop.url, token, str(RECORDING), str(PICTURE)),
        env={"PATH": os.environ["PATH"], "SDK_FOLDER": str(SDK_FOLDER)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS_LIMIT):
        out, err = await process.communicate()

    assert process.returncode == 0, err.decode()
    sound, *rest = [json.loads(line) for line in out.splitlines()]
    assert base64.b64decode(sound) == SOUND
    assert rest == [SAID, SAID, SAID, [DRAWN], [DRAWN]]
    assert await charges(shop, token) == [215, 195, 195, 260, 8_190, 8_190]
