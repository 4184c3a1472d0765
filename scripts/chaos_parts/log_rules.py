"""Rules of servers: none grew without bound, and no log holds a secret, a prompt or a traceback."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from chaos_parts.record import PROMPT_MARK, Record

MEMORY_MAX_KIB = 300 * 1_024
WORD = re.compile(r"[A-Za-z0-9_+/-]{12,}")
"""What a secret can look like: hex, base64 of both kinds, tokens and keys, without the padding."""


TRACEBACK = "Traceback (most recent call last)"
"""Whatever breaks outside is expected, and told in a line. This is what nobody thought of."""

CUT_AT_STOP = re.compile(
    r"Exception in ASGI application\n(?:(?!.*Exception in ASGI application).*\n)*?"
    r".*CancelledError: Task cancelled, timeout graceful shutdown exceeded\n"
)
"""How uvicorn tells of a call that it cut because its server was stopped and the time to drain was over: a row of the
table of endings, not a fault."""


def differences(record: Record, logs: Iterable[Path]) -> Iterator[str]:
    """One sentence for each. Never the secret itself."""
    for life in record.lives:
        if life.memory_peak_kib > MEMORY_MAX_KIB:
            yield f"{life.name} took {life.memory_peak_kib} KiB of memory, above {MEMORY_MAX_KIB}"
    secrets = {secret.rstrip("=") for secret in record.secrets}
    for log in logs:
        text = log.read_text(encoding="utf-8", errors="replace")
        leaked = secrets.intersection(WORD.findall(text))
        if leaked:
            yield f"{log.name} holds {len(leaked)} secrets"
        if tracebacks := CUT_AT_STOP.sub("", text).count(TRACEBACK):
            yield f"{log.name} tells of {tracebacks} faults of our own"
        if f"{PROMPT_MARK}-{record.nonce}" in text:
            yield f"{log.name} holds a prompt"


def memory_peak_mib(record: Record) -> int:
    """Of any server."""
    return max((life.memory_peak_kib for life in record.lives), default=0) // 1_024
