"""PRICING_PRINCIPLES.md is true: every worked example is computed again from its own configuration and its own sum."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from lib import config
from lib.core import catalog, pricing
from lib.core.catalog import Catalog, Place
from lib.core.money import BtcPrice, Msat
from lib.core.order import Order, order_of
from lib.core.protocols.base import Demand
from lib.core.units import Unit
from lib.core.usage import Reading, Usage
from lib.media.image_size import size_of
from tests.world import ROOT

PAGE = (ROOT / "PRICING_PRINCIPLES.md").read_text(encoding="utf-8")
AT_100_000_USD = BtcPrice.from_usd(Decimal(100_000))
ROOMY = Msat(10**12)
TODAY = dt.date(2026, 11, 25)
EXAMPLE: dict[str, Any] = {
    "content_type": "json",
    "body": {"model": "m"},
    "e2e": {"required_field": "model", "invalid": {}, "keyword": "x"},
}
FIELDS: dict[str, Any] = {name: {} for name in ("model", "messages", "n", "max_tokens")}
REQUEST: dict[str, Any] = {
    "properties": FIELDS,
    "answers": "n",
    "output_cap": {"fields": ["max_tokens"], "inject": "max_tokens"},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, with the configuration of its section."""

    section: str
    shop: str
    columns: tuple[str, ...]
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.section}: {self.cells[0]}, {self.cells[1]}"

    def __getitem__(self, column: str) -> str:
        return self.cells[self.columns.index(column)]


def rows() -> Iterator[Row]:
    """Every line of every table of the worked examples."""
    examples = PAGE.split("\n## Worked examples\n")[1].split("\n## ")[0]
    for section in examples.split("\n### ")[1:]:
        shop = section.split("```yaml\n")[1].split("```")[0]
        lines = [
            tuple(cell.strip() for cell in line.strip("|").split("|"))
            for line in section.splitlines()
            if line[:1] == "|"
        ]
        for cells in lines[2:]:
            yield Row(section.splitlines()[0], shop, lines[0], cells)


def completed(shop: str, tmp_path: Path) -> Catalog:
    """The catalog of a block, with what a config.yaml must also say and prices do not depend on."""
    document: dict[str, Any] = yaml.safe_load(shop)
    for name, api in document["apis"].items():
        api |= {"title": name, "base_url": "https://example.com/v1", "api_key_env": "KEY"}
        for endpoint in api["endpoints"]:
            endpoint |= {"title": name, "upstream_path": "/x", "protocol": "chat_completions"}
            endpoint |= {"request": REQUEST, "example": EXAMPLE, "path": endpoint.get("path", "/v1/x")}
            for model in endpoint["models"]:
                model |= {"max_output": 32_768, "default_max_output": 2_048}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return catalog.build(config.read_config(path))


def order_for(row: Row, tmp_path: Path) -> Order:
    """An order for the row's model."""
    for api in completed(row.shop, tmp_path).apis.values():
        for endpoint in api.endpoints.values():
            if row["model"] in endpoint.models:
                body = json.dumps({"model": row["model"], "messages": []}).encode()
                return order_of(Place(api, endpoint), body, today=TODAY, size_of=size_of)
    raise AssertionError(f"{row} is of no model in its block")


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def summed(text: str) -> Decimal:
    """`8 × 0.195 + 17 × 0.78 = 14.82`: the sum, which must be what is said of it."""
    terms, _, said = text.partition(" = ")
    total = Decimal(0)
    for term in terms.split(" + "):
        many, rate = term.split(" × ")
        total += number(many) * number(rate)
    assert total == number(said), text
    return total


def quantities(text: str) -> dict[str, int]:
    """`8 in, 17 out`."""
    found = re.findall(r"([\d,]+?) (in|cached|written|image|out|thought|seconds|characters)\b", text)
    return {unit: int(number(many)) for many, unit in found}


ROWS = list(rows())


def test_there_is_an_example_of_everything_that_is_billed():
    """And of every level that a markup or a minimum can stand at."""
    assert len(ROWS) >= 25
    used = {unit for row in ROWS if "used" in row.columns for unit in quantities(row["used"])}
    assert used == {"in", "cached", "written", "image", "out", "thought", "seconds", "characters"}
    for word in (
        "per_call:",
        "per_minute:",
        "per_million_characters:",
        "flat: {sats",
        "flat: {usd",
        "long_context:",
        "    markup:",
        "        minimum_msat:",
    ):
        assert any(word in row.shop for row in ROWS), word


@pytest.mark.parametrize("row", [row for row in ROWS if "charge" in row.columns], ids=str)
def test_a_charge_is_what_the_page_says(row: Row, tmp_path: Path):
    """The sum by hand, and what is charged for the same usage: the sum rounded up, or the minimum."""
    used = quantities(row["used"])
    assert row["used"].count(",") == sum(f"{many:,}".count(",") for many in used.values()) + len(used) - 1
    usage = Usage(
        used.get("in", 0),
        used.get("out", 0),
        used.get("cached", 0),
        used.get("written", 0),
        used.get("thought", 0),
        used.get("image", 0),
    )
    order = order_for(row, tmp_path)
    said = Msat(int(number(row["charge"].removesuffix(" msat"))))

    measured = {Unit.SECOND: used.get("seconds", 0), Unit.CHARACTER: used.get("characters", 0)}

    cost = pricing.cost(order, Reading(usage=usage, complete=True, measured=measured), AT_100_000_USD, ROOMY)

    exact = Msat(math.ceil(summed(row["sum in msat"])))
    assert cost.charge == said
    assert said == (exact if order.model.flat is not None else max(exact, order.model.minimum))


@pytest.mark.parametrize("row", [row for row in ROWS if "ceiling" in row.columns], ids=str)
def test_a_ceiling_is_what_the_page_says(row: Row, tmp_path: Path):
    """No charge exceeds it, and the invoice is for the next whole sat."""
    found = re.fullmatch(r"([\d,]+) in, (\d+) × ([\d,]+) out", row["can be"])
    assert found is not None
    tokens_in, answers, cap = (int(number(text)) for text in found.groups())
    order = order_for(row, tmp_path)
    order = replace(order, demand=Demand(tokens_in, tokens_in), answers=answers, output_cap=cap)
    said = Msat(int(number(row["ceiling"].removesuffix(" msat"))))

    assert pricing.ceiling(order, AT_100_000_USD) == said
    exact = Msat(math.ceil(summed(row["sum in msat"])))
    assert said == (exact if order.model.flat is not None else max(exact, order.model.minimum))
    assert row["invoice"] == f"{-(-said.value // 1_000)} sat"
    for usage in (Usage(0, 0), Usage(tokens_in, answers * cap), Usage(tokens_in, answers * cap, cache_write=tokens_in)):
        cost = pricing.cost(order, Reading(usage=usage, complete=True), AT_100_000_USD, said)
        assert cost.charge <= said
        assert cost.clamped == Msat.ZERO
