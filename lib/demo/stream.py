"""A stream of events, whatever API words them, with the scenario's accidents at their exact places."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator
    from typing import Protocol

    from lib.demo.journal import Entry
    from lib.demo.scenario import Scenario

    class Wording(Protocol):
        """How one API tells one answer."""

        def pieces(self) -> Iterator[tuple[int, str]]:
            """(choice, text) in the order of the stream."""
            ...

        def usage(self, emitted: int) -> dict[str, Any]:
            """What is used once so many pieces are out."""
            ...

        def begin(self) -> Iterable[bytes]:
            """The events before the text."""
            ...

        def piece(self, index: int, text: str) -> bytes:
            """One event of text."""
            ...

        def error(self) -> bytes:
            """Something went wrong."""
            ...

        def end(self) -> Iterable[bytes]:
            """The events after the text, the usage among them."""
            ...

        def done(self) -> bytes:
            """The very last event, which a scenario can leave out."""
            ...


class CutOff(Exception):
    """The scenario ends the connection here; what was written before goes out."""


async def events(wording: Wording, scenario: Scenario, entry: Entry) -> AsyncGenerator[bytes, None]:
    """All events. Keeps the entry's usage true at every step. Raises CutOff."""
    for event in wording.begin():
        yield event
    for emitted, (index, text) in enumerate(wording.pieces()):
        if emitted in (scenario.cut_after_chunks, scenario.error_in_band_after_chunks):
            break
        await asyncio.sleep(scenario.chunk_delay_ms / 1000)
        entry.usage = wording.usage(emitted + 1)
        entry.text_bytes += len(text.encode())
        yield wording.piece(index, text)
    if scenario.cut_after_chunks is not None:
        raise CutOff
    if scenario.error_in_band_after_chunks is not None:
        yield wording.error()
        return
    for event in wording.end():
        yield event
    if not scenario.no_done:
        yield wording.done()


def data_event(value: dict[str, Any]) -> bytes:
    """An event without a name."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def named_event(value: dict[str, Any]) -> bytes:
    """An event that is named by its `type`."""
    return f"event: {value['type']}\n".encode() + data_event(value)


def with_usage(value: dict[str, Any], usage_texts: Iterable[str]) -> str:
    """The JSON of an object with its usage last, as often as it is told."""
    said = "".join(f', "usage": {text}' for text in usage_texts)
    return f"{json.dumps(value, ensure_ascii=False)[:-1]}{said}}}"
