"""The shapes of our JSON, for /openapi.json and the types made of it. The routes build them by hand; tests compare.

Dollars are exact decimals in strings, msat are integers, sats are rounded down, times are RFC 3339 in UTC.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeAliasType

JsonValue = TypeAliasType("JsonValue", "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None")
JsonObject = dict[str, JsonValue]


class Shape(BaseModel):
    """Nothing but what is listed. Field docstrings become descriptions."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Price(Shape):
    """One line of a price list. Amounts are null while there is no bitcoin price, or where no dollar price is."""

    unit: str
    """What is counted: `input_token`, `cached_input_token`, `cache_write_token`, `output_token`, `call`, …"""
    per: int
    """How many units the amounts are for."""
    usd: str | None
    msat: int | None
    sats: str | None
    """The same, exact."""


class Model(Shape):
    """One model of an endpoint."""

    id: str
    prices: list[Price]
    context: int | None
    """Tokens it reads and writes in all."""
    max_output: int | None
    default_max_output: int | None
    """The output cap of a request that names none."""
    typical_price_msat: int | None
    """What the endpoint's typical call costs on it."""
    shutdown: str | None
    """The day from which it is not sold, `YYYY-MM-DD`."""
    paused: bool
    """It is not sold for a while: the operator says so, or it made losses."""


class Limits(Shape):
    """Bounds of a request."""

    max_body_bytes: int


class E2e(Shape):
    """How the end-to-end script proves an endpoint."""

    required_field: str
    invalid: JsonObject
    keyword: str


class Example(Shape):
    """A request that works."""

    content_type: str
    body: JsonObject | None
    """The JSON body."""
    fields: JsonObject | None
    """The fields of a multipart body; a value `@name` is a sample file."""
    e2e: E2e


class Endpoint(Shape):
    """One thing that is sold."""

    method: str
    path: str
    """Below the API's name, as its provider calls it."""
    url: str
    """On this server."""
    title: str
    content_type: str
    streaming: bool
    limits: Limits
    typical: dict[str, float]
    """What a typical call is: `input_tokens` it reads, `output_tokens` it writes, …"""
    models: list[Model]
    ended: str | None
    """The day on which the provider ended its last model: nothing can be bought here any more."""
    example: Example


class Api(Shape):
    """One provider's shelf."""

    name: str
    default: bool
    """Whether it also answers on `/v1/…`."""
    title: str
    available: bool
    unavailable_reason: str | None
    """One sentence, when it is not available."""
    endpoints: list[Endpoint]


class BtcPrice(Shape):
    """What a bitcoin costs."""

    usd: str
    at: str
    age_seconds: int


class TopupRules(Shape):
    """What can be topped up."""

    enabled: bool
    min_sats: int
    max_sats: int
    bare_claim_max_sats: int


class Catalog(Shape):
    """What is sold, at the prices of this moment."""

    title: str
    demo: bool
    """Play money and canned answers."""
    btc_price: BtcPrice | None
    """Null while the price feed has nothing; then nothing has a price in sats."""
    topup: TopupRules
    apis: list[Api]


class CodeExample(Shape):
    """A program that buys the endpoint's example. `{{origin}}` stands for this server, `{{token}}` for a token."""

    id: str
    title: str
    language: Literal["bash", "python", "javascript"]
    needs: str
    """What must be installed."""
    code: str


class FileField(Shape):
    """A field of a form that holds files."""

    kind: Literal["audio", "image"]
    required: bool
    max_count: int
    max_bytes: int
    """Of each file."""


class Parameters(Shape):
    """The rules of a body: what is not listed is refused before any invoice."""

    properties: JsonObject
    """JSON Schema (2020-12) of each allowed field."""
    required: list[str]
    refused: dict[str, str]
    """Fields that are not sold, each with why."""
    forced: JsonObject
    """Fields sent to the provider with this value whatever you send."""
    replaced: list[str]
    """Fields sent as a keyed hash of your account instead of what you send."""
    dropped: list[str]
    """Fields accepted and not sent on."""
    output_cap: list[str]
    """Fields that bound the length of an answer, and so the most it can cost."""
    answers: str | None
    """The field that asks for several answers, each of which is paid."""
    files: dict[str, FileField]
    """Further fields of a form."""


class EndpointDetail(Shape):
    """All that there is to know to call an endpoint."""

    api: str
    endpoint: Endpoint
    parameters: Parameters
    examples: list[CodeExample]


class Guides(Shape):
    """Programs that belong to no endpoint."""

    examples: list[CodeExample]


class ErrorRow(Shape):
    """One line of the table of errors. No error charges anything."""

    code: str
    status: int
    type: str
    retry: bool
    """Whether the same request can succeed later without a change."""
    message: str
    next_action: str


class ErrorTable(Shape):
    """Every error that a client can be told."""

    errors: list[ErrorRow]


class ModelCard(Shape):
    """A model as OpenAI's SDKs read it, and as Anthropic's do."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    shutdown_date: str | None
    type: Literal["model"]
    display_name: str
    created_at: str


class ModelList(Shape):
    """What an SDK's `models.list()` reads: one page."""

    object: Literal["list"]
    data: list[ModelCard]
    has_more: Literal[False]
    first_id: str | None
    last_id: str | None


class HealthPart(Shape):
    """What was last heard of one part."""

    ok: bool
    detail: str
    since: str
    """When the server first heard of it in this state: never before `started_at`."""


class Health(Shape):
    """Everything that a sale needs, as the process that answers knows it."""

    status: Literal["ok", "degraded", "not_ready"]
    """`degraded`: some upstreams are away, and others sell. `not_ready`: nobody can buy anything new."""
    started_at: str
    """When this process started."""
    parts: dict[str, HealthPart]
    """`ledger`, `node`, `price`, and each upstream."""
    alarms: dict[str, str]


class Live(Shape):
    """The process answers."""

    status: Literal["ok"]
