"""The catalog: what is sold, as an immutable value with every price resolved. A reload builds a new one."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import jsonschema_rs

from lib.core.money import Msat, Rate, Sat, UsdMicros
from lib.core.protocols.registry import PROTOCOLS
from lib.core.tokens import Tokenizer, tokenizer
from lib.core.units import Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from lib.core import schema
    from lib.core.protocols.base import Protocol

MILLION = 1_000_000
NEAR_DAYS = 30
"""So long before a model's end its operator should think of another."""


Rates: TypeAlias = "Mapping[Unit, Rate]"


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Ordinary rates, and those of a request whose input is longer than `long_above` tokens."""

    rates: Rates
    long: Rates | None = None
    long_above: int = 0

    def for_input(self, tokens: int) -> Rates:
        """The rates of a request with so many input tokens."""
        return self.long if self.long is not None and tokens > self.long_above else self.rates

    def at_most(self, tokens: int) -> Iterator[Rates]:
        """The rates that a request with so many input tokens or fewer can turn out to be billed at."""
        yield self.rates
        if self.long is not None and tokens > self.long_above:
            yield self.long

    @staticmethod
    def of(model: schema.Model, markup: Decimal) -> PriceBook | None:
        """None for a model that is priced per call and whose cost is unknown."""
        apart = {unit: Rate.from_usd_per_million(usd * MILLION, markup) for unit, usd in model.apart().items()}
        if model.tokens is None:
            return PriceBook(apart) if apart else None
        rates = {**_token_rates(model.tokens, markup), **apart}
        long = model.long_context
        if long is None:
            return PriceBook(rates)
        return PriceBook(rates, {**_token_rates(long, markup), **apart}, long.above)


def _token_rates(prices: schema.TokenPrices, markup: Decimal) -> Rates:
    """Resolve defaults and markup; each rate is rounded up to a whole micro-dollar per million tokens."""
    asked = {
        Unit.INPUT: prices.input,
        Unit.CACHED_INPUT: prices.cached_input,
        Unit.CACHE_WRITE: prices.cache_write,
        Unit.IMAGE_INPUT: prices.image_input,
        Unit.OUTPUT: prices.output,
        Unit.REASONING: prices.output if prices.reasoning is None else prices.reasoning,
    }
    return {
        unit: Rate.from_usd_per_million(prices.input if usd is None else usd, markup) for unit, usd in asked.items()
    }


@dataclass(frozen=True, slots=True)
class Model:
    """One model on sale."""

    id: str
    flat: Msat | UsdMicros | None
    """The price of a delivered answer, if it is not metered."""
    sold: PriceBook | None
    bought: PriceBook | None
    """What it costs the operator; None if unknown."""
    minimum: Msat
    """What a metered answer costs at least."""
    context: int | None
    max_output: int
    default_max_output: int
    shutdown: date | None
    vision: schema.Vision | None = None
    """What an image that it reads can cost."""
    forced: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields that upstream is sent for this model, whatever the buyer sent."""
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields that nobody chooses, with the one value that a buyer may say; None: none."""
    images: Mapping[str, Mapping[str, int]] | None = None
    """Output tokens of one drawn image, by quality and size."""
    speech: schema.Speech | None = None
    """How many output tokens speech can be."""
    tokenizer: Tokenizer | None = None
    """Counts its tokens; None if nobody but its provider can."""

    @property
    def meters_tokens(self) -> bool:
        """Upstream bills its output by tokens."""
        book = self.sold or self.bought
        return book is not None and Unit.OUTPUT in book.rates

    def days_left(self, today: date) -> int | None:
        """Until upstream turns it off; 0 on that day. None if no day is known."""
        return (self.shutdown - today).days if self.shutdown else None

    def on_sale(self, today: date) -> bool:
        """Upstream still runs it."""
        return self.shutdown is None or today < self.shutdown


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing on sale: `schema.Endpoint` with its rules compiled and its models priced."""

    rules: schema.Endpoint
    protocol: Protocol
    validator: jsonschema_rs.Draft202012Validator
    models: Mapping[str, Model]

    @property
    def only_model(self) -> Model | None:
        """What is sold where the body names no model: there must be no choice."""
        return next(iter(self.models.values())) if len(self.models) == 1 else None

    def on_sale(self, today: date) -> list[Model]:
        """The models that upstream still runs."""
        return [model for model in self.models.values() if model.on_sale(today)]

    def ended(self, today: date) -> date | None:
        """The day on which its last model ended; None while one is left."""
        if self.on_sale(today):
            return None
        return max((model.shutdown for model in self.models.values() if model.shutdown), default=None)


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

    def models(self) -> set[tuple[str, str]]:
        """Every (API, model) on sale."""
        return {
            (api.name, model)
            for api in self.apis.values()
            for endpoint in api.endpoints.values()
            for model in endpoint.models
        }

    def ending(self, today: date) -> list[str]:
        """What an operator must soon replace, in sentences: examples of models that end, and models that have ended."""
        said: list[str] = []
        for api in self.apis.values():
            for endpoint in api.endpoints.values():
                where, shown = f"{api.name}{endpoint.rules.path}", endpoint.rules.example.model
                for model in endpoint.models.values():
                    left = model.days_left(today)
                    if left is not None and left <= 0:
                        said.append(f"{where}: {model.id} ended on {model.shutdown} and is not sold: take it out")
                    if model.id == shown and left is not None and left <= NEAR_DAYS:
                        said.append(f"{where}: its example uses {model.id}, which ends on {model.shutdown}")
        return said

    def why_not(self, path: str) -> str | None:
        """Why what people look for at this path is not sold, if the operator says so."""
        api, rest = self._split(path)
        if api is None:
            return None
        said = api.rules.not_sold
        return next((said[at] for at in said if rest == at or rest.startswith(at + "/")), None)

    def _split(self, path: str) -> tuple[Api | None, str]:
        if path.startswith("/v1/"):
            return self.default, path
        name, _, rest = path[1:].partition("/")
        return self.apis.get(name), "/" + rest


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the operator earns; the nearest word counts: the model's, its endpoint's, its API's, the shop's."""

    markup: Decimal
    minimum_msat: int

    def narrowed(self, rules: schema.Api | schema.Endpoint | schema.Model) -> _Terms:
        """The terms where `rules` may say their own."""
        markup = self.markup if rules.markup is None else rules.markup
        return _Terms(markup, self.minimum_msat if rules.minimum_msat is None else rules.minimum_msat)


def build(config: schema.Config) -> Catalog:
    """Resolve a configuration. Raises ValueError with the fix for a rule that is no JSON Schema."""
    terms = _Terms(config.markup, config.minimum_msat)
    apis = {name: _api(name, rules, terms.narrowed(rules)) for name, rules in config.apis.items()}
    return Catalog(apis, next((api for api in apis.values() if api.rules.default), None))


def _api(name: str, rules: schema.Api, terms: _Terms) -> Api:
    endpoints = {
        (endpoint.method, endpoint.path): _endpoint(endpoint, terms.narrowed(endpoint)) for endpoint in rules.endpoints
    }
    return Api(name, rules, endpoints)


def _endpoint(rules: schema.Endpoint, terms: _Terms) -> Endpoint:
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
    models = {model.id: _model(model, terms.narrowed(model)) for model in rules.models}
    return Endpoint(rules, PROTOCOLS[rules.protocol].spoken_by(rules), validator, models)


def _model(rules: schema.Model, terms: _Terms) -> Model:
    flat = rules.flat
    price: Msat | UsdMicros | None = None
    if flat is not None:
        price = Sat(flat.sats).msat() if flat.sats else UsdMicros.from_usd_rounded_up(flat.usd or Decimal(0))
    return Model(
        id=rules.id,
        flat=price,
        sold=None if flat is not None else PriceBook.of(rules, terms.markup),
        bought=PriceBook.of(rules, Decimal(1)),
        minimum=Msat(terms.minimum_msat),
        context=rules.context,
        max_output=rules.max_output,
        default_max_output=rules.default_max_output,
        shutdown=rules.shutdown,
        vision=rules.vision,
        forced=rules.forced,
        fixed=rules.fixed,
        images={quality: dict(row) for quality, row in rules.images.items()} if rules.images else None,
        speech=rules.speech,
        tokenizer=tokenizer(rules.tokenizer) if rules.tokenizer else None,
    )
