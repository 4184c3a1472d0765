"""Real BOLT11 invoices: signed by the wallet that asks, decodable by anyone.

Contents follow phoenixd 0.8.0: the same tags in the same order, one route hint through ACINQ's node, the payee
recovered from the signature. Making or reading one takes some milliseconds of pure Python.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cache

import bolt11
from bolt11 import Bolt11, Bolt11Exception, FeatureState, MilliSatoshi, Tag, TagChar, Tags
from bolt11.models.features import Feature, FeatureExtra, Features
from bolt11.models.routehint import Route, RouteHint

ACINQ_MAINNET_NODE_ID = "03864ef025fde8fb587d989186ce6a4a186895ee44a926bfc370e2c366597a3f8f"
MIN_FINAL_CLTV_BLOCKS = 144
HINT_BASE_FEE_MSAT = 1_000
HINT_FEE_MILLIONTHS = 100
PAYMENT_METADATA_HEX = "2a"
# A mainnet invoice's prefix is "lnbc" + amount; "no amount given" and "amount of zero" differ in the prefix only.
CURRENCY = "bc"
CURRENCY_WITH_ZERO_AMOUNT = "bc0"


class NotAnInvoice(ValueError):
    """The text is not a BOLT11 invoice with a valid checksum and signature."""


@dataclass(frozen=True, slots=True)
class InvoiceTerms:
    """What an invoice says. `amount_msat` is None where any amount settles it; one of the descriptions is None."""

    payment_hash: str
    amount_msat: int | None
    description: str | None
    description_hash: str | None
    expiry_seconds: int
    timestamp_seconds: int


@dataclass(frozen=True, slots=True)
class ReadInvoice:
    """An invoice as its reader sees it. `payee` is the signer's node id, hex."""

    terms: InvoiceTerms
    payee: str
    payment_secret: str
    payment_metadata: str | None
    min_final_cltv_blocks: int
    features: dict[str, str]
    extra_hops: list[dict[str, object]]


def sign_invoice(terms: InvoiceTerms, *, node_id: str, private_key: str, zero_amount: bool = False) -> str:
    """The BOLT11 text. `zero_amount`: it was asked for with an amount of 0, which the prefix shows as `lnbc0`."""
    tags = [
        Tag(TagChar.payment_hash, terms.payment_hash),
        Tag(TagChar.min_final_cltv_expiry, MIN_FINAL_CLTV_BLOCKS),
        Tag(TagChar.payment_secret, secrets.token_hex(32)),
        Tag(TagChar.features, _features()),
        _description_tag(terms),
        Tag(TagChar.metadata, PAYMENT_METADATA_HEX),
        Tag(TagChar.expire_time, terms.expiry_seconds),
        Tag(TagChar.route_hint, _route_hint(node_id)),
    ]
    invoice = Bolt11(
        currency=CURRENCY_WITH_ZERO_AMOUNT if zero_amount else CURRENCY,
        date=terms.timestamp_seconds,
        amount_msat=None if terms.amount_msat is None else MilliSatoshi(terms.amount_msat),
        tags=Tags(tags),
    )
    return bolt11.encode(invoice, private_key)


def read_invoice(text: str) -> ReadInvoice:
    """Decode and check the signature. Raises NotAnInvoice."""
    try:
        invoice = bolt11.decode(text)
        payee, secret = invoice.payee, invoice.payment_secret
    except (Bolt11Exception, ValueError, IndexError, ArithmeticError, OverflowError) as exc:
        raise NotAnInvoice(str(exc)) from exc
    if payee is None or secret is None:
        raise NotAnInvoice("no payee or payment secret")
    terms = InvoiceTerms(
        payment_hash=invoice.payment_hash,
        amount_msat=int(invoice.amount_msat) if invoice.amount_msat else None,
        description=invoice.description,
        description_hash=invoice.description_hash,
        expiry_seconds=invoice.expiry,
        timestamp_seconds=invoice.date,
    )
    return ReadInvoice(
        terms=terms,
        payee=payee,
        payment_secret=secret,
        payment_metadata=invoice.metadata,
        min_final_cltv_blocks=invoice.min_final_cltv_expiry,
        features=_feature_names(invoice.features),
        extra_hops=_hops(invoice.route_hints or []),
    )


def _description_tag(terms: InvoiceTerms) -> Tag:
    if terms.description_hash is not None:
        return Tag(TagChar.description_hash, terms.description_hash)
    return Tag(TagChar.description, terms.description or "")


@cache
def _features() -> Features:
    """Bits 8, 14 (mandatory), 17, 49 and 149 (optional): what phoenixd announces."""
    return Features.from_feature_list(
        {
            Feature.var_onion_optin: FeatureState.required,
            Feature.payment_secret: FeatureState.required,
            Feature.basic_mpp: FeatureState.supported,
            FeatureExtra(24): FeatureState.supported,
            FeatureExtra(74): FeatureState.supported,
        }
    )


def _route_hint(node_id: str) -> RouteHint:
    """One hop through ACINQ; its channel id is 0xff and the last seven bytes of our own node id."""
    scid = b"\xff" + bytes.fromhex(node_id)[-7:]
    block = int.from_bytes(scid[:3], signed=True)  # bolt11 packs the whole as a signed number
    tx, output = int.from_bytes(scid[3:6]), int.from_bytes(scid[6:])
    hop = Route(
        public_key=ACINQ_MAINNET_NODE_ID,
        short_channel_id=f"{block}x{tx}x{output}",
        base_fee=HINT_BASE_FEE_MSAT,
        ppm_fee=HINT_FEE_MILLIONTHS,
        cltv_expiry_delta=MIN_FINAL_CLTV_BLOCKS,
    )
    return RouteHint(routes=[hop])


def _feature_names(features: Features | None) -> dict[str, str]:
    if features is None:
        return {}
    names = {FeatureState.required: "Mandatory", FeatureState.supported: "Optional"}
    return {feature.name: names[state] for feature, state in features.feature_list.items()}


def _hops(hints: list[RouteHint]) -> list[dict[str, object]]:
    return [
        {
            "nodeId": hop.public_key,
            "shortChannelId": hop.short_channel_id,
            "feeBase": hop.base_fee,
            "feeProportionalMillionths": hop.ppm_fee,
            "cltvExpiryDelta": hop.cltv_expiry_delta,
        }
        for hint in hints
        for hop in hint.routes
    ]
