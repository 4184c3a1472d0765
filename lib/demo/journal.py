"""What reached the doubles of upstreams, in order of arrival, so that tests can prove what was and was not sent."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

MAX_ENTRIES = 10_000
KEY_DIGEST_CHARACTERS = 12
KEY_HEADERS = frozenset({"authorization", "x-api-key"})


@dataclass(slots=True)
class Entry:
    """One request. `usage` is what the double really did up to now, whatever it said.

    `completed`: the last byte was written. `disconnected`: the caller left before.
    `body` is the JSON value; of anything else its size and digest. `text_bytes`: UTF-8 bytes of generated text written
    up to now. `scenario`: what went wrong on purpose, as it was set; nothing if nothing.
    """

    at: str
    method: str
    path: str
    query: str
    authorized: bool
    headers: dict[str, str]
    body: Any
    completed: bool = False
    disconnected: bool = False
    usage: dict[str, Any] | None = None
    text_bytes: int = 0
    scenario: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class Journal:
    """The newest `max_entries` requests."""

    max_entries: int = MAX_ENTRIES
    _entries: deque[Entry] = field(init=False)

    def __post_init__(self) -> None:
        self._entries = deque(maxlen=self.max_entries)

    def arrived(
        self, *, method: str, path: str, query: str, authorized: bool, headers: dict[str, str], body: bytes
    ) -> Entry:
        """Note a request; the caller completes the entry as it answers. The key is kept only as a digest."""
        shown = {name: redacted(value) if name in KEY_HEADERS else value for name, value in headers.items()}
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = Entry(at, method, path, query, authorized, shown, _body_value(body))
        self._entries.append(entry)
        return entry

    def entries(self) -> list[dict[str, Any]]:
        """Oldest first, as JSON values."""
        return [asdict(entry) for entry in self._entries]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


def redacted(secret: str) -> str:
    """The beginning of a digest: enough to compare, useless to whoever reads it."""
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()[:KEY_DIGEST_CHARACTERS]}"


def _body_value(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
