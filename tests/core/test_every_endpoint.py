"""Everything that config.yaml sells for JSON: no call costs less than nothing or more than was quoted for it."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import config
from lib.core import catalog, pricing
from lib.core.catalog import Place
from lib.core.money import BtcPrice, Msat
from lib.core.order import Order, order_of
from lib.core.usage import Reading
from lib.media.image_size import size_of
from tests.world import ROOT

TODAY = dt.date(2026, 6, 1)
"""A day on which every model was sold."""
SHOP = catalog.build(config.read_config(ROOT / "config.yaml"))
SPOKEN = frozenset({"content", "input", "text", "query", "instructions", "system"})
"""Members of an example's body whose text is the buyer's own."""
OUTPUT_MAX = 100_000

Answer = Callable[[int, int, int, int, int], Any]
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
prices = st.builds(BtcPrice, st.integers(min_value=10**9, max_value=10**13))


def _openai(tokens_in: int, tokens_out: int, cached: int, stored: int, thought: int) -> Any:
    details = {"cached_tokens": cached, "cache_write_tokens": stored}
    return {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": tokens_in,
            "prompt_tokens_details": details,
            "completion_tokens": tokens_out,
            "completion_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": tokens_in + tokens_out,
        },
    }


def _newer(tokens_in: int, tokens_out: int, cached: int, stored: int, thought: int) -> Any:
    usage = {
        "input_tokens": tokens_in,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": stored},
        "output_tokens": tokens_out,
        "output_tokens_details": {"reasoning_tokens": thought},
    }
    return {"object": "response", "status": "completed", "output": [{"type": "message", "text": "Hi"}], "usage": usage}


def _anthropic(tokens_in: int, tokens_out: int, cached: int, stored: int, thought: int) -> Any:
    usage = {
        "input_tokens": tokens_in - cached - stored,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": stored,
        "output_tokens": tokens_out,
        "output_tokens_details": {"thinking_tokens": thought},
    }
    return {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "usage": usage}


def _vectors(tokens_in: int, *_: int) -> Any:
    return {"object": "list", "data": [], "usage": {"prompt_tokens": tokens_in, "total_tokens": tokens_in}}


def _decisions(tokens_in: int, tokens_out: int, cached: int, stored: int, thought: int) -> Any:
    return {"answers": [], "usage": _newer(tokens_in, tokens_out, cached, stored, thought)["usage"]}


def _document(*_: int) -> Any:
    return {"results": []}


ANSWERS: Mapping[str, Answer] = {
    "chat_completions": _openai,
    "responses": _newer,
    "messages": _anthropic,
    "embeddings": _vectors,
    "decisions": _decisions,
    "json": _document,
}
"""How each protocol says (tokens read, tokens written, read from a cache, kept in it, thought)."""
PLACES = [
    Place(api, sold) for api in SHOP.apis.values() for sold in api.endpoints.values() if sold.rules.protocol in ANSWERS
]
everywhere = pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.api.name}{place.endpoint.rules.path}")


def spoken(body: Any, text: str) -> Any:
    """The body with other words in it."""
    if isinstance(body, list):
        return [spoken(part, text) for part in cast("list[Any]", body)]
    if not isinstance(body, dict):
        return body
    members = cast("dict[str, Any]", body).items()
    return {name: text if name in SPOKEN and isinstance(value, str) else spoken(value, text) for name, value in members}


@st.composite
def bodies(draw: st.DrawFn, place: Place) -> dict[str, Any]:
    """The endpoint's example for any of its models, with any words and any caps that it allows."""
    endpoint, example = place.endpoint, place.endpoint.rules.example
    assert example is not None and example.body is not None
    body = spoken(copy.deepcopy(dict(example.body)), draw(texts))
    model = draw(st.sampled_from(sorted(endpoint.models.values(), key=lambda model: model.id)))
    rules = endpoint.rules.request
    if "model" in rules.properties:
        body["model"] = model.id
    if rules.output_cap is not None:
        for name in rules.output_cap.fields:
            body.pop(name, None)
        cap = draw(st.none() | st.integers(16, model.max_output))
        body |= {} if cap is None else {rules.output_cap.fields[0]: cap}
    if endpoint.rules.streaming:
        body["stream"] = draw(st.booleans())
    if rules.answers:
        body[rules.answers] = draw(st.integers(1, 8))
    return body


def ordered(place: Place, body: Mapping[str, Any]) -> Order:
    """The order that a buyer's body becomes."""
    return order_of(place, json.dumps(body).encode(), today=TODAY, size_of=size_of)


@st.composite
def read(draw: st.DrawFn, order: Order, *, honest: bool) -> Reading:
    """An answer as it was read: one that upstream can give to this order, or one that it cannot."""
    demand = order.demand
    most_in = demand.input_tokens + demand.image_tokens if honest else 10 * OUTPUT_MAX
    tokens_in = draw(st.integers(0, most_in))
    tokens_out = draw(st.integers(0, order.answers * order.output_cap if honest else 10 * OUTPUT_MAX))
    cached = draw(st.integers(0, tokens_in))
    stored = draw(st.integers(0, tokens_in - cached))
    thought = draw(st.integers(0, tokens_out))
    answer = ANSWERS[order.endpoint.rules.protocol](tokens_in, tokens_out, cached, stored, thought)
    return order.protocol.read_whole(orjson.dumps(answer), order.parameters)


@everywhere
@given(data=st.data(), price=prices)
def test_what_upstream_can_honestly_use_costs_no_more_than_the_ceiling(
    place: Place, data: st.DataObject, price: BtcPrice
) -> None:
    """Nothing is cut off to stay below it, and what the operator owes upstream is below its own bound."""
    order = ordered(place, data.draw(bodies(place)))
    limit = pricing.ceiling(order, price)

    cost = pricing.cost(order, data.draw(read(order, honest=True)), price, limit)

    assert Msat.ZERO <= cost.charge <= limit
    assert cost.clamped == Msat.ZERO
    assert order.model.minimum <= limit
    if cost.upstream is not None and order.model.bought is not None:
        assert cost.upstream <= pricing.upstream_ceiling(order)


@everywhere
@given(data=st.data(), price=prices)
def test_whatever_upstream_claims_costs_no_more_than_the_ceiling(
    place: Place, data: st.DataObject, price: BtcPrice
) -> None:
    """A usage beyond the order is cut off, and said to be."""
    order = ordered(place, data.draw(bodies(place)))
    limit = pricing.ceiling(order, price)

    cost = pricing.cost(order, data.draw(read(order, honest=False)), price, limit)

    assert Msat.ZERO <= cost.charge <= limit
    assert cost.clamped == Msat.ZERO or cost.charge == limit


@everywhere
@given(data=st.data(), price=prices)
def test_a_quote_is_the_same_for_the_same_body(place: Place, data: st.DataObject, price: BtcPrice) -> None:
    """Ceiling, usual price and digest depend on the body and the price alone, not on the order of its members."""
    body = data.draw(bodies(place))
    once, again = ordered(place, body), ordered(place, dict(reversed(body.items())))

    assert once.digest == again.digest
    assert pricing.ceiling(once, price) == pricing.ceiling(again, price)
    assert Msat.ZERO <= pricing.typical(once, price) == pricing.typical(again, price) <= pricing.ceiling(once, price)
    assert pricing.cost(once, Reading(), price, Msat(10**12)).charge == Msat.ZERO


@everywhere
@given(data=st.data())
def test_more_output_never_costs_less(place: Place, data: st.DataObject) -> None:
    """The ceiling grows with the cap: one who asks for less is not quoted more."""
    rules = place.endpoint.rules.request
    body = data.draw(bodies(place))
    price = BtcPrice.from_usd(Decimal(100_000))
    if rules.output_cap is None:
        return
    name = rules.output_cap.fields[0]
    cap = ordered(place, body).output_cap

    smaller = ordered(place, {**body, name: data.draw(st.integers(16, max(16, cap)))})

    assert pricing.ceiling(smaller, price) <= pricing.ceiling(ordered(place, {**body, name: cap}), price)


def test_every_text_protocol_is_sold() -> None:
    """Nothing above is left out because nobody sells it."""
    assert {place.endpoint.rules.protocol for place in PLACES} == ANSWERS.keys()
