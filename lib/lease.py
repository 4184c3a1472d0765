"""This process's licence to hold money, and what a buyer is told while it has none."""

from __future__ import annotations

from lib.core.errors import ApiError, Code, retry_after

LEDGER_RETRY_SECONDS = 30


class Lease:
    """`id` is None while it could not be renewed: no calls are taken then. lib/jobs.py takes and renews it."""

    def __init__(self) -> None:
        """Not taken yet."""
        self.id: str | None = None
        self.went_back = False
        """The ledger is a restored backup that waits for its operator."""

    def required(self) -> str:
        """The lease's id. Raises ApiError ledger_restored or ledger_unavailable, before anybody is asked to pay."""
        self.require_whole()
        if self.id is None:
            raise retry_after(Code.LEDGER_UNAVAILABLE, LEDGER_RETRY_SECONDS)
        return self.id

    def require_whole(self) -> None:
        """Raises ApiError ledger_restored while the ledger lacks a part: who is unknown here may be in it."""
        if self.went_back:
            raise ledger_restored()


def ledger_restored() -> ApiError:
    """What buyers are told until the operator has spoken."""
    return retry_after(Code.LEDGER_RESTORED, LEDGER_RETRY_SECONDS)
