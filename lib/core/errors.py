"""Every error a client can be told: one table, rendered in one place (lib/web), documented from here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `retry` says whether the same request can succeed later without a change."""

    status: int
    type: str
    retry: bool
    message: str
    next_action: str


class Code(Enum):
    """The error's `code` (the lower-case name) and its row."""

    # The request is wrong: nothing was invoiced, nothing was charged.
    INVALID_JSON = Row(
        400, "invalid_request_error", False, "The body is not valid JSON.", "Send one JSON object with unique keys."
    )
    INVALID_FORM = Row(
        400, "invalid_request_error", False, "The form cannot be read.", "Send multipart/form-data as the SDKs do."
    )
    MISSING_REQUIRED_FIELD = Row(
        400, "invalid_request_error", False, "A required field is missing.", "Add the field named in `param`."
    )
    INVALID_FIELD_TYPE = Row(
        400, "invalid_request_error", False, "A field has the wrong type.", "Correct the field named in `param`."
    )
    INVALID_FIELD_VALUE = Row(
        400, "invalid_request_error", False, "A field has a value we do not sell.", "Correct the field in `param`."
    )
    MODEL_NOT_SUPPORTED = Row(
        400, "invalid_request_error", False, "This model is not sold here.", "Choose a model from GET /v1/models."
    )
    INVALID_PAYMENT = Row(
        400, "invalid_request_error", False, "The payment hash or preimage is not valid.", "Check the preimage."
    )
    PAYMENT_ALREADY_USED = Row(
        400, "invalid_request_error", False, "This payment has already been claimed.", "Use the token it gave."
    )
    IDEMPOTENCY_KEY_REUSED = Row(
        422,
        "invalid_request_error",
        False,
        "This Idempotency-Key was used for another request.",
        "Repeat the first request unchanged, or use a new key.",
    )
    CONTENT_BLOCKED = Row(
        400,
        "invalid_request_error",
        False,
        "This request holds something that is not served here. Nothing was charged.",
        "Change what it says, or use another service.",
    )
    REQUEST_TOO_LARGE = Row(
        413, "invalid_request_error", False, "The request body is too large.", "Send a smaller body."
    )
    # Nothing is sold at this address.
    API_NOT_FOUND = Row(
        404, "invalid_request_error", False, "Nothing is sold at this address.", "See GET /api/catalog."
    )
    METHOD_NOT_ALLOWED = Row(
        405, "invalid_request_error", False, "This address takes another method.", "Use the method in `Allow`."
    )
    # Who are you?
    INVALID_TOKEN = Row(
        401, "authentication_error", False, "This token is not known here.", "Top up to get one, or send no key."
    )
    MISSING_TOKEN = Row(401, "authentication_error", False, "A token is needed.", "Send Authorization: Bearer.")
    INVALID_L402 = Row(
        401, "authentication_error", False, "This L402 credential is not valid.", "Repeat the request without it."
    )
    ACCOUNT_FROZEN = Row(
        403, "permission_error", False, "The node says a payment of this account was never made.", "Ask the operator."
    )
    # Pay.
    PAYMENT_REQUIRED = Row(
        402, "payment_required", False, "Payment is required.", "Pay the invoice, then repeat with the L402 credential."
    )
    INSUFFICIENT_BALANCE = Row(
        402, "insufficient_balance", False, "The balance does not cover this call.", "Top up, or ask for less output."
    )
    PAYMENT_PENDING = Row(402, "payment_pending", True, "The invoice is not paid yet.", "Pay it, then repeat.")
    PRICE_ABOVE_LIMIT = Row(
        402, "price_above_limit", False, "The call may cost more than you allow.", "Raise X-Max-Price-Msat."
    )
    # Wait.
    PAYMENT_IN_PROGRESS = Row(
        409, "payment_in_progress", True, "Running calls hold this balance.", "Repeat after Retry-After seconds."
    )
    BALANCE_NOT_EMPTY = Row(
        409, "invalid_request_error", False, "Something is still owed to this token.", "Rotate the token instead."
    )
    RATE_LIMITED = Row(429, "rate_limit_error", True, "Too many requests.", "Repeat after Retry-After seconds.")
    # Somebody else's fault. Nothing was charged.
    UPSTREAM_ERROR = Row(
        502, "server_error", True, "The provider failed. Nothing was charged.", "Repeat with the same credential."
    )
    INTERNAL_ERROR = Row(500, "server_error", True, "We failed.", "Repeat, and report the request id.")
    TOPUP_UNAVAILABLE = Row(503, "server_error", False, "Top-up is switched off here.", "Pay per call with L402.")
    PHOENIX_UNAVAILABLE = Row(
        503, "server_error", True, "The Lightning node does not answer.", "Repeat later; credentials stay good."
    )
    RATE_UNAVAILABLE = Row(503, "server_error", True, "There is no fresh bitcoin price.", "Repeat later.")
    UPSTREAM_UNAVAILABLE = Row(
        503, "server_error", True, "This cannot be sold at the moment. Nothing was charged.", "Repeat later."
    )
    UPLOAD_UNAVAILABLE = Row(
        503, "server_error", True, "There is no room for uploads at the moment. Nothing was charged.", "Repeat later."
    )
    LEDGER_UNAVAILABLE = Row(
        503, "server_error", True, "The ledger does not answer. Nothing was lost.", "Repeat later."
    )
    LEDGER_RESTORED = Row(
        503,
        "server_error",
        True,
        "The ledger was restored from a backup and waits for its operator.",
        "Do not pay again; repeat later with the same credential.",
    )

    @property
    def code(self) -> str:
        """What `error.code` says."""
        return self.name.lower()


@dataclass(slots=True)
class ApiError(Exception):
    """Tell the client `code`. The message must hold no secret and nothing of our standing with upstream."""

    code: Code
    message: str | None = None
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    """More members of the `error` object."""
    body: dict[str, Any] = field(default_factory=dict[str, Any])
    """More members beside `error`, as a 402's invoice."""

    def __post_init__(self) -> None:
        """Let `str()` show the code without the payload, which may hold a macaroon."""
        Exception.__init__(self, self.code.code)

    def __str__(self) -> str:
        """The code only: a log line of this exception is safe."""
        return self.code.code

    def as_body(self) -> dict[str, Any]:
        """OpenAI's error shape; SDKs show only what is inside `error`."""
        row = self.code.value
        error = {
            "message": self.message or row.message,
            "type": row.type,
            "param": self.param,
            "code": self.code.code,
            "next_action": row.next_action,
            **self.extra,
        }
        return {**self.body, "error": error}


def retry_after(code: Code, seconds: int, message: str | None = None) -> ApiError:
    """An error that says when to come back."""
    return ApiError(code, message, headers={"Retry-After": str(seconds)})
