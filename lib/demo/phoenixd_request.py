"""How phoenixd 0.8.0 reads a request: forms, Kotlin's idea of a number, and the exact texts of its refusals."""

from __future__ import annotations

import re
import uuid
from email import message_from_bytes, policy
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
JSON = "application/json"
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1


class Refusal(Exception):
    """The call is answered with this status and plain text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Parameters:
    """Named texts of a form, a query or a path. Every method raises Refusal (400) for what it cannot read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str) -> str | None:
        """As sent, or None."""
        return self._values.get(name)

    def required(self, name: str) -> str:
        """As sent."""
        value = self._values.get(name)
        if value is None:
            raise Refusal(400, f"Request parameter {name} is missing")
        return value

    def integer(self, name: str) -> int | None:
        """Kotlin's toLongOrNull: a sign and digits, 64 bits; no spaces, no fraction."""
        value = self._values.get(name)
        if value is None:
            return None
        number = int(value) if re.fullmatch(r"[+-]?[0-9]{1,20}", value) else None
        if number is None or not LONG_MIN <= number <= LONG_MAX:
            raise self.unreadable(name, "integer")
        return number

    def hex32(self, name: str) -> str | None:
        """32 bytes as 64 hex digits; comes back in lower case."""
        value = self._values.get(name)
        if value is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", value):
            raise self.unreadable(name, "hex32")
        return None if value is None else value.lower()

    def uuid(self, name: str) -> str:
        """A UUID in its usual form."""
        value = self.required(name)
        try:
            return str(uuid.UUID(value))
        except ValueError:
            raise self.unreadable(name, "uuid") from None

    def url(self, name: str) -> str | None:
        """A URL; an empty one is taken."""
        value = self._values.get(name)
        if value:
            try:
                urlsplit(value).port  # noqa: B018 - the property parses, and raises for a bad port
            except ValueError:
                raise self.unreadable(name, "url") from None
            if re.search(r"\s", value):
                raise self.unreadable(name, "url")
        return value

    def flag(self, name: str) -> bool:
        """True only for the text "true", in any case."""
        return (self._values.get(name) or "").lower() == "true"

    def unreadable(self, name: str, kind: str) -> Refusal:
        """The refusal of a value that is not a `kind`."""
        return Refusal(400, f"Request parameter {name} couldn't be parsed/converted to {kind}")


async def form_of(request: Request) -> Parameters:
    """The request's form fields, the first value of each. Raises Refusal: 400 for JSON, 415 for no or another type."""
    content_type = request.headers.get("content-type", "")
    kind = content_type.split(";")[0].strip().lower()
    if kind == JSON:
        raise Refusal(400, "Failed to convert request body to class io.ktor.http.Parameters")
    if kind not in (FORM, MULTIPART):
        raise Refusal(415, "Cannot transform this request's content to io.ktor.http.Parameters")
    body = await request.body()
    if kind == FORM:
        return Parameters(first_values(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)))
    return Parameters(first_values(_multipart_fields(content_type, body)))


def query_of(request: Request) -> Parameters:
    """The query string's values."""
    return Parameters(first_values(request.query_params.multi_items()))


def path_of(request: Request) -> Parameters:
    """The path's values."""
    return Parameters({name: str(value) for name, value in request.path_params.items()})


def first_values(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """One value for each name: the first."""
    return dict(reversed(pairs))


def _multipart_fields(content_type: str, body: bytes) -> list[tuple[str, str]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = message_from_bytes(head + body, policy=policy.HTTP)
    fields: list[tuple[str, str]] = []
    for part in message.iter_parts() if message.is_multipart() else ():
        name, payload = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields.append((name, payload.decode("utf-8", "replace")))
    return fields
