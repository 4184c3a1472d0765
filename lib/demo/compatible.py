"""DOUBLES of providers that speak OpenAI's chat completions, each in its own way. No model is asked."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.demo import openai_checks as checks
from lib.demo.openai import asks_for_usage, complete_chat
from lib.demo.openai_answers import embedding_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.demo.exchange import Exchange

ANY_MODEL = re.compile(r"^\S+$")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider differs from OpenAI. `refuses` are fields that it does not know."""

    name: str
    models: tuple[str, ...]
    """What it lists. It answers whatever it is asked for."""
    refuses: frozenset[str]
    asks_for_usage: bool = True
    """Whether a stream says its usage only if asked; otherwise it always does."""


OPENAI_ALONE = frozenset({"safety_identifier", "prompt_cache_key", "store", "service_tier"})
DIALECTS = (
    Dialect(
        "openrouter",
        (
            "anthropic/claude-sonnet-5.5",
            "deepseek/deepseek-v4-pro-0813",
            "minimax/minimax-m3",
            "moonshotai/kimi-k3.1-pro",
            "qwen/qwen3.8-max-0902",
            "z-ai/glm-5.3",
        ),
        OPENAI_ALONE,
    ),
    Dialect("groq", ("openai/gpt-oss-20b", "openai/gpt-oss-120b", "qwen/qwen3.8-27b"), OPENAI_ALONE),
    Dialect("deepseek", ("deepseek-flash", "deepseek-v4-pro"), OPENAI_ALONE | {"max_completion_tokens", "n"}),
    Dialect(
        "mistral",
        (
            "ministral-8b-2512",
            "mistral-small-2603",
            "mistral-medium-3-5",
            "mistral-large-2512",
            "mistral-large-4",
            "codestral-2508",
            "mistral-embed",
            "codestral-embed-2505",
        ),
        OPENAI_ALONE | {"max_completion_tokens", "stream_options", "user"},
        asks_for_usage=False,
    ),
    Dialect(
        "xai", ("grok-4.20-0309-non-reasoning", "grok-4.3", "grok-4.7", "grok-build-0.1"), OPENAI_ALONE | {"max_tokens"}
    ),
    Dialect(
        "gemini",
        ("gemini-3.1-flash-lite", "gemini-3.5-flash-lite", "gemini-3.5-flash", "gemini-3.8-flash", "gemini-4-argon"),
        OPENAI_ALONE | {"frequency_penalty", "presence_penalty", "seed", "user"},
    ),
)


class Compatible:
    """One of them, `/v1` included in its paths."""

    def __init__(self, key: str, dialect: Dialect) -> None:
        self._key, self._dialect = key, dialect
        self.prefix = f"/{dialect.name}"

    def check_key(self, headers: Mapping[str, str]) -> None:
        """Bearer."""
        checks.check_key(headers.get("authorization"), self._key)

    def headers(self, milliseconds: int) -> dict[str, str]:
        """Of the kind that must not reach a buyer, too."""
        return {"x-request-id": secrets.token_hex(16), "set-cookie": f"session={milliseconds}; path=/; HttpOnly"}

    def error(self, status: int, error: Any) -> dict[str, Any]:
        """`{"error": …}`."""
        return {"error": error if error is not None else checks.default_error(status)}

    async def answer(self, exchange: Exchange, path: str) -> None:
        """Reply as the provider does."""
        match exchange.entry.method, path:
            case "POST", "/v1/chat/completions":
                body = self._known(checks.check_chat(checks.json_of(exchange), ANY_MODEL))
                asked = asks_for_usage(body)
                await complete_chat(exchange, body, include_usage=asked or not self._dialect.asks_for_usage)
            case "POST", "/v1/embeddings":
                body = self._known(checks.check_embeddings(checks.json_of(exchange), ANY_MODEL))
                await exchange.json_with_usage(*embedding_answer(body))
            case "GET", "/v1/models":
                models = [{"id": name, "object": "model", "owned_by": "demo"} for name in self._dialect.models]
                await exchange.json(200, {"object": "list", "data": models})
            case method, other:
                raise checks.Refused(404, f"Not found: {method} {other}")

    def _known(self, body: dict[str, Any]) -> dict[str, Any]:
        for name in self._dialect.refuses & body.keys():
            raise checks.Refused(422, f"Extra inputs are not permitted: {name}", param=name)
        return body
