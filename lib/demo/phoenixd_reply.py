"""How phoenixd 0.8.0 writes its replies: 4-space JSON without nulls, keys in its order, plain text for the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import Response

from lib.demo.wallet import MSAT_PER_SAT

if TYPE_CHECKING:
    from lib.demo.invoice import ReadInvoice
    from lib.demo.wallet import Incoming, Outgoing, Wallet

VERSION = "0.8.0-de6f8ae"
CHAIN = "mainnet"
BLOCK_HEIGHT = 900_000
CHANNEL_CAPACITY_SAT = 100_000_000
DOUBLE_HEADER = {"X-Double": "alittlebitofmoney-demo"}


def json_reply(value: object) -> Response:
    """Pretty-printed, raw UTF-8, `application/json` with no charset. Null fields of objects are left out."""
    text = json.dumps(_without_nulls(value), indent=4, ensure_ascii=False)
    return Response(text, headers={"content-type": "application/json", **DOUBLE_HEADER})


def text_reply(status: int, text: str, **headers: str) -> Response:
    """Plain text, as every error is."""
    return Response(text, status, headers={"content-type": "text/plain; charset=UTF-8", **headers, **DOUBLE_HEADER})


def node_info(wallet: Wallet) -> dict[str, Any]:
    """GET /getinfo. A channel whose peer is away shows its state only."""
    return {
        "nodeId": wallet.node_id,
        "channels": [_channel(wallet)],
        "chain": CHAIN,
        "blockHeight": BLOCK_HEIGHT,
        "version": VERSION,
    }


def balance(wallet: Wallet) -> dict[str, int]:
    """GET /getbalance. Only connected channels count."""
    offline = wallet.knobs.current.peer_offline
    return {
        "balanceSat": 0 if offline else wallet.balance_msat // MSAT_PER_SAT,
        "feeCreditSat": wallet.fee_credit_msat // MSAT_PER_SAT,
    }


def channels(wallet: Wallet) -> list[dict[str, Any]]:
    """GET /listchannels: opaque to clients, so only what names the state."""
    state = "Offline" if wallet.knobs.current.peer_offline else "Normal"
    return [{"type": f"fr.acinq.lightning.channel.states.{state}", "channelId": _channel_id(wallet)}]


def created_invoice(invoice: Incoming) -> dict[str, Any]:
    """POST /createinvoice."""
    return {"amountSat": invoice.requested_sat, "paymentHash": invoice.payment_hash, "serialized": invoice.bolt11}


def incoming_payment(wallet: Wallet, invoice: Incoming) -> dict[str, Any]:
    """GET /payments/incoming. The preimage is there before anyone paid; expired says nothing about paid."""
    paid = is_paid(wallet, invoice)
    return {
        "type": "incoming_payment",
        "subType": "lightning",
        "paymentHash": invoice.payment_hash,
        "preimage": invoice.preimage,
        "externalId": invoice.external_id,
        "description": invoice.description,
        "invoice": invoice.bolt11,
        "isPaid": paid,
        "isExpired": wallet.clock.now_ms() > invoice.expires_at_ms,
        "requestedSat": invoice.requested_sat,
        "receivedSat": invoice.received_msat // MSAT_PER_SAT if paid else 0,
        "fees": invoice.fees_msat if paid else 0,
        "expiresAt": invoice.expires_at_ms,
        "completedAt": invoice.completed_at_ms if paid else None,
        "createdAt": invoice.created_at_ms,
    }


def is_paid(wallet: Wallet, invoice: Incoming) -> bool:
    """What the node says, which the knob `say_unpaid` can make a lie."""
    return invoice.completed_at_ms is not None and not wallet.knobs.current.say_unpaid


def payment_sent(payment: Outgoing) -> dict[str, Any]:
    """POST /payinvoice, when it succeeded."""
    return {
        "recipientAmountSat": payment.amount_msat // MSAT_PER_SAT,
        "routingFeeSat": payment.fees_msat // MSAT_PER_SAT,
        "paymentId": payment.payment_id,
        "paymentHash": payment.payment_hash,
        "paymentPreimage": payment.preimage,
    }


def outgoing_payment(payment: Outgoing) -> dict[str, Any]:
    """GET /payments/outgoing. `sent` counts the fees; why a payment failed is not told."""
    return {
        "type": "outgoing_payment",
        "subType": "lightning",
        "paymentId": payment.payment_id,
        "paymentHash": payment.payment_hash,
        "preimage": payment.preimage,
        "isPaid": payment.preimage is not None,
        "sent": (payment.amount_msat + payment.fees_msat) // MSAT_PER_SAT,
        "fees": payment.fees_msat,
        "invoice": payment.bolt11,
        "completedAt": payment.completed_at_ms,
        "createdAt": payment.created_at_ms,
    }


def decoded_invoice(invoice: ReadInvoice) -> dict[str, Any]:
    """POST /decodeinvoice. `amount` is msat."""
    terms = invoice.terms
    return {
        "chain": CHAIN,
        "amount": terms.amount_msat,
        "paymentHash": terms.payment_hash,
        "description": terms.description,
        "descriptionHash": terms.description_hash,
        "minFinalCltvExpiryDelta": invoice.min_final_cltv_blocks,
        "paymentSecret": invoice.payment_secret,
        "paymentMetadata": invoice.payment_metadata,
        "expirySeconds": terms.expiry_seconds,
        "extraHops": [invoice.extra_hops],
        "features": {"activated": invoice.features, "unknown": []},
        "timestampSeconds": terms.timestamp_seconds,
    }


def _channel(wallet: Wallet) -> dict[str, Any]:
    if wallet.knobs.current.peer_offline:
        return {"state": "Offline(Normal)"}
    balance_sat = wallet.balance_msat // MSAT_PER_SAT
    return {
        "state": "Normal",
        "channelId": _channel_id(wallet),
        "balanceSat": balance_sat,
        "inboundLiquiditySat": max(0, CHANNEL_CAPACITY_SAT - balance_sat),
        "capacitySat": CHANNEL_CAPACITY_SAT,
        "fundingTxId": wallet.node_id[:1:-1],
    }


def _channel_id(wallet: Wallet) -> str:
    return wallet.node_id[2:]


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {name: _without_nulls(field) for name, field in fields.items() if field is not None}
    if isinstance(value, list):
        items = cast("list[object]", value)
        return [_without_nulls(item) for item in items]
    return value
