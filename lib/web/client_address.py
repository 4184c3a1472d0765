"""Who is calling, by network address: the peer's, or a trusted proxy's word for it."""

from __future__ import annotations

import ipaddress

from starlette.types import Scope

from lib.config import Network

UNKNOWN = "unknown"


def client_address(scope: Scope, trusted: tuple[Network, ...]) -> str:
    """The nearest address that is not a trusted proxy's.

    `X-Forwarded-For` counts only behind a configured proxy: anybody else can write what they like into it.
    """
    peer = scope["client"][0] if scope.get("client") else UNKNOWN
    if not _within(peer, trusted):
        return peer
    forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
    for hop in reversed(forwarded.decode("latin-1").split(",")):
        if hop.strip() and not _within(hop.strip(), trusted):
            return hop.strip()
    return peer


def _within(address: str, trusted: tuple[Network, ...]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in trusted)
