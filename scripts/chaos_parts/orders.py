"""What is asked for, and how rudely: drawn from a buyer's own seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from chaos_parts.record import CallKind
from chaos_parts.wire import WELL_BEHAVED, Manner

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
PREFIXES = ("/openai", "")
"""The API's own, and the default API's."""
CHEAP_CHAT_MODEL = "gpt-5.4-mini"
CHAT_MODELS = (CHEAP_CHAT_MODEL, "gpt-5.4", "gpt-5.5", "gpt-6.1-sol")
EMBEDDING_MODELS = ("text-embedding-3-small", "text-embedding-3-large")
"""Only models whose end is not known: a test must not stop with one."""
WORDS = "amber birch cedar delta ember flint grove heron iris juniper kelp larch".split()  # noqa: SIM905 - reads better
KEY_SHARE = 0.3
RUDE_SHARE = 0.2
STALL_SECONDS = (0.5, 3.5)
"""Around the server's limit for one piece."""
SMALL_WINDOW_BYTES = 2_048
HANG_UP_SECONDS = (0.0, 0.25)
MIDDLE_BYTES = (1, 4_000)
FAR_BYTES = (1, 60_000)


@dataclass(frozen=True, slots=True)
class Order:
    """A request's address and body."""

    kind: CallKind
    path: str
    body: dict[str, Any]


def order(draw: random.Random, name: str) -> Order:
    """One of every kind; the prompt begins with `name`, which no other prompt has."""
    prompt = f"{name} " + " ".join(draw.choices(WORDS, k=draw.randint(2, 40)))
    prefix = draw.choice(PREFIXES)
    kind = draw.choices(list(CallKind), [4, 5, 2])[0]
    if kind is CallKind.EMBEDDING:
        body: dict[str, Any] = {"model": draw.choice(EMBEDDING_MODELS), "input": prompt}
        if draw.random() < 0.7:  # noqa: PLR2004 - the others are large answers
            body["dimensions"] = draw.choice((16, 64, 256))
        return Order(kind, prefix + EMBEDDINGS, body)
    model = draw.choice(CHAT_MODELS)
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    if model != CHEAP_CHAT_MODEL or draw.random() < 0.5:  # noqa: PLR2004 - the others get the cap that is ours
        body[draw.choice(("max_tokens", "max_completion_tokens"))] = draw.randint(8, 60)
    if draw.random() < 0.1:  # noqa: PLR2004 - a few
        body["n"] = 2
    if kind is CallKind.STREAM:
        body["stream"] = True
        if draw.random() < 0.6:  # noqa: PLR2004 - most SDK users want to see it
            body["stream_options"] = {"include_usage": True}
    return Order(kind, prefix + CHAT, body)


def manner(draw: random.Random) -> Manner:
    """How the next exchange goes; most go well."""
    if draw.random() >= RUDE_SHARE:
        return WELL_BEHAVED
    reset = draw.random() < 0.5  # noqa: PLR2004 - either
    match draw.choices(range(5), [1, 3, 4, 2, 2])[0]:
        case 0:
            return Manner(send_share=draw.random(), reset=reset)
        case 1:
            return Manner(leave_after_seconds=draw.uniform(*HANG_UP_SECONDS), reset=reset)
        case 2:
            return Manner(leave_after_bytes=draw.randint(*MIDDLE_BYTES), reset=reset)
        case 3:
            return Manner(
                stall_at_bytes=draw.randint(*MIDDLE_BYTES),
                stall_seconds=draw.uniform(*STALL_SECONDS),
                window_bytes=SMALL_WINDOW_BYTES,
            )
        case _:
            at = draw.randint(*FAR_BYTES)
            return Manner(
                stall_at_bytes=at,
                leave_after_bytes=at,
                stall_seconds=draw.uniform(*STALL_SECONDS),
                window_bytes=SMALL_WINDOW_BYTES,
                reset=reset,
            )
