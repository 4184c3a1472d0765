"""The catalog: what is sold, as an immutable value with every price resolved. A reload builds a new one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from lib.core.money import Msat, Sat, TokenRate, UsdMicros

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from lib.core import schema


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices per million tokens."""

    input: TokenRate
    cached_input: TokenRate
    cache_write: TokenRate
    output: TokenRate

    @staticmethod
    def of(prices: schema.TokenPrices, markup: Decimal) -> Rates:
        """Resolve defaults and markup; each rate is rounded up to a whole micro-dollar per million tokens."""

        def rate(usd: Decimal | None) -> TokenRate:
            return TokenRate.from_usd_per_million(prices.input if usd is None else usd, markup)

        return Rates(rate(prices.input), rate(prices.cached_input), rate(prices.cache_write), rate(prices.output))

    @property
    def dearest_input(self) -> TokenRate:
        """What an input token can cost at most."""
        return max(self.input, self.cached_input, self.cache_write)


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Ordinary rates, and those of a request whose input is longer than `long_above` tokens."""

    rates: Rates
    long: Rates | None = None
    long_above: int = 0

    def for_input(self, tokens: int) -> Rates:
        """The rates of a request with so many input tokens."""
        return self.long if self.long is not None and tokens > self.long_above else self.rates

    @staticmethod
    def of(model: schema.Model, markup: Decimal) -> PriceBook | None:
        """None for a model that is priced per call and whose cost is unknown."""
        if model.tokens is None:
            return None
        long = model.long_context
        if long is None:
            return PriceBook(Rates.of(model.tokens, markup))
        return PriceBook(Rates.of(model.tokens, markup), Rates.of(long, markup), long.above)


@dataclass(frozen=True, slots=True)
class Model:
    """One model on sale."""

    id: str
    flat: Msat | UsdMicros | None
    """The price of a delivered answer, if it is not metered."""
    sold: PriceBook | None
    bought: PriceBook | None
    """What it costs the operator; None if unknown."""
    context: int
    max_output: int
    default_max_output: int
    shutdown: date | None

    def on_sale(self, today: date) -> bool:
        """Upstream still runs it."""
        return self.shutdown is None or today < self.shutdown


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing on sale: `schema.Endpoint` with its rules compiled and its models priced."""

    rules: schema.Endpoint
    validator: jsonschema_rs.Draft202012Validator
    models: Mapping[str, Model]


@dataclass(frozen=True, slots=True)
class Api:
    """One provider's shelf."""

    name: str
    rules: schema.Api
    endpoints: Mapping[tuple[str, str], Endpoint]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request's path leads."""

    api: Api
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything on sale."""

    apis: Mapping[str, Api]
    default: Api | None

    def find(self, method: str, path: str) -> Place | None:
        """`/{api}/v1/…`, or `/v1/…` of the default API."""
        api, rest = self._split(path)
        endpoint = api.endpoints.get((method, rest)) if api else None
        return Place(api, endpoint) if api and endpoint else None

    def covers(self, path: str) -> bool:
        """Whether the path is an API's: an unknown one below it is 404 in JSON, never the web page."""
        return self._split(path)[0] is not None

    def methods(self, path: str) -> list[str]:
        """The methods sold at this path, for `Allow`."""
        api, rest = self._split(path)
        return [method for method, sold in api.endpoints if sold == rest] if api else []

    def _split(self, path: str) -> tuple[Api | None, str]:
        if path.startswith("/v1/"):
            return self.default, path
        name, _, rest = path[1:].partition("/")
        return self.apis.get(name), "/" + rest


def build(config: schema.Config) -> Catalog:
    """Resolve a configuration. Raises ValueError with the fix for a rule that is no JSON Schema."""
    apis = {name: _api(name, rules, rules.markup or config.markup) for name, rules in config.apis.items()}
    return Catalog(apis, next((api for api in apis.values() if api.rules.default), None))


def _api(name: str, rules: schema.Api, markup: Decimal) -> Api:
    endpoints = {(endpoint.method, endpoint.path): _endpoint(endpoint, markup) for endpoint in rules.endpoints}
    return Api(name, rules, endpoints)


def _endpoint(rules: schema.Endpoint, markup: Decimal) -> Endpoint:
    request = rules.request
    document: dict[str, Any] = {
        "type": "object",
        "properties": request.properties,
        "required": request.required,
        "additionalProperties": False,
    }
    try:
        validator = jsonschema_rs.Draft202012Validator(document)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise ValueError(f"{rules.path}: request.properties is not valid JSON Schema: {error}") from error
    return Endpoint(rules, validator, {model.id: _model(model, markup) for model in rules.models})


def _model(rules: schema.Model, markup: Decimal) -> Model:
    flat = rules.flat
    price: Msat | UsdMicros | None = None
    if flat is not None:
        price = Sat(flat.sats).msat() if flat.sats else UsdMicros.from_usd_rounded_up(flat.usd or Decimal(0))
    return Model(
        id=rules.id,
        flat=price,
        sold=None if flat is not None else PriceBook.of(rules, markup),
        bought=PriceBook.of(rules, Decimal(1)),
        context=rules.context,
        max_output=rules.max_output,
        default_max_output=rules.default_max_output,
        shutdown=rules.shutdown,
    )
