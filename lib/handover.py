"""Sockets that outlive a server: the service manager holds them, so that no connection is refused during a switch."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

import uvicorn

FIRST_FD = 3
"""Where a service manager puts the first socket: systemd's protocol, sd_listen_fds(3)."""
LINGER_SECONDS = 0.3
"""For so long a server that stops still answers on connections that it had accepted but had heard nothing on."""
CLOSE = (b"connection", b"close")


def inherited_sockets(environ: Mapping[str, str], pid: int) -> list[socket.socket]:
    """The listening sockets that were handed to this very process; none if it must listen for itself.

    Each knows its own family, so that its connections are ordinary TCP ones.
    """
    if environ.get("LISTEN_PID") != str(pid):
        return []
    count = int(environ.get("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=FIRST_FD + number) for number in range(count)]
    for listener in sockets:
        listener.setblocking(False)
    return sockets


class Server(uvicorn.Server):
    """uvicorn's server, which hangs up on nobody who was let in and is about to ask."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; what arrives from now on waits in an inherited socket for the next server. Then drain."""
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        await asyncio.sleep(LINGER_SECONDS)
        await super().shutdown(sockets)
