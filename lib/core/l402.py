"""L402: minting and verifying macaroons, and the exact text of a challenge.

Sources: the L402 protocol specification and bLIP-0026 for identifier, header and caveat rules; the go-macaroon /
libmacaroons V2 layout (not the specification's own byte table, which real libraries contradict) for the bytes.

A macaroon carries seven *facts*, minted by us as caveats 1 to 7, always all of them and in this order. Its holder may
append *limits* behind them, which only narrow. The signing key is derived per macaroon from a root key and the
ledger's id, so a ledger accepts nothing that it did not sell.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pymacaroons import MACAROON_V2, Macaroon, Verifier
from pymacaroons.exceptions import MacaroonInvalidSignatureException

from lib.core.money import BtcPrice, Msat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOCATION = "alittlebitofmoney"
IDENTIFIER_VERSION = b"\x00\x00"
TOKEN_ID_BYTES = 32
FINGERPRINT_BYTES = 4
NONCE_BYTES = TOKEN_ID_BYTES - 2 * FINGERPRINT_BYTES
HASH_BYTES = 32
MACAROON_MAX_BYTES = 4_096
MACAROONS_MAX_COUNT = 8
PROOF_NODE = "node"
"""The fact `proof` of a macaroon that needs no preimage: the server asks the node instead."""
FACT_NAMES = ("kind", "amount_msat", "btc_price", "quote_until", "account", "carry", "proof")


class PaymentKind(StrEnum):
    """What an invoice was made for."""

    CALL = "call"
    TOPUP = "topup"
    REFILL = "refill"


class InvalidL402(Exception):
    """Undecodable, forged, self-contradicting, or with a wrong preimage: 401, paying again would not help."""


class NotOurs(Exception):
    """Well-formed, but signed with a retired key or for another ledger: 402 with a fresh challenge."""


@dataclass(frozen=True, slots=True)
class RootKey:
    """One of the operator's root keys. `id` names it in macaroons without revealing it, and survives rotation."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """The first bytes of a keyed hash of the key."""
        return _hmac(self.secret, b"alittlebitofmoney/l402/key-id")[:FINGERPRINT_BYTES]

    def signing_key(self, ledger_id: bytes, identifier: bytes) -> bytes:
        """The key of one macaroon."""
        return _hmac(self.secret, b"alittlebitofmoney/l402/v0" + _fingerprint(ledger_id) + ledger_id + identifier)

    def derive(self, purpose: bytes) -> bytes:
        """A key for another purpose, as the keyed hash that stands for a buyer at upstream."""
        return _hmac(self.secret, b"alittlebitofmoney/derive/" + purpose)


@dataclass(frozen=True, slots=True)
class Facts:
    """What we promised when we minted. An absent fact is minted as an empty value, never left out."""

    kind: PaymentKind
    amount: Msat
    btc_price: BtcPrice | None = None
    quote_until: int | None = None
    """Unix seconds until which the first answer is sold at `btc_price`. It ends only the price, never the credit."""
    account: str | None = None
    carry: bytes | None = None
    proof: str = ""

    def caveats(self) -> list[str]:
        """The seven caveats, in order."""
        values = (
            self.kind.value,
            str(self.amount.value),
            "" if self.btc_price is None else str(self.btc_price.usd_micros),
            "" if self.quote_until is None else str(self.quote_until),
            self.account or "",
            self.carry.hex() if self.carry else "",
            self.proof,
        )
        return [f"{name}={value}" for name, value in zip(FACT_NAMES, values, strict=True)]

    @staticmethod
    def from_caveats(caveats: Sequence[str]) -> Facts:
        """Read our own seven caveats back. Raises InvalidL402 if they are not that."""
        pairs = [caveat.partition("=") for caveat in caveats[: len(FACT_NAMES)]]
        if tuple(name for name, _, _ in pairs) != FACT_NAMES:
            raise InvalidL402("the facts are missing or out of order")
        values = {name: value for name, _, value in pairs}
        price, until, carry = values["btc_price"], values["quote_until"], values["carry"]
        try:
            return Facts(
                kind=PaymentKind(values["kind"]),
                amount=Msat(int(values["amount_msat"])),
                btc_price=BtcPrice(int(price)) if price else None,
                quote_until=int(until) if until else None,
                account=values["account"] or None,
                carry=bytes.fromhex(carry) if carry else None,
                proof=values["proof"],
            )
        except ValueError as error:
            raise InvalidL402("a fact has an impossible value") from error


@dataclass(frozen=True, slots=True)
class Limits:
    """What holders of the macaroon appended. Absent means unlimited."""

    services: frozenset[str] | None
    valid_until: Mapping[str, int]
    """Unix seconds by service; a service here is the name of an API."""

    def permit(self, service: str, *, now_seconds: float) -> bool:
        """May the credential be spent on this API now? Unknown limits were skipped, as the protocol says."""
        if self.services is not None and service not in self.services:
            return False
        return now_seconds < self.valid_until.get(service, float("inf"))

    @property
    def unlimited(self) -> bool:
        """Nothing was appended that narrows."""
        return self.services is None and not self.valid_until

    def caveats(self) -> list[str]:
        """The same limits as caveats, for a macaroon that shall not be worth more than this one."""
        services = (
            [] if self.services is None else ["services=" + ",".join(f"{name}:0" for name in sorted(self.services))]
        )
        return services + [f"{service}_valid_until={seconds}" for service, seconds in sorted(self.valid_until.items())]


UNLIMITED = Limits(services=None, valid_until={})


@dataclass(frozen=True, slots=True)
class Signed:
    """A macaroon of ours; whether its invoice was paid is another question."""

    payment_hash: bytes
    key_id: bytes
    facts: Facts
    limits: Limits
    secret: bytes = field(repr=False)
    """What seals answers kept for its holder: the preimage, or, where that is not needed, what only we can derive."""

    def proven(self) -> Proven:
        """The caller knows that it was paid."""
        return Proven(self.payment_hash, self.key_id, self.facts, self.limits, self.secret)


@dataclass(frozen=True, slots=True)
class Proven:
    """A credential that holds: signed by us, paid (its preimage is known, or the node said so), its facts ours."""

    payment_hash: bytes
    key_id: bytes
    facts: Facts
    limits: Limits
    secret: bytes = field(repr=False)
    """What seals answers kept for its holder. It is the same whether or not the preimage was shown."""


def mint(
    key: RootKey, ledger_id: bytes, payment_hash: bytes, facts: Facts, nonce: bytes, limits: Limits = UNLIMITED
) -> str:
    """A macaroon for one invoice, in standard padded base64. `nonce` is NONCE_BYTES of randomness.

    `limits` are those of the credential whose account it will share: a difference must not widen an attenuation.
    """
    if len(payment_hash) != HASH_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError("a payment hash has 32 bytes, a nonce 24")
    identifier = IDENTIFIER_VERSION + payment_hash + key.id + _fingerprint(ledger_id) + nonce
    macaroon = Macaroon(
        location=LOCATION, identifier=identifier, key=key.signing_key(ledger_id, identifier), version=MACAROON_V2
    )
    for caveat in [*facts.caveats(), *limits.caveats()]:
        macaroon.add_first_party_caveat(caveat)
    url_safe = macaroon.serialize()
    return base64.b64encode(base64.urlsafe_b64decode(url_safe + "=" * (-len(url_safe) % 4))).decode()


def challenge_header(macaroon: str, bolt11: str) -> str:
    """The first `WWW-Authenticate` line of a 402.

    Byte for byte the one form that every known client parses: upper-case scheme, `macaroon` directly behind it, then
    comma and space, `invoice`, both quoted; the parameters of the newer drafts only behind these.
    """
    return f'L402 macaroon="{macaroon}", invoice="{bolt11}", version="0", token="{macaroon}"'


def verify(macaroons: Sequence[str], preimage: bytes, keys: Sequence[RootKey], ledger_id: bytes) -> Proven:
    """Prove a credential by hashing alone. Raises InvalidL402 or NotOurs; both messages are safe to show.

    Several macaroons of one payment hold together: each is verified, and every limit of each applies.
    """
    return _verify_all(macaroons, preimage, keys, ledger_id).proven()


def read(macaroons: Sequence[str], keys: Sequence[RootKey], ledger_id: bytes) -> Signed:
    """Verify everything but the payment. Raises InvalidL402 or NotOurs."""
    return _verify_all(macaroons, None, keys, ledger_id)


def _verify_all(macaroons: Sequence[str], preimage: bytes | None, keys: Sequence[RootKey], ledger_id: bytes) -> Signed:
    if not 0 < len(macaroons) <= MACAROONS_MAX_COUNT:
        raise InvalidL402("too many macaroons")
    parts = [_verify_one(_decode(text), preimage, keys, ledger_id) for text in macaroons]
    first = parts[0]
    if any((part.payment_hash, part.facts) != (first.payment_hash, first.facts) for part in parts[1:]):
        raise InvalidL402("the macaroons contradict each other")
    limits = _both([part.limits for part in parts])
    return Signed(first.payment_hash, first.key_id, first.facts, limits, first.secret)


def _verify_one(macaroon: Macaroon, preimage: bytes | None, keys: Sequence[RootKey], ledger_id: bytes) -> Signed:
    identifier = _identifier(macaroon)
    payment_hash, token_id = identifier[2 : 2 + HASH_BYTES], identifier[2 + HASH_BYTES :]
    if preimage is not None and not hmac.compare_digest(hashlib.sha256(preimage).digest(), payment_hash):
        raise InvalidL402("the preimage is not the one of this invoice")
    key = next((key for key in keys if key.id == token_id[:FINGERPRINT_BYTES]), None)
    if key is None or token_id[FINGERPRINT_BYTES : 2 * FINGERPRINT_BYTES] != _fingerprint(ledger_id):
        raise NotOurs("this credential is not valid here any more")
    caveats = _caveats(macaroon)
    verifier = Verifier()
    verifier.satisfy_general(lambda _: True)  # the chain only; what the caveats say is judged below
    try:
        verifier.verify(macaroon, key.signing_key(ledger_id, identifier))
    except MacaroonInvalidSignatureException as error:
        raise InvalidL402("the signature does not hold") from error
    facts = Facts.from_caveats(caveats)
    secret = preimage if facts.proof != PROOF_NODE else None
    secret = secret or key.derive(b"kept-answers/" + payment_hash)
    return Signed(payment_hash, key.id, facts, _limits(caveats[len(FACT_NAMES) :], payment_hash), secret)


def _decode(text: str) -> Macaroon:
    """Standard or URL-safe base64, padded or not; V2 only, because the V1 parser can be made to loop."""
    if len(text) > MACAROON_MAX_BYTES * 4 // 3:
        raise InvalidL402("the macaroon is too long")
    try:
        bare = text.replace("-", "+").replace("_", "/").rstrip("=")
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
        if raw[:1] != bytes([MACAROON_V2]):
            raise InvalidL402("not a version 2 macaroon")
        return Macaroon.deserialize(base64.urlsafe_b64encode(raw).decode())
    except InvalidL402:
        raise
    except Exception as error:  # the library raises anything, IndexError included, on hostile bytes
        raise InvalidL402("the macaroon cannot be decoded") from error


def _identifier(macaroon: Macaroon) -> bytes:
    identifier = macaroon.identifier_bytes
    if len(identifier) != 2 + HASH_BYTES + TOKEN_ID_BYTES or identifier[:2] != IDENTIFIER_VERSION:
        raise InvalidL402("not an L402 identifier")
    return identifier


def _caveats(macaroon: Macaroon) -> list[str]:
    texts: list[str] = []
    for caveat in macaroon.caveats:
        if caveat.verification_key_id is not None:
            raise InvalidL402("third-party caveats are not accepted")
        try:
            texts.append(caveat.caveat_id_bytes.decode())
        except UnicodeDecodeError as error:
            raise InvalidL402("a caveat is not text") from error
    return texts


def _limits(appended: Sequence[str], payment_hash: bytes) -> Limits:
    """Read appended caveats: each condition may only narrow its former value, facts may not be repeated."""
    services: frozenset[str] | None = None
    valid_until: dict[str, int] = {}
    for caveat in appended:
        name, _, value = caveat.partition("=")
        if name in FACT_NAMES:
            raise InvalidL402("a fact was appended")
        if name == "preimage" and not _is_preimage_of(value, payment_hash):
            raise InvalidL402("the preimage caveat disagrees")
        if name == "services":
            named = frozenset(item.partition(":")[0] for item in value.split(","))
            if services is not None and not named <= services:
                raise InvalidL402("a caveat widens the services")
            services = named
        if name.endswith("_valid_until"):
            _narrow(valid_until, name.removesuffix("_valid_until"), value)
    return Limits(services, valid_until)


def _narrow(valid_until: dict[str, int], service: str, value: str) -> None:
    if not (value.isascii() and value.isdigit()):
        raise InvalidL402("a time limit is not a number of seconds")
    seconds = int(value[:20])
    if seconds > valid_until.get(service, seconds):
        raise InvalidL402("a caveat widens a time limit")
    valid_until[service] = seconds


def _both(limits: Sequence[Limits]) -> Limits:
    """The intersection: everything any part forbids is forbidden."""
    services: frozenset[str] | None = None
    until: dict[str, int] = {}
    for part in limits:
        if part.services is not None:
            services = part.services if services is None else services & part.services
        for service, seconds in part.valid_until.items():
            until[service] = min(seconds, until.get(service, seconds))
    return Limits(services, until)


def _is_preimage_of(text: str, payment_hash: bytes) -> bool:
    try:
        return hashlib.sha256(binascii.unhexlify(text)).digest() == payment_hash
    except ValueError:
        return False


def _fingerprint(ledger_id: bytes) -> bytes:
    return hashlib.sha256(b"alittlebitofmoney/ledger" + ledger_id).digest()[:FINGERPRINT_BYTES]


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
