"""Reading a request's body within bounds of size and time."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope

from lib.core.errors import ApiError, Code


class ClientLeft(Exception):
    """The client went away before its request was complete: there is nobody to answer."""


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int, within_seconds: float) -> bytes:
    """The whole body. Raises ApiError as soon as it is known to be too large, or when it is late; or ClientLeft."""
    length = dict(scope["headers"]).get(b"content-length", b"")
    if length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(within_seconds):
            return await _read(receive, max_bytes)
    except TimeoutError as error:
        raise ApiError(Code.INVALID_JSON, "The body did not arrive in time.") from error


async def _read(receive: Receive, max_bytes: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece = message.get("body", b"")
        pieces.append(piece)
        size += len(piece)
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body"):
            return b"".join(pieces)


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(Code.REQUEST_TOO_LARGE, f"The body may have {max_bytes} bytes at most.")
