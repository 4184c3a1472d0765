"""Amounts refuse to mix, and every conversion says who loses its rounding."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core.money import BtcPrice, Msat, Rate, Sat, UsdMicros, UsdPicos

amounts = st.integers(min_value=0, max_value=10**18)
prices = st.builds(BtcPrice, st.integers(min_value=1, max_value=10**15))
MSAT_PER_BTC = 10**11
PICOS_PER_USD = 10**12


@pytest.mark.parametrize(
    ("one", "other"),
    [(Msat(1), Sat(1)), (Sat(1), Msat(1)), (Msat(1), 1), (UsdPicos(1), UsdMicros(1)), (Rate(1), UsdPicos(1))],
    ids=lambda value: type(value).__name__,
)
def test_amounts_of_different_kinds_are_never_compared(one: Any, other: Any) -> None:
    """Neither equal nor ordered: a mistake is loud."""
    assert one != other
    with pytest.raises(TypeError):
        assert one < other


def test_a_rate_is_no_amount() -> None:
    """Rates cannot be added up; tokens × rate can."""
    rate: Any = Rate(195_000)

    with pytest.raises(TypeError):
        assert rate + rate
    assert rate.times(8) + rate.times(2) == UsdPicos(1_950_000)


@pytest.mark.parametrize(("msat", "up", "down"), [(0, 0, 0), (1, 1, 0), (999, 1, 0), (1_000, 1, 1), (1_001, 2, 1)])
def test_an_invoice_covers_and_a_shown_balance_is_there(msat: int, up: int, down: int) -> None:
    """What is asked rounds up, what is shown rounds down."""
    assert (Msat(msat).sat_rounded_up(), Msat(msat).sat_rounded_down()) == (Sat(up), Sat(down))


@given(amounts)
def test_sats_and_msats_lose_less_than_one_sat(msat: int) -> None:
    """Up is never below, down never above, and each is the nearest."""
    amount = Msat(msat)

    assert amount <= amount.sat_rounded_up().msat() < amount + Msat(1_000)
    assert amount.sat_rounded_down().msat() <= amount < amount.sat_rounded_down().msat() + Msat(1_000)


@pytest.mark.parametrize(
    ("usd", "btc_usd", "msat"),
    [
        ("1", "100000", 1_000_000),
        ("0.000015", "100000", 15),
        ("0.00001482", "100000", 15),  # HELLO: 8 × 0.195 + 17 × 0.78 = 14.82 millionths
        ("0.00000000001", "100000", 1),  # a hundred-thousandth of a msat
        ("0", "100000", 0),
        ("1", "80000", 1_250_000),
        ("1", "30000", 3_333_334),  # 3,333,333.3…
        ("1", "150000", 666_667),  # 666,666.6…
    ],
)
def test_dollars_owed_round_up_to_msat(usd: str, btc_usd: str, msat: int) -> None:
    """By hand: dollars / price × 10¹¹, against the buyer by less than one msat."""
    owed = UsdPicos(int(Decimal(usd).scaleb(12)))

    assert BtcPrice.from_usd(Decimal(btc_usd)).msat_rounded_up(owed) == Msat(msat)


@given(amounts, prices)
def test_a_conversion_there_and_back_never_makes_money(picos: int, price: BtcPrice) -> None:
    """The msat charged are worth at least the dollars owed, and one msat less would not be."""
    owed = UsdPicos(picos)
    charged = price.msat_rounded_up(owed)

    assert charged.value * price.usd_micros * 10**6 >= picos * MSAT_PER_BTC
    assert (charged.value - 1) * price.usd_micros * 10**6 < picos * MSAT_PER_BTC
    # Back to dollars it rounds down, by less than one pico: never below what was owed.
    assert price.picos_rounded_down(charged) >= owed


@given(amounts, amounts, prices)
def test_adding_first_never_costs_more(one: int, other: int, price: BtcPrice) -> None:
    """Sums are exact dollars and are rounded once: in parts they would be rounded twice."""
    together = price.msat_rounded_up(UsdPicos(one) + UsdPicos(other))
    apart = price.msat_rounded_up(UsdPicos(one)) + price.msat_rounded_up(UsdPicos(other))

    assert together <= apart <= together + Msat(1)


@pytest.mark.parametrize(
    ("usd", "markup", "micros"),
    [
        ("0.15", "1.30", 195_000),
        ("0.6", "1.3", 780_000),
        ("0.075", "1.30", 97_500),
        ("0.0000001", "1", 1),
        ("0", "1.30", 0),
        ("0.1", "3", 300_000),  # binary floats would say 300,001
    ],
)
def test_a_rate_is_published_with_its_markup_rounded_up(usd: str, markup: str, micros: int) -> None:
    """To a whole micro-dollar per million tokens, from the decimal digits of config.yaml."""
    assert Rate.from_usd_per_million(Decimal(usd), Decimal(markup)) == Rate(micros)


@given(st.decimals(min_value=0, max_value=10_000, places=9), st.decimals(min_value=1, max_value=10, places=4))
def test_a_published_rate_never_sells_below_the_markup(usd: Decimal, markup: Decimal) -> None:
    """And exceeds it by less than a micro."""
    published = Rate.from_usd_per_million(usd, markup).usd_per_million()

    assert usd * markup <= published < usd * markup + Decimal("0.000001")


@given(st.integers(min_value=0, max_value=10**9), st.integers(min_value=0, max_value=10**10))
def test_tokens_times_a_rate_is_exact(micros: int, tokens: int) -> None:
    """A micro-dollar per million tokens is 10⁻¹² dollars a token."""
    assert Rate(micros).times(tokens).usd() == Decimal(micros) * Decimal(tokens) / PICOS_PER_USD


def test_a_price_rounds_down() -> None:
    """Against the buyer by less than a micro per bitcoin."""
    assert BtcPrice.from_usd(Decimal("98765.4321999")) == BtcPrice(98_765_432_199)
    assert BtcPrice(98_765_432_199).usd() == Decimal("98765.432199")


@pytest.mark.parametrize("micros", [0, -1])
def test_a_price_is_positive(micros: int) -> None:
    """A price of nothing would make calls free, or divide by it."""
    with pytest.raises(ValueError, match="positive"):
        BtcPrice(micros)


def test_a_price_too_small_to_be_one_is_refused() -> None:
    """Rounded down it would be nothing."""
    with pytest.raises(ValueError, match="positive"):
        BtcPrice.from_usd(Decimal("0.0000001"))
