"""What uploads cost in memory: measured on a real server, as a process of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from lib.demo.parts import demo_parts
from tests.media.recordings import tone
from tests.processes.shops import Shop, Street
from tests.world import Paid

log = logging.getLogger(__name__)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads what Linux says of a process"),
]

PATH = "/openai/v1/audio/transcriptions"
MEBIBYTE = 1_048_576
FILE_BYTES = 25 * MEBIBYTE
PIECE_BYTES = 65_536
EACH_MAX_BYTES = 5 * MEBIBYTE
"""Of memory, for an upload of 25 MiB on its way in, measured, and out again."""
HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-transcribe\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
)
TAIL = b"\r\n--b--\r\n"


def music() -> bytes:
    """25 MiB of MP3: ten seconds, over and over."""
    once = tone("mp3", 10)
    return (once * (FILE_BYTES // len(once) + 1))[:FILE_BYTES]


async def pieces(sound: bytes) -> AsyncIterator[bytes]:
    """A form as a slow sender sends it."""
    yield HEAD
    for at in range(0, len(sound), PIECE_BYTES):
        yield sound[at : at + PIECE_BYTES]
    yield TAIL


async def upload(shop: Shop, sound: bytes, paid: Paid | None = None) -> httpx.Response:
    """Send it and read the answer."""
    headers = {
        "Content-Type": "multipart/form-data; boundary=b",
        "Content-Length": str(len(HEAD) + len(sound) + len(TAIL)),
        **(paid.headers if paid else {}),
    }
    return await shop.world.client.post(PATH, content=pieces(sound), headers=headers)


def peak_bytes(process_id: int) -> int:
    """The most memory that was resident since the last `forget`."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return next(int(line.split()[1]) * 1_024 for line in status.splitlines() if line.startswith("VmHWM"))


def forget(process_id: int) -> int:
    """Begin to measure the peak anew; what is resident now."""
    Path(f"/proc/{process_id}/clear_refs").write_text("5")
    return peak_bytes(process_id)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("at_once", [1, 4])
async def test_an_upload_costs_little_memory(tmp_path: Path, at_once: int):
    """25 MiB are received, measured, hashed and sent on in less than 5 MiB each, one alone and four at once."""
    sound = music()
    async with demo_parts() as parts:
        street = Street(parts, tmp_path, limits={"unpaid_uploads_per_ip_per_minute": 1_000})
        async with street.opened() as shop:
            paid = [await shop.world.pay(await upload(shop, sound)) for _ in range(at_once)]
            before = forget(shop.process.pid)

            answers = await asyncio.gather(*[upload(shop, sound, each) for each in paid])

            more = peak_bytes(shop.process.pid) - before
    assert [answer.status_code for answer in answers] == [200] * at_once, answers[0].text
    log.info("%d upload(s) of 25 MiB at once: %.1f MiB of memory", at_once, more / MEBIBYTE)
    assert more < EACH_MAX_BYTES * at_once
