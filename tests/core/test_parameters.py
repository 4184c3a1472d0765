"""docs/parameters.md tells the truth: each row of it is what happens to that field, at every endpoint."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from lib import config
from lib.core import catalog
from lib.core.catalog import Place
from lib.core.errors import ApiError, Code
from lib.core.order import Order, order_of
from lib.core.parameters import Parameter, Treatment, parameters_of
from lib.media.image_size import size_of
from tests.world import ROOT

TODAY = dt.date(2026, 11, 25)
PAGE = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
SHOP = catalog.build(config.read_config(ROOT / "config.yaml"))
PLACES = [
    Place(api, endpoint)
    for api in SHOP.apis.values()
    for endpoint in api.endpoints.values()
    if endpoint.rules.content_type == "json"
]
every_place = pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.api.name}{place.endpoint.rules.path}")


def ordered(place: Place, **fields: Any) -> Order:
    """The endpoint's example with these fields."""
    body = {**(place.endpoint.rules.example.body or {}), **fields}
    return order_of(place, json.dumps(body).encode(), today=TODAY, size_of=size_of)


def sent(place: Place, **fields: Any) -> dict[str, Any]:
    """What upstream receives."""
    return json.loads(ordered(place, **fields).upstream_body("hashed"))


def taken(rule: dict[str, Any]) -> Any:
    """A value that a rule allows."""
    if "enum" in rule:
        return rule["enum"][0]
    if "properties" in rule:
        return {name: taken(inner) for name, inner in rule["properties"].items()}
    return {"string": "x", "integer": 1, "number": 1, "boolean": False, "object": dict[str, Any]()}[rule["type"]]


def rows(place: Place, treatment: Treatment) -> list[Parameter]:
    """The fields of the body itself that the table says this of."""
    return [row for row in parameters_of(place.endpoint) if row.treatment is treatment and not {*".["} & {*row.name}]


@every_place
def test_every_field_of_the_rules_is_in_the_page(place: Place):
    """Allowed or not, with its sentence, below the endpoint's own heading."""
    heading = f"### `POST /{place.api.name}{place.endpoint.rules.path}`\n"
    table = PAGE.split(heading)[1].split("\n#")[0]
    rules = place.endpoint.rules.request

    for name in [*rules.properties, *rules.forced]:
        assert f"| `{name}` |" in table
    for name, sentence in rules.refused.items():
        assert f"| `{name}` | refused | {sentence}" in table


@every_place
def test_what_is_refused_is_refused_in_these_words(place: Place):
    """Before anything is paid, naming the field."""
    for row in rows(place, Treatment.REFUSED):
        with pytest.raises(ApiError) as refused:
            ordered(place, **{row.name: {}})

        assert (refused.value.code, refused.value.param) == (Code.INVALID_FIELD_VALUE, row.name)
        assert refused.value.message is not None
        assert row.words.startswith(refused.value.message)


@every_place
def test_a_field_that_is_not_in_the_table_is_refused(place: Place):
    """What nobody has thought of costs nobody money."""
    with pytest.raises(ApiError) as refused:
        ordered(place, surprise=1)

    assert (refused.value.code, refused.value.param) == (Code.INVALID_FIELD_VALUE, "surprise")


@every_place
def test_what_is_dropped_forced_and_replaced_is_so(place: Place):
    """Upstream is sent our value or none, also where the buyer sent one that is taken."""
    rules = place.endpoint.rules.request
    for row in rows(place, Treatment.DROPPED):
        assert row.name not in sent(place, **{row.name: taken(rules.properties[row.name])})
    for row in rows(place, Treatment.REPLACED):
        assert sent(place, **{row.name: taken(rules.properties[row.name])})[row.name] == "hashed"
    for row in rows(place, Treatment.FORCED):
        given = {row.name: taken(rules.properties[row.name])} if row.name in rules.properties else {}
        assert sent(place, **given)[row.name] == {**rules.forced, **ordered(place).model.forced}[row.name]


@pytest.mark.parametrize(
    ("place", "row"),
    [
        (0, "| `messages[].content[].type` | allowed | `text`, `refusal`, `image_url` |"),
        (
            0,
            "| `messages[].content[].image_url.url` | allowed | text; a data: URL of a PNG, JPEG, WEBP or GIF; an",
        ),
        (0, "| `tools[].type` | allowed | `function`, `custom` |"),
        (
            0,
            "| `max_tokens` | allowed | a whole number, 1 or more; more than the model's `max_output` counts as that;",
        ),
        (0, "| `temperature` | allowed | a number, 0 to 2 |"),
        (0, "| `messages[].audio` | allowed | `null`; audio is not sold |"),
        (0, "| `store` | forced | to `false`; taken: `false`; nothing is stored |"),
    ],
)
def test_what_is_inside_of_a_field_is_told(place: int, row: str):
    """Nested fields have their paths, alternatives are told in one line, and numbers with their bounds."""
    assert PLACES[place].endpoint.rules.path == "/v1/chat/completions"
    assert row in PAGE.split("\n### ")[1]


def test_a_member_that_is_replaced_is_told():
    """Of an object only one member may be ours."""
    assert "| `metadata.user_id` | replaced | with a keyed hash of the account" in PAGE


def test_what_is_not_sold_is_in_the_page():
    """Each path with its sentence."""
    for api in SHOP.apis.values():
        for path, why in api.rules.not_sold.items():
            assert f"| `/{api.name}{path}` | {why} |" in PAGE
