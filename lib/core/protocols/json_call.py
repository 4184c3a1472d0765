"""Calls that say nothing of tokens: moderations, and any JSON API at a price per call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from lib.core.protocols.base import NO_PARAMETERS, Protocol
from lib.core.usage import Reading

if TYPE_CHECKING:
    from collections.abc import Mapping


class JsonCall(Protocol):
    """One JSON object in, one JSON document out. Any document is an answer, unless it is an object with `error`."""

    name = "json"
    meters = False

    def read_whole(self, body: bytes, parameters: Mapping[str, Any] = NO_PARAMETERS) -> Reading:
        """Some APIs answer with an array."""
        try:
            document: object = orjson.loads(body)
        except orjson.JSONDecodeError:
            return Reading(failed=True)
        return super().read_whole(body, parameters) if isinstance(document, dict) else Reading(complete=True)
