"""Counts what is free, so that it can be refused: requests per address, invoices per minute."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from cachetools import LRUCache
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

IPV4_NETWORK_BITS = 24
IPV6_NETWORK_BITS = 48
REFUSED_MAX_COUNT = 16_384
"""Callers whose refusal is remembered in one process."""


class Share(NamedTuple):
    """So much of something free a minute."""

    name: str
    key: str
    """Whose share it is."""
    per_minute: int


class Throttle(Protocol):
    """Bounds what is free."""

    async def wait_seconds(self, *shares: Share) -> int:
        """Count one event against each share in turn, up to the first that has no room.

        0 if all had, else the whole seconds after which to come back. Raises what the place of counting raises when it
        cannot count: nothing is free then.
        """
        ...

    def is_full(self, *shares: Share) -> bool:
        """Whether the next such event is known to have to wait. Counts nothing and asks nobody."""
        ...


class MemoryThrottle:
    """Moving windows of one minute in this process's memory."""

    def __init__(self) -> None:
        """Start with every window empty."""
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    async def wait_seconds(self, *shares: Share) -> int:
        """See `Throttle`."""
        for share in shares:
            limit = RateLimitItemPerMinute(share.per_minute, namespace=share.name)
            if not self._windows.hit(limit, share.key):
                reset = self._windows.get_window_stats(limit, share.key).reset_time
                return max(1, math.ceil(reset - time.time()))
        return 0

    def is_full(self, *shares: Share) -> bool:
        """See `Throttle`. True as soon as one share is used up."""
        return any(
            not self._windows.test(RateLimitItemPerMinute(share.per_minute, namespace=share.name), share.key)
            for share in shares
        )


CountFree: TypeAlias = Callable[[Sequence[Share]], Awaitable[int]]


@runtime_checkable
class CountsFree(Protocol):
    """A ledger in which all its processes can count."""

    async def count_free(self, shares: Sequence[Share]) -> int:
        """What `Throttle.wait_seconds` promises, in one round trip."""
        ...


class SharedThrottle:
    """Windows that all processes of one ledger count in."""

    def __init__(self, count_free: CountFree, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`count_free` is a `CountsFree`'s; `monotonic` is in seconds."""
        self._count_free = count_free
        self._monotonic = monotonic
        self._full_until: LRUCache[tuple[Share, ...], float] = LRUCache(REFUSED_MAX_COUNT)

    async def wait_seconds(self, *shares: Share) -> int:
        """See `Throttle`. One question, however many shares."""
        wait = await self._count_free(shares)
        if wait:
            self._full_until[shares] = self._monotonic() + wait
        return wait

    def is_full(self, *shares: Share) -> bool:
        """See `Throttle`. True while the time of their last refusal by this process runs."""
        return self._monotonic() < self._full_until.get(shares, 0.0)


def network_of(address: str) -> str:
    """The /24 or /48 an address is in: what one person can have many addresses of."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    bits = IPV4_NETWORK_BITS if ip.version == 4 else IPV6_NETWORK_BITS  # noqa: PLR2004 - the protocol's own number
    return str(ipaddress.ip_network(f"{ip}/{bits}", strict=False))
