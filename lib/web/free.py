"""Bounds on what is free: requests of callers who have proven nothing."""

from __future__ import annotations

from starlette.types import Scope

from lib.challenge import on_ledger
from lib.core.errors import Code, retry_after
from lib.services import Services
from lib.throttle import Share, network_of
from lib.web.client_address import client_address

QUESTIONS_PER_IP_PER_MINUTE = 480
"""About invoices, by who holds their macaroons: eight pages behind one address may ask every second."""

QUOTES_PER_IP_PER_MINUTE = 240
"""About prices: a page asks while somebody types."""


async def count_unpaid(services: Services, scope: Scope) -> None:
    """Count one request against its address and network. Raises ApiError rate_limited with Retry-After.

    Where it cannot be counted, because the ledger that all processes count in is down, nothing is free: 503.
    """
    wait = await on_ledger(services.throttle.wait_seconds(*_shares(services, scope)))
    if wait:
        raise retry_after(Code.RATE_LIMITED, wait, "Too many unpaid requests from your address.")


async def count_unpaid_upload(services: Services, scope: Scope) -> None:
    """Count one upload that nobody has paid for yet, before it is read. Raises ApiError rate_limited."""
    limits, address = services.settings.config.limits, client_address(scope, services.settings.trusted_proxies)
    shares = (
        Share("uploads", address, limits.unpaid_uploads_per_ip_per_minute),
        Share("uploads-network", network_of(address), limits.unpaid_uploads_per_network_per_minute),
    )
    wait = await on_ledger(services.throttle.wait_seconds(*shares))
    if wait:
        raise retry_after(Code.RATE_LIMITED, wait, "Too many unpaid uploads from your address.")


async def count_waiting(services: Services, scope: Scope) -> None:
    """Count one question of somebody who waits for their own invoice to be paid. Raises ApiError rate_limited.

    Apart from what is unpaid: a page that asks every second must not use up what its next call needs.
    """
    await _count(
        services, scope, "waiting", QUESTIONS_PER_IP_PER_MINUTE, "Your address asks for its invoices too often."
    )


async def count_quote(services: Services, scope: Scope) -> None:
    """Count one quote, apart from what is unpaid for the same reason. Raises ApiError rate_limited."""
    await _count(services, scope, "quotes", QUOTES_PER_IP_PER_MINUTE, "Your address asks for too many quotes.")


async def _count(services: Services, scope: Scope, kind: str, per_minute: int, message: str) -> None:
    share = Share(kind, client_address(scope, services.settings.trusted_proxies), per_minute)
    wait = await on_ledger(services.throttle.wait_seconds(share))
    if wait:
        raise retry_after(Code.RATE_LIMITED, wait, message)


def is_used_up(services: Services, scope: Scope) -> bool:
    """Whether the caller's address or network is known to have had its share. Counts nothing."""
    return services.throttle.is_full(*_shares(services, scope))


def _shares(services: Services, scope: Scope) -> tuple[Share, Share]:
    """What is free to a caller: its address's share and its network's."""
    limits, address = services.settings.config.limits, client_address(scope, services.settings.trusted_proxies)
    return (
        Share("unpaid", address, limits.unpaid_per_ip_per_minute),
        Share("unpaid-network", network_of(address), limits.unpaid_per_network_per_minute),
    )
