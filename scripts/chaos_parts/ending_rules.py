"""Rules of endings: every call is charged as docs/money.md says, by what upstream really did for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chaos_parts.books import Hold
from chaos_parts.evidence import Evidence, Work
from chaos_parts.prices import PriceList
from chaos_parts.record import Life

UNANSWERED_SCENARIOS = frozenset({"status", "close_before_answer", "not_json", "hang_before_answer"})
BREAKING_SCENARIOS = frozenset({"cut_after_chunks", "error_in_band_after_chunks"})
"""Of streams. A JSON answer has no middle that could be shown."""
UNCHARGED = frozenset({"unreachable", "refused", "unanswered", "lapsed"})
STOP_SECONDS = 30.0
"""How long after SIGTERM a server may still cut what it runs."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a call may have been charged: exactly `msat`, or where its way was disturbed up to `cut_msat` instead."""

    msat: int
    cut_msat: int
    """What its visible text is worth: the most that an answer costs which was cut somewhere."""


def due(work: Work, prices: PriceList) -> Due:
    """By the table of endings."""
    scenario = work.scenario
    visible = prices.of_text(work.model, work.text_bytes)
    if work.tokens_in is None or not scenario.keys().isdisjoint(UNANSWERED_SCENARIOS):
        return Due(0, 0)
    if "cut_after_chunks" in scenario and not work.streaming:
        return Due(0, 0)
    if work.streaming and not scenario.keys().isdisjoint(BREAKING_SCENARIOS):
        return Due(visible, visible)
    if "usage" in scenario or scenario.get("usage_missing"):
        return Due(visible, visible)
    tokens_out = 0 if scenario.get("reasoning_only") and not work.capped else work.tokens_out
    return Due(prices.of_usage(work.model, work.tokens_in, tokens_out), visible)


def differences(found: Evidence) -> Iterator[str]:
    """One sentence for each."""
    for hold in found.books.holds:
        works = found.work_of.get(hold.id, [])
        if len(works) > 1:
            yield f"hold {hold.id} asked upstream {len(works)} times"
        yield from _hold(found, hold, works[0] if works else None)
    for name, works in found.work_of.items():
        if name not in found.holds:
            yield f"upstream worked {len(works)} times without a hold ({name})"


def _hold(found: Evidence, hold: Hold, work: Work | None) -> Iterator[str]:
    """What one hold was charged."""
    if hold.ending == "lapsed" and not _may_lapse(found.life_of.get(hold.lease)):
        yield f"hold {hold.id} lapsed, but its server was never killed and kept its lease"
    if hold.ending in UNCHARGED and hold.charge_msat:
        yield f"hold {hold.id} ended {hold.ending} and was charged {hold.charge_msat} msat"
    if hold.ending == "lapsed":
        return
    if work is None:
        if hold.charge_msat:
            yield f"hold {hold.id} was charged {hold.charge_msat} msat, but upstream was never asked"
        return
    owed = due(work, found.prices)
    if hold.due_msat == owed.msat:
        return
    if is_disturbed(found, hold, work) and hold.due_msat <= owed.cut_msat:
        return
    yield (
        f"hold {hold.id} of {work.call} ended {hold.ending} and owed {hold.due_msat} msat instead of {owed.msat}"
        f" (at most {owed.cut_msat} if it was cut; scenario {dict(work.scenario)})"
    )


def is_disturbed(found: Evidence, hold: Hold, work: Work) -> bool:
    """Its way to upstream was cut or held up, upstream did not finish, or its server was stopping."""
    life = found.life_of.get(hold.lease)
    stopping = (
        life is not None
        and life.stopped_at is not None
        and hold.ended_at is not None
        and life.stopped_at <= hold.ended_at <= life.stopped_at + STOP_SECONDS
    )
    return hold.id in found.record.disturbed or stopping or not work.completed


def _may_lapse(life: Life | None) -> bool:
    """Its server was killed, or lost its lease and had to take another."""
    return life is not None and (life.killed is not None or life.status != 0 or len(life.leases) > 1)
