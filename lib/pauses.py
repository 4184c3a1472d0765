"""What an operator does not sell for a while: read from the ledger now and then, so that every process hears of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lib.store.ledger import Ledger
    from lib.store.operating import Pause

log = logging.getLogger(__name__)


class Pauses:
    """Answers from what was read last."""

    def __init__(self) -> None:
        """Nothing is paused before the first refresh."""
        self.current: Sequence[Pause] = ()
        self._covered: frozenset[tuple[str, str | None]] = frozenset()

    def cover(self, api: str, model: str) -> bool:
        """Whether the model, or all of its API, is paused."""
        return bool(self._covered) and not self._covered.isdisjoint({(api, None), (api, model)})

    def cover_all_of(self, api: str) -> bool:
        """Whether nothing of the API is sold."""
        return (api, None) in self._covered

    async def refresh(self, ledger: Ledger) -> None:
        """Read them. Raises LedgerUnavailable; what was paused stays so."""
        self.current = await ledger.pauses()
        covered = frozenset((pause.api, pause.model) for pause in self.current)
        for api, model in sorted(covered ^ self._covered, key=str):
            state = "paused" if (api, model) in covered else "sold again"
            log.warning("%s is %s", model or "every model", state, extra={"fields": {"api": api, "model": model or ""}})
        self._covered = covered
