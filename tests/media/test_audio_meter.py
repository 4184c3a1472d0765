"""How long a recording is, whatever its headers say."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from lib.media.audio_meter import AudioMeter
from lib.media.recording import Recording, UnusableRecording
from tests.media.images import still
from tests.media.recordings import KINDS, LIES, tone

pytestmark = pytest.mark.asyncio(loop_scope="module")
KIND_MEASURED = {"mp4": "m4a", "oga": "ogg"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def meter() -> AsyncGenerator[AudioMeter]:
    opened = AudioMeter(workers=1)
    yield opened
    await opened.aclose()


async def measure(meter: AudioMeter, recording: bytes, *, before: bytes = b"", after: bytes = b"") -> Recording:
    """Measure a recording that lies between other bytes in a file."""
    with tempfile.TemporaryFile() as file:
        file.write(before + recording + after)
        file.flush()
        return await meter.measure(file.fileno(), len(before), len(recording))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_recording_is_as_long_as_it_plays(meter: AudioMeter, kind: str):
    """Every format that is sold, as a real encoder writes it: a begun second is a second."""
    assert await measure(meter, tone(kind, 7.3)) == Recording(KIND_MEASURED.get(kind, kind), 8)


@pytest.mark.parametrize("lie", LIES)
async def test_a_header_that_lies_does_not_make_it_shorter(meter: AudioMeter, lie: str):
    """The same recording with a forged header is measured by its packets."""
    recording = await measure(meter, LIES[lie](7.3))

    assert recording.seconds == 8


async def test_uncompressed_sound_is_counted_to_the_last_byte(meter: AudioMeter):
    """Three whole seconds are three: the header of a WAV is not sound."""
    assert (await measure(meter, tone("wav", 3))).seconds == 3


async def test_only_its_own_bytes_are_measured(meter: AudioMeter):
    """An upload's file may lie between others."""
    assert (await measure(meter, tone("mp3", 2.5), before=tone("mp3", 9), after=tone("mp3", 9))).seconds == 3


@pytest.mark.parametrize(
    "junk", [b"", b"No sound at all. " * 100, bytes(10_000), b"RIFF\x00\x00\x00\x00WAVE", b"ID3\x04" + bytes(100)]
)
async def test_junk_is_no_recording(meter: AudioMeter, junk: bytes):
    """It is refused in words, and the meter goes on."""
    with pytest.raises(UnusableRecording):
        await measure(meter, junk)


@pytest.mark.parametrize("kind", KINDS)
async def test_half_a_recording_is_refused_or_measured(meter: AudioMeter, kind: str):
    """A file that was cut off has the length of what is there, or none."""
    whole = tone(kind, 7.3)
    try:
        recording = await measure(meter, whole[: len(whole) // 2])
    except UnusableRecording:
        return
    assert 1 <= recording.seconds <= 8


async def test_a_picture_is_no_recording(meter: AudioMeter):
    """Files of other kinds are not even opened."""
    with pytest.raises(UnusableRecording):
        await measure(meter, still("PNG"))


async def test_several_sound_tracks_are_refused(meter: AudioMeter):
    """Which of them would be heard, nobody says."""
    with pytest.raises(UnusableRecording, match="several"):
        await measure(meter, tone("mp4", 1, tracks=2))


@pytest.mark.parametrize("playlist", [b"#EXTM3U\n/etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"])
async def test_a_playlist_is_not_followed(meter: AudioMeter, playlist: bytes):
    """A file that names others opens none of them."""
    with pytest.raises(UnusableRecording, match="no audio file"):
        await measure(meter, playlist * 20)


async def test_who_takes_too_long_is_ended_and_replaced():
    """A process that hangs over a recording is ended; the next one is measured by another process."""
    meter = AudioMeter(workers=1, measure_seconds=2.0)
    try:
        await measure(meter, tone("mp3", 1))
        (hanging,) = meter.waiting_pids()
        os.kill(hanging, signal.SIGSTOP)
        with pytest.raises(UnusableRecording, match="cannot be measured"):
            await measure(meter, tone("mp3", 1))

        assert (await measure(meter, tone("mp3", 2.5))).seconds == 3
        assert hanging not in meter.waiting_pids()
    finally:
        await meter.aclose()


async def test_a_process_that_dies_of_a_recording_is_replaced(meter: AudioMeter):
    """The buyer whose file it was is told so; the next one is served."""
    await measure(meter, tone("mp3", 1))
    os.kill(meter.waiting_pids()[0], signal.SIGKILL)
    with pytest.raises(UnusableRecording, match="cannot be measured"):
        await measure(meter, tone("mp3", 1))

    assert (await measure(meter, tone("mp3", 1))).seconds == 2


async def test_a_buyer_who_leaves_ends_the_measuring(meter: AudioMeter):
    """Nothing goes on for nobody, and the next recording is measured."""
    await measure(meter, tone("mp3", 1))
    (hanging,) = meter.waiting_pids()
    os.kill(hanging, signal.SIGSTOP)
    measuring = asyncio.create_task(measure(meter, tone("mp3", 1)))
    await asyncio.sleep(0)
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring

    assert (await measure(meter, tone("mp3", 1))).seconds == 2
    assert hanging not in meter.waiting_pids()


async def test_a_meter_that_is_closed_keeps_no_process():
    """A configuration was exchanged while a recording was measured: it is answered, and its process ends."""
    meter = AudioMeter(workers=1)
    measuring = asyncio.create_task(measure(meter, tone("mp3", 1)))
    await asyncio.sleep(0)
    await meter.aclose()

    assert (await measuring).seconds == 2
    assert meter.waiting_pids() == []


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads what Linux says of a process")  # noqa: PTH112
async def test_the_measuring_process_has_no_secrets_and_little_power(meter: AudioMeter):
    """None of our environment, no more memory than a gibibyte, no file that grows."""
    await measure(meter, tone("mp3", 1))
    process = f"/proc/{meter.waiting_pids()[0]}"

    assert _read(f"{process}/environ").split(b"\0") == [b"PATH=" + os.defpath.encode(), b""]
    limits = {line[:26].strip(): line[26:].split()[:2] for line in _read(f"{process}/limits").decode().splitlines()}
    assert limits["Max address space"] == ["1073741824", "1073741824"]
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max cpu time"][0].isdigit()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()
