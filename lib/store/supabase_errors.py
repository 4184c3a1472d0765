"""What a refusal by Supabase's API means for the ledger."""

from __future__ import annotations

import re
from http import HTTPStatus

from lib.store.ledger import LedgerUnavailable

KEY_REFUSED = (
    "Supabase's API refuses the key: ALITTLEBITOFMONEY_SUPABASE_SECRET_KEY must be the project's secret key (or its "
    "older service_role key), and valid"
)
FUNCTIONS_MISSING = "the database lacks the ledger's functions, or has those of another release: run scripts/migrate"
READ_ONLY = "the database accepts no writes: it is a replica, or its disk is full"
WRONG_ADDRESS = "there is no Supabase API at ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL"

DATABASE_AWAY = re.compile(r"PGRST00[0-3]")
"""PostgREST cannot reach the database, or had no connection to it in time."""
KEY_CODES = frozenset({"PGRST300", "PGRST301", "PGRST302", "PGRST303", "42501"})
FUNCTION_CODES = frozenset({"PGRST202", "PGRST203", "42883"})
PASSING_SQLSTATES = re.compile(r"(08|40|53|57|58)...|55P03")
"""Connection, rolled back by a conflict, out of resources, ended by an operator or a time limit, disk, lock in use."""
READ_ONLY_SQLSTATE = "25006"
PASSING_STATUSES = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class OutcomeUnknown(Exception):
    """The call may have been done or not, or will do later: repeat it. The text says what came back instead."""


class FunctionsMissing(LedgerUnavailable):
    """There is no such function in the database."""


class SupabaseRefused(Exception):
    """The database will never do this call: there is a mistake in it. Nothing was written."""


def judged(status: int, code: str | None, message: str) -> Exception:
    """What to raise for an error status. `code` is PostgreSQL's, PostgREST's, or None from whoever stands before it."""
    if code is None:
        return _judged_by_status(status, message)
    if not code:  # PostgREST's connection to the database ended in the middle: PostgreSQL told it no SQLSTATE
        return OutcomeUnknown(f"{status} without a code")
    if code in KEY_CODES:
        return LedgerUnavailable(f"{KEY_REFUSED} ({code})")
    if code in FUNCTION_CODES:
        return FunctionsMissing(f"{FUNCTIONS_MISSING} ({code})")
    if code == READ_ONLY_SQLSTATE:
        return LedgerUnavailable(READ_ONLY)
    if DATABASE_AWAY.fullmatch(code) or PASSING_SQLSTATES.fullmatch(code):
        return OutcomeUnknown(f"{status}, {code}")
    return SupabaseRefused(f"{status}, {code}: {message}")


def _judged_by_status(status: int, message: str) -> Exception:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return LedgerUnavailable(f"{KEY_REFUSED} ({status})")
    if status < HTTPStatus.BAD_REQUEST or status == HTTPStatus.NOT_FOUND:
        return LedgerUnavailable(f"{WRONG_ADDRESS} ({status})")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in PASSING_STATUSES:
        return OutcomeUnknown(str(status))
    return SupabaseRefused(f"{status}: {message}")
