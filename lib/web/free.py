"""Bounds on what is free: requests of callers who have proven nothing."""

from __future__ import annotations

from starlette.types import Scope

from lib.core.errors import Code, retry_after
from lib.services import Services
from lib.throttle import network_of
from lib.web.client_address import client_address


def count_unpaid(services: Services, scope: Scope) -> None:
    """Count one request against its address and network. Raises ApiError rate_limited with Retry-After."""
    for share in _shares(services, scope):
        wait = services.throttle.wait_seconds(*share)
        if wait:
            raise retry_after(Code.RATE_LIMITED, wait, "Too many unpaid requests from your address.")


def is_used_up(services: Services, scope: Scope) -> bool:
    """Whether the caller's address or network has had its share. Counts nothing."""
    return any(services.throttle.is_full(*share) for share in _shares(services, scope))


def _shares(services: Services, scope: Scope) -> tuple[tuple[str, str, int], ...]:
    """What is free to a caller: its address's share and its network's, each as the throttle knows it."""
    limits, address = services.settings.config.limits, client_address(scope, services.settings.trusted_proxies)
    return (
        ("unpaid", address, limits.unpaid_per_ip_per_minute),
        ("unpaid-network", network_of(address), limits.unpaid_per_network_per_minute),
    )
