"""Rules of buyers: nobody pays twice for one answer, everybody has what was paid for, prices are as they were told."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from chaos_parts.books import Hold
from chaos_parts.evidence import Evidence, Work
from chaos_parts.market import OK
from chaos_parts.record import Attempt, Call

ANSWERED = frozenset({"answered", "unmetered"})
NOTICED_SECONDS = 1.0
"""By then a server, with all that runs beside it here, has noticed that a buyer left."""
LEDGER_SECONDS = 3.0
"""So long after a trouble of the ledger everything that waited for it has been repeated and is written."""
KEPT_SECONDS = 600.0


def differences(found: Evidence) -> Iterator[str]:
    """One sentence for each."""
    yield from found.record.strange
    for call in found.calls():
        yield from _told(found, call)
        yield from _has_it(found, call)
        if any(attempt.code == "internal_error" for attempt in call.attempts):
            yield f"{call.name} was answered 500 internal_error"
        yield from _once(found, call)
        if call.key is not None:
            yield from _same(found, call)
    for digests in found.record.claims_by_key.values():
        if len(digests) != 1:
            yield f"a claim with one Idempotency-Key got {len(digests)} different answers"


def _told(found: Evidence, call: Call) -> Iterator[str]:
    """A whole answer costs what it says; it says so unless it is a stream whose usage was not asked for."""
    for attempt in call.attempts:
        if not attempt.whole or attempt.request_id is None:
            continue
        hold = found.hold_by_request.get(attempt.request_id)
        if hold is None:
            continue  # a kept answer: told once, by its own call
        if attempt.told_msat is not None and hold.due_msat != attempt.told_msat and hold.ending != "lapsed":
            yield f"{call.name} was told {attempt.told_msat} msat and owed {hold.due_msat}"
        if call.most_msat is not None and hold.due_msat > call.most_msat:
            yield f"{call.name} owed {hold.due_msat} msat; the challenge said {call.most_msat} at most"


def _has_it(found: Evidence, call: Call) -> Iterator[str]:
    """A buyer that was charged for an answer has it; one that was not has it too, after repeating."""
    if not call.answered:
        charged = sum(hold.charge_msat for hold, _ in found.holds_of.get(call.name, []))
        yield f"{call.name} was never answered, and charged {charged} msat ({call.given_up})"


def _once(found: Evidence, call: Call) -> Iterator[str]:
    """At most one complete answer is charged, unless `excuse` says why another one was."""
    complete = [
        (hold, work) for hold, work in found.holds_of.get(call.name, []) if hold.charge_msat and hold.ending in ANSWERED
    ]
    for (first, work), (second, again) in pairwise(complete):
        if call.key is not None:
            yield f"{call.name} was charged twice in spite of its Idempotency-Key ({first.id}, {second.id})"
        elif excuse(found, call, (first, work), (second, again)) is None:
            yield (
                f"{call.name} was charged twice: {first.id} ended {first.ended_at} for a buyer who had left, "
                f"and {second.id} began at {second.opened_at}"
            )


def excuse(found: Evidence, call: Call, earlier: tuple[Hold, Work], later: tuple[Hold, Work]) -> str | None:
    """Why an answer that was charged was not kept for the next repetition; None if it should have been.

    A buyer that did not leave has its answer; what it had asked for before may yet be on its way. One that left is
    noticed within NOTICED_SECONDS, unless everything had been handed over by then: no more than its window and the
    kernels' buffers hold. One that repeats while the first answer is on its way, sooner than its leaving can have been
    noticed, or with another credential, asks for another.
    """
    (first, work), (second, again) = earlier, later
    attempt, repetition = found.attempts.get(work.attempt), found.attempts.get(again.attempt)
    if attempt is None or repetition is None or first.ended_at is None:
        return None
    if attempt.whole and repetition.began_at < first.ended_at:
        return "both on their way at once"
    if attempt.left_at is None:
        return None
    if second.owner != first.owner:
        return "another credential"
    if second.opened_at > first.ended_at + KEPT_SECONDS:
        return "repeated after it was forgotten"
    if first.ended_at > second.opened_at and second.opened_at < noticed_at(found, attempt.left_at):
        return "repeated before it was noticed"
    if first.ended_at < noticed_at(found, attempt.left_at) and _fits(attempt, work):
        return "handed over before it was noticed"
    if any(_took_it_and_left(other, first, second, work) for other in call.attempts if other is not attempt):
        return "handed out again, and left again"
    return None


def _fits(attempt: Attempt, work: Work) -> bool:
    """What this buyer had not read fits into its window and the kernels' buffers."""
    size = attempt.promised_bytes if attempt.promised_bytes is not None else work.text_bytes
    return size - attempt.received_bytes <= attempt.window_bytes


def _took_it_and_left(later: Attempt, first: Hold, second: Hold, work: Work) -> bool:
    """It came for the kept answer between both, may have been handed it, and left again."""
    return (
        later.sent
        and later.left_at is not None
        and later.status in {None, OK}
        and (first.ended_at or 0.0) < later.left_at
        and later.began_at < second.opened_at
        and _fits(later, work)
    )


def noticed_at(found: Evidence, left_at: float) -> float:
    """By when the ledger knows that a buyer has left: later, if it was in trouble meanwhile."""
    noticed = left_at + NOTICED_SECONDS
    for began, ended in sorted(found.record.ledger_troubles):
        if began < noticed and left_at < ended + LEDGER_SECONDS:
            noticed = max(noticed, ended + LEDGER_SECONDS)
    return noticed


def excuses(found: Evidence) -> dict[str, int]:
    """How often a second answer was charged for each of these reasons."""
    counted: dict[str, int] = {}
    for call in found.calls():
        complete = [
            (hold, work)
            for hold, work in found.holds_of.get(call.name, [])
            if hold.charge_msat and hold.ending in ANSWERED
        ]
        for earlier, later in pairwise(complete):
            reason = excuse(found, call, earlier, later) or "none"
            counted[reason] = counted.get(reason, 0) + 1
    return counted


def _same(found: Evidence, call: Call) -> Iterator[str]:
    """Every repetition of one Idempotency-Key gets the same bytes; only what nobody paid for may be forgotten."""
    digests = {attempt.body_digest for attempt in call.attempts if attempt.whole}
    unpaid = [hold for hold, _ in found.holds_of.get(call.name, []) if not hold.charge_msat]
    if len(digests) > 1 + len(unpaid):
        yield f"{call.name} got {len(digests)} different answers with one Idempotency-Key"
