"""`/openapi.json`: the free routes as FastAPI knows them, and every paid call from the catalog's own rules."""

from __future__ import annotations

import json
import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from lib.core import schema
from lib.core.catalog import Catalog
from lib.core.errors import Code
from lib.web.contract_money import ErrorBody, PaymentRequired

VERSION = "1"
JSON = "application/json"
FORM = "multipart/form-data"
COMPONENT = "#/components/schemas/{model}"
SECURITY_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "A prepaid token, from POST /topup/claim."},
    "l402": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`L402 <macaroon>:<preimage>`, from a 402 and the payment of its invoice.",
        "x-l402-scheme": "L402",
    },
}
CHALLENGE_HEADERS = {
    "WWW-Authenticate": 'L402 macaroon="…", invoice="lnbc…", version="0", token="…"',
    "X-Price-Sats": "What the invoice asks for.",
    "X-Payment-Hash": "Of the invoice, in hex.",
}
ANSWER_HEADERS = {
    "X-Charge-Msat": "What this call cost.",
    "X-Balance-Msat": "What is left on the credential.",
    "X-Request-Id": "To report, and to find the call in /api/usage.",
}
ERROR_STATUSES = sorted({code.value.status for code in Code} - {402, 404, 405, 422})
"""What a paid call can answer beside success and a challenge."""


def openapi_document(app: FastAPI, catalog: Catalog, title: str) -> dict[str, Any]:
    """The whole document."""
    document = get_openapi(
        title=title,
        version=VERSION,
        summary="API calls paid over Lightning: L402 per call, or prepaid tokens.",
        description="Guide for programs: /llms.txt. Errors: GET /api/errors. Prices: GET /api/catalog.",
        routes=app.routes,
    )
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)  # FastAPI's own shape, which no route of ours answers
    components = document.setdefault("components", {}).setdefault("schemas", {})
    components.pop("HTTPValidationError", None)
    components.pop("ValidationError", None)
    _, ours = models_json_schema(
        [(ErrorBody, "serialization"), (PaymentRequired, "serialization")], ref_template=COMPONENT
    )
    components.update(ours["$defs"])
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    document["components"]["responses"] = _refusals()
    document["x-service-info"] = {"categories": ["ai"], "docs": {"homepage": "/docs", "llms": "/llms.txt"}}
    bodies = _Bodies(components)
    for api in catalog.apis.values():
        for endpoint in api.endpoints.values():
            path = f"/{api.name}{endpoint.rules.path}"
            operation = _paid(endpoint.rules, path, api.rules, bodies)
            document["paths"].setdefault(path, {})[endpoint.rules.method.lower()] = operation
    return document


class _Bodies:
    """Request bodies as components. Endpoints with the same rules, at whatever provider, share one."""

    def __init__(self, components: dict[str, Any]) -> None:
        self._components, self._names = components, dict[str, str]()

    def of(self, rules: schema.Endpoint, sent_as: str) -> dict[str, Any]:
        files = rules.files if sent_as == FORM else {}
        body = {
            "type": "object",
            "required": rules.request.required + [name for name, file in files.items() if file.required],
            "properties": {**rules.request.properties, **{name: _file(file) for name, file in files.items()}},
            "additionalProperties": False,
        }
        text = json.dumps(body, sort_keys=True)
        if text not in self._names:
            words = re.findall("[a-z0-9]+", rules.path.removeprefix("/v1/"))
            name = base = "".join(word.capitalize() for word in words) + "Request"
            number = 1
            while name in self._components:
                number += 1
                name = f"{base}{number}"
            self._components[name], self._names[text] = body, name
        return {"$ref": COMPONENT.format(model=self._names[text])}


def _paid(rules: schema.Endpoint, path: str, api: schema.Api, bodies: _Bodies) -> dict[str, Any]:
    """One operation that is sold."""
    sent_as = {"json": [JSON], "multipart": [FORM], "json_or_multipart": [JSON, FORM]}[rules.content_type]
    also = f" Also at {rules.path}." if api.default else ""
    answer: dict[str, Any] = {"application/json": {}, **({"text/event-stream": {}} if rules.streaming else {})}
    return {
        "operationId": "call" + "".join(word.capitalize() for word in re.findall("[a-zA-Z0-9]+", path)),
        "summary": f"{rules.title} ({api.title})",
        "description": f"Paid: the request and the answer are {api.title}'s own.{also}",
        "tags": [api.title],
        "security": [{"token": []}, {"l402": []}],
        "x-payment-info": {
            "offers": [
                {
                    "intent": "charge",
                    "method": "lightning",
                    "amount": None,
                    "currency": "sat",
                    "description": "At most what the 402 asks for; what the call does not use stays yours.",
                }
            ]
        },
        "requestBody": {"required": True, "content": {name: {"schema": bodies.of(rules, name)} for name in sent_as}},
        "responses": {
            "200": {"description": "The answer.", "headers": _headers(ANSWER_HEADERS), "content": answer},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in (402, *ERROR_STATUSES)},
        },
    }


def _file(rules: schema.FileField) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "string", "format": "binary"}
    several = {"type": "array", "items": one, "maxItems": rules.max_count}
    return one if rules.max_count == 1 else {"anyOf": [one, several]}


def _refusals() -> dict[str, Any]:
    """What every paid call can answer beside success, by status."""
    challenge = {
        "description": "Pay the invoice and send the request again with the credential.",
        "headers": _headers(CHALLENGE_HEADERS),
        "content": {JSON: {"schema": {"$ref": COMPONENT.format(model="PaymentRequired")}}},
    }
    return {"402": challenge, **{str(status): _error(status) for status in ERROR_STATUSES}}


def _headers(described: dict[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in described.items()}


def _error(status: int) -> dict[str, Any]:
    codes = ", ".join(f"`{code.code}`" for code in Code if code.value.status == status)
    return {
        "description": codes,
        "content": {JSON: {"schema": {"$ref": COMPONENT.format(model="ErrorBody")}}},
    }
