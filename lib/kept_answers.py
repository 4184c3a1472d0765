"""Seals answers that are kept for their buyers, under the buyer's own secret.

Who reads the database alone learns nothing of them: the key is made of the token, the preimage or, for a macaroon that
needs no preimage, of a secret that only this server can derive; a macaroon's text opens nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

NONCE_BYTES = SecretBox.NONCE_SIZE
PURPOSE = b"alb/kept-answer"
"""Separates these keys from every other use of the same secret; 16 bytes at most, as BLAKE2 has it."""


class Unreadable(ValueError):
    """Sealed under another secret, or damaged."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A complete answer, as its buyer was to see it. Its status is 200."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


def sealed(whole: Whole | None, secret: bytes, name: bytes, nonce: bytes) -> bytes:
    """The answer for the ledger. `name` is what it is kept under; `nonce` is NONCE_BYTES of randomness.

    None stands for an answer that was delivered and is too large to keep.
    """
    if whole is None:
        plain = b"null\n"
    else:
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in whole.headers]
        plain = orjson.dumps(headers) + b"\n" + whole.body
    return bytes(_box(secret, name).encrypt(plain, nonce))


def opened(box: bytes, secret: bytes, name: bytes) -> Whole | None:
    """What `sealed` was given. Raises Unreadable."""
    try:
        plain = _box(secret, name).decrypt(box)
    except CryptoError as error:
        raise Unreadable("this answer was sealed under another secret") from error
    head, _, body = plain.partition(b"\n")
    headers: list[tuple[str, str]] | None = orjson.loads(head)
    if headers is None:
        return None
    return Whole([(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers], body)


def _box(secret: bytes, name: bytes) -> SecretBox:
    return SecretBox(
        hashlib.blake2b(name, key=hashlib.sha256(secret).digest(), person=PURPOSE, digest_size=32).digest()
    )
