"""Forms that are refused: while they arrive, before anything is invoiced, and within bounds for who pays nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.media.images import moving, png_claiming, still
from tests.media.recordings import tone
from tests.media_calls.forms import EDITS, TRANSCRIPTIONS, Files, buy, send
from tests.world import World, opened_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS = {"model": "gpt-transcribe"}
SOUND = ("file", ("a.mp3", tone("mp3", 1), "audio/mpeg"))
EDIT = {"model": "gpt-image-2", "prompt": "blue", "size": "1024x1024", "quality": "low"}
LIMIT_SECONDS = 20.0


def image(data: bytes) -> tuple[str, tuple[str, bytes, str]]:
    """A picture to be edited."""
    return ("image", ("a.png", data, "image/png"))


@pytest.mark.parametrize(
    ("path", "fields", "files", "code", "param"),
    [
        (TRANSCRIPTIONS, FIELDS, [("file", ("a.mp3", b"junk" * 99, ""))], "invalid_field_value", "file"),
        (TRANSCRIPTIONS, FIELDS, [("file", ("a.mp3", b"", ""))], "invalid_field_value", "file"),
        (TRANSCRIPTIONS, FIELDS, [("file", ("a.mp3", still("PNG"), ""))], "invalid_field_value", "file"),
        (TRANSCRIPTIONS, FIELDS, [SOUND, SOUND], "invalid_field_value", "file"),
        (TRANSCRIPTIONS, FIELDS, [SOUND, ("other", ("b", b"c", ""))], "invalid_field_value", "other"),
        (TRANSCRIPTIONS, {**FIELDS, "stream": "True"}, [SOUND], "invalid_field_type", "stream"),
        (TRANSCRIPTIONS, {**FIELDS, "temperature": "9"}, [SOUND], "invalid_field_value", "temperature"),
        (TRANSCRIPTIONS, {**FIELDS, "nobody": "a"}, [SOUND], "invalid_field_value", "nobody"),
        (TRANSCRIPTIONS, {"model": "gpt-99"}, [SOUND], "model_not_supported", "model"),
        (TRANSCRIPTIONS, {"language": "en"}, [SOUND], "missing_required_field", "model"),
        (EDITS, EDIT, [image(moving("GIF"))], "invalid_field_value", "image"),
        (EDITS, EDIT, [image(tone("mp3", 1))], "invalid_field_value", "image"),
        (EDITS, EDIT, [image(png_claiming(60_000, 60_000))], "invalid_field_value", "image"),
        (EDITS, {**EDIT, "input_fidelity": "low"}, [image(still("PNG"))], "invalid_field_value", "input_fidelity"),
        (EDITS, {**EDIT, "n": "1.0"}, [image(still("PNG"))], "invalid_field_type", "n"),
        (EDITS, EDIT, [("images[]", ("a.png", still("PNG"), ""))], "invalid_field_type", "images"),
    ],
)  # fmt: skip
async def test_a_form_that_is_not_sold_is_refused(
    shop: World, path: str, fields: dict[str, Any], files: Files, code: str, param: str
):
    """400 with the field's name; no invoice, nothing sent on."""
    before = await shop.invoices()

    refused = await send(shop, path, fields, files)

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, code), refused.text
    assert refused.json()["error"]["param"] == param
    assert (await shop.invoices(), shop.parts.journal()) == (before, [])


async def test_what_is_no_form_is_refused(shop: World):
    """JSON where a form is wanted, and a form where JSON is: in words."""
    json_for_form = await shop.client.post(TRANSCRIPTIONS, json={"model": "gpt-transcribe"})
    torn = await shop.client.post(
        TRANSCRIPTIONS, content=b"--b\r\n", headers={"Content-Type": "multipart/form-data; boundary=b"}
    )

    assert (json_for_form.status_code, json_for_form.json()["error"]["code"]) == (400, "invalid_form")
    assert torn.json()["error"]["code"] == "invalid_form"


async def test_a_file_that_is_too_large_is_refused_while_it_arrives(shop: World):
    """One byte more than 25 MiB: the answer comes though the form has not ended."""
    address = urlsplit(shop.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    writer.write(
        f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nhost: {address.netloc}\r\ntransfer-encoding: chunked\r\n"
        "content-type: multipart/form-data; boundary=b\r\n\r\n".encode()
    )
    for piece in [head, *[bytes(65_536)] * 400, b"x"]:
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()
    async with asyncio.timeout(LIMIT_SECONDS):
        answer = await reader.readuntil(b"request_too_large")
    writer.transport.abort()

    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_form_that_says_it_is_too_large_is_not_read(shop: World):
    """Its Content-Length is enough."""
    refused = await shop.client.post(
        TRANSCRIPTIONS,
        content=bytes(28_000_000),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )

    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")


async def test_a_wrong_token_is_told_before_the_form_is_read(shop: World):
    """Nobody's upload is measured for a token that is not ours."""
    wrong = {"Authorization": "Bearer alb_" + "A" * 43}

    refused = await send(shop, TRANSCRIPTIONS, FIELDS, [("file", ("a", b"junk", ""))], None, **wrong)

    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_token")


async def test_unpaid_uploads_have_a_small_share(tmp_path: Path):
    """Calls and quotes together; JSON calls and who has paid go on."""
    async with opened_world(tmp_path, unpaid_uploads_per_ip_per_minute=2) as world:
        paid = await buy(world, TRANSCRIPTIONS, FIELDS, [SOUND])
        quote = await send(world, "/api/quote" + TRANSCRIPTIONS, FIELDS, [SOUND])
        refused = await send(world, TRANSCRIPTIONS, FIELDS, [SOUND])
        bought = await send(world, TRANSCRIPTIONS, FIELDS, [SOUND], paid)

        assert (quote.status_code, quote.json()["line_items"][0]["unit"]) == (200, "second")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
        assert refused.headers["retry-after"].isdigit()
        assert bought.status_code == 200
        assert (await world.ask()).status_code == 402


async def test_when_there_is_no_room_that_is_said(tmp_path: Path):
    """503 with Retry-After; nothing is held, and calls without files go on."""
    async with opened_world(tmp_path, upload_space_bytes=1_000) as world:
        refused = await send(world, TRANSCRIPTIONS, FIELDS, [SOUND])

        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "upload_unavailable")
        assert refused.headers["retry-after"].isdigit()
        assert (await world.ask()).status_code == 402


async def test_a_form_that_does_not_come_is_given_up(tmp_path: Path):
    """After its time the room is free again."""
    async with opened_world(tmp_path, upload_seconds=0.2, upload_space_bytes=100_000) as world:
        address = urlsplit(world.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(
            f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-length: 50000\r\n"
            "content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\n".encode()
        )
        async with asyncio.timeout(LIMIT_SECONDS):
            answer = await reader.readuntil(b"in time")
        writer.transport.abort()

        assert answer.startswith(b"HTTP/1.1 400")
        assert (await send(world, TRANSCRIPTIONS, FIELDS, [SOUND])).status_code == 402


async def test_an_uploader_who_leaves_holds_no_room(tmp_path: Path):
    """The connection ends in the middle of a form, again and again."""
    async with opened_world(tmp_path, upload_space_bytes=100_000) as world:
        for _ in range(5):
            with pytest.raises(httpx.HTTPError):
                await world.client.post(
                    TRANSCRIPTIONS,
                    content=_half_a_form(),
                    headers={"Content-Type": "multipart/form-data; boundary=b", "Content-Length": "45000"},
                )

        async with asyncio.timeout(LIMIT_SECONDS):
            while (answer := await send(world, TRANSCRIPTIONS, FIELDS, [SOUND])).status_code == 503:
                await asyncio.sleep(0.01)
        assert answer.status_code == 402


async def _half_a_form():
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    raise httpx.WriteError("the uploader leaves")
