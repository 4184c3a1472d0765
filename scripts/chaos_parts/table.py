"""What a run came to: one column of the table in docs/chaos.md, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos_parts import buyer_rules, log_rules, money_rules
from chaos_parts.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Figures:
    """The result. `rows` are what the table shows, in its order."""

    ledger: str
    seed: int
    rows: dict[str, int]
    excuses: dict[str, int]
    """Why a repetition was charged although the answer had been charged before, and how often."""
    endings: dict[str, int]
    """How calls ended, by the ledger."""
    counts: dict[str, int]
    """Every fault by its name."""
    differences: list[str]
    searched: dict[str, int]
    """What the logs were looked through for."""


def figures(
    found: Evidence, ledger: str, seed: int, took_seconds: float, differences: Sequence[str], searched: dict[str, int]
) -> Figures:
    """Count."""
    record, books = found.record, found.books
    attempts = [attempt for call in record.calls for attempt in call.attempts]
    whole = [attempt for attempt in attempts if attempt.whole]
    kept = [attempt for attempt in whole if attempt.request_id not in found.hold_by_request]
    killed = [life.killed for life in record.lives if life.killed is not None]
    paid, charged, balances = money_rules.totals(found)
    rows = {
        "calls": len(record.calls),
        "requests for them": len(attempts),
        "requests that reached upstream": len(found.work),
        "whole answers": len(whole),
        "of them kept and handed out free": len(kept),
        "servers killed with -9 at random": killed.count("random"),
        "servers killed at a named point": len(killed) - killed.count("random"),
        "servers stopped in order": _sum(record.counts, "server: stopped"),
        "clients that left or were cut": _sum(record.counts, "client:", without="client: stalls"),
        "clients that stalled": _sum(record.counts, "client: stalls"),
        "faults on the way to upstream": _sum(record.counts, "upstream:"),
        "answers that upstream spoiled": sum(bool(work.scenario) for work in found.work),
        "faults of the node and the wallets": _sum(record.counts, "node:") + _sum(record.counts, "payer:"),
        "faults of the ledger or its database": _sum(record.counts, "ledger:") + _sum(record.counts, "database:"),
        "payments": len(found.received_msat),
        "of them redeemed at the end only": record.counts.get("redeemed at the end", 0),
        "paid at the node, msat": paid,
        "charged, msat": charged,
        "balances, msat": balances,
        "holds that live": sum(hold.ended_at is None for hold in books.holds),
        "memory of a server at most, MiB": log_rules.memory_peak_mib(record),
        "seconds": round(took_seconds),
        "differences": len(differences),
    }
    endings: dict[str, int] = {}
    for hold in books.holds:
        endings[hold.ending or "live"] = endings.get(hold.ending or "live", 0) + 1
    counts = dict(sorted(record.counts.items()))
    for point in sorted({name for name in killed if name != "random"}):
        counts[f"killed at {point}"] = killed.count(point)
    return Figures(ledger, seed, rows, buyer_rules.excuses(found), endings, counts, list(differences), searched)


def markdown(columns: Sequence[Figures]) -> list[str]:
    """The table, a column for each ledger."""
    lines = [
        "| | " + " | ".join(column.ledger for column in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    rows = (
        f"| {name} | " + " | ".join(f"{column.rows[name]:,}" for column in columns) + " |" for name in columns[0].rows
    )
    return [*lines, *rows, f"| seed | {' | '.join(str(column.seed) for column in columns)} |"]


def _sum(counts: dict[str, int], prefix: str, *, without: str | None = None) -> int:
    return sum(
        count
        for name, count in counts.items()
        if name.startswith(prefix) and not (without is not None and name.startswith(without))
    )
