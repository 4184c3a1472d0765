"""Faults of a node, set from the control port while it runs."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from lib.demo.parts import DemoParts
from tests.demo.conftest import answered, until


async def invoice_for(node: httpx.AsyncClient, sat: int) -> dict[str, Any]:
    return (await node.post("/createinvoice", data={"description": "x", "amountSat": str(sat)})).json()


async def incoming(node: httpx.AsyncClient, payment_hash: str) -> httpx.Response:
    return await node.get(f"/payments/incoming/{payment_hash}")


async def test_knobs_merge_show_and_reset(control: httpx.AsyncClient) -> None:
    """POST keeps what it does not name, GET shows all, DELETE makes the node healthy; a typo changes nothing."""
    await control.post("/node/seller/knobs", json={"delay_ms": 1})
    await control.post("/node/seller/knobs", json={"say_unpaid": True})
    typo = await control.post("/node/seller/knobs", json={"delay": 5})
    shown = (await control.get("/node/seller/knobs")).json()
    reset = (await control.delete("/node/seller/knobs")).json()
    nobody = await control.get("/node/buyer/knobs")

    assert (shown["delay_ms"], shown["say_unpaid"]) == (1, True)
    assert (typo.status_code, nobody.status_code) == (400, 404)
    assert (reset["delay_ms"], reset["say_unpaid"]) == (0, False)


async def test_a_node_that_refuses_is_not_there(seller: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    """Connections are refused, kept ones are gone, and the same port answers again afterwards."""
    await seller.get("/getinfo")

    await control.post("/node/seller/knobs", json={"refuse": True})
    with pytest.raises(httpx.ConnectError):
        await seller.get("/getinfo")
    await control.post("/node/seller/knobs", json={"refuse": False})

    assert (await seller.get("/getinfo")).status_code == 200


async def test_a_node_without_its_peer_has_no_balance(
    seller: httpx.AsyncClient, payer: httpx.AsyncClient, parts: DemoParts
) -> None:
    """The balance reads 0, the channel shows only its state, invoices can be made and not paid, on either side."""
    made = await invoice_for(seller, 10)
    await parts.pay(made["serialized"])
    await parts.knobs("seller", peer_offline=True)

    info = (await seller.get("/getinfo")).json()
    balance = (await seller.get("/getbalance")).json()
    unpayable = await invoice_for(seller, 10)
    to_offline = (await payer.post("/payinvoice", data={"invoice": unpayable["serialized"]})).json()
    await parts.knobs("payer", peer_offline=True)
    from_offline = (await payer.post("/payinvoice", data={"invoice": unpayable["serialized"]})).json()

    assert info["channels"] == [{"state": "Offline(Normal)"}]
    assert balance["balanceSat"] == 0
    assert to_offline["reason"] == "recipient node is offline or unreachable"
    assert from_offline["reason"] == "channel is not connected yet, please retry when connected"


async def test_a_hanging_node_did_the_work(seller: httpx.AsyncClient, parts: DemoParts) -> None:
    """No reply leaves until the knob is cleared, but the invoice was made: a caller who gave up cannot know."""
    await parts.knobs("seller", hang=True)
    asking = asyncio.create_task(invoice_for(seller, 10))
    await until(lambda: parts.ledger("seller")["incoming"])
    assert not await answered([asking])

    await parts.knobs("seller", hang=False)

    assert (await asking)["paymentHash"] == parts.ledger("seller")["incoming"][0]["payment_hash"]


async def test_a_failing_node_did_nothing(seller: httpx.AsyncClient, parts: DemoParts) -> None:
    """A 500 carries the exception's text, and no invoice was made."""
    await parts.knobs("seller", error_500="[SQLITE_BUSY] The database file is locked")

    reply = await seller.post("/createinvoice", data={"description": "x"})

    assert (reply.status_code, reply.text) == (500, "[SQLITE_BUSY] The database file is locked")
    assert parts.ledger("seller")["incoming"] == []


@pytest.mark.parametrize("knobs", [{"forget": "this"}, {"forget_all": True}])
async def test_a_node_can_lose_its_memory(seller: httpx.AsyncClient, parts: DemoParts, knobs: dict[str, Any]) -> None:
    """A forgotten payment is not found by hash nor in the list, though the money came."""
    made = await invoice_for(seller, 10)
    await parts.pay(made["serialized"])

    await parts.knobs("seller", **({"forget": [made["paymentHash"]]} if "forget" in knobs else knobs))

    assert (await incoming(seller, made["paymentHash"])).text == "Not found"
    assert (await seller.get("/payments/incoming?all=true")).json() == []
    assert parts.ledger("seller")["balance_msat"] == 10_000


async def test_a_node_can_call_the_paid_unpaid(seller: httpx.AsyncClient, parts: DemoParts) -> None:
    """isPaid is false everywhere until the knob is cleared; the ledger tells the truth."""
    made = await invoice_for(seller, 10)
    await parts.pay(made["serialized"])
    await parts.knobs("seller", say_unpaid=True)

    lied = (await incoming(seller, made["paymentHash"])).json()
    listed = (await seller.get("/payments/incoming")).json()

    assert (lied["isPaid"], lied["receivedSat"], "completedAt" in lied, listed) == (False, 0, False, [])
    assert parts.ledger("seller")["incoming"][0]["is_paid"] is True


async def test_liquidity_fees_make_received_less_than_asked(seller: httpx.AsyncClient, parts: DemoParts) -> None:
    """A paid invoice may show less than its price, even less than nothing; it is paid all the same."""
    made = await invoice_for(seller, 10)
    await parts.knobs("seller", received_short_sat=25)

    await parts.pay(made["serialized"])

    known = (await incoming(seller, made["paymentHash"])).json()
    assert (known["isPaid"], known["requestedSat"], known["receivedSat"], known["fees"]) == (True, 10, -15, 25_000)


async def test_fee_credit_takes_the_whole_payment(seller: httpx.AsyncClient, parts: DemoParts) -> None:
    """The payment is received in full, and the balance does not move."""
    made = await invoice_for(seller, 10)
    await parts.knobs("seller", fee_credit=True)

    await parts.pay(made["serialized"])

    known = (await incoming(seller, made["paymentHash"])).json()
    assert (known["receivedSat"], known["fees"]) == (10, 0)
    assert (await seller.get("/getbalance")).json() == {"balanceSat": 0, "feeCreditSat": 10}


async def test_a_payer_may_overpay_up_to_double(seller: httpx.AsyncClient, parts: DemoParts) -> None:
    """Twice the price is accepted and received."""
    made = await invoice_for(seller, 10)
    await parts.knobs("payer", overpay_factor=2)

    await parts.pay(made["serialized"])

    assert (await incoming(seller, made["paymentHash"])).json()["receivedSat"] == 20


async def test_a_stranger_can_pay(seller: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    """`settle` marks an invoice paid from outside our network, once; without an amount, what it asks."""
    made = await invoice_for(seller, 10)
    body = {"payment_hash": made["paymentHash"]}

    settled = await control.post("/node/seller/settle", json=body)
    again = await control.post("/node/seller/settle", json=body)
    unknown = await control.post("/node/seller/settle", json={"payment_hash": "00" * 32})

    assert (settled.status_code, settled.json()["amount_msat"]) == (200, 10_000)
    assert (again.status_code, unknown.status_code) == (409, 404)
    assert (await incoming(seller, made["paymentHash"])).json()["isPaid"] is True


async def test_the_clock_can_be_moved_on(seller: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    """Invoices age with it."""
    made = await invoice_for(seller, 10)

    await control.post("/clock/advance", json={"seconds": 86_401})

    assert (await incoming(seller, made["paymentHash"])).json()["isExpired"] is True


async def test_the_ledger_tells_everything_but_preimages(
    seller: httpx.AsyncClient, control: httpx.AsyncClient, parts: DemoParts
) -> None:
    """Both sides of a payment to the msat, and nothing with which it could be proved."""
    made = await invoice_for(seller, 10)
    preimage = await parts.pay(made["serialized"])

    sold = await control.get("/node/seller/ledger")
    bought = await control.get("/node/payer/ledger")

    assert (sold.json()["incoming"][0]["paid_msat"], bought.json()["outgoing"][0]["fees_msat"]) == (10_000, 4_040)
    assert preimage not in sold.text + bought.text
