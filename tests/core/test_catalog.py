"""The catalog as a value: addresses, prices with markup, and models that end."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from lib import config
from lib.core import catalog, order
from lib.core.catalog import Catalog
from lib.core.errors import ApiError, Code
from lib.core.money import Rate
from lib.core.units import Unit
from lib.media.image_size import size_of
from tests.world import ROOT

SHOP = catalog.build(config.read_config(ROOT / "config.yaml"))
BODY = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}'


@pytest.mark.parametrize("path", ["/openai/v1/chat/completions", "/v1/chat/completions"])
def test_the_default_api_answers_with_and_without_its_name(path: str):
    """`base_url=https://host/v1` works as well as `…/openai/v1`."""
    place = SHOP.find("POST", path)

    assert place is not None
    assert (place.api.name, place.endpoint.rules.path) == ("openai", "/v1/chat/completions")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/openai/v1/chat/completions"),
        ("POST", "/openai/v1/chat/completions/"),
        ("POST", "/openai/v1/chat"),
        ("POST", "/acme/v1/chat/completions"),
        ("POST", "/openai//v1/chat/completions"),
        ("POST", "/"),
        ("POST", ""),
    ],
)
def test_nothing_else_is_sold(method: str, path: str):
    """An address is exact."""
    assert SHOP.find(method, path) is None


def test_the_published_rate_is_upstreams_times_the_markup():
    """0.15 and 0.60 dollars × 1.30, in millionths of a dollar per million tokens."""
    model = SHOP.apis["openai"].endpoints["POST", "/v1/chat/completions"].models["gpt-4o-mini"]

    assert model.sold is not None
    assert model.bought is not None
    assert (model.sold.rates[Unit.INPUT], model.sold.rates[Unit.OUTPUT]) == (Rate(195_000), Rate(780_000))
    assert model.bought.rates[Unit.INPUT] == Rate(150_000)


def test_a_published_rate_is_rounded_up():
    """A rate that is no whole micro-dollar per million tokens costs the buyer the rest of one."""
    assert Rate.from_usd_per_million(Decimal("0.0000011"), Decimal("1.30")) == Rate(2)


def test_a_model_is_sold_until_the_day_upstream_turns_it_off():
    """On its last day it is not sold any more, and the answer names what is."""
    place = SHOP.find("POST", "/v1/chat/completions")
    assert place is not None

    assert order.order_of(place, BODY, today=date(2027, 1, 13), size_of=size_of).model.id == "gpt-4o-mini"
    with pytest.raises(ApiError) as refused:
        order.order_of(place, BODY, today=date(2027, 1, 14), size_of=size_of)

    assert refused.value.code is Code.MODEL_NOT_SUPPORTED
    assert refused.value.message is not None
    assert refused.value.message.startswith("`gpt-4o-mini` ended on 2027-01-14. Sold: ")
    assert "gpt-5.4-mini" in refused.value.message
    assert "gpt-4.1" not in refused.value.message


def test_what_ends_is_told_in_time():
    """An example whose model ends within 30 days, and from its day on the model itself; nothing before."""
    api = SHOP.apis["anthropic"]
    [(key, endpoint)] = api.endpoints.items()
    shown = str(endpoint.rules.example.model)
    models = {**endpoint.models, shown: replace(endpoint.models[shown], shutdown=date(2027, 1, 14))}
    shop = Catalog({"anthropic": replace(api, endpoints={key: replace(endpoint, models=models)})}, None)
    example = f"anthropic/v1/messages: its example uses {shown}, which ends on 2027-01-14"

    assert shop.ending(date(2026, 12, 14)) == []
    assert shop.ending(date(2026, 12, 15)) == [example]
    assert shop.ending(date(2027, 1, 14)) == [
        f"anthropic/v1/messages: {shown} ended on 2027-01-14 and is not sold: take it out",
        example,
    ]


def test_an_endpoint_ends_with_its_last_model():
    """A buyer reads what has ended and when: one model while others live, or all there was."""
    speech = SHOP.find("POST", "/openai/v1/audio/speech")
    assert speech is not None
    body = b'{"model":"tts-1","voice":"alloy","input":"a"}'

    assert speech.endpoint.ended(date(2027, 1, 5)) is None
    assert order.order_of(speech, body, today=date(2027, 1, 5), size_of=size_of).model.id == "tts-1"
    assert speech.endpoint.ended(date(2027, 1, 6)) == date(2027, 1, 6)
    for asked in (body, b'{"model":"x","voice":"alloy","input":"a"}'):
        with pytest.raises(ApiError) as refused:
            order.order_of(speech, asked, today=date(2027, 1, 6), size_of=size_of)
        assert (refused.value.code, refused.value.param) == (Code.MODEL_NOT_SUPPORTED, "model")
        assert refused.value.message == (
            "Nothing is sold here any more: the provider ended the last model of this endpoint on 2027-01-06."
        )


def test_every_day_that_a_model_ends_leaves_the_rest_on_sale():
    """On each of those days every endpoint has ended or sells its example."""
    every = [endpoint for api in SHOP.apis.values() for endpoint in api.endpoints.values()]
    days = {model.shutdown for endpoint in every for model in endpoint.models.values() if model.shutdown}
    assert date(2026, 12, 1) in days

    for day in days:
        for endpoint in every:
            shown = endpoint.models.get(str(endpoint.rules.example.model), endpoint.only_model)
            assert endpoint.ended(day) or (shown is not None and shown.on_sale(day)), (day, endpoint.rules.path)


def test_our_examples_use_models_that_live():
    """On the day this was written no example that we ship had a model whose end was near."""
    assert SHOP.ending(date(2026, 11, 25)) == []
