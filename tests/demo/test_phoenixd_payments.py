"""Invoices and payments of the node doubles: real BOLT11, real preimages, exact fees, phoenixd's own oddities."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from typing import Any

import bolt11
import httpx
import pytest

from lib.demo.parts import DemoParts, PaymentFailed
from tests.demo.conftest import until


async def invoice_for(node: httpx.AsyncClient, sat: int | None, **form: str) -> dict[str, Any]:
    amount = {} if sat is None else {"amountSat": str(sat)}
    reply = await node.post("/createinvoice", data={"description": "one call", **amount, **form})
    assert reply.status_code == 200, reply.text
    return reply.json()


async def pay(node: httpx.AsyncClient, text: str, **form: str) -> dict[str, Any]:
    reply = await node.post("/payinvoice", data={"invoice": text, **form})
    assert reply.status_code == 200, reply.text
    return reply.json()


async def incoming(node: httpx.AsyncClient, payment_hash: str) -> dict[str, Any]:
    return (await node.get(f"/payments/incoming/{payment_hash}")).json()


def fields(text: str) -> list[str]:
    return text.split()


async def test_an_invoice_is_a_real_one(seller: httpx.AsyncClient) -> None:
    """Anybody can decode it: signed by the node, for the amount, good for a day, the hash of the node's preimage."""
    node_id = (await seller.get("/getinfo")).json()["nodeId"]

    made = await invoice_for(seller, 100)
    read = bolt11.decode(made["serialized"])
    known = await incoming(seller, made["paymentHash"])

    assert list(made) == ["amountSat", "paymentHash", "serialized"]
    assert made["serialized"].startswith("lnbc1u1")
    assert (read.payee, read.amount_msat, read.expiry) == (node_id, 100_000, 86_400)
    assert (read.payment_hash, read.description) == (made["paymentHash"], "one call")
    assert hashlib.sha256(bytes.fromhex(known["preimage"])).hexdigest() == made["paymentHash"]
    assert [tag.char.value for tag in read.tags] == list("pcs9dmxrn")


async def test_an_unpaid_invoice_already_shows_its_preimage(seller: httpx.AsyncClient) -> None:
    """phoenixd tells the preimage before anyone paid, even to the limited password; absent fields are left out."""
    made = await invoice_for(seller, 100, externalId="")

    known = await incoming(seller, made["paymentHash"])

    assert list(known) == fields(
        "type subType paymentHash preimage externalId description invoice isPaid isExpired requestedSat receivedSat "
        "fees expiresAt createdAt"
    )
    assert (known["isPaid"], known["receivedSat"], known["externalId"]) == (False, 0, "")
    assert known["expiresAt"] - known["createdAt"] == 86_400_000


async def test_paying_moves_the_amount_and_the_fee(
    seller: httpx.AsyncClient, payer: httpx.AsyncClient, parts: DemoParts
) -> None:
    """1,000 sat arrive; the payer loses them and 4 sat + 0.4 %, to the millisat; its proof is the seller's preimage."""
    made = await invoice_for(seller, 1_000)

    sent = await pay(payer, made["serialized"])
    known = await incoming(seller, made["paymentHash"])

    assert list(sent) == fields("recipientAmountSat routingFeeSat paymentId paymentHash paymentPreimage")
    assert (sent["recipientAmountSat"], sent["routingFeeSat"]) == (1_000, 8)
    assert sent["paymentPreimage"] == known["preimage"]
    assert (known["isPaid"], known["receivedSat"], known["fees"]) == (True, 1_000, 0)
    assert known["completedAt"] >= known["createdAt"]
    assert (await seller.get("/getbalance")).json() == {"balanceSat": 1_000, "feeCreditSat": 0}
    assert parts.ledger("payer")["balance_msat"] == 10_000_000_000 - 1_000_000 - 8_000


async def test_a_fee_is_rounded_down_to_sat_only_where_shown(
    seller: httpx.AsyncClient, payer: httpx.AsyncClient, parts: DemoParts
) -> None:
    """7 sat cost 4,028 msat of fee; the reply says 4 sat."""
    made = await invoice_for(seller, 7)

    sent = await pay(payer, made["serialized"])

    assert sent["routingFeeSat"] == 4
    assert parts.ledger("payer")["outgoing"][0]["fees_msat"] == 4_028


async def test_an_invoice_is_paid_once(seller: httpx.AsyncClient, payer: httpx.AsyncClient, parts: DemoParts) -> None:
    """A second payment fails with phoenixd's reason, status 200, and moves nothing."""
    made = await invoice_for(seller, 10)
    await pay(payer, made["serialized"])
    before = parts.ledger("payer")["balance_msat"]

    again = await pay(payer, made["serialized"])

    assert again == {"paymentHash": made["paymentHash"], "reason": "this invoice has already been paid"}
    assert parts.ledger("payer")["balance_msat"] == before
    assert (await seller.get("/getbalance")).json()["balanceSat"] == 10


async def test_a_pending_payment_is_not_repeated(
    seller: httpx.AsyncClient, payer: httpx.AsyncClient, parts: DemoParts
) -> None:
    """While one payment of the hash runs, another is refused; leaving does not stop the first."""
    made = await invoice_for(seller, 10)
    await parts.knobs("payer", pay_delay_ms=1_000)
    leaving = asyncio.create_task(pay(payer, made["serialized"]))
    await until(lambda: parts.ledger("payer")["outgoing"])

    second = await pay(payer, made["serialized"])
    pending = (await payer.get(f"/payments/outgoingbyhash/{made['paymentHash']}")).json()
    leaving.cancel()
    await until(lambda: parts.ledger("seller")["incoming"][0]["is_paid"])

    assert second["reason"] == "another payment is in progress for that invoice"
    assert pending["isPaid"] is False
    assert "completedAt" not in pending
    assert len(parts.ledger("payer")["outgoing"]) == 1


@pytest.mark.parametrize(("asked", "prefix"), [("0", "lnbc01"), ("-5", "lnbc01")])
async def test_an_amount_of_zero_makes_an_invoice_for_any_amount(
    seller: httpx.AsyncClient, payer: httpx.AsyncClient, asked: str, prefix: str
) -> None:
    """phoenixd accepts 0 and less, and then 1 sat settles it: whoever asks must check first."""
    made = (await seller.post("/createinvoice", data={"description": "x", "amountSat": asked})).json()

    without = await payer.post("/payinvoice", data={"invoice": made["serialized"]})
    sent = await pay(payer, made["serialized"], amountSat="1")

    assert "amountSat" not in made
    assert made["serialized"].startswith(prefix)
    assert (without.status_code, without.text) == (400, "Request parameter amountSat is missing")
    assert sent["recipientAmountSat"] == 1
    assert (await incoming(seller, made["paymentHash"]))["isPaid"] is True


async def test_expired_says_nothing_about_paid(
    seller: httpx.AsyncClient, payer: httpx.AsyncClient, parts: DemoParts
) -> None:
    """A paid invoice expires like any other; an unpaid one cannot be paid any more, unless the HTLC came late."""
    paid = await invoice_for(seller, 10, expirySeconds="60")
    late = await invoice_for(seller, 10, expirySeconds="60")
    await pay(payer, paid["serialized"])

    parts.advance_clock(61)
    refused = await pay(payer, late["serialized"])
    await parts.knobs("seller", allow_pay_after_expiry=True)
    taken = await pay(payer, late["serialized"])

    known = await incoming(seller, paid["paymentHash"])
    assert (known["isPaid"], known["isExpired"]) == (True, True)
    assert refused["reason"] == "recipient node rejected the payment"
    assert taken["recipientAmountSat"] == 10


@pytest.mark.parametrize(
    ("sat", "reason"),
    [
        ("9", "recipient node rejected the payment"),
        ("21", "recipient node rejected the payment"),
        ("0", "payment amount must be positive"),
        ("10000000", "not enough funds in wallet to afford payment"),
    ],
)
async def test_a_payment_outside_what_is_accepted_moves_nothing(
    seller: httpx.AsyncClient, payer: httpx.AsyncClient, parts: DemoParts, sat: str, reason: str
) -> None:
    """A payee takes from what it asks up to twice that; a payer sends what it has."""
    made = await invoice_for(seller, 10)

    failed = await pay(payer, made["serialized"], amountSat=sat)

    assert failed == {"paymentHash": made["paymentHash"], "reason": reason}
    assert parts.ledger("payer")["balance_msat"] == 10_000_000_000
    assert parts.ledger("seller")["balance_msat"] == 0


async def test_a_failed_payment_can_be_tried_again(
    seller: httpx.AsyncClient, payer: httpx.AsyncClient, parts: DemoParts
) -> None:
    """Failure is 200 with a reason, is remembered without it, and the same invoice may then succeed."""
    made = await invoice_for(seller, 10)
    await parts.knobs("payer", pay_reason="a node in the route had a temporary failure")

    failed = await pay(payer, made["serialized"])
    remembered = (await payer.get(f"/payments/outgoingbyhash/{made['paymentHash']}")).json()
    await parts.reset_knobs("payer")
    sent = await pay(payer, made["serialized"])
    best = (await payer.get(f"/payments/outgoingbyhash/{made['paymentHash']}")).json()

    assert failed["reason"] == "a node in the route had a temporary failure"
    assert list(remembered) == fields(
        "type subType paymentId paymentHash isPaid sent fees invoice completedAt createdAt"
    )
    assert best["preimage"] == sent["paymentPreimage"]
    assert best["sent"] == 14


async def test_an_invoice_of_nobody_here_cannot_be_paid(
    seller: httpx.AsyncClient, payer: httpx.AsyncClient, parts: DemoParts
) -> None:
    """The payee is found by the signature; nonsense is not an invoice."""
    made = await invoice_for(seller, 10)
    parts.doubles.network.seller.node_id = "02" + "00" * 32

    unreachable = await pay(payer, made["serialized"])
    nonsense = await payer.post("/payinvoice", data={"invoice": "lnbc1nonsense"})
    missing = await payer.post("/payinvoice", data={"amountSat": "1"})

    assert unreachable["reason"] == "recipient node is offline or unreachable"
    assert nonsense.text == "Request parameter invoice couldn't be parsed/converted to bolt11invoice"
    assert missing.text == "Request parameter invoice is missing"


async def test_lists_show_what_was_paid_and_on_request_everything(
    seller: httpx.AsyncClient, payer: httpx.AsyncClient
) -> None:
    """Incoming: newest payment first; `all=true`, in any case, adds what nobody paid; externalId and limit select."""
    first = await invoice_for(seller, 1, externalId="a")
    second = await invoice_for(seller, 2, externalId="b")
    unpaid = await invoice_for(seller, 3, externalId="b")
    sent = [await pay(payer, made["serialized"]) for made in (second, first)]

    async def hashes(query: str) -> list[str]:
        return [row["paymentHash"] for row in (await seller.get(f"/payments/incoming?{query}")).json()]

    assert set(await hashes("")) == {first["paymentHash"], second["paymentHash"]}
    assert unpaid["paymentHash"] in await hashes("all=TRUE")
    assert await hashes("externalId=a") == [first["paymentHash"]]
    assert len(await hashes("all=true&externalId=b")) == 2
    assert len(await hashes("all=true&limit=1&offset=2")) == 1
    assert await hashes("to=1") == []
    outgoing = (await payer.get("/payments/outgoing")).json()
    assert [row["paymentId"] for row in outgoing] == [row["paymentId"] for row in sent]
    one = (await payer.get(f"/payments/outgoing/{uuid.UUID(sent[0]['paymentId'])}")).json()
    assert one == outgoing[0]


async def test_decodeinvoice_reads_msat_and_the_route_hint(seller: httpx.AsyncClient) -> None:
    """The amount is in msat, and the one hop leads through ACINQ's node."""
    made = await invoice_for(seller, 21)

    read = (await seller.post("/decodeinvoice", data={"invoice": made["serialized"]})).json()

    assert (read["chain"], read["amount"], read["paymentHash"]) == ("mainnet", 21_000, made["paymentHash"])
    assert (read["minFinalCltvExpiryDelta"], read["paymentMetadata"]) == (144, "2a")
    (hop,) = read["extraHops"][0]
    assert hop["feeBase"] == 1_000
    assert int(hop["shortChannelId"].partition("x")[0]) >> 16 == 0xFF
    assert read["features"]["activated"]["payment_secret"] == "Mandatory"


async def test_a_bad_webhook_url_leaves_an_orphan(seller: httpx.AsyncClient, parts: DemoParts) -> None:
    """phoenixd makes the invoice before it reads webhookUrl: the call is refused and the invoice is there."""
    reply = await seller.post("/createinvoice", data={"description": "x", "webhookUrl": "http://x:port/"})

    assert (reply.status_code, reply.text) == (
        400,
        "Request parameter webhookUrl couldn't be parsed/converted to url",
    )
    assert len(parts.ledger("seller")["incoming"]) == 1


async def test_tests_can_pay_without_http(seller: httpx.AsyncClient, parts: DemoParts) -> None:
    """`parts.pay` gives the preimage of the invoice's hash, and fails with the wallet's reason."""
    made = await invoice_for(seller, 10)

    preimage = await parts.pay(made["serialized"])

    assert hashlib.sha256(bytes.fromhex(preimage)).hexdigest() == made["paymentHash"]
    with pytest.raises(PaymentFailed, match="already been paid"):
        await parts.pay(made["serialized"])
