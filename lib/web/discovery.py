"""What programs read to find out what is sold: /openapi.json, /llms.txt, /.well-known/l402-services, /api/errors."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from lib.core.catalog import Api, Endpoint
from lib.core.errors import ApiError, Code
from lib.core.examples import examples_of, guides
from lib.services import Services
from lib.web.catalog_view import endpoint_view, typical_msat
from lib.web.codings import packed
from lib.web.contract import EndpointDetail, ErrorTable, Guides
from lib.web.openapi import openapi_document
from lib.web.replies import Json, TellingRoute
from lib.web.routes import services_of

router = APIRouter(route_class=TellingRoute)

KEPT = {"Cache-Control": "max-age=300"}
"""Registries may ask again after five minutes."""


@router.get("/openapi.json", include_in_schema=False)
async def get_openapi(request: Request) -> Response:
    """Every route and every paid call. Made once per catalog."""
    services, state = services_of(request), request.app.state
    made: tuple[object, bytes] | None = getattr(state, "openapi", None)
    if made is None or made[0] is not services.catalog:
        title = services.settings.config.title
        document = await asyncio.to_thread(openapi_document, request.app, services.catalog, title)
        made = state.openapi = (services.catalog, orjson.dumps(document))
    return packed(request, Response(made[1], media_type="application/json", headers=KEPT))


@router.get("/api/errors", response_model=ErrorTable)
async def get_errors() -> Json:
    """Every error that a client can be told, by status and code."""
    rows = sorted(Code, key=lambda code: (code.value.status, code.code))
    return Json({"errors": [_error_row(code) for code in rows]}, headers=KEPT)


@router.get("/api/catalog/{api}/{path:path}", response_model=EndpointDetail)
async def get_endpoint(request: Request, api: str, path: str) -> Response:
    """One endpoint in full: prices, the rules of its body, and programs that call it."""
    services = services_of(request)
    place = services.catalog.find("POST", f"/{api}/{path}")
    if place is None:
        raise ApiError(Code.API_NOT_FOUND)
    examples = [asdict(found) for found in examples_of(place.api, place.endpoint)]
    body = {
        "api": place.api.name,
        "endpoint": endpoint_view(place.api, place.endpoint, services),
        "parameters": _parameters(place.endpoint),
        "examples": examples,
    }
    return packed(request, Json(body, headers={"Cache-Control": "no-cache"}))


@router.get("/api/examples", response_model=Guides)
async def get_examples() -> Json:
    """Programs that belong to no endpoint, as topping up."""
    return Json({"examples": [asdict(found) for found in guides()]}, headers=KEPT)


@router.get("/.well-known/l402-services", include_in_schema=False)
async def get_l402_services(request: Request) -> Json:
    """The manifest that directories of L402 services read. Prices are those of a typical call at this moment."""
    services = services_of(request)
    body: dict[str, Any] = {
        "version": "1",
        "service": {"name": services.settings.config.title, "description": DESCRIPTION},
        "payment_methods": [{"type": "lightning", "backend": "phoenixd"}],
        "routes": [
            {
                "path": f"/{api.name}{endpoint.rules.path}",
                "method": endpoint.rules.method,
                "description": f"{endpoint.rules.title} ({api.rules.title})",
                "price": _manifest_price(services, endpoint),
                "caveats_required": [],
            }
            for api, endpoint in _on_sale(services)
        ],
    }
    return Json(body, headers=KEPT)


@router.get("/llms.txt", include_in_schema=False)
async def get_llms(request: Request) -> PlainTextResponse:
    """The same for language models: what to read, how to pay, what is sold."""
    services = services_of(request)
    title = services.settings.config.title
    sold = "\n".join(_llms_line(services, api, endpoint) for api, endpoint in _on_sale(services))
    text = LLMS.format(title=title, description=DESCRIPTION, sold=sold or "Nothing at the moment.")
    return PlainTextResponse(text, headers=KEPT)


DESCRIPTION = "API calls paid one at a time with bitcoin over Lightning (L402), or from a prepaid token. No account."
LLMS = """# {title}

> {description}

Send a provider's ordinary request. Without payment it is answered 402 with a Lightning invoice and a macaroon; pay the
invoice and send the request again with `Authorization: L402 <macaroon>:<preimage>`. The invoice asks for the most the
call can cost; what it does not use stays on the credential and pays for the next call. A wrong request is refused
before any invoice. Send `X-Max-Price-Msat` to refuse what is dearer.

Many calls: `POST /topup` with `{{"amount_sats": 1000}}`, pay, `POST /topup/claim` with `{{"macaroon", "preimage"}}`,
then use the token as `Authorization: Bearer` or as the API key of an SDK.

## Reference

- [OpenAPI](/openapi.json): every route and the body of every paid call
- [Catalog](/api/catalog): models, prices in USD, msat and sats at this moment
- [Errors](/api/errors): every error code and what to do next
- [Manifest](/.well-known/l402-services): the paid routes, for directories
- `GET /api/catalog/<api>/<path>`: one endpoint's parameters, and programs to copy

## On sale

{sold}
"""


def _on_sale(services: Services) -> list[tuple[Api, Endpoint]]:
    """What can be bought now: providers without our key are left out, and endpoints without a living model."""
    apis = [api for api in services.catalog.apis.values() if services.settings.missing(api.name) is None]
    endpoints = [(api, endpoint) for api in apis for endpoint in api.endpoints.values()]
    return [(api, endpoint) for api, endpoint in endpoints if endpoint.ended(services.today) is None]


def _typical(services: Services, endpoint: Endpoint) -> list[int]:
    """What a typical call costs on each model, in msat, cheapest first; empty while there is no price."""
    priced = services.price.current()
    price = priced.price if priced else None
    found = [typical_msat(model, endpoint, price) for model in endpoint.on_sale(services.today)]
    return sorted(msat for msat in found if msat is not None)


def _manifest_price(services: Services, endpoint: Endpoint) -> dict[str, Any]:
    typical = _typical(services, endpoint)
    if not typical:
        return {"type": "dynamic"}
    return {"type": "dynamic", "typical_min_msat": typical[0], "typical_max_msat": typical[-1]}


def _llms_line(services: Services, api: Api, endpoint: Endpoint) -> str:
    typical = _typical(services, endpoint)
    models = ", ".join(model.id for model in endpoint.on_sale(services.today))
    costs = f" A typical call costs {_sats(typical[0])} to {_sats(typical[-1])} sats." if typical else ""
    return f"- `POST /{api.name}{endpoint.rules.path}` ({endpoint.rules.title}, {api.rules.title}): {models}.{costs}"


def _sats(msat: int) -> str:
    """Exact, without trailing zeros."""
    return format(Decimal(msat).scaleb(-3).normalize(), "f")


def _parameters(endpoint: Endpoint) -> dict[str, Any]:
    rules = endpoint.rules.request
    return {
        "properties": rules.properties,
        "required": rules.required,
        "refused": rules.refused,
        "forced": rules.forced,
        "replaced": rules.identity,
        "dropped": rules.dropped,
        "output_cap": rules.output_cap.fields if rules.output_cap else [],
        "answers": rules.answers,
        "files": {name: file.model_dump(mode="json") for name, file in endpoint.rules.files.items()},
    }


def _error_row(code: Code) -> dict[str, Any]:
    row = code.value
    return {
        "code": code.code,
        "status": row.status,
        "type": row.type,
        "retry": row.retry,
        "message": row.message,
        "next_action": row.next_action,
    }
