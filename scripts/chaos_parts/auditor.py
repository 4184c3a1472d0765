"""Every rule, over all the evidence. One sentence for each difference; none if nothing was lost and nothing doubled."""

from __future__ import annotations

from pathlib import Path

from chaos_parts import buyer_rules, ending_rules, log_rules, money_rules
from chaos_parts.evidence import Evidence


def differences(found: Evidence, directory: Path) -> list[str]:
    """All of them. The logs of a run are in its directory."""
    return [
        *money_rules.differences(found),
        *ending_rules.differences(found),
        *buyer_rules.differences(found),
        *log_rules.differences(found.record, sorted(directory.glob("*.log"))),
    ]
