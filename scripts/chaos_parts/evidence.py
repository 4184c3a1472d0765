"""The sides that the auditor compares, brought together: what each call of upstream really was, and whose it was."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chaos_parts.books import Books, Hold
from chaos_parts.prices import PriceList
from chaos_parts.record import PROMPT_MARK, Attempt, Call, Life, Record

NAME = re.compile(rf"{PROMPT_MARK}-[0-9a-f]+-\d{{6}}")


@dataclass(frozen=True, slots=True)
class Work:
    """One request that reached upstream, as upstream's own journal tells it."""

    hold: str
    attempt: str
    call: str
    model: str
    streaming: bool
    capped: bool
    """The buyer named the output cap that was sent; what we inject is not told apart by upstream, so by the call."""
    completed: bool
    tokens_in: int | None
    tokens_out: int
    text_bytes: int
    scenario: Mapping[str, Any]

    @staticmethod
    def of(entry: Mapping[str, Any]) -> Work:
        """From an entry of the journal."""
        body, usage, headers = entry["body"], entry["usage"], entry["headers"]
        prompt = body["messages"][0]["content"] if "messages" in body else body["input"]
        found = NAME.match(prompt)
        return Work(
            hold=headers.get("x-chaos-hold", "none"),
            attempt=headers.get("x-chaos-attempt", "none"),
            call=found[0] if found else prompt[:40],
            model=body["model"],
            streaming=bool(body.get("stream")),
            capped="max_tokens" in body or body.get("max_completion_tokens", OUR_CAP) < OUR_CAP,
            completed=entry["completed"],
            tokens_in=usage["prompt_tokens"] if usage else None,
            tokens_out=usage.get("completion_tokens", 0) if usage else 0,
            text_bytes=entry["text_bytes"],
            scenario=entry["scenario"],
        )


OUR_CAP = 1_024
"""Buyers of a run never ask for so much: a larger cap is the one that we inject."""


@dataclass(frozen=True)
class Evidence:
    """Everything that is known, indexed."""

    record: Record
    books: Books
    received_msat: Mapping[str, int]
    """By the node's own word, for every paid invoice."""
    work: list[Work]
    prices: PriceList

    @cached_property
    def work_of(self) -> dict[str, list[Work]]:
        """By hold."""
        found: dict[str, list[Work]] = defaultdict(list)
        for work in self.work:
            found[work.hold].append(work)
        return found

    @cached_property
    def holds(self) -> dict[str, Hold]:
        """By id."""
        return {hold.id: hold for hold in self.books.holds}

    @cached_property
    def hold_by_request(self) -> dict[str, Hold]:
        """By the request's id, which the buyer was told."""
        return {hold.request_id: hold for hold in self.books.holds}

    @cached_property
    def attempts(self) -> dict[str, Attempt]:
        """By id."""
        return {attempt.id: attempt for call in self.record.calls for attempt in call.attempts}

    @cached_property
    def life_of(self) -> dict[str, Life]:
        """By lease."""
        return {lease: life for life in self.record.lives for lease in life.leases}

    @cached_property
    def holds_of(self) -> dict[str, list[tuple[Hold, Work]]]:
        """A call's holds that reached upstream, in their order, by the call's name."""
        found: dict[str, list[tuple[Hold, Work]]] = defaultdict(list)
        for hold in self.books.holds:
            for work in self.work_of.get(hold.id, [])[:1]:
                found[work.call].append((hold, work))
        return found

    def calls(self) -> list[Call]:
        """Every logical call."""
        return self.record.calls
