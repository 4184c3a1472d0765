"""Macaroons with nothing but `hmac`: the V2 layout and signature chain of go-macaroon and libmacaroons."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace

KEY_GENERATOR = b"macaroons-key-generator"
VERSION = b"\x02"
END = b"\x00"
LOCATION_FIELD, IDENTIFIER_FIELD, SIGNATURE_FIELD = 1, 2, 6


def keyed(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key, message, hashlib.sha256)


@dataclass(frozen=True, slots=True)
class PlainMacaroon:
    """What the bytes say. Anybody who holds one can append; only the key's owner can begin a chain."""

    location: bytes
    identifier: bytes
    caveats: tuple[bytes, ...]
    signature: bytes

    @property
    def bytes(self) -> bytes:
        """Version 2, binary."""
        fields = [VERSION, field(LOCATION_FIELD, self.location), field(IDENTIFIER_FIELD, self.identifier), END]
        for caveat in self.caveats:
            fields += [field(IDENTIFIER_FIELD, caveat), END]
        return b"".join([*fields, END, field(SIGNATURE_FIELD, self.signature)])

    @property
    def text(self) -> str:
        """Standard base64 with padding."""
        return base64.b64encode(self.bytes).decode()

    def with_caveats(self, *caveats: str) -> PlainMacaroon:
        """What any holder can do."""
        found = self
        for caveat in caveats:
            raw = caveat.encode()
            found = replace(found, caveats=(*found.caveats, raw), signature=keyed(found.signature, raw))
        return found


def begun(key: bytes, identifier: bytes, location: bytes = b"alittlebitofmoney") -> PlainMacaroon:
    """A macaroon without caveats, signed with its root key."""
    return PlainMacaroon(location, identifier, (), keyed(keyed(KEY_GENERATOR, key), identifier))


def decoded(text: str) -> PlainMacaroon:
    """Read one back, in as few words as go-macaroon's parser needs. Raises ValueError."""
    raw = base64.b64decode(text, validate=True)
    if raw[:1] != VERSION:
        raise ValueError("not version 2")
    location, at = _field(raw, 1, LOCATION_FIELD)
    identifier, at = _field(raw, at, IDENTIFIER_FIELD)
    at = _end(raw, at)
    caveats: list[bytes] = []
    while raw[at : at + 1] != END:
        caveat, at = _field(raw, at, IDENTIFIER_FIELD)
        at = _end(raw, at)
        caveats.append(caveat)
    signature, at = _field(raw, _end(raw, at), SIGNATURE_FIELD)
    if at != len(raw):
        raise ValueError("bytes behind the end")
    return PlainMacaroon(location, identifier, tuple(caveats), signature)


def appended(text: str, *caveats: str) -> str:
    """A macaroon as its holder hands it on after appending caveats."""
    return decoded(text).with_caveats(*caveats).text


def caveats_of(text: str) -> Sequence[str]:
    """What a macaroon says, in order."""
    return [caveat.decode() for caveat in decoded(text).caveats]


def field(number: int, data: bytes) -> bytes:
    """Number, length as a varint, data."""
    length, varint = len(data), b""
    while length > 0x7F:
        varint, length = varint + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number]) + varint + bytes([length]) + data


def _field(raw: bytes, at: int, number: int) -> tuple[bytes, int]:
    if raw[at] != number:
        raise ValueError(f"field {number} is not at {at}")
    at, length, shift = at + 1, 0, 0
    while raw[at] & 0x80:
        length, shift, at = length | (raw[at] & 0x7F) << shift, shift + 7, at + 1
    length |= raw[at] << shift
    return raw[at + 1 : at + 1 + length], at + 1 + length


def _end(raw: bytes, at: int) -> int:
    if raw[at : at + 1] != END:
        raise ValueError(f"no end at {at}")
    return at + 1
