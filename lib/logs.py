"""How this process tells what happens: one line an event, JSON for programs, words for a terminal.

A line says `time`, `level`, `logger`, `event`, and what the event is about: `extra={"fields": {...}}` of a log call.
While a request is served, its id is on every line. Secrets are kept out where they are held; what looks like one is
blotted out here all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO, TypeAlias

import orjson

Form: TypeAlias = Literal["json", "text"]

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is served here."""
SECRET = re.compile(
    r"alb_[A-Za-z0-9_-]{43}"  # a bearer token
    r"|\b(?:sk|sb_secret|gsk|xai|key)[-_][A-Za-z0-9_-]{16,}"  # a provider's or Supabase's key
    r"|(?<=://)[^\s/@]+(?=@)"  # user and password of an address
    r"|(?:(?<=L402 )|(?<=LSAT )|(?<=Bearer ))[^\s\"']+"
)
MARKS = ("alb_", "sk-", "sk_", "sb_secret", "gsk", "xai", "key-", "key_", "://", "L402 ", "LSAT ", "Bearer ")
"""What begins with a secret has one of these: most lines have none, and are not searched."""
FLUSH_SECONDS = 0.1
LINES_MAX_COUNT = 256
BLOT = "[secret]"
TAKEN_OVER = ("uvicorn", "uvicorn.error", "uvicorn.asgi")
QUIET = ("httpx", "httpcore")
"""They tell of every question to the node."""


def set_up(form: Form | None = None, stream: TextIO = sys.stderr) -> None:
    """Every logger of the process tells on `stream` (stderr), uvicorn's too, whoever started it.

    Without a `form` a terminal gets words and anything else JSON. Repeating it changes nothing but the form.
    """
    form = form or ("text" if stream.isatty() else "json")
    handler = Batched(stream)
    handler.setFormatter(JsonLines() if form == "json" else Words())
    logging.raiseExceptions = False  # a log that cannot be written stops nobody
    # Not told, so not asked for: each costs every line some time.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in TAKEN_OVER:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    access = logging.getLogger("uvicorn.access")  # its lines hold addresses; ours are in lib/reservation.py
    access.handlers.clear()
    access.propagate = False
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # what a form lacks is told to its sender


class Batched(logging.Handler):
    """Writes lines some at a time: each write lets another thread have its turn, which costs a call more than the line.

    A warning, and what stands before it, is written at once; anything else at most FLUSH_SECONDS later. Where no event
    loop runs nothing waits. What a kill finds unwritten is lost.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream."""
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Format now, because the request is known now."""
        try:
            self._lines.append(self.format(record))
            if record.levelno >= logging.WARNING or len(self._lines) >= LINES_MAX_COUNT:
                self.flush()
            elif len(self._lines) == 1:
                asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        except RuntimeError:  # no loop runs in this thread
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self.lock or contextlib.nullcontext():
            lines, self._lines = self._lines, []
            if lines:
                with contextlib.suppress(OSError, ValueError):  # a log that cannot be written stops nobody
                    self._stream.write("\n".join(lines) + "\n")
                    self._stream.flush()


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Never raises for a value that JSON does not know: its text is told."""
        told: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return _blotted(orjson.dumps(told, default=str).decode())


class Words(logging.Formatter):
    """For people: the same, in one line and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Fields as `name=value` behind the event."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}{fields}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return _blotted(line)


def _blotted(line: str) -> str:
    return SECRET.sub(BLOT, line) if any(mark in line for mark in MARKS) else line


def _time(record: logging.LogRecord) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the event is about, its request first."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    request_id = REQUEST_ID.get()
    return fields if request_id is None or "request_id" in fields else {"request_id": request_id, **fields}
