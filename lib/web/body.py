"""Reading a request's body within bounds of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Receive, Scope

from lib.core.errors import ApiError, Code


class ClientLeft(Exception):
    """The client went away before its request was complete: there is nobody to answer."""


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int, within_seconds: float) -> bytes:
    """The whole body. Raises ApiError as soon as it is known to be too large, or when it is late; or ClientLeft."""
    announced_bytes(scope, max_bytes)
    arriving = body_pieces(receive, max_bytes=max_bytes, within_seconds=within_seconds)
    return b"".join([piece async for piece in arriving])


def announced_bytes(scope: Scope, max_bytes: int) -> int:
    """How large the body will be at most. Raises ApiError if it says that it is too large."""
    length = dict(scope["headers"]).get(b"content-length", b"")
    if not length.isdigit():
        return max_bytes
    if int(length) > max_bytes:
        raise too_large(max_bytes)
    return int(length)


async def body_pieces(receive: Receive, *, max_bytes: int, within_seconds: float) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ApiError as soon as it is too large, or when it is late; or ClientLeft."""
    until = asyncio.get_running_loop().time() + within_seconds
    size, more = 0, True
    while more:
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError as error:
            raise ApiError(Code.INVALID_JSON, "The body did not arrive in time.") from error
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece, more = message.get("body", b""), message.get("more_body", False)
        size += len(piece)
        if size > max_bytes:
            raise too_large(max_bytes)
        yield piece


def too_large(max_bytes: int) -> ApiError:
    """Told before more of it is read."""
    return ApiError(Code.REQUEST_TOO_LARGE, f"The body may have {max_bytes} bytes at most.")
