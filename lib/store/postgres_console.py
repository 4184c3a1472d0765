"""What an operator may do with a ledger in PostgreSQL, beside any number of servers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from lib.core.money import Msat
from lib.store import arguments, operating_values
from lib.store import postgres_outcomes as outcomes
from lib.store import postgres_values as values
from lib.store.ledger import Adjusted, Gone, Owed, Revoked, TooMuch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lib.store.ledger import CreditInDoubt, Entry, Position, Review, Totals
    from lib.store.operating import AccountStory, CallStory, Debt, Earned, Pause, PaymentStory
    from lib.store.postgres_calls import Argument


class PostgresConsole(ABC):
    """The `OperatorsLedger` over SQL functions."""

    @abstractmethod
    async def _call(self, function: str, **arguments: Argument) -> Any:
        """What the function answers. Raises LedgerWentBack for what changes something, and then nothing was asked."""

    async def position(self) -> Position:
        """See `OperatorsLedger`."""
        return values.position(await self._call("alb_position"))

    async def totals(self) -> Totals:
        """See `OperatorsLedger`."""
        return values.totals(await self._call("alb_totals"))

    async def audit(self) -> Sequence[str]:
        """See `OperatorsLedger`. Reads one moment: nobody waits for it."""
        return await self._call("alb_audit")

    async def entries(self, account: str, *, before: int | None, limit: int) -> Sequence[Entry]:
        """See `OperatorsLedger`. `limit` from 1 to 1,000."""
        arguments.require_page(limit)
        rows = await self._call("alb_entries", p_account=account, p_before=before, p_limit=limit)
        return [values.entry(row) for row in rows]

    async def in_doubt(self, limit: int) -> Sequence[CreditInDoubt]:
        """See `OperatorsLedger`. `limit` from 1 to 1,000."""
        arguments.require_page(limit)
        return [values.credit_in_doubt(row) for row in await self._call("alb_in_doubt", p_limit=limit)]

    async def reviews(self, limit: int) -> Sequence[Review]:
        """See `OperatorsLedger`. `limit` from 1 to 1,000."""
        arguments.require_page(limit)
        return [values.review(row) for row in await self._call("alb_reviews", p_limit=limit)]

    async def approve(self, payment_hash: bytes) -> bool:
        """See `OperatorsLedger`."""
        return (await self._call("alb_approve", p_payment_hash=payment_hash))["listed"]

    async def earned(self, since: datetime, until: datetime) -> Sequence[Earned]:
        """See `OperatorsLedger`."""
        since_us, until_us = operating_values.micros(since), operating_values.micros(until)
        rows = await self._call("alb_earned", p_since_us=since_us, p_until_us=until_us)
        return [operating_values.earned(row) for row in rows]

    async def payment(self, payment_hash: bytes) -> PaymentStory:
        """See `OperatorsLedger`."""
        told = await self._call("alb_payment", p_payment_hash=payment_hash)
        return operating_values.payment(payment_hash, told["topup"], told["credit"], told["review"])

    async def calls(self, request_id: str) -> Sequence[CallStory]:
        """See `OperatorsLedger`."""
        rows = await self._call("alb_calls", p_request_id=request_id, p_limit=arguments.PAGE_LIMIT_ROWS)
        return [operating_values.call(row) for row in rows]

    async def calls_of(self, account: str, limit: int) -> Sequence[CallStory]:
        """See `OperatorsLedger`. `limit` from 1 to 1,000."""
        arguments.require_page(limit)
        rows = await self._call("alb_calls_of", p_account=account, p_limit=limit)
        return [operating_values.call(row) for row in rows]

    async def account(self, account: str) -> AccountStory | None:
        """See `OperatorsLedger`."""
        told = await self._call("alb_account", p_account=account)
        return operating_values.account(told) if told["outcome"] == "account" else None

    async def debts(self) -> Sequence[Debt]:
        """See `OperatorsLedger`."""
        return [operating_values.debt(row) for row in await self._call("alb_debts")]

    async def adjust(self, op_id: str, account: str, amount: Msat, reason: str) -> Adjusted | TooMuch | Gone:
        """See `OperatorsLedger`. Raises ValueError for nothing, or for no reason."""
        arguments.require_adjustment(amount, reason)
        told = await self._call(
            "alb_adjust", p_op_id=op_id, p_account=account, p_amount_msat=amount.value, p_reason=reason
        )
        match told["outcome"]:
            case "adjusted":
                return Adjusted(Msat(told["balance_msat"]))
            case "too_much":
                return TooMuch(Msat(told["balance_msat"]), Msat(told["held_msat"]))
            case "gone":
                return Gone()
            case _:
                raise outcomes.refusal(told, account)

    async def freeze(self, account: str, reason: str) -> bool:
        """See `OperatorsLedger`."""
        arguments.require_reason(reason)
        return self._changed(await self._call("alb_freeze", p_account=account, p_reason=reason), account)

    async def unfreeze(self, account: str) -> bool:
        """See `OperatorsLedger`."""
        return self._changed(await self._call("alb_unfreeze", p_account=account), account)

    async def revoke_account(self, op_id: str, account: str) -> Revoked | Owed | Gone:
        """See `OperatorsLedger`."""
        told = await self._call("alb_revoke_account", p_op_id=op_id, p_account=account)
        match told["outcome"]:
            case "owed":
                return Owed(Msat(told["balance_msat"]), Msat(told["held_msat"]))
            case "account_unknown":
                raise outcomes.refusal(told, account)
            case _:
                return outcomes.plain(told)

    async def pause(self, api: str, model: str | None, reason: str) -> bool:
        """See `OperatorsLedger`."""
        arguments.require_reason(reason)
        return self._changed(await self._call("alb_pause", p_api=api, p_model=model or "", p_reason=reason), api)

    async def resume(self, api: str, model: str | None) -> bool:
        """See `OperatorsLedger`."""
        return self._changed(await self._call("alb_resume", p_api=api, p_model=model or ""), api)

    async def pauses(self) -> Sequence[Pause]:
        """See `OperatorsLedger`."""
        return [operating_values.pause(row) for row in await self._call("alb_pauses")]

    def _changed(self, told: values.Facts, about: str) -> bool:
        """Whether there was anything to change. Raises what was refused."""
        if told["outcome"] != "done":
            raise outcomes.refusal(told, about)
        return told["changed"]
