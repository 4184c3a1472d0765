"""Calls what we resell: one pool, its time limits, and what its failures mean for the buyer."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import aiohttp
import orjson

from lib.core import headers
from lib.core.attached import Attached
from lib.core.catalog import Api
from lib.core.endings import Ending
from lib.core.errors import ApiError, Code
from lib.core.form import SentFile, encoded_size
from lib.core.order import Order
from lib.core.schema import Limits

log = logging.getLogger(__name__)

HTTP_OK, HTTP_UNAUTHORIZED, HTTP_FORBIDDEN = 200, 401, 403
SSE = "text/event-stream"
UNCONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""There is no connection, so that no request can have arrived."""
BOUNDARY_BYTES = 16
ERROR_BODY_MAX_BYTES = 65_536
ANSWER_MAX_BYTES = 1_048_576
"""Of a question beside a call."""
POOL_CONNECTIONS = 1_000
KEEPALIVE_SECONDS = 15.0
TROUBLE_SECONDS = 60.0
"""How long an API is off sale after upstream refused our key; then one call may try again."""
LOOK_SECONDS = 60.0
"""How often an upstream that is well is looked at; one that is not, whenever there is occasion."""
RETRY_AFTER_MAX_SECONDS = 120
DIGITS = re.compile(r"[0-9]{1,9}")
OUR_STANDING = re.compile(r"\b(org|proj|sk|user|req)[-_][A-Za-z0-9_-]{6,}|https?://\S+")
QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "project_spend_limit_exceeded",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    }
)


class UpstreamFailure(Exception):
    """No usable answer. `ending` says who bears it (never the buyer), `error` what the buyer is told."""

    def __init__(self, ending: Ending, error: ApiError) -> None:
        """Both texts are safe to show."""
        super().__init__(ending.value)
        self.ending = ending
        self.error = error


@dataclass(slots=True)
class Reply:
    """Upstream's answer has begun: a 200 and its headers are here, its body is not."""

    headers: list[tuple[bytes, bytes]]
    """What the buyer may see of them."""
    _response: aiohttp.ClientResponse

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises UpstreamBroke when it ends badly."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UpstreamBroke(timed_out=isinstance(error, TimeoutError)) from error


class UpstreamBroke(Exception):
    """The body stopped before its end; `timed_out` when it was our limit that stopped it."""

    def __init__(self, *, timed_out: bool) -> None:
        """Say whose fault it was."""
        super().__init__("the answer stopped before its end")
        self.timed_out = timed_out


class Silent(Exception):
    """A question beside a call got no answer; the text is safe to log."""


class Upstream:
    """The connection pool to every API we resell."""

    def __init__(
        self,
        urls: Mapping[str, str],
        keys: Mapping[str, str],
        limits: Limits,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        """`urls` and `keys` by API name; `session` is a pool to share. Must be made inside a running event loop."""
        self._urls, self._keys, self._limits = urls, keys, limits
        self._refused_until: dict[str, float] = {}
        self._unreachable: dict[str, str] = {}
        self._look_again_at: dict[str, float] = {}
        self._session = session or aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=POOL_CONNECTIONS, keepalive_timeout=KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),  # a shared jar would carry one buyer's cookie to the next
            auto_decompress=False,
            trust_env=False,
        )

    def changed(self, urls: Mapping[str, str], keys: Mapping[str, str], limits: Limits) -> Upstream:
        """The same pool under other settings, which may have cured what an API refused; this one stays as it is."""
        return Upstream(urls, keys, limits, self._session)

    def trouble(self, api: str) -> str | None:
        """Why nobody should be asked to pay for an API now, in words for the operator; None if all is well."""
        return self.refused(api) or self.unreachable(api)

    def unreachable(self, api: str) -> str | None:
        """Why there was no connection when it was last looked at, in words; None if there was one."""
        return self._unreachable.get(api)

    def refused(self, api: str) -> str | None:
        """Why a call that is paid for would be in vain, in words for the operator; None if it can be tried."""
        if self._refused_until.get(api, 0) > time.monotonic():
            return "upstream refused our key or quota"
        return None

    async def check(self, api: Api) -> str | None:
        """Ask upstream for something free with our key; what is wrong in words, None if all is well."""
        if not api.rules.check_path:
            return None
        asked = f"GET {self._urls[api.name]}{api.rules.check_path}"
        try:
            status = await self._free_answer(api)
        except aiohttp.ClientConnectionError as error:
            return f"{asked} failed: {_in_words(error)}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"{asked} failed: {type(error).__name__}"
        return None if status == HTTP_OK else f"{asked} answered {status}"

    async def look(self, api: Api) -> None:
        """Find out, before a buyer does, that upstream cannot be reached, has a bad certificate, or refuses our key.

        Other answers than these say nothing of calls: a key may be allowed to call and not to list models.
        """
        name, now = api.name, time.monotonic()
        if not api.rules.check_path or name not in self._keys:
            return
        if self.trouble(name) is None and now < self._look_again_at.get(name, 0):
            return
        self._look_again_at[name] = now + LOOK_SECONDS
        try:
            status = await self._free_answer(api)
        except UNCONNECTED as error:
            self._note(name, _in_words(error))
            return
        except (aiohttp.ClientError, TimeoutError, OSError):
            return  # a list of models that is slow or breaks off says nothing of calls
        self._note(name, None)
        if status == HTTP_UNAUTHORIZED:
            self._refuses_us(name, status)

    async def _free_answer(self, api: Api) -> int:
        """The status of what is free to ask. Raises what aiohttp raises."""
        request = headers.identification(api.rules, self._keys.get(api.name, ""))
        seconds = self._limits.connect_seconds
        timeout = aiohttp.ClientTimeout(total=2 * seconds, sock_connect=seconds)
        url = self._urls[api.name] + api.rules.check_path
        async with self._session.get(url, headers=request, timeout=timeout, allow_redirects=False) as response:
            return response.status

    def _note(self, api: str, words: str | None) -> None:
        """Tell when trouble begins, changes and ends; in between it would fill the log."""
        before = self._unreachable.pop(api, None)
        if words is not None:
            self._unreachable[api] = words
        if words != before:
            log.warning("upstream %s %s", api, f"cannot be reached: {words}" if words else "can be reached again")

    async def ask(self, api: Api, path: str, body: bytes, seconds: float) -> bytes:
        """The answer to a small question beside a call, such as whether it may be served. Raises Silent."""
        request = {
            **headers.identification(api.rules, self._keys.get(api.name, "")),
            "Content-Type": "application/json",
        }
        timeout = aiohttp.ClientTimeout(total=seconds)
        url = self._urls[api.name] + path
        try:
            async with self._session.post(
                url, data=body, headers=request, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != HTTP_OK:
                    raise Silent(f"POST {url} answered {response.status}")
                found = bytearray()
                async for piece in response.content.iter_any():
                    found += piece
                    if len(found) > ANSWER_MAX_BYTES:
                        raise Silent(f"POST {url} answered too much")
                return bytes(found)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Silent(f"POST {url} failed: {type(error).__name__}") from error

    @asynccontextmanager
    async def open(self, order: Order, buyer: str) -> AsyncGenerator[Reply]:
        """Send the order and wait for its answer to begin. Raises UpstreamFailure.

        A non-streamed answer may take the whole total limit to begin; the buyer's leaving does not shorten it.
        """
        name, limits = order.api.name, self._limits
        accept = SSE if order.streaming else order.protocol.accepts
        timeout = aiohttp.ClientTimeout(
            total=limits.total_seconds,
            sock_connect=limits.connect_seconds,
            sock_read=limits.idle_seconds if order.streaming else None,
        )
        request = self._session.post(
            self._urls[name] + order.endpoint.rules.upstream_path,
            **_body(order, buyer, headers.upward(order.api.rules, self._keys[name], accept=accept)),
            timeout=timeout,
            allow_redirects=False,  # a redirect would carry our key to another host
        )
        try:
            response = await request
        except UNCONNECTED as error:
            log.warning("upstream %s is unreachable: %s", name, _in_words(error))
            unreachable = ApiError(Code.UPSTREAM_ERROR, "The provider is unreachable. Nothing was charged.")
            raise UpstreamFailure(Ending.UNREACHABLE, unreachable) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("upstream %s gave no answer: %s", name, type(error).__name__)
            silent = ApiError(Code.UPSTREAM_ERROR, "The provider gave no answer. Nothing was charged.")
            raise UpstreamFailure(Ending.UNANSWERED, silent) from error
        async with response:
            if response.status != HTTP_OK:
                raise await self._refusal(order.api, response)
            yield Reply(headers.downward(response.headers), response)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def _refusal(self, api: Api, response: aiohttp.ClientResponse) -> UpstreamFailure:
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                body = await response.content.read(ERROR_BODY_MAX_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError):
            body = b""
        error, our_trouble = refusal(response.status, body, response.headers.get("Retry-After", ""))
        if our_trouble and response.status == HTTP_FORBIDDEN and api.rules.check_path and not await self.check(api):
            # Some providers say so of what a request holds. Else anybody could take them off sale with a bad word.
            error, our_trouble = refused_request(body), False
        if our_trouble:
            self._refuses_us(api.name, response.status)
        return UpstreamFailure(Ending.REFUSED, error)

    def _refuses_us(self, api: str, status: int) -> None:
        if self.refused(api) is None:
            log.error("upstream %s refuses our key or quota (%d): off sale for a while", api, status)
        self._refused_until[api] = time.monotonic() + TROUBLE_SECONDS


def _in_words(error: aiohttp.ClientConnectionError) -> str:
    """Why there is no connection, for the operator."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or "it is not for this name"
            return f"its certificate is bad ({reason})"
        case aiohttp.ClientConnectorDNSError():
            return "its name leads nowhere"
        case aiohttp.ClientConnectorSSLError():
            return "no TLS connection"
        case aiohttp.ClientConnectorError():
            return "nothing accepts connections at its address"
        case aiohttp.ConnectionTimeoutError():
            return "no connection in time"
        case _:
            return type(error).__name__


def _body(order: Order, buyer: str, shared: Mapping[str, str]) -> _Body:
    """What is sent, and the headers that say what it is."""
    if order.attached is None:
        return _Body(data=order.upstream_body(buyer), headers={**shared, "Content-Type": "application/json"})
    boundary = secrets.token_hex(BOUNDARY_BYTES)
    pieces = list(order.attached.form(order.upstream_fields(buyer), boundary))
    form = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(encoded_size(pieces)),
    }
    return _Body(data=_form_bytes(pieces, order.attached), headers={**shared, **form})


class _Body(TypedDict):
    data: bytes | AsyncIterator[bytes]
    headers: dict[str, str]


async def _form_bytes(pieces: list[bytes | SentFile], attached: Attached) -> AsyncIterator[bytes]:
    """The form as it goes out: files are read while they are sent."""
    for piece in pieces:
        if isinstance(piece, SentFile):
            async for part in attached.source.pieces(piece.start, piece.size):
                yield part
        else:
            yield piece


def refusal(status: int, body: bytes, retry_after: str) -> tuple[ApiError, bool]:
    """What upstream's error status becomes for the buyer, and whether the trouble is with our key or quota."""
    error = _error_object(body)
    code = str(error.get("code") or error.get("type") or "")
    match status:
        case 401 | 402 | 403:
            return ApiError(Code.UPSTREAM_UNAVAILABLE), True
        case 429 if code in QUOTA_CODES:
            return ApiError(Code.UPSTREAM_UNAVAILABLE), True
        case 429:
            seconds = min(int(retry_after), RETRY_AFTER_MAX_SECONDS) if DIGITS.fullmatch(retry_after) else 1
            message = "The provider is busy. Nothing was charged."
            return ApiError(Code.RATE_LIMITED, message, headers={"Retry-After": str(seconds)}), False
        case 400 | 413 | 422:
            return refused_request(body), False
        case _:
            return ApiError(Code.UPSTREAM_ERROR, f"The provider failed ({status}). Nothing was charged."), False


def refused_request(body: bytes) -> ApiError:
    """What is wrong with a request, in upstream's words without our names."""
    error = _error_object(body)
    message = OUR_STANDING.sub("…", str(error.get("message") or "The provider refused the request."))
    param = error.get("param")
    return ApiError(Code.INVALID_FIELD_VALUE, message, param=param if isinstance(param, str) else None)


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    error = cast("dict[str, object]", document).get("error") if isinstance(document, dict) else None
    return cast("dict[str, Any]", error) if isinstance(error, dict) else {}
