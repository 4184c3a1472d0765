"""The demo's wallet that pays: a phoenixd of the visitor's side, so that a page can pay with play money."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import anyio
import httpx
import orjson

from lib.lightning.node import NodeUnavailable
from lib.lightning.phoenixd import node_url

PAY_TIMEOUT_SECONDS = 30.0
REFUSALS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR})
"""How phoenixd says that it cannot read an invoice, or that it will not pay it."""
REASON_MAX_CHARACTERS = 200


class PaymentRefused(Exception):
    """The wallet did not pay; the text is its reason."""


class DemoWallet:
    """Pays invoices over phoenixd's HTTP API, which needs the full-access password. Must be closed."""

    def __init__(self, url: str, password: str) -> None:
        """Connects to nothing yet. ValueError if `url` is not http(s)://host[:port] or carries a password."""
        self._client = httpx.AsyncClient(
            base_url=node_url(url),
            auth=httpx.BasicAuth("", password),
            timeout=None,  # noqa: S113 - `pay` bounds the whole call
            trust_env=False,
        )

    async def pay(self, bolt11: str) -> None:
        """Pay what the invoice asks; the preimage is not kept. Raises PaymentRefused or NodeUnavailable."""
        try:
            with anyio.fail_after(PAY_TIMEOUT_SECONDS):
                answer = await self._client.post("payinvoice", data={"invoice": bolt11})
        except (TimeoutError, httpx.HTTPError):
            answer = None
        if answer is None or (answer.status_code != HTTPStatus.OK and answer.status_code not in REFUSALS):
            raise NodeUnavailable("the demo's wallet does not answer")
        reason = _refusal(answer)
        if reason is not None:
            raise PaymentRefused(reason)

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()


def _refusal(answer: httpx.Response) -> str | None:
    """Why it was not paid, or None if it was. The reply of a payment holds its preimage: it is never quoted."""
    if answer.status_code != HTTPStatus.OK:
        return "it cannot read this invoice"
    try:
        paid: Any = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return "its answer cannot be read"
    if isinstance(paid, dict) and "paymentPreimage" in paid:
        return None
    reason = paid.get("reason") if isinstance(paid, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return str(reason)[:REASON_MAX_CHARACTERS] if reason else "it gave no reason"  # pyright: ignore[reportUnknownArgumentType]
