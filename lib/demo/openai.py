"""A DOUBLE of OpenAI's API: texts, sound, pictures, and the list of models. No model is asked."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from lib.demo import openai_checks as checks
from lib.demo.openai_answers import MODELS, chat_answer, embedding_answer, model_object
from lib.demo.openai_judgements import decision_answer, moderation_answer
from lib.demo.openai_media import (
    TEXTS,
    DrawingStream,
    Drawn,
    SpeechStream,
    TranscriptStream,
    drawn,
    heard,
    spoken,
)
from lib.demo.openai_responses import ResponseStream, response_answer
from lib.demo.openai_stream import ChatStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.demo.exchange import Exchange
    from lib.demo.forms import SentForm

ORGANIZATION = "demo-organization"
API_VERSION = "2020-10-01"


class OpenAI:
    """OpenAI's API, `/v1` included in its paths."""

    prefix = ""

    def __init__(self, key: str) -> None:
        self._key = key

    def check_key(self, headers: Mapping[str, str]) -> None:
        """Bearer."""
        checks.check_key(headers.get("authorization"), self._key)

    def headers(self, milliseconds: int) -> dict[str, str]:
        """Of the kind that must not reach a buyer, too."""
        return {
            "x-request-id": f"req_{secrets.token_hex(16)}",
            "openai-organization": ORGANIZATION,
            "openai-project": "proj_demo",
            "openai-version": API_VERSION,
            "openai-processing-ms": str(milliseconds),
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-remaining-tokens": "1999000",
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": "30ms",
            "set-cookie": f"__cf_bm={secrets.token_urlsafe(16)}; path=/; HttpOnly; Secure; SameSite=None",
        }

    def error(self, status: int, error: Any) -> dict[str, Any]:
        """`{"error": …}`."""
        return {"error": error if error is not None else checks.default_error(status)}

    async def answer(self, exchange: Exchange, path: str) -> None:
        """Reply as OpenAI does."""
        match exchange.entry.method, path:
            case "POST", "/v1/chat/completions":
                body = checks.check_chat(checks.json_of(exchange))
                asked = asks_for_usage(body)
                await complete_chat(exchange, body, include_usage=asked)
            case "POST", "/v1/responses":
                await _respond(exchange, checks.check_responses(checks.json_of(exchange)))
            case "POST", "/v1/embeddings":
                reply, usage = embedding_answer(checks.check_embeddings(checks.json_of(exchange)))
                await exchange.json_with_usage(reply, usage)
            case "POST", "/v1/moderations":
                await exchange.json(200, moderation_answer(checks.check_moderations(checks.json_of(exchange))))
            case "POST", "/v1/decisions":
                reply, usage = decision_answer(checks.check_decisions(checks.json_of(exchange)))
                await exchange.json_with_usage(reply, usage)
            case "GET", "/v1/models":
                models = [model_object(name, ends) for name, ends in MODELS.items()]
                await exchange.json(200, {"object": "list", "data": models})
            case "POST", path:
                await _media(exchange, path)
            case method, path:
                raise checks.Refused(404, f"Invalid URL ({method} {path})")


def asks_for_usage(body: dict[str, Any]) -> bool:
    """`stream_options.include_usage`."""
    options: dict[str, Any] = body.get("stream_options") or {}
    return bool(options.get("include_usage"))


async def complete_chat(exchange: Exchange, body: dict[str, Any], *, include_usage: bool) -> None:
    """Reply to a chat completion that was checked; `include_usage`: at the end of a stream."""
    answer = chat_answer(body, exchange.scenario)
    if body.get("stream"):
        await exchange.stream(ChatStream(answer, exchange.scenario, include_usage=include_usage))
        return
    message: dict[str, Any] = {"role": "assistant", "refusal": None, "annotations": []}
    choices = [
        {
            "index": index,
            "message": {**message, "content": "".join(pieces)},
            "logprobs": None,
            "finish_reason": answer.finish_reason,
        }
        for index, pieces in enumerate(answer.choices)
    ]
    reply = {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": None,
    }
    await exchange.json_with_usage(reply, answer.usage(), answer.text_bytes())


async def _respond(exchange: Exchange, body: dict[str, Any]) -> None:
    answer = response_answer(body, exchange.scenario)
    if body.get("stream"):
        await exchange.stream(ResponseStream(answer, exchange.scenario))
        return
    await exchange.json_with_usage(answer.whole(), answer.usage(), answer.text_bytes())


async def _media(exchange: Exchange, path: str) -> None:
    match path:
        case "/v1/audio/speech":
            await _speak(exchange, checks.check_speech(checks.json_of(exchange)))
        case "/v1/audio/transcriptions" | "/v1/audio/translations":
            await _transcribe(exchange, checks.check_recording(await checks.form_of(exchange)))
        case "/v1/images/generations":
            fields = checks.check_drawing(checks.json_of(exchange))
            await _draw(exchange, drawn(fields), stream=bool(fields.get("stream")))
        case "/v1/images/edits":
            await _edit(exchange)
        case path:
            raise checks.Refused(404, f"Invalid URL (POST {path})")


async def _speak(exchange: Exchange, body: dict[str, Any]) -> None:
    answer = spoken(body)
    exchange.entry.usage = answer.usage()
    if body.get("stream_format") == "sse":
        await exchange.stream(SpeechStream(answer))
    else:
        await exchange.bare("audio/wav", answer.slices())


async def _transcribe(exchange: Exchange, form: SentForm) -> None:
    answer, wanted = heard(form, exchange.scenario.content), form.fields.get("response_format", "json")
    exchange.entry.usage = answer.usage()
    if wanted in TEXTS:
        await exchange.bare("text/plain; charset=utf-8", [answer.written(wanted).encode()])
    elif form.fields.get("stream") == "true" and form.fields["model"] != "whisper-1":
        await exchange.stream(TranscriptStream(answer))
    else:
        await exchange.json_with_usage(answer.whole(wanted), answer.usage())


async def _edit(exchange: Exchange) -> None:
    if exchange.entry.headers.get("content-type", "").startswith("application/json"):
        fields = checks.check_drawing(checks.json_of(exchange))
        count, stream = len(fields["images"]), bool(fields.get("stream"))
    else:
        form = await checks.form_of(exchange)
        fields, count = checks.check_drawing(form.fields), len(form.files)
        stream = fields.get("stream") == "true"
    await _draw(exchange, drawn(fields, edited=count, edit=True), stream=stream)


async def _draw(exchange: Exchange, answer: Drawn, *, stream: bool) -> None:
    if stream:
        await exchange.stream(DrawingStream(answer))
    else:
        await exchange.json_with_usage(answer.whole(), answer.usage())
