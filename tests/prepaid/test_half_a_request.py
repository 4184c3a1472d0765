"""A client that leaves before its request is complete: nobody to answer, nothing to report."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.world import World


@pytest.mark.parametrize("path", ["/topup", "/topup/claim"])
async def test_a_client_that_leaves_while_it_sends_is_no_fault_of_ours(
    world: World, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """Neither a traceback in the log nor an internal error; what it sent so far does nothing."""
    received = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return received.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await world.app(scope, receive, send)

    assert [message["status"] for message in sent if message["type"] == "http.response.start"] == [499]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert await world.invoices() == 0
