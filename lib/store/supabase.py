"""The ledger in a Supabase project: the one in PostgreSQL, reached through the project's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.store import postgres_schema
from lib.store.ledger import LedgerOlderThanCode
from lib.store.postgres import PostgresLedger
from lib.store.supabase_calls import PATIENCE, Patience, SupabaseCalls
from lib.store.supabase_errors import FUNCTIONS_MISSING, FunctionsMissing

if TYPE_CHECKING:
    from lib.store.watermark import Watermark


async def open_ledger(
    project_url: str, secret_key: str, watermark: Watermark, patience: Patience = PATIENCE
) -> PostgresLedger:
    """Open it. Its schema must be that of this release, because an API defines no functions.

    Raises LedgerOlderThanCode, LedgerNewerThanCode, LedgerUnavailable.
    """
    calls = await SupabaseCalls.open(project_url, secret_key, watermark, patience)
    try:
        postgres_schema.require((await calls.call("alb_schema"))["number"])
        return await PostgresLedger.over(calls, watermark)
    except FunctionsMissing:
        await calls.aclose()
        raise LedgerOlderThanCode(FUNCTIONS_MISSING) from None
    except BaseException:
        await calls.aclose()
        raise
