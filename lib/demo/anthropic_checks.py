"""Anthropic's refusals: the shape of its errors and the mistakes the double notices."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, cast

from lib.demo.exchange import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.demo.exchange import Exchange

WITHOUT_SAMPLING = "2026-10-21"
"""The version of the API that took these parameters away."""
SAMPLING = frozenset({"temperature", "top_k", "top_p"})
VERSIONS = frozenset({"2023-06-01", WITHOUT_SAMPLING})
KNOWN_MODELS = re.compile(r"^claude-")
MIN_BUDGET_TOKENS = 1_024
PARAMETERS = frozenset(
    [
        "cache_control",
        "container",
        "inference_geo",
        "max_tokens",
        "mcp_servers",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    ]
)
ROLES = frozenset({"user", "assistant", "system"})
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Refused(Refusal):
    """The request is answered with this status and Anthropic's error body."""

    def __init__(self, status: int, message: str, kind: str | None = None) -> None:
        super().__init__(status, error_body({"type": kind or KINDS[status], "message": message}))


def error_body(error: Any) -> dict[str, Any]:
    """`error` as Anthropic wraps it."""
    return {"type": "error", "error": error, "request_id": f"req_{secrets.token_hex(12)}"}


def default_error(status: int) -> dict[str, Any]:
    """What Anthropic says with this status, when a scenario asks for the status only."""
    kind = KINDS.get(status, "api_error")
    message = {"overloaded_error": "Overloaded", "api_error": "Internal server error"}.get(kind, "The request failed.")
    return {"type": kind, "message": message}


def check_key(headers: Mapping[str, str], key: str) -> None:
    """Raises Refused (401) unless the key is in its own header or a Bearer, as newer SDKs send it; neither is wrong."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = {headers["x-api-key"]} if "x-api-key" in headers else set[str]()
    if scheme:
        given.add(bearer if scheme.lower() == "bearer" else "")
    if not given:
        raise Refused(401, "x-api-key header is required")
    if given != {key}:
        raise Refused(401, "invalid x-api-key")


def check_version(headers: Mapping[str, str]) -> str:
    """Which version of the API the request means. Raises Refused (400)."""
    version = headers.get("anthropic-version")
    if version is None:
        raise Refused(400, "anthropic-version: header is required")
    if version not in VERSIONS:
        raise Refused(400, f'anthropic-version: "{version}" is not a valid version')
    return version


def json_of(exchange: Exchange) -> Any:
    """The body. Raises Refused (400)."""
    try:
        return exchange.body()
    except ValueError:
        raise Refused(400, "The request body is not valid JSON") from None


def check_messages(body: Any, version: str) -> dict[str, Any]:
    """The body of a message, validated as far as the double reads it. Raises Refused (400, 404)."""
    if not isinstance(body, dict):
        raise Refused(400, "Input should be a valid dictionary")
    fields = cast("dict[str, Any]", body)
    for name in ("model", "max_tokens", "messages"):
        if name not in fields:
            raise Refused(400, f"{name}: Field required")
    for name in fields:
        if name not in PARAMETERS or (version == WITHOUT_SAMPLING and name in SAMPLING):
            raise Refused(400, f"{name}: Extra inputs are not permitted")
    _whole_number("max_tokens", fields["max_tokens"], 1)
    _messages(fields["messages"])
    _thinking(fields)
    if not isinstance(fields.get("stream", False), bool):
        raise Refused(400, "stream: Input should be a valid boolean")
    if not KNOWN_MODELS.match(str(fields["model"])):
        raise Refused(404, f"model: {fields['model']}")
    return fields


def _messages(messages: Any) -> None:
    if not isinstance(messages, list):
        raise Refused(400, "messages: Input should be a valid list")
    if not messages:
        raise Refused(400, "messages: at least one message is required")
    for at, message in enumerate(cast("list[Any]", messages)):
        fields = cast("dict[str, Any]", message) if isinstance(message, dict) else {}
        if fields.get("role") not in ROLES:
            raise Refused(400, f"messages.{at}.role: Input should be 'user' or 'assistant'")
        if not isinstance(fields.get("content"), (str, list)):
            raise Refused(400, f"messages.{at}.content: Field required")


def _thinking(fields: dict[str, Any]) -> None:
    """A budget is part of `max_tokens`."""
    thinking = cast("dict[str, Any]", fields.get("thinking") or {})
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        _whole_number("thinking.enabled.budget_tokens", budget, MIN_BUDGET_TOKENS)
        if cast("int", budget) >= fields["max_tokens"]:
            raise Refused(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _whole_number(name: str, value: Any, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(400, f"{name}: Input should be a valid integer")
    if value < low:
        raise Refused(400, f"{name}: Input should be greater than or equal to {low}")
