"""Sockets of the doubles: uvicorn on a port that can be refused, and connections that can be dropped."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

GRACE_SECONDS = 1
KEEP_ALIVE_SECONDS = 45
BACKLOG_CONNECTIONS = 2_048
DROP = "alittlebitofmoney.drop"
FINISH = "alittlebitofmoney.finish"


class PortInUse(OSError):
    """Another program listens there."""


class Server:
    """One application on one port, inside the running event loop. Port 0 picks a free one, and keeps it."""

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self.port = port
        self._uvicorn: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://{self._host}:{self.port}"

    async def start(self) -> None:
        """Returns once connections are taken. Does nothing if they are. Raises PortInUse."""
        if self._uvicorn is not None:
            return
        listener = _listener(self._host, self.port)
        self.port = int(listener.getsockname()[1])
        config = uvicorn.Config(
            self._app,
            http=_DroppableProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            backlog=BACKLOG_CONNECTIONS,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        self._uvicorn = server

    async def refuse(self) -> None:
        """Take no more connections and drop those that are open; `start` takes the same port again."""
        if self._uvicorn is not None:
            server, self._uvicorn = self._uvicorn, None
            _close_listeners(server)
            _drop_all(server)

    async def stop(self) -> None:
        """Let running replies end for GRACE_SECONDS, then drop what is left.

        Not uvicorn's own shutdown: that one sleeps before it looks, which every test would wait for.
        """
        if self._uvicorn is not None:
            server, self._uvicorn = self._uvicorn, None
            _close_listeners(server)
            for connection in list(server.server_state.connections):
                connection.shutdown()
            running = list(server.server_state.tasks)
            if running:
                _, late = await asyncio.wait(running, timeout=GRACE_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            _drop_all(server)


def _close_listeners(server: uvicorn.Server) -> None:
    for listener in server.servers:
        listener.close()


def _drop_all(server: uvicorn.Server) -> None:
    for connection in list(server.server_state.connections):
        cast("Any", connection).transport.abort()


async def drop_connection(scope: Scope, receive: Receive) -> None:
    """End the request's connection now, without sending what still waits."""
    scope["extensions"][DROP]()
    await _until_gone(receive)


async def finish_connection(scope: Scope, receive: Receive) -> None:
    """Send what was written, then end the connection: a reply cut off at a known place."""
    scope["extensions"][FINISH]()
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    """uvicorn answers 500 for an application that returns early, unless it knows that nobody is there."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _DroppableProtocol(HttpToolsProtocol):
    """Gives applications the two ways to end a connection that ASGI has no words for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        endings: dict[str, Callable[[], None]] = {DROP: transport.abort, FINISH: transport.close}
        inner = cast("ASGIApp", self.app)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {**scope.get("extensions", {}), **endings}
            await inner(scope, receive, send)

        self.app = cast("Any", app)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle off only where the protocol is named; with it every answer would take 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise PortInUse(f"{host}:{port}: {exc.strerror}") from exc
    listener.setblocking(False)
    return listener
