"""The catalog as JSON: what is sold, at the prices of this moment."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from lib.btc_price import PricedAt
from lib.core import pricing
from lib.core.catalog import Api, Endpoint, Model, Rates
from lib.core.money import BtcPrice, Msat, Rate, UsdMicros
from lib.core.schema import SECONDS_PER_MINUTE
from lib.core.units import Unit
from lib.services import Services

PER_TOKENS = 1_000_000
EPOCH = "1970-01-01T00:00:00Z"


def catalog_view(services: Services) -> dict[str, Any]:
    """`GET /api/catalog`. USD as strings, msat as integers; msat and sats are null while there is no price."""
    priced, config = services.price.current(), services.settings.config
    return {
        "title": config.title,
        "demo": services.settings.demo,
        "btc_price": btc_price_view(priced),
        "topup": {
            "enabled": config.topup.enabled,
            "min_sats": config.topup.min_sats,
            "max_sats": config.topup.max_sats,
            "bare_claim_max_sats": config.topup.bare_claim_max_sats,
        },
        "apis": [_api(api, services, priced.price if priced else None) for api in services.catalog.apis.values()],
    }


def btc_price_view(priced: PricedAt | None) -> dict[str, Any] | None:
    """The price and its age."""
    if priced is None:
        return None
    age = datetime.now(UTC) - priced.at
    return {
        "usd": plain(priced.price.usd()),
        "at": moment(priced.at),
        "age_seconds": max(0, int(age.total_seconds())),
    }


def model_cards(services: Services, api: Api) -> list[dict[str, Any]]:
    """What an API sells, each model once, from our own catalog: upstream's list is never shown.

    A card has what OpenAI's SDKs read and what Anthropic's do. When a model was made is not known here.
    """
    found: dict[str, dict[str, Any]] = {}
    for endpoint in api.endpoints.values():
        for model in endpoint.on_sale(services.today):
            found[model.id] = {
                "id": model.id,
                "object": "model",
                "created": 0,
                "owned_by": api.name,
                "shutdown_date": _day(model.shutdown),
                "type": "model",
                "display_name": model.id,
                "created_at": EPOCH,
            }
    return list(found.values())


def model_list(cards: list[dict[str, Any]]) -> dict[str, Any]:
    """`GET /v1/models`: all of them on one page."""
    ids = [card["id"] for card in cards]
    ends = {"first_id": ids[0], "last_id": ids[-1]} if ids else {"first_id": None, "last_id": None}
    return {"object": "list", "data": cards, "has_more": False, **ends}


def is_available(api: Api, services: Services) -> bool:
    """Whether an API can be bought now."""
    return services.purchase.closed(api.name) is None


def _api(api: Api, services: Services, price: BtcPrice | None) -> dict[str, Any]:
    reason = services.purchase.closed(api.name)
    return {
        "name": api.name,
        "default": api.rules.default,
        "title": api.rules.title,
        "available": reason is None,
        "unavailable_reason": reason,
        "endpoints": [_endpoint(api, endpoint, services, price) for endpoint in api.endpoints.values()],
    }


def endpoint_view(api: Api, endpoint: Endpoint, services: Services) -> dict[str, Any]:
    """One endpoint of the catalog, as the catalog has it."""
    priced = services.price.current()
    return _endpoint(api, endpoint, services, priced.price if priced else None)


def typical_msat(model: Model, endpoint: Endpoint, price: BtcPrice | None) -> int | None:
    """What the endpoint's typical call costs on a model; None while there is no price."""
    if price is None:
        return None
    return pricing.typical_of_model(model, endpoint.rules.typical, price).value


def _endpoint(api: Api, endpoint: Endpoint, services: Services, price: BtcPrice | None) -> dict[str, Any]:
    rules = endpoint.rules
    return {
        "method": rules.method,
        "path": rules.path,
        "url": f"/{api.name}{rules.path}",
        "title": rules.title,
        "content_type": rules.content_type,
        "streaming": rules.streaming,
        "limits": {"max_body_bytes": rules.max_body_bytes},
        "typical": rules.typical.model_dump(mode="json", exclude_none=True),
        "models": [
            _model(model, endpoint, price, paused=services.purchase.paused(api.name, model.id))
            for model in endpoint.on_sale(services.today)
        ],
        "ended": _day(endpoint.ended(services.today)),
        "example": rules.example.model_dump(mode="json"),
    }


def _model(model: Model, endpoint: Endpoint, price: BtcPrice | None, *, paused: bool) -> dict[str, Any]:
    return {
        "id": model.id,
        "prices": _flat_price(model, price) if model.sold is None else _rates(model.sold.rates, price),
        "context": model.context,
        "max_output": model.max_output or None,
        "default_max_output": model.default_max_output or None,
        "typical_price_msat": typical_msat(model, endpoint, price),
        "shutdown": _day(model.shutdown),
        "paused": paused,
    }


def _rates(rates: Rates, price: BtcPrice | None) -> list[dict[str, Any]]:
    """Thinking and images only where they are dearer or cheaper than other tokens."""
    same = {Unit.REASONING: Unit.OUTPUT, Unit.IMAGE_INPUT: Unit.INPUT}
    told = [unit for unit in rates if unit not in same or rates[unit] != rates[same[unit]]]
    return [_rate(unit, rates[unit], price) for unit in told]


def _rate(unit: Unit, rate: Rate, price: BtcPrice | None) -> dict[str, Any]:
    """Tokens and characters by the million, recordings by the minute, calls singly."""
    per = {Unit.CALL: 1, Unit.SECOND: SECONDS_PER_MINUTE}.get(unit, PER_TOKENS)
    msat = price.msat_rounded_up(rate.times(per)) if price else None
    return _price(unit, per, plain(rate.times(per).usd()), msat)


def _flat_price(model: Model, price: BtcPrice | None) -> list[dict[str, Any]]:
    match model.flat:
        case UsdMicros() as usd:
            msat = price.msat_rounded_up(usd.picos()) if price else None
            return [_price("call", 1, plain(usd.usd()), msat)]
        case msat:
            return [_price("call", 1, None, msat)]


def _price(unit: str, per: int, usd: str | None, msat: Msat | None) -> dict[str, Any]:
    sats = plain(Decimal(msat.value).scaleb(-3)) if msat else None
    return {"unit": unit, "per": per, "usd": usd, "msat": msat.value if msat else None, "sats": sats}


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def plain(number: Decimal) -> str:
    """Without exponent or trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
