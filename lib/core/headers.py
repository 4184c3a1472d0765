"""Which headers go up and which come back: allow-lists, because a header nobody thought of must not pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.core.schema import Api

USER_AGENT = "alittlebitofmoney"
FROM_UPSTREAM = ("content-type",)


def upward(api: Api, api_key: str, *, accept: str) -> dict[str, str]:
    """What upstream is sent: nothing that the buyer wrote, and no compression, because we read every byte."""
    return {
        "Accept": accept,
        **identification(api, api_key),
    }


def identification(api: Api, api_key: str) -> dict[str, str]:
    """What every request to an upstream carries."""
    return {
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        **api.headers,
        api.auth.header: api.auth.prefix + api_key,
    }


def downward(received: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """What the buyer is shown of upstream's headers: nothing of our account, limits or cookies."""
    return [
        (name.encode("latin-1"), received[name].encode("latin-1", "replace"))
        for name in FROM_UPSTREAM
        if name in received
    ]
