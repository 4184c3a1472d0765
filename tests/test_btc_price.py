"""The price feed over real sockets: what is accepted, and everything that must end as "no price"."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.btc_price import (
    PUBLIC_SOURCES,
    REPLY_MAX_BYTES,
    BtcPriceFeed,
    BtcPriceSource,
    FeedLimits,
    FixedBtcPrice,
    PricedAt,
    Source,
    agreed,
)
from lib.core.money import BtcPrice
from tests.lightning.canned_http import CannedHttp, canned_http, http_reply, unused_address

NOON = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
HANGS: Any = object()
# As the exchanges print them: quoted, deep, and with all that surrounds the price.
REAL_REPLIES = {
    "coinbase": '{"data":{"amount":"65001.255","base":"BTC","currency":"USD"}}',
    "kraken": '{"error":[],"result":{"XXBTZUSD":{"a":["65003.1","1","1.0"],"b":["65000.1","1","1.0"],'
    '"c":["65002.50000","0.00104"],"v":["1","2"]}}}',
    "bitstamp": '{"timestamp":"1788264000","open":"64000","last":"65000","side":"0"}',
    "bitfinex": '{"mid":"64999.5","bid":"64999.0","ask":"65000.0","last_price":"64998.0","timestamp":"1788264000.1"}',
    "mempool.space": '{"time":1788264000,"USD":65004,"EUR":60000,"JPY":-1}',
}


@dataclass
class World:
    """A feed, its sources, and the clock."""

    feed: BtcPriceFeed
    sources: list[CannedHttp]
    now: list[datetime] = field(default_factory=lambda: [NOON])

    async def refresh(self, *prices: object) -> Decimal | None:
        """Every source answers its price in turn; returns what the feed then sells at."""
        for source, price in zip(self.sources, prices, strict=True):
            source.reply = None if price is HANGS else body_of(price)
        await self.feed.refresh()
        return self.usd()

    def usd(self) -> Decimal | None:
        current = self.feed.current()
        return None if current is None else current.price.usd()

    def later(self, seconds: float) -> None:
        self.now[0] += timedelta(seconds=seconds)


def body_of(price: object) -> bytes:
    """A source's reply. Bytes are sent as they are, a text is the JSON of the price, None answers 503."""
    match price:
        case bytes():
            return price
        case None:
            return http_reply("maintenance", status=503)
        case str():
            return http_reply(f'{{"usd": {price}}}')
        case _:
            return http_reply(json.dumps({"usd": price}))


@asynccontextmanager
async def world_of(count: int, **limits: Any) -> AsyncGenerator[World]:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(canned_http(None)) for _ in range(count)]
        sources = [Source(f"source {index}", server.url, ("usd",)) for index, server in enumerate(servers)]
        now = [NOON]
        feed = BtcPriceFeed(sources, FeedLimits(**limits), lambda: now[0])
        stack.push_async_callback(feed.aclose)
        yield World(feed, servers, now)


# What is accepted


async def test_the_price_is_the_median():
    """Of those that answered; and it says when it was asked for."""
    async with world_of(3) as world:
        assert await world.refresh(65_000, 65_300, 65_100) == Decimal(65_100)

        assert world.feed.current() == PricedAt(BtcPrice(65_100_000_000), NOON)


async def test_between_two_prices_lies_their_mean():
    """Exact to a micro-dollar, rounded down: a lower price asks for more sats."""
    async with world_of(2) as world:
        assert await world.refresh("65000.0000010", "65000.0000020") == Decimal("65000.000001")


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ((65_000, 65_100, 66_500), Decimal(65_050)),
        ((65_000, 65_100, 650), Decimal(65_050)),
        ((65_000, 65_100, 6_500_000), Decimal(65_050)),
        ((65_000, 65_100, 65_200, 99_000_000), Decimal(65_100)),
    ],
)
async def test_an_outlier_is_not_counted(prices: tuple[int, ...], expected: Decimal):
    """More than 2 % from the median, it moves the price by nothing."""
    async with world_of(len(prices)) as world:
        assert await world.refresh(*prices) == expected


@pytest.mark.parametrize("name", sorted(REAL_REPLIES))
async def test_each_public_source_is_read(name: str):
    """Its reply in full, through the path that we ship for it."""
    (source,) = [each for each in PUBLIC_SOURCES if each.name == name]
    expected = {"coinbase": "65001.255", "kraken": "65002.5", "bitstamp": "65000", "bitfinex": "64998"}

    async with canned_http(http_reply(REAL_REPLIES[name])) as server:
        feed = BtcPriceFeed([Source(name, server.url, source.path)], FeedLimits(quorum=1), lambda: NOON)
        await feed.refresh()
        await feed.aclose()

    assert feed.current() == PricedAt(BtcPrice.from_usd(Decimal(expected.get(name, "65004"))), NOON)


def test_every_public_source_has_a_reply_here():
    """And all are asked over TLS."""
    assert {source.name for source in PUBLIC_SOURCES} == set(REAL_REPLIES)
    assert all(source.url.startswith("https://") for source in PUBLIC_SOURCES)


async def test_the_path_of_the_address_is_asked():
    """With its query."""
    async with canned_http(http_reply("[65000]")) as server:
        feed = BtcPriceFeed(
            [Source("one", f"{server.url}/0/Ticker?pair=XBTUSD", (0,))], FeedLimits(quorum=1), lambda: NOON
        )
        await feed.refresh()
        await feed.aclose()

    assert [asked.path for asked in server.asked] == ["/0/Ticker?pair=XBTUSD"]


# What is not


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param("NaN", id="NaN"),
        pytest.param("Infinity", id="Infinity"),
        pytest.param("-65000", id="negative"),
        pytest.param("-1", id="none, says mempool.space"),
        pytest.param("0", id="zero"),
        pytest.param("650", id="hundredth"),
        pytest.param("65000000000", id="in micros"),
        pytest.param("1e999999999", id="endless exponent"),
        pytest.param("1e9999999999999999999999999999", id="exponent beyond Decimal"),
        pytest.param("9" * 5_000, id="endless digits"),
        pytest.param("null", id="null"),
        pytest.param("true", id="true"),
        pytest.param("[65000]", id="a list"),
        pytest.param('{"usd": 65000}', id="an object"),
        pytest.param('"NaN"', id="NaN as text"),
        pytest.param('"65e3"', id="exponent as text"),
        pytest.param('" 65000"', id="blank and text"),
        pytest.param('"65,000"', id="comma"),
        pytest.param('"65_000"', id="Python's digits"),
        pytest.param('"٦٥٠٠٠"', id="Arabic digits"),
        pytest.param('"-65000"', id="negative text"),
        pytest.param('"$65000"', id="with a sign"),
        pytest.param('""', id="empty text"),
        pytest.param(http_reply("{}"), id="no price"),
        pytest.param(http_reply("[]"), id="another shape"),
        pytest.param(http_reply(""), id="empty"),
        pytest.param(http_reply("65000"), id="a bare number"),
        pytest.param(http_reply("<html>65000</html>", content_type="text/html"), id="HTML"),
        pytest.param(http_reply(b'\xff{"usd": 65000}'), id="not UTF-8"),
        pytest.param(http_reply("[" * 60_000), id="deep"),
        pytest.param(http_reply('{"usd": 65000}' + " " * REPLY_MAX_BYTES), id="too long"),
        pytest.param(http_reply('{"usd": 65000}', status=429), id="429"),
        pytest.param(http_reply('{"usd": 65000}', status=203), id="203"),
        pytest.param(b"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", id="redirect"),
        pytest.param(b"garbage\r\n\r\n", id="not HTTP"),
        pytest.param(HANGS, id="hangs"),
    ],
)
async def test_garbage_is_no_price(garbage: object):
    """One source's nonsense is no price alone, and does not harm the others."""
    async with world_of(1, quorum=1, timeout_seconds=0.2) as alone:
        assert await alone.refresh(garbage) is None
    async with world_of(3, timeout_seconds=0.2) as among_others:
        assert await among_others.refresh(65_000, garbage, 65_200) == Decimal(65_100)


@pytest.mark.parametrize(
    "prices",
    [
        pytest.param((65_000, None, None), id="one alone"),
        pytest.param((65_000, 69_000, None), id="two that differ"),
        pytest.param((60_000, 65_000, 70_000), id="three that differ"),
        pytest.param((None, None, None), id="all dead"),
    ],
)
async def test_without_a_quorum_there_is_no_price(prices: tuple[int | None, ...]):
    """Nothing is ever assumed."""
    async with world_of(3) as world:
        assert await world.refresh(*prices) is None


async def test_sources_that_refuse_connections_are_no_price():
    """Nor is an address that is none."""
    sources = [Source("gone", unused_address(), ("usd",)), Source("nonsense", "http://[::bad", ("usd",))]
    feed = BtcPriceFeed(sources, FeedLimits(), lambda: NOON)

    await feed.refresh()
    await feed.aclose()

    assert feed.current() is None


async def test_a_slow_source_does_not_hold_up_the_others():
    """All are asked at once, and after its limit the refresh goes on without it."""
    async with world_of(3, timeout_seconds=0.2) as world:
        refresh = asyncio.create_task(world.refresh(HANGS, 65_000, 65_100))
        for source in world.sources:
            await source.until_asked(1)

        assert await refresh == Decimal(65_050)


async def test_a_source_that_trickles_is_given_up_on():
    """The limit is for the whole reply, not for each piece of it."""
    async with trickling_source() as url, world_of(2, timeout_seconds=0.2) as world:
        sources = [Source("slow", url, ("usd",)), *(Source(s.url, s.url, ("usd",)) for s in world.sources)]
        for server in world.sources:
            server.reply = body_of(65_000)
        feed = BtcPriceFeed(sources, FeedLimits(timeout_seconds=0.2), lambda: NOON)
        await feed.refresh()
        await feed.aclose()

    assert feed.current() == PricedAt(BtcPrice(65_000_000_000), NOON)


@asynccontextmanager
async def trickling_source() -> AsyncGenerator[str]:
    """Sends one byte of an endless reply every 10 ms."""
    gone = asyncio.Event()

    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 60000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            writer.close()
            gone.set()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await gone.wait()


# Time


async def test_before_the_first_refresh_there_is_no_price():
    """Not even for a moment."""
    async with world_of(2) as world:
        assert world.usd() is None


async def test_a_price_serves_until_it_is_too_old():
    """Failed refreshes leave it; at `max_age_seconds` it still serves, after that there is none."""
    async with world_of(2, max_age_seconds=600) as world:
        await world.refresh(65_000, 65_000)
        world.later(600)
        assert await world.refresh(None, None) == Decimal(65_000)

        world.later(0.001)

        assert world.usd() is None
        assert await world.refresh(65_500, 65_500) == Decimal(65_500)


async def test_a_clock_that_was_set_back_does_not_keep_a_price_for_ever():
    """A price from far in the future is none."""
    async with world_of(2, max_age_seconds=600) as world:
        await world.refresh(65_000, 65_000)

        world.later(-601)

        assert world.usd() is None


async def test_the_age_counts_from_the_question():
    """A source may have made its reply at any time after it."""
    async with world_of(2) as world:
        for source in world.sources:
            source.reply = body_of(65_000)
        times = iter([NOON, NOON + timedelta(seconds=3)])
        world.feed._clock = lambda: next(times)  # pyright: ignore[reportPrivateUsage]

        await world.feed.refresh()

        assert world.feed.current() == PricedAt(BtcPrice(65_000_000_000), NOON)


# Jumps


async def test_a_change_up_to_the_limit_is_followed_at_once():
    """10 % is still believed."""
    async with world_of(2) as world:
        await world.refresh(60_000, 60_000)

        assert await world.refresh(66_000, 66_000) == Decimal(66_000)
        assert await world.refresh(59_400, 59_400) == Decimal(59_400)


@pytest.mark.parametrize("jump", [66_001, 53_999, 600_000, 6_000])
async def test_a_jump_waits_for_the_next_refresh(jump: int):
    """Until that sees it too, the old price serves."""
    async with world_of(2) as world:
        await world.refresh(60_000, 60_000)

        assert await world.refresh(jump, jump) == Decimal(60_000)
        assert await world.refresh(jump, jump) == Decimal(jump)


async def test_a_jump_and_back_changes_nothing():
    """Nor does the same jump later count as its confirmation."""
    async with world_of(2) as world:
        await world.refresh(60_000, 60_000)
        await world.refresh(90_000, 90_000)
        assert await world.refresh(60_100, 60_100) == Decimal(60_100)

        assert await world.refresh(90_000, 90_000) == Decimal(60_100)


@pytest.mark.parametrize("between", [(None, None), (120_000, 120_000), (87_000, 87_000)])
async def test_only_the_next_refresh_at_the_same_price_confirms_a_jump(
    between: tuple[int | None, int | None],
):
    """A refresh without a price, or one more than 2 % away, confirms nothing."""
    async with world_of(2) as world:
        await world.refresh(60_000, 60_000)
        await world.refresh(90_000, 90_000)

        assert await world.refresh(*between) == Decimal(60_000)
        assert await world.refresh(90_000, 90_000) == Decimal(60_000)


async def test_a_jump_does_not_keep_the_old_price_young():
    """While it waits, the old price grows old."""
    async with world_of(2, max_age_seconds=600) as world:
        await world.refresh(60_000, 60_000)
        world.later(601)

        assert await world.refresh(90_000, 90_000) is None
        assert await world.refresh(90_000, 90_000) == Decimal(90_000)


# The rule alone


def prices_between(low_usd: int, high_usd: int) -> st.SearchStrategy[Decimal]:
    """Dollars and cents."""
    return st.decimals(min_value=low_usd, max_value=high_usd, places=2)


@given(st.lists(prices_between(57_000, 63_000), max_size=9), st.integers(min_value=1, max_value=5))
def test_an_agreed_price_has_a_quorum_beside_it(prices: list[Decimal], quorum: int):
    """At least that many sources lie within 2 % on either side of the median, so within 4.1 % of the price."""
    price = agreed(prices, FeedLimits(quorum=quorum))

    if price is not None:
        assert min(prices) <= price <= max(prices)
        assert sum(abs(each - price) <= price * Decimal("0.041") for each in prices) >= quorum


@given(st.lists(prices_between(60_000, 61_000), min_size=3, max_size=3), prices_between(1_000, 10**8))
def test_one_liar_among_four_decides_nothing(honest: list[Decimal], lie: Decimal):
    """Whatever it says, there is a price, and it lies between those of the others."""
    price = agreed([*honest, lie], FeedLimits(quorum=3))

    assert price is not None
    assert min(honest) <= price <= max(honest)


# The log


async def test_a_dead_source_is_warned_of_once(caplog: pytest.LogCaptureFixture):
    """When it begins and when it ends; what lies between is for DEBUG. The reply is never quoted."""
    caplog.set_level(logging.INFO, logger="lib.btc_price")
    async with world_of(3) as world:
        await world.refresh(65_000, 65_000, 65_000)
        for _ in range(5):
            await world.refresh(65_000, 65_000, '"secret"')
        await world.refresh(65_000, 65_000, 65_000)

    said = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "lib.btc_price"]
    assert said == [
        ("WARNING", "bitcoin price: source 2: its price is not a number"),
        ("INFO", "bitcoin price: source 2 works again"),
    ]


async def test_a_lost_quorum_is_warned_of_once(caplog: pytest.LogCaptureFixture):
    """It stops sales, so it has a line of its own."""
    caplog.set_level(logging.INFO, logger="lib.btc_price")
    async with world_of(2) as world:
        for _ in range(3):
            await world.refresh(65_000, None)

    said = [record.getMessage() for record in caplog.records if record.name == "lib.btc_price"]
    assert said == [
        "bitcoin price: source 1: it answered 503",
        "bitcoin price: the price feed: too few sources agree (1 answered)",
    ]


# Settings


def test_a_fixed_price_is_always_fresh():
    """BTC_USD in the demo; it can stand wherever the feed does."""
    fixed: BtcPriceSource = FixedBtcPrice(BtcPrice.from_usd(Decimal(100_000)), lambda: NOON)

    assert fixed.current() == PricedAt(BtcPrice(100_000_000_000), NOON)


@pytest.mark.parametrize(
    "limits",
    [
        {"quorum": 0},
        {"max_deviation": Decimal(0)},
        {"max_deviation": Decimal(2)},
        {"max_jump": Decimal(0)},
        {"max_jump": Decimal(10)},
        {"timeout_seconds": 0},
        {"refresh_seconds": 0},
        {"refresh_seconds": 60, "max_age_seconds": 59},
    ],
)
def test_limits_that_limit_nothing_are_refused(limits: dict[str, Any]):
    """A percentage written as 2 instead of 0.02, for one."""
    with pytest.raises(ValueError, match=r"must be"):
        FeedLimits(**limits)


@pytest.mark.parametrize(
    ("names", "sentence"), [(["one"], "fewer price sources than the quorum"), (["one", "one"], "the same name")]
)
def test_a_quorum_must_be_possible_and_of_different_sources(names: list[str], sentence: str):
    """One source listed twice would agree with itself."""
    with pytest.raises(ValueError, match=sentence):
        BtcPriceFeed([Source(name, "https://example.com", ()) for name in names], FeedLimits(), lambda: NOON)
