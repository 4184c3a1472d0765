"""The ledger in a PostgreSQL that any number of processes share: every operation is one SQL function, called once.

What is promised is kept by the functions (migrations/postgres); this class turns values into their parameters and
their answers into values, whatever carries the calls.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from lib.core.money import Msat
from lib.store import arguments, postgres_pool
from lib.store import postgres_outcomes as outcomes
from lib.store import postgres_values as values
from lib.store.ledger import (
    TOPUP_GRACE_SECONDS,
    Balance,
    ClaimKind,
    Gone,
    LedgerWentBack,
    Owed,
    Owner,
    Revoked,
    Topup,
    UnderReview,
)
from lib.store.postgres_calls import ANSWERED_THOUGH_GONE_BACK
from lib.store.postgres_console import PostgresConsole

if TYPE_CHECKING:
    from lib.store.ledger import (
        AskNodeFirst,
        ClaimOutcome,
        HoldOutcome,
        HoldRequest,
        Kept,
        KeyReused,
        Losses,
        Payment,
        Position,
        RedeemOutcome,
        Restored,
        RotateOutcome,
        Settled,
        Settlement,
        TokenAnswer,
        TopupStatus,
        UnconfirmedLimits,
    )
    from lib.store.postgres_calls import Argument, Calls
    from lib.store.watermark import Watermark

Randomness: TypeAlias = Callable[[int], bytes]
ACCOUNT_ID_BYTES = 16


class PostgresLedger(PostgresConsole):
    """The `Ledger` in PostgreSQL.

    Processes share accounts, holds and leases; of two operations on one account the database does one after the other.
    """

    def __init__(self, calls: Calls, watermark: Watermark, ledger_id: bytes, randomness: Randomness) -> None:
        """Made by `open` or `over`."""
        self._calls = calls
        self._watermark = watermark
        self._ledger_id = ledger_id
        self._randomness = randomness

    @classmethod
    async def open(
        cls,
        url: str,
        watermark: Watermark,
        *,
        limits: postgres_pool.PoolLimits = postgres_pool.LIMITS,
        randomness: Randomness = secrets.token_bytes,
    ) -> PostgresLedger:
        """Connect directly, and bring the schema up to date. Raises LedgerNewerThanCode, LedgerUnavailable."""
        await postgres_pool.migrate(url, limits)
        calls = await postgres_pool.PooledCalls.open(url, watermark, limits)
        try:
            return await cls.over(calls, watermark, randomness=randomness)
        except BaseException:
            await calls.aclose()
            raise

    @classmethod
    async def over(
        cls, calls: Calls, watermark: Watermark, *, randomness: Randomness = secrets.token_bytes
    ) -> PostgresLedger:
        """Use a way to a database whose schema is up to date. The ledger closes it.

        A ledger that is older than what the watermark remembers of it opens all the same: then all that would change
        it raises LedgerWentBack.
        """
        with contextlib.suppress(LedgerWentBack):
            await _look(calls, watermark)
        position = values.position(await calls.call("alb_position"))
        return cls(calls, watermark, position.ledger_id, randomness)

    async def ledger_id(self) -> bytes:
        """See `Ledger`. It never changes, so it is read once."""
        return self._ledger_id

    async def take_lease(self, lease: str) -> None:
        """See `Ledger`. Raises LeaseExpired if this very lease has ended before."""
        told = await self._in_view("alb_take_lease", p_lease=lease)
        if told["outcome"] != "done":
            raise outcomes.refusal(told, lease)

    async def renew(self, lease: str) -> bool:
        """See `Ledger`."""
        return (await self._in_view("alb_renew", p_lease=lease))["renewed"]

    async def end_lease(self, lease: str) -> None:
        """See `Ledger`."""
        await self._call("alb_end_lease", p_lease=lease)

    async def expire(self, stale_after_seconds: float) -> int:
        """See `Ledger`."""
        return (await self._call("alb_expire", p_stale_after_us=values.micros(stale_after_seconds)))["lapsed"]

    async def redeem_and_hold(self, payment: Payment, request: HoldRequest, limits: UnconfirmedLimits) -> RedeemOutcome:
        """See `Ledger`."""
        told = await self._call(
            "alb_redeem_and_hold",
            p_payment=values.payment_facts(payment),
            p_request=values.request_facts(request),
            p_limits=values.limits_facts(limits),
            p_new_account=self._new_account_id(),
        )
        return outcomes.of_hold(told, request)

    async def credit(self, payment: Payment, limits: UnconfirmedLimits) -> Balance | AskNodeFirst | Gone | UnderReview:
        """See `Ledger`."""
        told = await self._call(
            "alb_credit",
            p_payment=values.payment_facts(payment),
            p_limits=values.limits_facts(limits),
            p_new_account=self._new_account_id(),
        )
        return values.balance(told) if told["outcome"] == "balance" else outcomes.plain(told)

    async def open_topup(self, topup: Topup, expires_in_seconds: float) -> None:
        """See `Ledger`."""
        arguments.require_topup(topup)
        told = await self._call(
            "alb_open_topup", p_topup=values.topup_facts(topup), p_expires_in_us=values.micros(expires_in_seconds)
        )
        if told["outcome"] != "done":
            raise outcomes.refusal(told, str(topup.account))

    async def open_topups(self, limit: int) -> Sequence[Topup]:
        """See `Ledger`. `limit` from 1 to 1,000."""
        arguments.require_page(limit)
        return [values.topup(row) for row in await self._call("alb_open_topups", p_limit=limit)]

    async def close_topup(self, payment_hash: bytes) -> None:
        """See `Ledger`."""
        told = await self._call(
            "alb_close_topup", p_payment_hash=payment_hash, p_grace_us=values.micros(TOPUP_GRACE_SECONDS)
        )
        if told["outcome"] != "done":
            raise outcomes.refusal(told, payment_hash.hex())

    async def find_topup(self, payment_hash: bytes) -> TopupStatus | None:
        """See `Ledger`."""
        told = await self._call("alb_find_topup", p_payment_hash=payment_hash)
        return values.topup_status(told) if told["outcome"] == "topup" else None

    async def credit_topup(self, payment_hash: bytes, received: Msat) -> Balance | UnderReview:
        """See `Ledger`."""
        told = await self._call(
            "alb_credit_topup",
            p_payment_hash=payment_hash,
            p_received_msat=received.value,
            p_new_account=self._new_account_id(),
        )
        match told["outcome"]:
            case "balance":
                return values.balance(told)
            case "under_review":
                return UnderReview()
            case _:
                raise outcomes.refusal(told, payment_hash.hex())

    async def claim(
        self, op_id: str, payment: Payment, token: Owner, how: ClaimKind, keep: TokenAnswer | None = None
    ) -> ClaimOutcome:
        """See `Ledger`."""
        arguments.require_claim(payment, token, how, keep)
        told = await self._call(
            "alb_claim",
            p_op_id=op_id,
            p_payment=values.payment_facts(payment),
            p_token=token.digest,
            p_how=how.value,
            p_keep=None if keep is None else values.keep_facts(keep),
            p_new_account=self._new_account_id(),
        )
        return outcomes.of_claim(told)

    async def rotate(
        self, op_id: str, token: Owner, new_token: Owner, keep: TokenAnswer | None = None
    ) -> RotateOutcome:
        """See `Ledger`."""
        arguments.require_token(token)
        arguments.require_token(new_token)
        told = await self._call(
            "alb_rotate",
            p_op_id=op_id,
            p_token=token.digest,
            p_new_token=new_token.digest,
            p_keep=None if keep is None else values.keep_facts(keep),
        )
        return outcomes.of_rotation(told)

    async def revoke(self, op_id: str, token: Owner) -> Revoked | Owed | Gone:
        """See `Ledger`."""
        arguments.require_token(token)
        told = await self._call("alb_revoke", p_op_id=op_id, p_token=token.digest)
        if told["outcome"] == "owed":
            return Owed(Msat(told["balance_msat"]), Msat(told["held_msat"]))
        return outcomes.plain(told)

    async def hold(self, owner: Owner, request: HoldRequest) -> HoldOutcome:
        """See `Ledger`. A pinned quote belongs to a payment being redeemed, so it is not looked at here."""
        told = await self._call(
            "alb_hold",
            p_owner_kind=owner.kind.value,
            p_owner_digest=owner.digest,
            p_request=values.request_facts(request),
        )
        return outcomes.of_hold(told, request)

    async def settle(self, settlement: Settlement) -> Settled:
        """See `Ledger`. Raises HoldUnknown, HoldEnded, and ValueError for a charge outside of 0 to the ceiling.

        Once it has raised HoldUnknown, a request for this hold that is still on its way will reserve nothing.
        """
        arguments.require_settlement(settlement)
        told = await self._call("alb_settle", p_settlement=values.settlement_facts(settlement))
        if told["outcome"] != "settled":
            raise outcomes.refusal(told, settlement.hold_id)
        return values.settled(told)

    async def note_left(self, hold_id: str) -> None:
        """See `Ledger`."""
        await self._call("alb_note_left", p_hold=hold_id)

    async def kept_answer(self, owner: Owner, name: bytes, order_digest: bytes) -> Kept | KeyReused | None:
        """See `Ledger`."""
        told = await self._call(
            "alb_kept_answer",
            p_owner_kind=owner.kind.value,
            p_owner_digest=owner.digest,
            p_name=name,
            p_order_digest=order_digest,
        )
        return outcomes.of_recall(told)

    async def drop_answer(self, owner: Owner, name: bytes) -> None:
        """See `Ledger`."""
        await self._call("alb_drop_answer", p_owner_kind=owner.kind.value, p_owner_digest=owner.digest, p_name=name)

    async def balance(self, owner: Owner) -> Balance | None:
        """See `Ledger`."""
        told = await self._call("alb_balance", p_owner_kind=owner.kind.value, p_owner_digest=owner.digest)
        return values.balance(told) if told["outcome"] == "balance" else None

    async def newest_confirmed(self) -> bytes | None:
        """See `Ledger`."""
        found = (await self._call("alb_newest_confirmed"))["payment_hash"]
        return None if found is None else bytes.fromhex(found)

    async def confirm(self, payment_hash: bytes, received: Msat) -> None:
        """See `Ledger`. Raises CreditUnknown."""
        told = await self._call("alb_confirm", p_payment_hash=payment_hash, p_received_msat=received.value)
        if told["outcome"] != "done":
            raise outcomes.refusal(told, payment_hash.hex())

    async def deny(self, payment_hash: bytes, reason: str) -> None:
        """See `Ledger`. A credit once confirmed is not denied any more. Raises CreditUnknown."""
        told = await self._call("alb_deny", p_payment_hash=payment_hash, p_reason=reason)
        if told["outcome"] != "done":
            raise outcomes.refusal(told, payment_hash.hex())

    async def accept_restored(self, choice: Restored) -> Position:
        """See `Ledger`."""
        mark = self._watermark.mark()
        position = values.position(await self._call("alb_accept_restored", p_choice=choice.value))
        await self._watermark.observe(position, mark)
        return position

    async def losses(self, within_seconds: float) -> Losses:
        """See `Ledger`."""
        return values.losses(await self._call("alb_losses", p_within_us=values.micros(within_seconds)))

    async def count_free(self, shares: Sequence[tuple[str, str, int]]) -> int:
        """Count one event against each share (name, whose, how many a minute) in turn, up to the first without room.

        0 if all had room, else the whole seconds after which to come back. All processes count together.
        """
        facts = [{"name": name, "key": key, "per_minute": per_minute} for name, key, per_minute in shares]
        return (await self._call("alb_count_free", p_shares=facts))["wait_seconds"]

    async def aclose(self) -> None:
        """See `Ledger`. Afterwards every method raises LedgerUnavailable. Repeating it changes nothing."""
        await self._calls.aclose()

    async def _call(self, function: str, **arguments: Argument) -> Any:
        """Raises LedgerWentBack, and then nothing was asked."""
        if function not in ANSWERED_THOUGH_GONE_BACK:
            self._watermark.require()
        return await self._calls.call(function, **arguments)

    async def _in_view(self, function: str, **arguments: Argument) -> Any:
        """A call whose answer tells the ledger's position, which is remembered. Raises LedgerWentBack.

        A ledger that is known to have gone back is only looked at, so that who waits for its operator leaves nothing.
        """
        if self._watermark.went_back:
            await _look(self._calls, self._watermark)
        mark = self._watermark.mark()
        told = await self._calls.call(function, **arguments)
        await self._watermark.observe(values.position(told["position"]), mark)
        return told

    def _new_account_id(self) -> str:
        return self._randomness(ACCOUNT_ID_BYTES).hex()


async def _look(calls: Calls, watermark: Watermark) -> None:
    """Remember where the ledger is. Raises LedgerWentBack."""
    mark = watermark.mark()
    await watermark.observe(values.position(await calls.call("alb_position")), mark)
