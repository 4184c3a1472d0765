"""When to stop selling at a loss: reads the ledger's losses now and then, answers from that snapshot."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from lib.core.money import UsdMicros, UsdPicos
from lib.core.schema import StopLoss as Rules
from lib.store.ledger import Ledger, Losses

log = logging.getLogger(__name__)
Key = TypeVar("Key")

HOUR_SECONDS = 3_600.0
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Refused:
    """What is off sale."""

    accounts: frozenset[str] = frozenset()
    models: frozenset[tuple[str, str]] = frozenset()
    everything: str | None = None
    """Why nothing is sold."""


class StopLoss:
    """Accounts and models off sale because their calls cost more than was paid; a bound on all spending."""

    def __init__(self, rules: Rules, refused: Refused = Refused()) -> None:
        """Before the first refresh only `refused` is."""
        self._rules = rules
        self._refused = refused

    def under(self, rules: Rules) -> StopLoss:
        """What is refused now, and from the next refresh on what other rules refuse; this one stays as it is."""
        return StopLoss(rules, self._refused)

    @property
    def alarm(self) -> str | None:
        """What is off sale, in words for the operator; None if nothing is."""
        parts = [self._refused.everything] if self._refused.everything else []
        parts += [f"model {model} of {api} is off sale after losses" for api, model in sorted(self._refused.models)]
        if self._refused.accounts:
            parts.append(f"{len(self._refused.accounts)} accounts are refused after losses")
        return "; ".join(parts) or None

    def refuses_model(self, api: str, model: str) -> bool:
        """The model, or everything, is off sale."""
        return self._refused.everything is not None or (api, model) in self._refused.models

    def refuses_account(self, account: str) -> bool:
        """The account caused too many losses within the window."""
        return account in self._refused.accounts

    async def refresh(self, ledger: Ledger) -> None:
        """Read the losses of the window, the hour and the day. Raises LedgerUnavailable; the old answers stay."""
        before = self.alarm
        window = await ledger.losses(self._rules.window_seconds)
        hour, day = await ledger.losses(HOUR_SECONDS), await ledger.losses(DAY_SECONDS)
        self._refused = Refused(
            accounts=frozenset(_above(window.by_account, self._rules.per_account_usd)),
            models=frozenset(_above(window.by_model, self._rules.per_model_usd)),
            everything=self._spent_too_much(hour, day),
        )
        if self.alarm and self.alarm != before:
            log.error("stop-loss: %s", self.alarm)

    def _spent_too_much(self, hour: Losses, day: Losses) -> str | None:
        bounds = (
            ("hour", hour, self._rules.max_upstream_usd_per_hour),
            ("day", day, self._rules.max_upstream_usd_per_day),
        )
        for name, spent, bound in bounds:
            if spent.upstream_cost > UsdMicros.from_usd_rounded_up(bound).picos():
                return f"upstream spending of the last {name} is above {bound} USD"
        return None


def _above(losses: dict[Key, UsdPicos], usd: Decimal) -> list[Key]:
    bound = UsdMicros.from_usd_rounded_up(usd).picos()
    return [key for key, loss in losses.items() if loss > bound]
