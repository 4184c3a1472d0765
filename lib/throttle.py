"""Counts what is free, so that it can be refused: requests per address, invoices per minute."""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

IPV4_NETWORK_BITS = 24
IPV6_NETWORK_BITS = 48


class Throttle:
    """Moving windows of one minute in this process's memory."""

    def __init__(self) -> None:
        """Start with every window empty."""
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    def wait_seconds(self, name: str, key: str, per_minute: int) -> int:
        """Count one event; 0 if it is allowed, else the whole seconds after which to come back."""
        limit = RateLimitItemPerMinute(per_minute, namespace=name)
        if self._windows.hit(limit, key):
            return 0
        reset = self._windows.get_window_stats(limit, key).reset_time
        return max(1, math.ceil(reset - time.time()))

    def is_full(self, name: str, key: str, per_minute: int) -> bool:
        """Whether the next event would have to wait. Counts nothing."""
        return not self._windows.test(RateLimitItemPerMinute(per_minute, namespace=name), key)


def network_of(address: str) -> str:
    """The /24 or /48 an address is in: what one person can have many addresses of."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    bits = IPV4_NETWORK_BITS if ip.version == 4 else IPV6_NETWORK_BITS  # noqa: PLR2004 - the protocol's own number
    return str(ipaddress.ip_network(f"{ip}/{bits}", strict=False))
