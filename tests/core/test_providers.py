"""The providers of config.yaml: what each is asked, how its usage is counted, and that no example is wrong."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from lib import config
from lib.core import catalog, pricing
from lib.core.catalog import Endpoint, Place
from lib.core.errors import ApiError, Code
from lib.core.money import BtcPrice, Msat, Rate
from lib.core.order import Order, order_of
from lib.core.units import Unit
from lib.core.usage import Reading, Usage
from lib.media.image_size import size_of
from tests.world import ROOT

TODAY = dt.date(2026, 11, 25)
AT_100_000_USD = BtcPrice.from_usd(Decimal(100_000))
"""One msat is 10⁻⁶ dollars."""
SHOP = catalog.build(config.read_config(ROOT / "config.yaml"))
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]
PLACES = [Place(api, sold) for api in SHOP.apis.values() for sold in api.endpoints.values()]
"""Everything that is sold."""
NOTHING: Mapping[str, Any] = {}


def endpoint(api: str, path: str = CHAT) -> Endpoint:
    """What a provider sells at a path."""
    return SHOP.apis[api].endpoints["POST", path]


def ordered(api: str, fields: Mapping[str, Any] = NOTHING, path: str = CHAT) -> Order:
    """An order as a buyer's body becomes one; a chat says hello to the provider's first model."""
    body = dict(fields)
    if path == CHAT:
        body = {"model": next(iter(endpoint(api).models)), "messages": HELLO, **fields}
    place = SHOP.find("POST", f"/{api}{path}")
    assert place is not None
    return order_of(place, json.dumps(body).encode(), today=TODAY, size_of=size_of)


def sent(api: str, fields: Mapping[str, Any] = NOTHING, path: str = CHAT) -> dict[str, Any]:
    """What upstream receives."""
    return json.loads(ordered(api, fields, path).upstream_body("buyer"))


def refused(api: str, fields: Mapping[str, Any], path: str = CHAT) -> tuple[str, str | None]:
    """The code and the field of a refusal."""
    with pytest.raises(ApiError) as error:
        ordered(api, fields, path)
    return error.value.code.code, error.value.param


def read(api: str, usage: dict[str, Any]) -> Usage | None:
    """The usage of a whole answer with these counts."""
    body = json.dumps({"choices": [{"message": {"content": "Hello"}}], "usage": usage}).encode()
    return endpoint(api).protocol.read_whole(body, {}).usage


def name_of(place: Place) -> str:
    """For the names of tests."""
    return f"{place.api.name}{place.endpoint.rules.path}"


# Every endpoint.


@pytest.mark.parametrize("place", [place for place in PLACES if place.endpoint.rules.example.body], ids=name_of)
def test_the_example_of_every_endpoint_is_an_order(place: Place):
    """It can be sold as it stands, and what the end-to-end script breaks in it is refused for the reason it names."""
    example = place.endpoint.rules.example
    assert example.body is not None

    order = order_of(place, json.dumps(example.body).encode(), today=TODAY, size_of=size_of)
    assert Msat.ZERO < pricing.typical(order, AT_100_000_USD) <= pricing.ceiling(order, AT_100_000_USD)

    missing = {name: value for name, value in example.body.items() if name != example.e2e.required_field}
    for broken, code in (
        (missing, {Code.MISSING_REQUIRED_FIELD}),
        ({**example.body, **example.e2e.invalid}, {Code.INVALID_FIELD_VALUE, Code.INVALID_FIELD_TYPE}),
    ):
        with pytest.raises(ApiError) as error:
            order_of(place, json.dumps(broken).encode(), today=TODAY, size_of=size_of)
        assert error.value.code in code


@pytest.mark.parametrize("place", PLACES, ids=name_of)
def test_no_model_is_sold_below_what_it_costs(place: Place):
    """Each price is upstream's with the markup of its API, for every unit and for long inputs, too."""
    for model in place.endpoint.models.values():
        assert model.bought is not None
        if model.sold is None:
            continue
        books = [(model.sold.rates, model.bought.rates)]
        if model.sold.long is not None and model.bought.long is not None:
            books.append((model.sold.long, model.bought.long))
        for sold, bought in books:
            assert sold.keys() == bought.keys()
            assert all(sold[unit] > bought[unit] for unit in sold if bought[unit] != Rate(0))


@pytest.mark.parametrize("place", PLACES, ids=name_of)
def test_every_rule_is_about_a_field_that_exists(place: Place):
    """What is dropped, replaced or capped is allowed, and what is refused with a sentence is not."""
    rules = place.endpoint.rules.request
    cap = [*rules.output_cap.fields] if rules.output_cap else []
    named = {name.partition(".")[0] for name in [*rules.dropped, *rules.identity, *cap, *rules.required]}

    assert named <= rules.properties.keys()
    assert rules.refused.keys().isdisjoint(rules.properties.keys())
    assert not rules.output_cap or rules.output_cap.inject in rules.output_cap.fields


# What each provider is asked.


@pytest.mark.parametrize("given", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    ("api", "asked"),
    [
        ("openai", "max_completion_tokens"),
        ("openrouter", "max_tokens"),
        ("groq", "max_completion_tokens"),
        ("deepseek", "max_tokens"),
        ("mistral", "max_tokens"),
        ("xai", "max_completion_tokens"),
        ("gemini", "max_completion_tokens"),
    ],
)
def test_the_cap_is_asked_for_in_the_provider_s_own_word(api: str, asked: str, given: str):
    """Whichever of the two a buyer's SDK sends: some providers refuse, or do not heed, the other one."""
    body = sent(api, {given: 50})

    assert {name: body.get(name) for name in ("max_tokens", "max_completion_tokens")} == {
        "max_tokens": None,
        "max_completion_tokens": None,
        asked: 50,
    }
    assert sent(api)[asked] == ordered(api).model.default_max_output


def test_a_stream_s_usage_is_asked_for_except_of_mistral():
    """Mistral sends it unasked and refuses a body with `stream_options`."""
    for api in ("openrouter", "groq", "deepseek", "xai", "gemini"):
        assert sent(api, {"stream": True})["stream_options"] == {"include_usage": True}
    body = sent("mistral", {"stream": True, "stream_options": {"include_usage": True}})
    assert body["stream"] is True
    assert "stream_options" not in body


@pytest.mark.parametrize("api", ["openrouter", "groq", "deepseek", "mistral", "xai", "gemini"])
def test_what_openai_s_sdk_sends_and_others_do_not_know_is_dropped(api: str):
    """Such a request is taken, and no provider is sent a field that it would refuse."""
    harmless = {"n": 1, "store": False, "service_tier": "auto", "safety_identifier": "a", "prompt_cache_key": "b"}

    body = sent(api, {"user": "me", **harmless})

    assert body.keys().isdisjoint(harmless.keys() - {"n"})
    assert body.get("user") in (None, "buyer")


@pytest.mark.parametrize("api", ["openrouter", "groq", "deepseek"])
def test_several_answers_are_sold_only_where_they_are_counted(api: str):
    """These providers do not know `n`, or route by it."""
    assert refused(api, {"n": 2}) == ("invalid_field_value", "n")


def test_openrouter_keeps_to_the_price_that_is_sold():
    """Its router may choose a dearer provider: the price that ours is made of is sent along as the most."""
    for model in endpoint("openrouter").models.values():
        assert model.bought is not None
        most = model.forced["provider"]["max_price"]
        assert most == {
            "prompt": float(model.bought.rates[Unit.INPUT].usd_per_million()),
            "completion": float(model.bought.rates[Unit.OUTPUT].usd_per_million()),
        }
        assert sent("openrouter", {"model": model.id})["provider"] == {"max_price": most}


@pytest.mark.parametrize("field", ["models", "route", "provider", "transforms", "plugins", "preset", "usage"])
def test_openrouter_s_routing_is_not_for_sale(field: str):
    """Each of these would change what is asked, or what it costs, after it was priced."""
    assert refused("openrouter", {field: {}}) == ("invalid_field_value", field)


@pytest.mark.parametrize("field", ["auto_parameters", "chunks_per_source", "include_usage"])
def test_a_search_that_costs_two_credits_is_not_sold(field: str):
    """The one price of a search is that of one credit."""
    assert refused("tavily", {"query": "x", "search_depth": "advanced"}, "/v1/search")[1] == "search_depth"
    assert refused("tavily", {"query": "x", field: True}, "/v1/search") == ("invalid_field_value", field)
    assert sent("tavily", {"query": "x"}, "/v1/search")["auto_parameters"] is False


# What each provider says of its usage.


@pytest.mark.parametrize("api", ["xai", "gemini"])
@pytest.mark.parametrize(
    ("said", "written", "thought"),
    [
        ({"total_tokens": 14_428, "completion_tokens_details": {"reasoning_tokens": 2_809}}, 4_308, 2_809),
        ({"total_tokens": 14_428}, 4_308, 2_809),
        ({"completion_tokens_details": {"reasoning_tokens": 2_809}}, 4_308, 2_809),
        ({"total_tokens": 11_619, "completion_tokens_details": {"reasoning_tokens": 2_809}}, 1_499, 1_499),
        ({"total_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 2_809}}, 4_308, 2_809),
        ({}, 1_499, 0),
    ],
    ids=["apart and told", "apart and not told", "no total", "within, as OpenAI", "a wrong total", "nothing"],
)
def test_thinking_that_is_counted_beside_the_completion_is_billed(
    api: str, said: dict[str, Any], written: int, thought: int
):
    """What was written is what the total leaves beside the prompt; otherwise what is told of both."""
    usage = read(api, {"prompt_tokens": 10_120, "completion_tokens": 1_499, **said})

    assert usage == Usage(10_120, written, reasoning=thought)


@pytest.mark.parametrize("count", [-1, 1.5, "5", True, 10**9])
@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens"])
def test_counts_that_cannot_be_believed_are_unknown(field: str, count: object):
    """Also where thinking is counted apart."""
    assert read("xai", {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, field: count}) is None


def test_deepseek_s_word_for_cached_tokens_is_understood():
    """`prompt_cache_hit_tokens` are input that was read from its cache."""
    usage = read("deepseek", {"prompt_tokens": 1_000, "completion_tokens": 10, "prompt_cache_hit_tokens": 900})

    assert usage == Usage(1_000, 10, cached=900)


def test_grok_s_answer_costs_what_xai_says_it_cost_us_times_the_markup():
    """A real usage with its real cost, $0.0232856 as `cost_in_usd_ticks` says, at grok-4.20's prices."""
    order = ordered("xai", {"model": "grok-4.20-0309-non-reasoning"})
    usage = read(
        "xai",
        {
            "prompt_tokens": 10_120,
            "completion_tokens": 1_499,
            "total_tokens": 14_428,
            "prompt_tokens_details": {"cached_tokens": 128},
            "completion_tokens_details": {"reasoning_tokens": 2_809},
        },
    )

    cost = pricing.cost(order, Reading(usage=usage, complete=True), AT_100_000_USD, Msat(10**9))

    assert cost.upstream is not None
    assert cost.upstream.usd() == Decimal("0.0232856")
    assert cost.charge == Msat(30_272)  # × 1.30 = 30,271.28 msat, rounded up
