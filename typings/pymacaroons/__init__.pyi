"""The part of pymacaroons 0.13 that lib/core/l402.py uses; the package ships no types."""

from collections.abc import Callable

MACAROON_V2: int

class Caveat:
    caveat_id_bytes: bytes
    verification_key_id: bytes | None

class Macaroon:
    caveats: list[Caveat]
    identifier_bytes: bytes
    def __init__(self, location: str, identifier: bytes, key: bytes, *, version: int) -> None: ...
    @classmethod
    def deserialize(cls, serialized: str) -> Macaroon: ...
    def add_first_party_caveat(self, predicate: str) -> Macaroon: ...
    def serialize(self) -> str: ...

class Verifier:
    def satisfy_general(self, func: Callable[[str], bool]) -> None: ...
    def verify(self, macaroon: Macaroon, key: bytes) -> bool: ...
