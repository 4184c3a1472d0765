"""How far a ledger has got is remembered outside of it, so that a restored backup is noticed."""

from __future__ import annotations

import asyncio
import multiprocessing
import stat
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import pytest

from lib.store.ledger import LedgerWentBack, Position
from lib.store.watermark import PositionUnreadable, Watermark

LEDGER, OTHER = b"L" * 16, b"O" * 16
PROCESSES = 4
STEPS = 25


def at(newest_entry: int, generation: int = 0, ledger_id: bytes = LEDGER) -> Position:
    return Position(ledger_id, generation, newest_entry)


async def see(watermark: Watermark, position: Position) -> bool:
    """Look at the ledger once; whether all is well."""
    try:
        await watermark.observe(position, watermark.mark())
    except LedgerWentBack:
        return False
    return True


def climb(directory: Path, newest_entry: Synchronized[int]) -> None:
    """What one process of several does with a ledger that all of them write: add an entry, and look."""

    async def steps() -> None:
        watermark = Watermark(directory)
        for _ in range(STEPS):
            mark = watermark.mark()
            with newest_entry.get_lock():
                newest_entry.value += 1
                there = newest_entry.value
            await watermark.observe(at(there), mark)

    asyncio.run(steps())


async def test_a_ledger_that_grows_or_stands_still_is_well(tmp_path: Path):
    """Seeing the same position again, or a higher one, raises nothing."""
    watermark = Watermark(tmp_path)

    assert [await see(watermark, at(entry)) for entry in (0, 7, 7, 8)] == [True] * 4
    watermark.require()


async def test_a_ledger_that_shrank_has_gone_back(tmp_path: Path):
    """A lower entry is a restored backup, and nothing may be changed from then on."""
    watermark = Watermark(tmp_path)
    await see(watermark, at(8))

    assert not await see(watermark, at(7))
    assert watermark.went_back
    with pytest.raises(LedgerWentBack, match="scripts/migrate --restored"):
        watermark.require()


def test_it_is_remembered_across_processes(tmp_path: Path):
    """The mark is in a file of mode 0600: a process started after the restoration finds it."""
    asyncio.run(see(Watermark(tmp_path), at(8)))

    assert not asyncio.run(see(Watermark(tmp_path), at(7)))
    [file] = tmp_path.glob("position-*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_ledger_that_sold_on_after_going_back_has_still_lost_a_part(tmp_path: Path):
    """Entries that grow past the mark again do not make up for those that are lost: also after a restart."""
    watermark = Watermark(tmp_path)
    await see(watermark, at(8))
    await see(watermark, at(7))

    assert not await see(watermark, at(9))
    assert not await see(Watermark(tmp_path), at(10))


async def test_an_operator_s_word_takes_it_into_service(tmp_path: Path):
    """A higher generation is the operator's word; from there on entries count anew."""
    watermark = Watermark(tmp_path)
    await see(watermark, at(8))
    await see(watermark, at(3))

    assert await see(watermark, at(3, generation=1))
    watermark.require()
    assert await see(Watermark(tmp_path), at(4, generation=1))
    assert not await see(Watermark(tmp_path), at(3, generation=1))


async def test_a_lower_generation_has_gone_back_whatever_its_entries(tmp_path: Path):
    """A backup from before the operator's word is older, even with more entries."""
    watermark = Watermark(tmp_path)
    await see(watermark, at(3, generation=1))

    assert not await see(watermark, at(100))
    assert not await see(watermark, at(101))


async def test_what_was_asked_before_another_answer_came_is_no_alarm(tmp_path: Path):
    """Two connections ask at once and are answered out of order: the lower answer is older, not a loss."""
    watermark = Watermark(tmp_path)
    first, second = watermark.mark(), watermark.mark()

    await watermark.observe(at(9), second)
    await watermark.observe(at(8), first)

    assert not watermark.went_back
    assert not await see(watermark, at(8))


async def test_ledgers_have_marks_of_their_own(tmp_path: Path):
    """Another ledger in the same directory is another story, even while the first one has gone back."""
    await see(Watermark(tmp_path), at(8))
    assert not await see(Watermark(tmp_path), at(7))
    watermark = Watermark(tmp_path)

    assert await see(watermark, at(1, ledger_id=OTHER))
    watermark.require()


def test_processes_that_share_a_directory_keep_the_highest(tmp_path: Path):
    """Many processes write at once: what is left is the highest any of them saw, and whole."""
    context = multiprocessing.get_context("spawn")
    newest_entry: Synchronized[int] = context.Value("q", 0)
    writers = [context.Process(target=climb, args=(tmp_path, newest_entry)) for _ in range(PROCESSES)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    highest = PROCESSES * STEPS

    assert [writer.exitcode for writer in writers] == [0] * PROCESSES
    assert asyncio.run(see(Watermark(tmp_path), at(highest)))
    assert not asyncio.run(see(Watermark(tmp_path), at(highest - 1)))


async def test_a_process_that_has_not_noticed_does_not_hide_that_another_one_has(tmp_path: Path):
    """One process found the ledger below its mark; what a late writer adds does not undo it."""
    late, early = Watermark(tmp_path), Watermark(tmp_path)
    await see(early, at(8))
    await see(early, at(5))

    assert await see(late, at(9))
    assert not await see(Watermark(tmp_path), at(9))


async def test_a_mark_that_cannot_be_written_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Its directory is gone: that is logged, and memory still remembers."""
    directory = tmp_path / "data"
    watermark = Watermark(directory)
    directory.rmdir()

    assert await see(watermark, at(8))
    assert "could not be written down" in caplog.text
    assert not await see(watermark, at(7))


def test_a_damaged_file_is_named(tmp_path: Path):
    """What cannot be read is not guessed: the operator is told which file, and when it may be removed."""
    (tmp_path / f"position-{LEDGER.hex()}.json").write_text("{")

    with pytest.raises(PositionUnreadable, match=LEDGER.hex()):
        Watermark(tmp_path)
