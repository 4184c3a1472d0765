"""Amounts of money, and every conversion between them with who loses its rounding.

Amounts are different types that refuse to mix. Inside the server everything is millisatoshi;
dollars exist in prices only. Costs round up, credits round down, once, at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import ClassVar

MSAT_PER_SAT = 1_000
MSAT_PER_BTC = 100_000_000_000
MICROS_PER_USD = 1_000_000
MILLION = 1_000_000
PICOS_PER_MICRO = 1_000_000


@dataclass(frozen=True, slots=True, order=True)
class Msat:
    """Millisatoshi: the unit of every balance, hold, charge and price inside the server."""

    value: int
    ZERO: ClassVar[Msat]

    def __add__(self, other: Msat) -> Msat:
        return Msat(self.value + other.value)

    def __sub__(self, other: Msat) -> Msat:
        return Msat(self.value - other.value)

    def __neg__(self) -> Msat:
        return Msat(-self.value)

    def __bool__(self) -> bool:
        return self.value != 0

    def sat_rounded_up(self) -> Sat:
        """What an invoice must ask so that it covers this amount. The buyer keeps the rest as balance."""
        return Sat(-(-self.value // MSAT_PER_SAT))

    def sat_rounded_down(self) -> Sat:
        """What may be shown of a balance: never more than is there."""
        return Sat(self.value // MSAT_PER_SAT)


Msat.ZERO = Msat(0)


@dataclass(frozen=True, slots=True, order=True)
class Sat:
    """Whole satoshi: the unit of invoices, because the node makes no msat invoices."""

    value: int

    def msat(self) -> Msat:
        """Exact."""
        return Msat(self.value * MSAT_PER_SAT)


@dataclass(frozen=True, slots=True, order=True)
class UsdPicos:
    """10⁻¹² dollars: exact sums of units × rates, which are never whole micros."""

    value: int
    ZERO: ClassVar[UsdPicos]

    def __add__(self, other: UsdPicos) -> UsdPicos:
        return UsdPicos(self.value + other.value)

    def __sub__(self, other: UsdPicos) -> UsdPicos:
        return UsdPicos(self.value - other.value)

    def usd(self) -> Decimal:
        """Exact dollars, for screens and quotes."""
        return Decimal(self.value).scaleb(-12)


UsdPicos.ZERO = UsdPicos(0)


@dataclass(frozen=True, slots=True, order=True)
class UsdMicros:
    """10⁻⁶ dollars: flat prices and limits."""

    value: int

    @staticmethod
    def from_usd_rounded_up(usd: Decimal) -> UsdMicros:
        """Dollars to whole micros, against the buyer by less than one micro."""
        return UsdMicros(int((usd * MICROS_PER_USD).to_integral_value(ROUND_CEILING)))

    def picos(self) -> UsdPicos:
        """Exact."""
        return UsdPicos(self.value * PICOS_PER_MICRO)

    def as_rate(self) -> Rate:
        """The rate at which one unit costs this."""
        return Rate(self.value * MILLION)

    def usd(self) -> Decimal:
        """Exact dollars."""
        return Decimal(self.value).scaleb(-6)


@dataclass(frozen=True, slots=True, order=True)
class Rate:
    """A price per million units (tokens, characters, seconds, images, calls), in USD micros.

    A rate is not an amount: it cannot be added to one.
    """

    usd_micros_per_million: int

    @staticmethod
    def from_usd_per_million(usd: Decimal, markup: Decimal = Decimal(1)) -> Rate:
        """The published rate: upstream's dollars × markup, rounded up to a whole micro per million units.

        What is published is what is charged: no other rounding happens before msat.
        """
        return Rate(UsdMicros.from_usd_rounded_up(usd * markup).value)

    def times(self, units: int) -> UsdPicos:
        """Exact: a micro-dollar per million units is 10⁻¹² dollars a unit."""
        return UsdPicos(self.usd_micros_per_million * units)

    def usd_per_million(self) -> Decimal:
        """Exact dollars per million units, for screens."""
        return UsdMicros(self.usd_micros_per_million).usd()


@dataclass(frozen=True, slots=True)
class BtcPrice:
    """What one bitcoin costs, in USD micros."""

    usd_micros: int

    def __post_init__(self) -> None:
        """Refuse a price that would make calls free or divide by nothing."""
        if self.usd_micros <= 0:
            raise ValueError("a bitcoin price must be positive")

    @staticmethod
    def from_usd(usd: Decimal) -> BtcPrice:
        """Dollars per bitcoin, rounded down to a micro: against the buyer by less than a micro per bitcoin."""
        return BtcPrice(math.floor(usd * MICROS_PER_USD))

    def usd(self) -> Decimal:
        """Exact dollars per bitcoin."""
        return Decimal(self.usd_micros).scaleb(-6)

    def msat_rounded_up(self, amount: UsdPicos) -> Msat:
        """Convert dollars owed to msat. Rounds against the buyer, by less than 1 msat."""
        return Msat(-(-amount.value * MSAT_PER_BTC // (self.usd_micros * PICOS_PER_MICRO)))

    def msat_of(self, amount: UsdPicos) -> Decimal:
        """What dollars are in msat, unrounded, for screens: items of a quote."""
        return Decimal(amount.value * MSAT_PER_BTC) / Decimal(self.usd_micros * PICOS_PER_MICRO)

    def micros_rounded_up(self, amount: Msat) -> UsdMicros:
        """What an msat amount is worth in dollars, for screens."""
        return UsdMicros(-(-amount.value * self.usd_micros // MSAT_PER_BTC))

    def picos_rounded_down(self, amount: Msat) -> UsdPicos:
        """What an msat amount is worth in dollars, for screens and statistics."""
        return UsdPicos(amount.value * self.usd_micros * PICOS_PER_MICRO // MSAT_PER_BTC)
