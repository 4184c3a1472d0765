"""What calls cost, computed from config.yaml's own digits and from what upstream really did: the auditor's arithmetic.

Nothing of the server's is used here, so that a mistake there cannot hide itself. All of it is exact: fractions until
the one rounding at the end, which is up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import yaml

MSAT_PER_BTC = 100_000_000_000
MICROS_PER_USD = 1_000_000
TOKENS_PER_PRICE = 1_000_000
VISIBLE_BYTES_PER_TOKEN = 8
"""docs/money.md: what an answer of unknown usage costs."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars per million tokens as they are sold: upstream's × the markup, rounded up to a millionth of a dollar."""

    input: Fraction
    output: Fraction


class PriceList:
    """Every model's prices."""

    def __init__(self, rates: dict[str, Rates], btc_usd: int) -> None:
        """`btc_usd` is the fixed price of the run."""
        self._rates, self._btc_usd = rates, btc_usd

    @staticmethod
    def of(config: Path, btc_usd: int) -> PriceList:
        """Read config.yaml as text: 0.15 is fifteen hundredths, whatever a float makes of it."""
        document = yaml.load(config.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - only text
        rates: dict[str, Rates] = {}
        for api in cast("dict[str, dict[str, Any]]", document["apis"]).values():
            markup = Fraction(api.get("markup") or document["markup"])
            for endpoint in api["endpoints"]:
                for model in endpoint["models"]:
                    if "tokens" in model:
                        tokens = model["tokens"]
                        rates[model["id"]] = Rates(_sold(tokens["input"], markup), _sold(tokens["output"], markup))
        return PriceList(rates, btc_usd)

    def of_usage(self, model: str, tokens_in: int, tokens_out: int) -> int:
        """What a metered answer costs, in msat, rounded up."""
        rates = self._rates[model]
        return self._msat((tokens_in * rates.input + tokens_out * rates.output) / TOKENS_PER_PRICE)

    def of_text(self, model: str, text_bytes: int) -> int:
        """What an answer of unknown usage costs: a token for every 8 whole bytes of its visible text."""
        tokens = text_bytes // VISIBLE_BYTES_PER_TOKEN
        return self._msat(tokens * self._rates[model].output / TOKENS_PER_PRICE)

    def _msat(self, usd: Fraction) -> int:
        return math.ceil(usd * MSAT_PER_BTC / self._btc_usd)


def _sold(bought: str, markup: Fraction) -> Fraction:
    return Fraction(math.ceil(Fraction(bought) * markup * MICROS_PER_USD), MICROS_PER_USD)
