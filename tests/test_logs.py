"""What a line of the log looks like, and what never gets into one."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from lib import config, logs
from lib.config import ConfigError
from lib.logs import BLOT, REQUEST_ID, JsonLines, Words

TOKEN = "alb_" + "x" * 43
SECRETS = [
    f"a token {TOKEN} in a sentence",
    "Authorization: Bearer sk-live-abcdefghijklmnop",
    "L402 AgELYWxpdHRsZWJpdA==:" + "0f" * 32,
    "postgresql://user:hunter2hunter2@db.example/ledger",
    "sk-proj-abcdefghijklmnop refused",
    "sb_secret_abcdefghijklmnopq",
]


@pytest.fixture
def kept() -> Iterator[None]:
    """What set_up changes is put back."""
    root, raising = logging.getLogger(), logging.raiseExceptions
    told = logging.logThreads, logging.logProcesses, logging.logMultiprocessing
    level, handlers = root.level, root.handlers[:]
    uvicorn = logging.getLogger("uvicorn")
    others, error = (uvicorn.handlers[:], uvicorn.propagate), logging.getLogger("uvicorn.error")
    error_level = error.level
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.raiseExceptions = raising
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing = told
    uvicorn.handlers[:], uvicorn.propagate = others
    error.setLevel(error_level)


def record(message: str, *arguments: Any, fault: BaseException | None = None, **fields: Any) -> logging.LogRecord:
    """A record as a module makes it."""
    exc_info = None if fault is None else (type(fault), fault, fault.__traceback__)
    made = logging.LogRecord("lib.part", logging.WARNING, __file__, 1, message, arguments, exc_info)
    if fields:
        made.fields = fields
    return made


def test_a_line_is_one_json_object():
    """Time, level, logger, event, and what it is about; a line break stays inside its line."""
    line = JsonLines().format(record("two\n%s", "lines", api="openai", msat=15))

    told = json.loads(line)
    assert "\n" not in line
    assert {name: told[name] for name in told if name != "time"} == {
        "level": "warning",
        "logger": "lib.part",
        "event": "two\nlines",
        "api": "openai",
        "msat": 15,
    }
    assert datetime.fromisoformat(told["time"]).tzinfo is not None


def test_words_say_the_same():
    """For a terminal: one line, fields behind the event."""
    assert Words().format(record("call", msat=15)).endswith(" WARNING lib.part: call msat=15")


@pytest.mark.parametrize("formatter", [JsonLines(), Words()])
def test_a_fault_is_told_with_its_traceback(formatter: logging.Formatter):
    """For whoever repairs it."""
    try:
        raise ValueError("a bug")
    except ValueError as fault:
        line = formatter.format(record("failed", fault=fault))

    assert "Traceback (most recent call last)" in line and "ValueError: a bug" in line


def test_a_value_that_json_does_not_know_is_told_by_its_text():
    """A log call never fails."""
    assert json.loads(JsonLines().format(record("x", where=io.BytesIO)))["where"] == str(io.BytesIO)


@pytest.mark.parametrize("formatter", [JsonLines(), Words()])
@pytest.mark.parametrize("text", SECRETS)
def test_what_looks_like_a_secret_is_blotted_out(formatter: logging.Formatter, text: str):
    """In the event, in a field and in a traceback alike."""
    lines = [
        formatter.format(record(text)),
        formatter.format(record("x", field=text)),
        formatter.format(record("x", fault=ValueError(text))),
    ]

    for line in lines:
        assert BLOT in line
        assert not any(part in line for part in (TOKEN, "hunter2", "abcdefghijklmnop", "0f" * 32, "AgELYWxp"))


def test_the_request_is_named_on_every_line_while_it_is_served():
    """And on none beside it."""
    reset = REQUEST_ID.set("req_1")
    inside = json.loads(JsonLines().format(record("x")))
    REQUEST_ID.reset(reset)

    assert inside["request_id"] == "req_1"
    assert "request_id" not in json.loads(JsonLines().format(record("x")))


@pytest.mark.usefixtures("kept")
def test_every_logger_tells_in_one_form():
    """uvicorn's too, which has handlers of its own; requests to the node are not told one by one."""
    stream = io.StringIO()
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler(stream))
    logs.set_up(stream=stream)
    logs.set_up(stream=stream)
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    logging.getLogger("httpx").info("HTTP Request: GET http://node")
    logging.getLogger("uvicorn.access").info("GET / 200")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["Started server process [7]"]


@pytest.mark.parametrize(("value", "form"), [("", None), ("json", "json"), ("text", "text")])
def test_the_form_is_a_setting(value: str, form: str | None):
    """Without it a terminal decides."""
    assert config.log_form({"LOG_FORMAT": value}) == form


def test_another_form_is_refused():
    """With the ones there are."""
    with pytest.raises(ConfigError, match="`json` or `text`"):
        config.log_form({"LOG_FORMAT": "xml"})


@pytest.mark.usefixtures("kept")
async def test_lines_are_written_together_and_a_warning_at_once():
    """In their order; what waits is written a moment later without anybody's doing."""
    stream = io.StringIO()
    logs.set_up("json", stream)
    log = logging.getLogger("lib.part")
    log.info("first")
    log.info("second")
    waiting = stream.getvalue()
    log.warning("third")
    written = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    log.info("fourth")
    async with asyncio.timeout(30):
        while "fourth" not in stream.getvalue():
            await asyncio.sleep(0.01)

    assert (waiting, written) == ("", ["first", "second", "third"])
