"""Rules of servers: none grew without bound, and no log holds a secret, a prompt or a traceback."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos_parts.record import PROMPT_MARK, Record
from lib.logs import BLOT

MEMORY_MAX_KIB = 300 * 1_024
WORD = re.compile(r"[A-Za-z0-9_+/-]{12,}")
"""What a secret can look like: hex, base64 of both kinds, tokens and keys, without the padding."""
PREIMAGE = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

SERVER_LOG = "server-"
TRACEBACK = "Traceback (most recent call last)"
"""Whatever breaks outside is expected, and told in a line. This is what nobody thought of."""
CUT_AT_STOP = "CancelledError: Task cancelled, timeout graceful shutdown exceeded"
"""How uvicorn tells of a call that it cut because its server was stopped and the time to drain was over: a row of the
table of endings, not a fault."""


@dataclass(slots=True)
class Log:
    """What one log holds."""

    text: str
    lines: int = 0
    calls: int = 0
    """Paid calls that it tells of."""
    strangers: int = 0
    """Lines of a server that are no JSON object."""
    tracebacks: int = 0

    @staticmethod
    def read(file: Path) -> Log:
        """A server writes one JSON object a line; where it was killed its last one may be cut."""
        log = Log(file.read_text(encoding="utf-8", errors="replace"))
        if not file.name.startswith(SERVER_LOG):
            log.tracebacks = log.text.count(TRACEBACK)
            return log
        for line in log.text.split("\n")[:-1]:
            log._take(line)
        return log

    def _take(self, line: str) -> None:
        self.lines += 1
        try:
            told: dict[str, Any] = json.loads(line)
            event = told["event"]
        except (ValueError, KeyError, TypeError):
            self.strangers += 1
            self.tracebacks += TRACEBACK in line
            return
        self.calls += event == "call"
        traceback = told.get("traceback", "")
        self.tracebacks += TRACEBACK in f"{event}{traceback}" and not traceback.endswith(CUT_AT_STOP)


def differences(record: Record, logs: Iterable[Path]) -> Iterator[str]:
    """One sentence for each. Never the secret itself."""
    for life in record.lives:
        if life.memory_peak_kib > MEMORY_MAX_KIB:
            yield f"{life.name} took {life.memory_peak_kib} KiB of memory, above {MEMORY_MAX_KIB}"
    for file in logs:
        for difference in _of(Log.read(file), record):
            yield f"{file.name} {difference}"


def _of(log: Log, record: Record) -> Iterator[str]:
    secrets = {secret.rstrip("=") for secret in record.secrets}
    leaked = secrets.intersection(WORD.findall(log.text)) | set(_preimages(log.text, record))
    if leaked:
        yield f"holds {len(leaked)} secrets"
    if blots := log.text.count(BLOT):
        yield f"holds {blots} blots: secrets were told, and only just caught"
    if log.strangers:
        yield f"has {log.strangers} lines that are no JSON"
    if log.tracebacks:
        yield f"tells of {log.tracebacks} faults of our own"
    if f"{PROMPT_MARK}-{record.nonce}" in log.text:
        yield "holds a prompt"


def _preimages(text: str, record: Record) -> Iterator[str]:
    """Of any invoice that was ever made, paid or not: what hashes to it."""
    for word in set(PREIMAGE.findall(text)):
        if hashlib.sha256(bytes.fromhex(word)).hexdigest() in record.invoices:
            yield word


def searched(record: Record, directory: Path) -> dict[str, int]:
    """How much was looked through in a run's logs, and for what."""
    read = [Log.read(file) for file in sorted(directory.glob("*.log"))]
    return {
        "lines of servers": sum(log.lines for log in read),
        "paid calls told": sum(log.calls for log in read),
        "secrets looked for": len(record.secrets),
        "invoices whose preimages were looked for": len(record.invoices),
    }


def memory_peak_mib(record: Record) -> int:
    """Of any server."""
    return max((life.memory_peak_kib for life in record.lives), default=0) // 1_024
