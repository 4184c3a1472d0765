"""What a bitcoin costs: the median of several sources that agree, fresh, without jumps, or nothing.

There is no default price. A price that is too high sells for nothing, so whatever is doubtful ends as "no price" and
the caller answers 503 `rate_unavailable`.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from statistics import median
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

import anyio
import httpx

from lib.core.money import BtcPrice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REFRESH_SECONDS = 60.0
MAX_AGE_SECONDS = 600.0
SOURCE_TIMEOUT_SECONDS = 3.0
QUORUM_MIN_COUNT = 2
MAX_DEVIATION = Decimal("0.02")
MAX_JUMP = Decimal("0.10")
# Wide enough for any year, narrow enough for cents taken as dollars or satoshi taken as bitcoin.
PLAUSIBLE_MIN_USD = Decimal(1_000)
PLAUSIBLE_MAX_USD = Decimal(100_000_000)
REPLY_MAX_BYTES = 65_536
KEEPALIVE_EXPIRY_SECONDS = 5.0
_PLAIN_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?", re.ASCII)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PricedAt:
    """A price and when it was asked for (aware, UTC)."""

    price: BtcPrice
    at: datetime


class BtcPriceSource(Protocol):
    """Whoever knows what a bitcoin costs now."""

    def current(self) -> PricedAt | None:
        """The price to sell at, or None: then nothing may be sold."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """Where to ask, and the way through its JSON reply to the price in USD (keys of objects, indices of arrays)."""

    name: str
    url: str
    path: tuple[str | int, ...]


# Without a key, each a market of its own. Coinbase's exchange API is left out: with the one here, a single company's
# mistake would be a quorum. mempool.space averages several exchanges.
PUBLIC_SOURCES = (
    Source("coinbase", "https://api.coinbase.com/v2/prices/BTC-USD/spot", ("data", "amount")),
    Source("kraken", "https://api.kraken.com/0/public/Ticker?pair=XBTUSD", ("result", "XXBTZUSD", "c", 0)),
    Source("bitstamp", "https://www.bitstamp.net/api/v2/ticker/btcusd/", ("last",)),
    Source("bitfinex", "https://api.bitfinex.com/v1/pubticker/btcusd", ("last_price",)),
    Source("mempool.space", "https://mempool.space/api/v1/prices", ("USD",)),
)


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """What makes a price good enough to sell at. Deviations and jumps are fractions: 0.02 is 2 %."""

    refresh_seconds: float = REFRESH_SECONDS
    """How often `refresh` should be called; the feed itself has no timer."""
    max_age_seconds: float = MAX_AGE_SECONDS
    """An accepted price older than this is none."""
    quorum: int = QUORUM_MIN_COUNT
    """How many sources must agree."""
    max_deviation: Decimal = MAX_DEVIATION
    """A source farther than this from the median is not counted."""
    max_jump: Decimal = MAX_JUMP
    """A change above this waits until the next refresh sees it too."""
    timeout_seconds: float = SOURCE_TIMEOUT_SECONDS
    """For one source, from connecting to its last byte. All are asked at once, so a refresh takes no longer."""

    def __post_init__(self) -> None:
        """Refuse limits under which any number would pass, or none."""
        if self.quorum < 1:
            raise ValueError("quorum must be at least 1")
        if not (0 < self.max_deviation < 1 and 0 < self.max_jump < 1):
            raise ValueError("max_deviation and max_jump must be fractions between 0 and 1")
        if not (self.timeout_seconds > 0 and 0 < self.refresh_seconds <= self.max_age_seconds):
            raise ValueError("seconds must be positive, and max_age_seconds not below refresh_seconds")


class _Unusable(Exception):
    """This source says nothing that we can use. The text quotes nothing from it."""


@dataclass(frozen=True, slots=True)
class FixedBtcPrice:
    """A price that the operator set (BTC_USD), always fresh."""

    price: BtcPrice
    clock: Callable[[], datetime]

    def current(self) -> PricedAt:
        """The fixed price, as of now."""
        return PricedAt(self.price, self.clock())


class BtcPriceFeed:
    """The price from several sources. `refresh` is called by one task, again and again; `current` by anyone.

    `clock` gives aware times. Must be closed.
    """

    def __init__(self, sources: Sequence[Source], limits: FeedLimits, clock: Callable[[], datetime]) -> None:
        """Asks nothing yet. ValueError if there are fewer sources than the quorum, or two of one name."""
        if len({source.name for source in sources}) != len(sources):
            raise ValueError("two price sources have the same name")
        if len(sources) < limits.quorum:
            raise ValueError("there are fewer price sources than the quorum")
        self._sources = tuple(sources)
        self._limits = limits
        self._clock = clock
        self._accepted: PricedAt | None = None
        self._jump_to_confirm: Decimal | None = None
        self._in_trouble: set[str] = set()
        self._client = httpx.AsyncClient(
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            limits=httpx.Limits(keepalive_expiry=KEEPALIVE_EXPIRY_SECONDS),
            timeout=None,  # noqa: S113 - `_ask` bounds the whole exchange; httpx would bound each read alone
            trust_env=False,
        )

    def current(self) -> PricedAt | None:
        """The last accepted price, or None if there is none or it is older than `max_age_seconds`.

        A clock that was set back by more than that makes it None, too.
        """
        if self._accepted is None:
            return None
        age = abs(self._clock() - self._accepted.at)
        return self._accepted if age <= timedelta(seconds=self._limits.max_age_seconds) else None

    async def refresh(self) -> None:
        """Ask every source at once and accept their price if it is good enough. Failures only leave the old one."""
        asked_at = self._clock().astimezone(UTC)
        prices: list[Decimal] = []
        async with anyio.create_task_group() as tasks:
            for source in self._sources:
                tasks.start_soon(self._collect, source, prices)
        price = agreed(prices, self._limits)
        if price is None:
            self._jump_to_confirm = None
            self._note("the price feed", f"too few sources agree ({len(prices)} answered)")
        elif self._is_unconfirmed_jump(price):
            self._jump_to_confirm = price
            self._note("the price feed", "the price jumped; waiting for the next refresh to confirm it")
        else:
            self._jump_to_confirm = None
            self._accepted = PricedAt(BtcPrice.from_usd(price), asked_at)
            self._note("the price feed", None)

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()

    def _is_unconfirmed_jump(self, price: Decimal) -> bool:
        """Far from the last accepted price, and not what the refresh just before this one saw."""
        if self._accepted is None or _apart(price, self._accepted.price.usd()) <= self._limits.max_jump:
            return False
        seen = self._jump_to_confirm
        return seen is None or _apart(price, seen) > self._limits.max_deviation

    async def _collect(self, source: Source, prices: list[Decimal]) -> None:
        try:
            with anyio.fail_after(self._limits.timeout_seconds):
                prices.append(await self._ask(source))
        except TimeoutError:
            self._note(source.name, "no answer in time")
        except _Unusable as exc:
            self._note(source.name, str(exc))
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            self._note(source.name, type(exc).__name__)
        else:
            self._note(source.name, None)

    async def _ask(self, source: Source) -> Decimal:
        body = bytearray()
        async with self._client.stream("GET", source.url) as response:
            if response.status_code != HTTPStatus.OK:
                raise _Unusable(f"it answered {response.status_code}")
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > REPLY_MAX_BYTES:
                    raise _Unusable("its reply is too long")
        return _price_in(bytes(body), source.path)

    def _note(self, whose: str, trouble: str | None) -> None:
        """Warn when trouble begins and say when it is over; in between it would fill the log."""
        if trouble is None:
            if whose in self._in_trouble:
                self._in_trouble.discard(whose)
                _log.info("bitcoin price: %s works again", whose)
            return
        _log.log(
            logging.DEBUG if whose in self._in_trouble else logging.WARNING, "bitcoin price: %s: %s", whose, trouble
        )
        self._in_trouble.add(whose)


def agreed(prices: Sequence[Decimal], limits: FeedLimits) -> Decimal | None:
    """The median of those that lie within `max_deviation` of the median of all, or None below the quorum."""
    if not prices:
        return None
    middle = median(prices)
    near = [price for price in prices if _apart(price, middle) <= limits.max_deviation]
    return median(near) if len(near) >= limits.quorum else None


def _apart(price: Decimal, reference: Decimal) -> Decimal:
    """The distance as a fraction of the reference."""
    return abs(price - reference) / reference


def _price_in(body: bytes, path: tuple[str | int, ...]) -> Decimal:
    """A plausible dollar price at `path`, exact as written. Raises _Unusable."""
    try:
        found: object = json.loads(body, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError):
        raise _Unusable("its reply is not JSON") from None
    for step in path:
        found = _member(found, step)
    price = _decimal(found)
    if not PLAUSIBLE_MIN_USD <= price <= PLAUSIBLE_MAX_USD:
        raise _Unusable("its price is not plausible")
    return price


def _refuse_constant(_name: str) -> NoReturn:
    """NaN and Infinity are no JSON, but Python reads them."""
    raise ValueError("not JSON")


def _member(value: object, step: str | int) -> object:
    match value, step:
        case dict(), str() if step in value:
            return cast("dict[str, object]", value)[step]
        case list(), int() if 0 <= step < len(cast("list[object]", value)):
            return cast("list[object]", value)[step]
        case _:
            raise _Unusable("its reply has no price in the usual place")


def _decimal(value: object) -> Decimal:
    """A JSON number, or a string of plain digits: several exchanges quote their prices."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and _PLAIN_DECIMAL.fullmatch(value):
        return Decimal(value)
    raise _Unusable("its price is not a number")
