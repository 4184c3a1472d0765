"""What the OpenAI double answers where nothing is written: moderations and decisions, by simple rules."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any, cast

from lib.demo.words import text_of, tokens_of

FLAGGED_WORD = "violence"
"""The one word that the double's moderation minds."""
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
DEFAULT_MODERATION = "omni-moderation-latest"
TOKENS_PER_QUESTION = 8
SURE = 0.9


def moderation_answer(body: dict[str, Any]) -> dict[str, Any]:
    """A verdict for each text; parts of one message get one together."""
    given = body["input"]
    parts = isinstance(given, list) and any(isinstance(part, dict) for part in cast("list[Any]", given))
    texts = [text_of(given)] if parts or isinstance(given, str) else cast("list[str]", given)
    model = body.get("model") or DEFAULT_MODERATION
    return {"id": f"modr-{uuid.uuid4().hex[:24]}", "model": model, "results": [_verdict(text) for text in texts]}


def decision_answer(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The reply without its usage, and the usage: each question costs its own tokens and those of the input once."""
    questions = cast("list[dict[str, Any]]", body["questions"])
    asked = sum(TOKENS_PER_QUESTION + tokens_of(json.dumps(question, ensure_ascii=False)) for question in questions)
    read = asked + tokens_of(body["input"] if isinstance(body["input"], str) else json.dumps(body["input"]))
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": len(questions),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + len(questions),
    }
    return {"model": body["model"], "answers": [_answered(body["input"], question) for question in questions]}, usage


def _verdict(text: str) -> dict[str, Any]:
    flagged = FLAGGED_WORD in text.lower()
    return {
        "flagged": flagged,
        "categories": {name: flagged and name == FLAGGED_WORD for name in CATEGORIES},
        "category_scores": {name: SURE if flagged and name == FLAGGED_WORD else 0.0 for name in CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }


def _answered(given: Any, question: dict[str, Any]) -> dict[str, Any]:
    head = {"type": question["type"], "name": question.get("name")}
    draw = hashlib.sha256(json.dumps([given, question]).encode()).digest()[0]
    match question["type"]:
        case "predicate":
            return {**head, "probability": draw / 255}
        case "choice":
            values = [choice["value"] for choice in question["choices"]]
            chosen = draw % len(values)
            shares = [{"value": value, "probability": float(at == chosen)} for at, value in enumerate(values)]
            return {**head, "choice": values[chosen], "confidence": SURE, "probabilities": shares}
        case _:
            labels = [level["label"] for level in question["levels"]]
            chosen = draw % len(labels)
            shares = [
                {"label": label, "value": at, "probability": float(at == chosen)} for at, label in enumerate(labels)
            ]
            return {**head, "score": float(chosen), "confidence": SURE, "probabilities": shares}
