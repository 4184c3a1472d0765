"""Ceiling before, cost after: nothing costs less than nothing or more than its ceiling, and each rule by hand."""

from __future__ import annotations

import datetime as dt
import functools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import config
from lib.core import catalog, pricing
from lib.core.catalog import Place, PriceBook
from lib.core.money import BtcPrice, Msat, Rate, UsdMicros, UsdPicos
from lib.core.order import Order, order_of
from lib.core.units import Unit
from lib.core.usage import Reading, Usage
from lib.media.image_size import size_of
from tests.core.openai_tokenizer import upstream_count
from tests.world import ROOT

TODAY = dt.date(2026, 6, 1)
AT_100_000_USD = BtcPrice.from_usd(Decimal(100_000))
"""One msat is 10⁻⁶ dollars."""
prices = st.builds(BtcPrice, st.integers(min_value=10**9, max_value=10**13))


@functools.cache
def place() -> Place:
    """Chat completions as config.yaml sells them."""
    found = catalog.build(config.read_config(ROOT / "config.yaml")).find("POST", "/openai/v1/chat/completions")
    assert found is not None
    return found


def order_for(content: str = "Hello", model: str = "gpt-4o-mini", **more: Any) -> Order:
    """An order as a buyer's body becomes one."""
    body: Mapping[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}], **more}
    return order_of(place(), json.dumps(body).encode(), today=TODAY, size_of=size_of)


def answered(tokens_in: int, tokens_out: int, **parts: int) -> Reading:
    """A complete answer with this usage, some of it visible."""
    usage = Usage(tokens_in, tokens_out, **parts)
    return Reading(usage=usage, visible_bytes=10, complete=True, finish_reasons={"stop"})


def charge(order: Order, reading: Reading, price: BtcPrice = AT_100_000_USD) -> Msat:
    """What an answer costs under its own ceiling."""
    return pricing.cost(order, reading, price, pricing.ceiling(order, price)).charge


def most_input(order: Order) -> int:
    """The most tokens an order's input can be: its bytes and what upstream adds."""
    return order.demand.input_tokens


orders = st.builds(
    order_for,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.deferred(lambda: st.sampled_from(sorted(place().endpoint.models))),
    n=st.integers(1, 8),
    max_tokens=st.none() | st.integers(1, 16_384),
    stream=st.booleans(),
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Order, Usage]:
    """An order, and a usage that upstream may honestly report for it."""
    order = draw(orders)
    tokens_in = draw(st.integers(0, most_input(order)))
    cached = draw(st.integers(0, tokens_in))
    written = draw(st.integers(0, tokens_in - cached))
    tokens_out = draw(st.integers(0, order.answers * order.output_cap))
    return order, Usage(tokens_in, tokens_out, cached, written, draw(st.integers(0, tokens_out)))


@given(calls(), prices)
def test_an_honest_usage_never_costs_more_than_the_ceiling(call: tuple[Order, Usage], price: BtcPrice) -> None:
    """Nothing is clamped: 0 ≤ cost ≤ ceiling follows from the request alone."""
    order, usage = call

    cost = pricing.cost(order, Reading(usage=usage, complete=True), price, pricing.ceiling(order, price))

    assert Msat.ZERO <= cost.charge <= pricing.ceiling(order, price)
    assert cost.clamped == Msat.ZERO


@given(orders, st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 10**8), prices)
def test_any_usage_is_clamped_to_the_ceiling(
    order: Order, tokens_in: int, tokens_out: int, visible: int, price: BtcPrice
) -> None:
    """Whatever upstream says; charge and clamped part together are the computed cost."""
    limit = pricing.ceiling(order, price)
    for reading in (answered(tokens_in, tokens_out), Reading(visible_bytes=visible)):
        cost = pricing.cost(order, reading, price, limit)
        unlimited = pricing.cost(order, reading, price, Msat(10**30))

        assert Msat.ZERO <= cost.charge <= limit
        assert cost.charge + cost.clamped == unlimited.charge


@given(orders, prices)
def test_the_typical_price_is_no_more_than_the_ceiling(order: Order, price: BtcPrice) -> None:
    """And quoting is deterministic."""
    assert Msat.ZERO <= pricing.typical(order, price) <= pricing.ceiling(order, price)
    asked = {name: value for name, value in order.parameters.items() if name != "stream_options"}  # that is ours
    again = order_of(place(), json.dumps(asked).encode(), today=TODAY, size_of=size_of)
    assert (pricing.ceiling(again, price), again.digest) == (pricing.ceiling(order, price), order.digest)


@given(calls(), prices)
def test_the_operator_never_pays_more_than_the_bound(call: tuple[Order, Usage], price: BtcPrice) -> None:
    """What an unpaid call may cost bounds what a paid one did, and the markup covers it."""
    order, usage = call

    cost = pricing.cost(order, Reading(usage=usage, complete=True), price, pricing.ceiling(order, price))

    assert cost.upstream is not None
    assert cost.upstream <= pricing.upstream_ceiling(order)
    assert price.msat_rounded_up(cost.upstream) <= cost.charge


@given(orders, prices, st.integers(0, 10**9))
def test_the_affordable_cap_is_affordable_and_the_largest(order: Order, price: BtcPrice, available: int) -> None:
    """With it the order fits, with one token more it does not; 0 if not even the input fits."""
    cap = pricing.affordable_output_tokens(order, price, Msat(available))

    assert 0 <= cap <= order.output_cap
    if cap:
        assert pricing.ceiling(replace(order, output_cap=cap), price) <= Msat(available)
    if cap < order.output_cap:
        assert pricing.ceiling(replace(order, output_cap=cap + 1), price) > Msat(available)


# Each rule by hand.


def test_the_ceiling_of_hello() -> None:
    """One token for its text, bytes for all around it, 32 for its message, 64 for the call, and the default cap."""
    order = order_for()

    assert (order.output_cap, order.answers, order.cap_is_ours) == (2_048, 1, True)
    tokens_in = order.demand.input_bytes - len("Hello") + 1 + 32 + 64
    exact = Decimal(tokens_in) * Decimal("0.195") + 2_048 * Decimal("0.78")
    assert pricing.ceiling(order, AT_100_000_USD) == Msat(math.ceil(exact))


def test_the_ceiling_counts_every_answer_and_every_piece() -> None:
    """3 answers of 100 tokens; a tool is a piece like a message."""
    tool = {"type": "function", "function": {"name": "f"}}
    order = order_for(n=3, max_tokens=100, tools=[tool, tool])

    tokens_in = order.demand.input_bytes - len("Hello") + 1 + 3 * 32 + 64
    exact = Decimal(tokens_in) * Decimal("0.195") + 300 * Decimal("0.78")
    assert pricing.ceiling(order, AT_100_000_USD) == Msat(math.ceil(exact))


def test_bytes_are_counted_not_characters() -> None:
    """Where a model's vocabulary is not public, its input is bound by UTF-8 bytes: an emoji has four."""
    plain, emoji = order_for("x" * 100, "gpt-6-sol"), order_for("\U0001f600" * 100, "gpt-6-sol")

    assert most_input(emoji) - most_input(plain) == 300


def test_a_public_vocabulary_bounds_the_input_by_tokens() -> None:
    """Texts count as their tokens, whatever JSON makes of their bytes; what is around them as its bytes."""
    text = 'The quick brown fox "jumps"\nover the lazy dog. ' * 50
    parts = [{"type": "text", "text": text}, {"type": "text", "text": "Hello"}]
    empty = [{"type": "text", "text": ""}, {"type": "text", "text": ""}]
    message, nothing = ([{"role": "user", "content": content}] for content in (parts, empty))

    order, around = order_for(messages=message), order_for(messages=nothing)

    assert most_input(order) - most_input(around) == upstream_count(text, "o200k_base") + 1
    assert most_input(around) == around.demand.input_bytes + 2 * 32 + 64


@pytest.mark.parametrize(
    ("reading", "msat"),
    [
        (answered(8, 17), 15),  # 1.56 + 13.26 = 14.82
        (answered(0, 0), 0),
        (answered(1, 0), 1),  # 0.195
        (answered(200, 1_000), 819),  # 39 + 780, exactly
        (answered(200, 1_000, cached=100), 810),  # 19.5 + 9.75 + 780 = 809.25
        (answered(200, 1_000, cached=200), 800),  # 19.5 + 780 = 799.5
        (answered(200, 1_000, cached=50, cache_write=50), 815),  # no price of its own: 29.25 + 4.875 + 780 = 814.125
        (answered(200, 1_000, reasoning=1_000), 819),  # reasoning is output
    ],
)
def test_metered_answers_by_hand(reading: Reading, msat: int) -> None:
    """gpt-4o-mini at 0.195 in, 0.0975 cached, 0.78 out."""
    assert charge(order_for(), reading) == Msat(msat)


@pytest.mark.parametrize(
    ("visible", "msat"), [(0, 0), (7, 0), (8, 1), (15, 1), (16, 2), (400, 39), (800, 78), (10**9, 1_643)]
)
def test_unknown_usage_by_hand(visible: int, msat: int) -> None:
    """One output token for each 8 whole bytes, no input, and never above the ceiling."""
    assert charge(order_for(), Reading(visible_bytes=visible)) == Msat(msat)


def test_an_empty_answer_cut_by_our_cap_costs_its_input() -> None:
    """The buyer's own cap is the buyer's decision."""
    reading = Reading(usage=Usage(8, 100, reasoning=100), complete=True, finish_reasons={"length"})

    assert charge(order_for(), reading) == Msat(2)  # 1.56
    assert charge(order_for(max_tokens=100), reading) == Msat(80)  # 1.56 + 78 = 79.56
    assert charge(order_for(), replace(reading, visible_bytes=1)) == Msat(80)


LONG = "gpt-5.6-luna"
"""0.26 in, 0.026 cached, 0.325 written, 1.56 out; above 272,000 tokens in: 0.52, 0.052, 0.65, 2.34."""
ROOMY = Msat(10**9)


@pytest.mark.parametrize(
    ("usage", "msat"),
    [
        (Usage(1_000, 1_000), 1_820),  # 260 + 1,560
        (Usage(1_000, 1_000, cached=500), 1_703),  # 130 + 13 + 1,560
        (Usage(1_000, 1_000, cache_write=500), 1_853),  # 130 + 162.5 + 1,560 = 1,852.5
        (Usage(272_000, 1_000), 72_280),  # 70,720 + 1,560
        (Usage(272_001, 1_000), 143_781),  # 141,440.52 + 2,340 = 143,780.52
        (Usage(300_000, 0, cached=100_000, cache_write=100_000), 122_200),  # 52,000 + 5,200 + 65,000
    ],
)
def test_cache_writes_and_long_contexts_by_hand(usage: Usage, msat: int) -> None:
    """The long tier is for the whole request, its output included."""
    order = order_for(model=LONG)

    assert pricing.cost(order, Reading(usage=usage, complete=True), AT_100_000_USD, ROOMY).charge == Msat(msat)


def test_the_ceiling_of_a_long_input_is_at_long_and_dearest_rates() -> None:
    """All of it could be written to the cache: 0.65, and 2.34 for the output."""
    order = order_for("x" * 300_000, model=LONG, max_tokens=100)

    exact = Decimal(most_input(order)) * Decimal("0.65") + 100 * Decimal("2.34")
    assert pricing.ceiling(order, AT_100_000_USD) == Msat(math.ceil(exact))


def test_a_long_tier_that_is_cheaper_does_not_lower_the_ceiling() -> None:
    """The input may turn out to be short after all."""
    dear, cheap = (dict.fromkeys(Unit, Rate(micros)) for micros in (2_000_000, 1_000_000))
    order = order_for("x" * 1_000)
    order = replace(order, model=replace(order.model, sold=PriceBook(dear, cheap, long_above=100)))

    for tokens_in in (100, 101, most_input(order)):
        reading = answered(tokens_in, 2_048)
        assert pricing.cost(order, reading, AT_100_000_USD, pricing.ceiling(order, AT_100_000_USD)).clamped == Msat(0)


@pytest.mark.parametrize(
    ("flat", "msat"), [(Msat(5_000), 5_000), (UsdMicros(2_000), 2_000), (UsdMicros(1), 1)], ids=["sats", "usd", "least"]
)
def test_a_flat_price_is_the_ceiling_the_typical_price_and_the_cost(flat: Msat | UsdMicros, msat: int) -> None:
    """Whatever was used; nothing for an answer that is not complete or failed."""
    order = order_for()
    order = replace(order, model=replace(order.model, flat=flat, sold=None))
    whole = answered(10**6, 10**6)

    assert pricing.ceiling(order, AT_100_000_USD) == pricing.typical(order, AT_100_000_USD) == Msat(msat)
    assert charge(order, whole) == charge(order, replace(whole, usage=None)) == Msat(msat)
    assert charge(order, replace(whole, complete=False)) == charge(order, replace(whole, failed=True)) == Msat.ZERO
    assert pricing.affordable_output_tokens(order, AT_100_000_USD, Msat(10**9)) == 0


def test_what_upstream_bills_is_told_without_markup() -> None:
    """8 × 0.15 + 17 × 0.60 = 11.4 millionths of a dollar; None while unknown."""
    order = order_for()

    known = pricing.cost(order, answered(8, 17), AT_100_000_USD, ROOMY)
    unknown = pricing.cost(order, Reading(visible_bytes=800), AT_100_000_USD, ROOMY)

    assert (known.upstream, unknown.upstream) == (UsdPicos(11_400_000), None)


def test_every_model_on_the_shelf_is_sold_above_what_it_costs() -> None:
    """By the markup, in every rate of every tier."""
    for model in place().endpoint.models.values():
        assert model.sold is not None and model.bought is not None
        assert (model.sold.long is None) == (model.bought.long is None)
        for sold, bought in [(model.sold.rates, model.bought.rates), (model.sold.long, model.bought.long)]:
            for unit in sold or {}:
                assert bought is not None
                assert sold and sold[unit].usd_per_million() >= bought[unit].usd_per_million() * Decimal("1.30")
