"""What a caller presents: nothing, an L402 credential, or a bearer token. Nothing is proven here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lib.core.errors import ApiError, Code

if TYPE_CHECKING:
    from collections.abc import Iterable

UNPAID_KEY = "l402"
"""The literal API key that means "I have not paid yet", so that an SDK that insists on a key can be answered 402."""
CREDENTIAL_MAX_BYTES = 16_384
PREIMAGE_HEX = re.compile(r"[0-9a-fA-F]{64}")
PROVIDER_KEY = re.compile(r"(sk|gsk|xai|AIza)[-_A-Za-z0-9]{16,}")


@dataclass(frozen=True, slots=True)
class Unpaid:
    """No credential, or one that says so: the literal key `l402`."""


@dataclass(frozen=True, slots=True)
class L402Credential:
    """One or more macaroons and the preimage that proves their payment."""

    macaroons: tuple[str, ...]
    preimage: bytes

    def __repr__(self) -> str:
        """Without the secret."""
        return "L402Credential(…)"


@dataclass(frozen=True, slots=True)
class Unproven:
    """Macaroons without a preimage: unpaid, unless one was minted to be proven by the node."""

    macaroons: tuple[str, ...]

    def __repr__(self) -> str:
        """Without the macaroons."""
        return "Unproven(…)"


@dataclass(frozen=True, slots=True)
class Bearer:
    """A prepaid token."""

    token: str

    def __repr__(self) -> str:
        """Without the secret."""
        return "Bearer(…)"


Presented: TypeAlias = Unpaid | Unproven | L402Credential | Bearer


def parse(headers: Iterable[tuple[bytes, bytes]]) -> Presented:
    """Read `Authorization` and `x-api-key`; header names in lower case, as ASGI gives them.

    Schemes in any case; `LSAT` is the old name of `L402`; some clients send both lines, the first one counts. A stock
    SDK can carry an L402 credential as its API key: `Bearer <macaroon>:<preimage>`. Raises ApiError invalid_l402 for
    what cannot be read and invalid_token for an unknown scheme.
    """
    for name, value in headers:
        if name == b"authorization":
            return _authorization(_text(value))
        if name == b"x-api-key":
            return _key(_text(value))
    return Unpaid()


def _authorization(value: str) -> Presented:
    scheme, _, rest = value.strip().partition(" ")
    match scheme.upper():
        case "L402" | "LSAT":
            return _l402(rest.strip())
        case "BEARER":
            return _key(rest.strip())
        case _:
            raise ApiError(Code.INVALID_TOKEN, "This Authorization scheme is not known here.")


def _key(key: str) -> Presented:
    if not key or key.lower() == UNPAID_KEY:
        return Unpaid()
    if ":" in key:
        return _l402(key)
    return Bearer(key)


def _l402(text: str) -> Presented:
    macaroons, colon, preimage = text.rpartition(":")
    if not colon:
        raise ApiError(Code.INVALID_L402, "An L402 credential is a macaroon, a colon and the preimage in hex.")
    parts = tuple(part.strip() for part in macaroons.split(","))
    if not preimage:
        return Unproven(parts) if macaroons.strip() else Unpaid()
    return L402Credential(parts, preimage_of(preimage, Code.INVALID_L402))


def preimage_of(text: str, code: Code) -> bytes:
    """64 hexadecimal digits. Raises ApiError with `code`; the text is never repeated."""
    if not PREIMAGE_HEX.fullmatch(text):
        raise ApiError(code, "The preimage must be 64 hexadecimal digits.")
    return bytes.fromhex(text)


def unknown_token(token: str) -> ApiError:
    """The 401 for a bearer token that owns nothing; a real provider's key gets a sentence of warning."""
    if PROVIDER_KEY.fullmatch(token):
        return ApiError(
            Code.INVALID_TOKEN,
            "This looks like a provider's own API key. It is of no use here and was not stored; "
            "consider it exposed to this server and send our token instead, or the key `l402` to be asked to pay.",
        )
    return ApiError(Code.INVALID_TOKEN)


def _text(value: bytes) -> str:
    if len(value) > CREDENTIAL_MAX_BYTES:
        raise ApiError(Code.INVALID_L402, "The credential is too long.")
    return value.decode("latin-1")
