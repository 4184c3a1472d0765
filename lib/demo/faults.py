"""The node's faults between its socket and its API: late, hanging and failing replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.demo.phoenixd_reply import text_reply
from lib.demo.servers import drop_connection

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lib.demo.knobs import KnobBoard


class FaultyTransport:
    """Wraps a node's API. What is asked is done before the reply is delayed or withheld: the caller cannot know."""

    def __init__(self, app: ASGIApp, board: KnobBoard) -> None:
        self._app = app
        self._board = board

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or drop its connection."""

        async def send_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._board.until_replies_may_leave()
            await send(message)

        error = self._board.current.error_500
        app: ASGIApp = self._app if error is None else text_reply(500, error)
        try:
            await app(scope, receive, send_later)
        except TimeoutError:
            await drop_connection(scope, receive)
