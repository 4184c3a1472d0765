"""How a ledger in PostgreSQL is reached: one call of one SQL function an operation, whatever carries the call.

Two transports implement `Calls`: a pool of direct connections, and Supabase's API. What a function answers is always
one JSON object or array, bytes in it as lower-case hex, so that both see the same. A refusal that wrote nothing is an
answer, too: `{"outcome": "hold_ended"}`.

The functions live in the schema `public` under these names; every parameter is named and given each time. `p_…_us` are
microseconds, `p_…_msat` millisatoshi, both bigint; a payment hash, digest or name is bytea; amounts and moments inside
of a jsonb have the same endings in their names.

    alb_position()                                     alb_accept_restored(p_choice text)
    alb_take_lease(p_lease text)                       alb_renew(p_lease text)
    alb_end_lease(p_lease text)                        alb_expire(p_stale_after_us)
    alb_redeem_and_hold(p_payment jsonb, p_request jsonb, p_limits jsonb, p_new_account text)
    alb_credit(p_payment jsonb, p_limits jsonb, p_new_account text)
    alb_open_topup(p_topup jsonb, p_expires_in_us)     alb_open_topups(p_limit int)
    alb_close_topup(p_payment_hash, p_grace_us)        alb_find_topup(p_payment_hash)
    alb_credit_topup(p_payment_hash, p_received_msat, p_new_account text)
    alb_claim(p_op_id text, p_payment jsonb, p_token, p_how text, p_keep jsonb, p_new_account text)
    alb_rotate(p_op_id text, p_token, p_new_token, p_keep jsonb)
    alb_revoke(p_op_id text, p_token)
    alb_adjust(p_op_id text, p_account text, p_amount_msat, p_reason text)
    alb_hold(p_owner_kind text, p_owner_digest, p_request jsonb)
    alb_settle(p_settlement jsonb)                     alb_note_left(p_hold text)
    alb_kept_answer(p_owner_kind text, p_owner_digest, p_name, p_order_digest)
    alb_drop_answer(p_owner_kind text, p_owner_digest, p_name)
    alb_balance(p_owner_kind text, p_owner_digest)     alb_entries(p_account text, p_before bigint, p_limit int)
    alb_in_doubt(p_limit int)                          alb_newest_confirmed()
    alb_confirm(p_payment_hash, p_received_msat)       alb_deny(p_payment_hash, p_reason text)
    alb_reviews(p_limit int)                           alb_approve(p_payment_hash)
    alb_totals()                                       alb_losses(p_within_us)
    alb_audit()                                        alb_count_free(p_shares jsonb)
    alb_schema()                                       alb_earned(p_since_us, p_until_us)
    alb_payment(p_payment_hash)                        alb_account(p_account text)
    alb_calls(p_request_id text, p_limit int)          alb_calls_of(p_account text, p_limit int)
    alb_debts()                                        alb_revoke_account(p_op_id text, p_account text)
    alb_freeze(p_account text, p_reason text)          alb_unfreeze(p_account text)
    alb_pause(p_api text, p_model text, p_reason text) alb_resume(p_api text, p_model text)
    alb_pauses()
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from lib.store.ledger import LedgerUnavailable

Argument: TypeAlias = bool | int | str | bytes | Mapping[str, Any] | Sequence[Any] | None
"""A parameter's value. Bytes are a bytea; a mapping or sequence is a jsonb and holds no bytes."""

CLOSE_LIMIT_SECONDS = 60.0

SCANS = frozenset(
    {
        "alb_totals",
        "alb_losses",
        "alb_audit",
        "alb_earned",
        "alb_calls",
        "alb_calls_of",
        "alb_account",
        "alb_debts",
    }
)
"""These read everything: they may take minutes, all others seconds."""

ANSWERED_THOUGH_GONE_BACK = SCANS | {
    "alb_schema",
    "alb_position",
    "alb_accept_restored",
    "alb_balance",
    "alb_kept_answer",
    "alb_entries",
    "alb_in_doubt",
    "alb_newest_confirmed",
    "alb_open_topups",
    "alb_find_topup",
    "alb_reviews",
    "alb_payment",
    "alb_pauses",
}
"""What an operator needs while the ledger has gone back, and what changes nothing."""


class Uncancelled:
    """Calls that go on when whoever asked is cancelled: a call that was begun is done, and its end is seen."""

    def __init__(self) -> None:
        """Nothing runs."""
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def run(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Its result. Raises LedgerUnavailable once closed."""
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        task = asyncio.create_task(call())
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Take no more, and wait for those that run, within CLOSE_LIMIT_SECONDS. Repeating it changes nothing."""
        self._closed = True
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSE_LIMIT_SECONDS)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone, and then nobody else looks at it


class Calls(Protocol):
    """A way to the database."""

    async def call(self, function: str, **arguments: Argument) -> Any:
        """What the function answers, parsed from JSON. Repeated by itself when the outcome was lost on the way.

        Every operation may be repeated: its op_id, its payment hash or its nature make the second time harmless.
        Raises LedgerUnavailable; an error that no repetition can cure is the driver's own.
        """
        ...

    async def aclose(self) -> None:
        """Let calls that run finish, then hang up. Repeating it changes nothing."""
        ...
