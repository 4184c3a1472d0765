"""Room for uploads: flat memory, bounded space, nothing left behind."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import pytest

from lib.core.errors import ApiError, Code
from lib.core.form import FileRule, FormReader, FormRules
from lib.uploads import Spool, _write  # pyright: ignore[reportPrivateUsage]

MEBIBYTE = 1_048_576
FILE_BYTES = 25 * MEBIBYTE
RULES = FormRules(texts=frozenset({"model"}), lists=frozenset(), files={"file": FileRule(FILE_BYTES)})
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"
PIECE = bytes(range(256)) * 256
FULL = Path("/dev/full")


def reader() -> FormReader:
    return FormReader("multipart/form-data; boundary=b", RULES)


async def form_of(file_bytes: int) -> AsyncIterator[bytes]:
    """A form with one file, in pieces as a server hands them out."""
    yield HEAD
    for at in range(0, file_bytes, len(PIECE)):
        yield PIECE[: file_bytes - at]
    yield TAIL


async def refused(spool: Spool, size: int, *, paying: bool = True) -> ApiError:
    with pytest.raises(ApiError) as caught:
        async with spool.receive(reader(), form_of(10), size=size, paying=paying):
            pass
    return caught.value


def full_disk() -> IO[bytes]:
    """A file on a disk without room."""
    return FULL.open("wb", buffering=0)


async def test_a_large_upload_is_kept_whole_in_flat_memory(tmp_path: Path):
    """25 MiB come in and go out again in pieces, hashed, within 2 MiB of memory."""
    spool, sent, received = Spool(tmp_path, FILE_BYTES * 2), hashlib.sha256(), hashlib.sha256()
    for _ in range(0, FILE_BYTES, len(PIECE)):
        sent.update(PIECE)
    tracemalloc.start()
    try:
        async with spool.receive(reader(), form_of(FILE_BYTES), size=FILE_BYTES, paying=True) as upload:
            (file,) = upload.form.files
            async for piece in upload.pieces(file.start, file.size):
                received.update(piece)
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert file.size == FILE_BYTES
    assert received.digest() == file.sha256 == sent.digest()
    assert peak < 2 * MEBIBYTE


async def test_an_upload_has_no_name(tmp_path: Path):
    """A server that is killed leaves nothing on the disk: the file is unlinked from the beginning."""
    spool = Spool(tmp_path / "uploads", MEBIBYTE)

    async with spool.receive(reader(), form_of(100), size=200, paying=True) as upload:
        assert list((tmp_path / "uploads").iterdir()) == []
        assert await upload.read(0, 100) == PIECE[:100]


async def test_uploads_have_so_much_room_and_no_more(tmp_path: Path):
    """Beyond it: 503 with Retry-After, before anything is read. What has ended makes room."""
    spool = Spool(tmp_path, 1_000)

    async with spool.receive(reader(), form_of(10), size=600, paying=True):
        full = await refused(spool, 401)
    async with spool.receive(reader(), form_of(10), size=1_000, paying=True):
        pass

    assert full.code is Code.UPLOAD_UNAVAILABLE
    assert full.headers["Retry-After"].isdigit()


async def test_who_has_proven_nothing_gets_half_of_the_room(tmp_path: Path):
    """However many unpaid uploads come, buyers find room."""
    spool = Spool(tmp_path, 1_000)

    async with spool.receive(reader(), form_of(10), size=500, paying=False):
        assert (await refused(spool, 1, paying=False)).code is Code.UPLOAD_UNAVAILABLE
        async with spool.receive(reader(), form_of(10), size=500, paying=True):
            pass


async def test_a_failed_upload_gives_its_room_back(tmp_path: Path):
    """A form that is refused in the middle holds nothing afterwards."""
    spool = Spool(tmp_path, 1_000)

    async def broken() -> AsyncIterator[bytes]:
        yield HEAD

    for _ in range(3):
        with pytest.raises(ApiError) as caught:
            async with spool.receive(reader(), broken(), size=1_000, paying=True):
                pass
        assert caught.value.code is Code.INVALID_FORM


async def test_the_last_of_the_disk_is_the_ledger_s(tmp_path: Path):
    """Where the disk has less room than is to be spared, no upload begins."""
    assert (await refused(Spool(tmp_path, MEBIBYTE, spare_bytes=2**62), 100)).code is Code.UPLOAD_UNAVAILABLE


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
async def test_a_disk_that_fills_up_meanwhile_is_told(tmp_path: Path):
    """503, not a fault: what was to be written had no room."""
    with full_disk() as disk, pytest.raises(ApiError) as caught:
        await _write(disk, [b"sound"])

    assert caught.value.code is Code.UPLOAD_UNAVAILABLE


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path):
    """A wrong directory closes the endpoints that take uploads and nothing else."""
    (tmp_path / "taken").write_text("a file")

    assert (await refused(Spool(tmp_path / "taken", MEBIBYTE), 100)).code is Code.UPLOAD_UNAVAILABLE
