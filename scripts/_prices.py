"""What scripts/prices finds: our prices beside those of genai-prices, our models beside those that upstream lists."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import httpx
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from lib.config import Upstreams
from lib.core import catalog, headers, schema
from lib.core.catalog import NEAR_DAYS, Endpoint, Model, PriceBook
from lib.core.money import MILLION, Rate
from lib.core.units import Unit
from lib.core.usage import list_of, object_of

ASK_SECONDS = 15.0
PAGES_MAX = 20
OTHER_NAMES = {"gemini": "google", "xai": "x-ai"}
"""How genai-prices calls a provider where our configuration has another word."""
TOKENS, CHARACTERS, HOURS_OF_SOUND, THOUSAND_CALLS = "_mtok", "_mchars", "_hours", "_kcount"
"""How genai-prices ends the name of a price, by what it is a price of."""
UNITS_IN = {TOKENS: MILLION, CHARACTERS: MILLION, HOURS_OF_SOUND: 3_600, THOUSAND_CALLS: 1_000}
"""Units of ours in each."""
KNOWN_AS = {
    Unit.INPUT: ("input_mtok",),
    Unit.CACHED_INPUT: ("cache_read_mtok", "cache_image_read_mtok"),
    Unit.CACHE_WRITE: ("cache_write_mtok",),
    Unit.IMAGE_INPUT: ("input_image_mtok",),
    Unit.OUTPUT: ("output_mtok", "output_image_mtok", "output_audio_mtok"),
    Unit.SECOND: ("audio_hours", "input_audio_hours"),
    Unit.CHARACTER: ("input_mchars",),
    Unit.CALL: ("requests_kcount",),
}
"""Its prices of what we bill as one unit: the dearest must be covered."""
ALWAYS_PRICED = frozenset({Unit.INPUT, Unit.OUTPUT, Unit.SECOND, Unit.CHARACTER, Unit.CALL})
"""Units that cost something wherever they are billed; the others may have no price of their own."""
HOURS_A_DAY = 24
"""Of one day: some providers ask more at some hours."""


class Level(StrEnum):
    """How bad a finding is."""

    FAULT = "fault"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an operator should know."""

    level: Level
    api: str
    path: str
    model: str
    what: str


@dataclass(frozen=True, slots=True)
class Row:
    """One price of a model, in USD per million units."""

    api: str
    path: str
    model: str
    unit: str
    bought: Decimal
    """What config.yaml says upstream asks."""
    sold: Decimal | None
    """With our markup; None where the model is sold at a flat price."""
    known: Decimal | None
    """What genai-prices says upstream asks; None if it does not know."""
    long: bool = False
    """For inputs beyond the model's long-context border."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found."""

    rows: list[Row]
    findings: list[Finding]

    @property
    def faults(self) -> list[Finding]:
        """What must be put right."""
        return [finding for finding in self.findings if finding.level is Level.FAULT]


def report(config: schema.Config, now: dt.datetime) -> Report:
    """Compare prices, look for missing caps and ended models. Asks nobody."""
    rows: list[Row] = []
    findings: list[Finding] = []
    for api in catalog.build(config).apis.values():
        for endpoint in api.endpoints.values():
            for model, rules in zip(endpoint.models.values(), endpoint.rules.models, strict=True):
                place = (api.name, endpoint.rules.path, model.id)
                known = _known(api.name, model.id)
                found = list(_rows(place, model, known, now, _billed_units(endpoint, model)))
                rows += found
                findings += _of_prices(place, rules, found, known)
                findings += _of_what_is_not_compared(place, rules, found, known)
                findings += _of_life(place, model.shutdown, now.date())
                findings += _of_caps(place, endpoint, model)
    return Report(rows, findings)


def _known(api: str, model: str) -> ModelInfo | None:
    try:
        return get_snapshot().find_provider_model(model, None, OTHER_NAMES.get(api, api), None)[1]
    except LookupError:
        return None


def _billed_units(endpoint: Endpoint, model: Model) -> frozenset[Unit]:
    """What is billed of what genai-prices may know: output only of what writes, draws or speaks."""
    unbilled: set[Unit] = set()
    if not (endpoint.protocol.writes or model.images or model.speech):
        unbilled.add(Unit.OUTPUT)
    if not model.vision:
        unbilled.add(Unit.IMAGE_INPUT)
    return frozenset(KNOWN_AS) - unbilled


def _rows(
    place: tuple[str, str, str], model: Model, known: ModelInfo | None, now: dt.datetime, units: frozenset[Unit]
) -> Iterator[Row]:
    if model.bought is None:
        return
    prices = [known.get_prices(now + dt.timedelta(hours=hour)) for hour in range(HOURS_A_DAY)] if known else []
    for long in (False, True) if model.bought.long else (False,):
        for unit, rate in _rates(model.bought, long=long).items():
            if unit in units:
                sold = _rates(model.sold, long=long)[unit] if model.sold else None
                names = _names_of(unit, model)
                dearest = _dearest(prices, names, model.bought.long_above + 1 if long else 0)
                usd = sold.usd_per_million() if sold else None
                yield Row(*place, unit.value, rate.usd_per_million(), usd, dearest, long)


def _rates(book: PriceBook, *, long: bool) -> Mapping[Unit, Rate]:
    return book.long if long and book.long is not None else book.rates


def _names_of(unit: Unit, model: Model) -> tuple[str, ...]:
    """What a unit of this model may be: only what reads images caches them, and only what draws writes them."""
    images = model.images if unit is Unit.OUTPUT else model.vision
    return tuple(name for name in KNOWN_AS[unit] if images or "_image_" not in name)


def _dearest(prices: list[ModelPrice], names: tuple[str, ...], tokens: int) -> Decimal | None:
    """The price of a million units, by the dearest of these names at the dearest hour; None where there is none."""
    known = ((name, _at(getattr(price, name, None), tokens)) for price in prices for name in names)
    return max((asked * MILLION / _units_in(name) for name, asked in known if asked is not None), default=None)


def _units_in(name: str) -> int:
    return next(units for end, units in UNITS_IN.items() if name.endswith(end))


def _at(price: Decimal | TieredPrices | None, tokens: int) -> Decimal | None:
    """The price of a request with so many input tokens: genai-prices knows borders of its own."""
    if not isinstance(price, TieredPrices):
        return price
    return next((tier.price for tier in reversed(price.tiers) if tokens > tier.start), price.base)


def _of_prices(
    place: tuple[str, str, str], rules: schema.Model, rows: list[Row], known: ModelInfo | None
) -> Iterator[Finding]:
    if rows and known is None:
        yield Finding(Level.WARNING, *place, "genai-prices does not know it: compare its prices by hand")
    for row in rows:
        if row.known is None or row.bought >= row.known:
            continue
        where = f"{row.unit}{' of a long input' if row.long else ''}"
        below = " and sold below that" if row.sold is not None and row.sold < row.known else ""
        what = f"{where} costs {row.known} USD per million, configured are {row.bought}{below}"
        if rules.own_prices:
            yield Finding(Level.NOTE, *place, f"{what}; {rules.own_prices}")
        else:
            yield Finding(Level.FAULT, *place, what)


def _of_what_is_not_compared(
    place: tuple[str, str, str], rules: schema.Model, rows: list[Row], known: ModelInfo | None
) -> Iterator[Finding]:
    """What must be compared by hand: units that genai-prices has no price of, and what is no price."""
    if known is not None:
        for row in rows:
            if row.known is None and row.unit in ALWAYS_PRICED and not row.long:
                yield Finding(Level.NOTE, *place, f"{row.unit}: not compared, genai-prices has no price for it")
    if rules.images is not None:
        yield Finding(Level.NOTE, *place, "how many tokens an image is: not compared, genai-prices does not say")
    if rules.speech is not None:
        yield Finding(Level.NOTE, *place, "how many tokens a character is: not compared, genai-prices does not say")
    if rules.flat is None:
        return
    if rules.flat.usd is not None and rules.per_call is not None and rules.flat.usd < rules.per_call:
        yield Finding(Level.FAULT, *place, f"sold flat at {rules.flat.usd} USD, and costs {rules.per_call} a call")
    elif rules.tokens is not None or (rules.flat.sats is not None and rules.per_call):
        yield Finding(Level.NOTE, *place, "sold at a flat price: what a call costs us is not compared with it")


def _of_life(place: tuple[str, str, str], shutdown: dt.date | None, today: dt.date) -> Iterator[Finding]:
    if shutdown is None:
        return
    days = (shutdown - today).days
    if days <= 0:
        yield Finding(Level.WARNING, *place, f"ended on {shutdown} and is not sold: take it out")
    elif days <= NEAR_DAYS:
        yield Finding(Level.WARNING, *place, f"ends on {shutdown}, in {days} days")


def _of_caps(place: tuple[str, str, str], endpoint: Endpoint, model: Model) -> Iterator[Finding]:
    billed = model.bought is not None and Unit.OUTPUT in model.bought.rates
    if endpoint.protocol.writes and billed and endpoint.rules.request.output_cap is None:
        yield Finding(Level.FAULT, *place, "writes without a cap: give request.output_cap and default_max_output")


def ask(shop: Upstreams, today: dt.date, *, also_without_key: bool = False) -> Iterator[Finding]:
    """Compare our models with each upstream's own list of those alive. Asks the APIs whose key is set, or all."""
    for name, api in shop.config.apis.items():
        if name not in shop.keys and not also_without_key:
            continue
        if not api.check_path:
            yield Finding(Level.NOTE, name, "", "", "has no list of models")
            continue
        try:
            listed = _listed(api, shop.urls[name], shop.keys.get(name, ""))
        except (httpx.HTTPError, ValueError) as error:
            yield Finding(Level.WARNING, name, "", "", f"its list of models cannot be read ({_words(error)})")
            continue
        for endpoint in api.endpoints:
            for model in endpoint.models:
                if model.shutdown is None or today < model.shutdown:
                    yield from _beside(listed, (name, endpoint.path, model.id), model)


def _listed(api: schema.Api, url: str, key: str) -> dict[str, dt.date | None]:
    """Model → the day it ends, as upstream says. Raises HTTPError, and ValueError for what is no such list."""
    found: dict[str, dt.date | None] = {}
    asked: dict[str, str] = {}
    with httpx.Client(timeout=ASK_SECONDS, follow_redirects=False, trust_env=False) as client:
        for _ in range(PAGES_MAX):
            answer = client.get(f"{url}/models", headers=headers.identification(api, key), params=asked)
            answer.raise_for_status()
            page = object_of(answer.json())
            if "data" not in page:
                raise ValueError("it has no `data`")
            for model in map(object_of, list_of(page["data"])):
                found[str(model.get("id")).removeprefix("models/")] = _day(model.get("shutdown_date"))
            if not page.get("has_more"):
                break
            asked = {"after_id": str(page.get("last_id"))}
    return found


def _day(value: object) -> dt.date | None:
    """A date, in either way that upstreams write one."""
    if isinstance(value, int | float):
        return dt.datetime.fromtimestamp(value, dt.UTC).date()
    try:
        return dt.date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def _beside(listed: dict[str, dt.date | None], place: tuple[str, str, str], model: schema.Model) -> Iterator[Finding]:
    if model.id not in listed:
        yield Finding(Level.FAULT, *place, "upstream does not list it: it is dead, misspelt, or not for our key")
        return
    ends = listed[model.id]
    if ends is not None and (model.shutdown is None or ends < model.shutdown):
        ours = f", not {model.shutdown}" if model.shutdown else ""
        yield Finding(Level.FAULT, *place, f"upstream ends it on {ends}{ours}: write `shutdown: {ends}`")


def _words(error: Exception) -> str:
    """What went wrong, without the address or the key."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return type(error).__name__ if isinstance(error, httpx.HTTPError) else str(error)[:80]
