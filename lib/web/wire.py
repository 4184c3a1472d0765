"""What the server's socket has taken of an answer: ASGI has no word for it, and money depends on it.

uvicorn hands applications a method of its request's cycle, which knows the connection's transport. A server that does
not will do as well: then an answer counts as delivered once the server has taken it.
"""

from __future__ import annotations

import logging
from typing import cast

from starlette.types import Scope, Send

from lib.relay import Wire

log = logging.getLogger(__name__)

SCOPE_KEY = "alittlebitofmoney.wire"


def note_wire(scope: Scope, send: Send) -> None:
    """Remember the connection's transport. `send` must be the server's own, as the outermost application has it."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None or not hasattr(transport, "get_write_buffer_size"):
        log.warning("this server does not show its sockets: what it has taken counts as delivered")
        transport = None
    scope[SCOPE_KEY] = transport


def wire_of(scope: Scope) -> Wire | None:
    """The request's connection, if the server shows it."""
    return cast("Wire | None", scope[SCOPE_KEY])
