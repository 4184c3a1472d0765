"""A DOUBLE of Anthropic's API: messages and the list of models. No model is asked."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from lib.demo import anthropic_checks as checks
from lib.demo.anthropic_messages import MessageStream, message_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.demo.exchange import Exchange

MODELS = (
    "claude-haiku-5-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
    "claude-fable-5-2",
    "claude-sonnet-5",
    "claude-sonnet-4-6",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-haiku-4-5",
    "claude-haiku-4-5-20251001",
)


class Anthropic:
    """Anthropic's API below a prefix of its own."""

    prefix = "/anthropic"

    def __init__(self, key: str) -> None:
        self._key = key

    def check_key(self, headers: Mapping[str, str]) -> None:
        """`x-api-key`, or Bearer."""
        checks.check_key(headers, self._key)

    def headers(self, milliseconds: int) -> dict[str, str]:
        """Of the kind that must not reach a buyer, too."""
        return {
            "request-id": f"req_{secrets.token_hex(12)}",
            "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3999",
            "server-timing": f"x-originResponse;dur={milliseconds}",
            "set-cookie": f"__cf_bm={secrets.token_urlsafe(16)}; path=/; HttpOnly; Secure; SameSite=None",
        }

    def error(self, status: int, error: Any) -> dict[str, Any]:
        """`{"type": "error", "error": …}`."""
        return checks.error_body(error if error is not None else checks.default_error(status))

    async def answer(self, exchange: Exchange, path: str) -> None:
        """Reply as Anthropic does."""
        version = checks.check_version(exchange.entry.headers)
        match exchange.entry.method, path:
            case "POST", "/v1/messages":
                await _message(exchange, checks.check_messages(checks.json_of(exchange), version))
            case "GET", "/v1/models":
                models = [
                    {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
                    for name in MODELS
                ]
                reply = {"data": models, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
                await exchange.json(200, reply)
            case _:
                raise checks.Refused(404, "Not Found", "not_found_error")


async def _message(exchange: Exchange, body: dict[str, Any]) -> None:
    answer = message_answer(body, exchange.scenario)
    if body.get("stream"):
        await exchange.stream(MessageStream(answer, exchange.scenario))
        return
    await exchange.json_with_usage(answer.whole(), answer.usage(), answer.text_bytes())
