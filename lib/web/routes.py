"""The free routes below /api and the models list: ordinary FastAPI."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from lib.core import credential
from lib.core.errors import ApiError, Code
from lib.services import Services
from lib.web.catalog_view import catalog_view, model_cards, model_list, moment
from lib.web.codings import packed
from lib.web.contract import Catalog, Health, Live, ModelCard, ModelList
from lib.web.contract_money import Balance, ErrorBody
from lib.web.replies import NOT_STORED, Json, TellingRoute

router = APIRouter(route_class=TellingRoute)


def services_of(request: Request) -> Services:
    """What the lifespan opened."""
    return request.app.state.services


@router.get("/api/catalog", response_model=Catalog)
async def get_catalog(request: Request) -> Response:
    """What is sold, at the prices of this moment."""
    return packed(request, Json(catalog_view(services_of(request)), headers={"Cache-Control": "no-cache"}))


@router.get("/v1/models", response_model=ModelList)
@router.get("/{api}/v1/models", response_model=ModelList)
async def get_models(request: Request) -> Json:
    """What an API sells, below `/v1` the default one, as both OpenAI's SDKs and Anthropic's read it."""
    return Json(model_list(_models_sold(request)))


@router.get("/v1/models/{model:path}", response_model=ModelCard)
@router.get("/{api}/v1/models/{model:path}", response_model=ModelCard)
async def get_model(request: Request, model: str) -> Json:
    """One of them. Its name may hold slashes."""
    found = next((card for card in _models_sold(request) if card["id"] == model), None)
    if found is None:
        raise ApiError(Code.API_NOT_FOUND, "This model is not sold here.")
    return Json(found)


def _models_sold(request: Request) -> list[dict[str, Any]]:
    services, name = services_of(request), request.path_params.get("api")
    api = services.catalog.default if name is None else services.catalog.apis.get(name)
    if api is None:
        raise ApiError(Code.API_NOT_FOUND)
    return model_cards(services, api)


@router.get("/api/balance", response_model=Balance, responses={401: {"model": ErrorBody}})
async def get_balance(request: Request) -> Json:
    """The account of the credential presented. A paid, unused L402 credential is credited first."""
    presented = credential.parse(request.scope["headers"])
    found = await services_of(request).purchase.balance(presented)
    available = found.balance - found.held
    return Json(
        {
            "kind": "token" if isinstance(presented, credential.Bearer) else "l402",
            "status": found.status.value,
            "balance_sats": found.balance.sat_rounded_down().value,
            "balance_msat": found.balance.value,
            "held_msat": found.held.value,
            "available_msat": available.value,
        },
        headers=NOT_STORED,
    )


@router.get("/api/health/live", response_model=Live)
async def get_live() -> Json:
    """The process answers."""
    return Json({"status": "ok"}, headers=NOT_STORED)


@router.get("/api/health/ready", response_model=Health, responses={503: {"model": Health}})
async def get_ready(request: Request) -> Json:
    """Whether there was all that a sale needs, and one upstream at least, when last looked at: 200 or 503."""
    body = _health(services_of(request))
    return Json(body, status_code=503 if body["status"] == "not_ready" else 200, headers=NOT_STORED)


@router.get("/api/health", response_model=Health)
async def get_health(request: Request) -> Json:
    """The same, always 200."""
    return Json(_health(services_of(request)), headers=NOT_STORED)


def _health(services: Services) -> dict[str, Any]:
    health = services.health
    return {
        "status": health.status,
        "started_at": moment(health.started_at),
        "parts": {
            name: {"ok": part.ok, "detail": part.detail, "since": moment(part.since)}
            for name, part in sorted(health.parts.items())
        },
        "alarms": dict(sorted(health.alarms.items())),
    }
