"""The phoenixd client against the project's double: a node with real invoices, payments and faults."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from lib.core.money import Msat, Sat
from lib.demo.invoice import read_invoice
from lib.demo.parts import DemoParts, demo_parts
from lib.lightning.node import IncomingPayment, NodeUnavailable, PaymentState
from lib.lightning.phoenixd import Phoenixd

SHORT_SECONDS = 0.2


@pytest.fixture
async def parts() -> AsyncGenerator[DemoParts]:
    async with demo_parts() as running:
        yield running


@pytest.fixture
async def node(parts: DemoParts) -> AsyncGenerator[Phoenixd]:
    client = Phoenixd(parts.seller_url, parts.seller_limited_password)
    yield client
    await client.aclose()


async def test_an_invoice_says_what_was_asked(node: Phoenixd):
    """The limited password is enough, and BOLT11 text, hash, amount, description and expiry belong together."""
    invoice = await node.create_invoice(Sat(21), "tea & ₿", 600)

    terms = read_invoice(invoice.bolt11).terms
    assert terms.payment_hash == invoice.payment_hash.hex()
    assert (terms.amount_msat, terms.description, terms.expiry_seconds) == (21_000, "tea & ₿", 600)
    assert invoice.amount == Sat(21)


async def test_a_payment_goes_from_open_to_paid(parts: DemoParts, node: Phoenixd):
    """And stays paid after its expiry."""
    invoice = await node.create_invoice(Sat(21), "tea", 600)
    before = await node.incoming(invoice.payment_hash)

    await parts.pay(invoice.bolt11)

    paid = IncomingPayment(PaymentState.PAID, Sat(21), Msat(21_000))
    assert before == IncomingPayment(PaymentState.OPEN, Sat(21), Msat(0))
    assert await node.incoming(invoice.payment_hash) == paid
    parts.advance_clock(601)
    assert await node.incoming(invoice.payment_hash) == paid


async def test_an_unpaid_invoice_expires(parts: DemoParts, node: Phoenixd):
    """After the seconds that were asked for."""
    invoice = await node.create_invoice(Sat(21), "tea", 600)

    parts.advance_clock(601)

    assert (await node.incoming(invoice.payment_hash)).state is PaymentState.EXPIRED


async def test_a_liquidity_fee_does_not_unpay(parts: DemoParts, node: Phoenixd):
    """The node received less than nothing, the buyer paid in full: it is paid, and received is 0."""
    await parts.knobs("seller", received_short_sat=50)
    invoice = await node.create_invoice(Sat(21), "tea", 600)

    parts.settle(invoice.payment_hash.hex())

    assert await node.incoming(invoice.payment_hash) == IncomingPayment(PaymentState.PAID, Sat(21), Msat(0))


async def test_a_node_that_lost_its_memory_says_unknown(parts: DemoParts, node: Phoenixd):
    """No record is not "unpaid"."""
    invoice = await node.create_invoice(Sat(21), "tea", 600)

    await parts.knobs("seller", forget_all=True)

    assert (await node.incoming(invoice.payment_hash)).state is PaymentState.UNKNOWN


async def test_a_node_without_its_peer_is_not_ready(parts: DemoParts, node: Phoenixd):
    """It still makes invoices, but nobody can pay them."""
    parts.settle((await node.create_invoice(Sat(21), "tea", 600)).payment_hash.hex())
    healthy = await node.info()

    await parts.knobs("seller", peer_offline=True)

    alone = await node.info()
    assert (healthy.ready, alone.ready) == (True, False)
    assert "Offline(Normal)" in alone.detail
    assert healthy.chain == "mainnet"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"refuse": True}, "nothing accepts connections at its address"),
        ({"hang": True}, "no answer within 0.2 s"),
        ({"error_500": "database disk image is malformed"}, "it answered 500"),
    ],
)
async def test_a_fault_ends_with_the_fault(parts: DemoParts, fault: dict[str, object], sentence: str):
    """While it lasts nothing is known; afterwards the same client works again."""
    client = Phoenixd(parts.seller_url, parts.seller_limited_password, read_timeout_seconds=SHORT_SECONDS)
    await parts.knobs("seller", **fault)

    with pytest.raises(NodeUnavailable) as caught:
        await client.info()
    await parts.reset_knobs("seller")

    assert str(caught.value) == f"phoenixd, getinfo: {sentence}."
    assert (await client.info()).ready
    await client.aclose()


async def test_a_wrong_password_is_refused(parts: DemoParts):
    """Also with the name and password of another node."""
    client = Phoenixd(parts.seller_url, parts.payer_password + "x")

    with pytest.raises(NodeUnavailable, match="refuses our password"):
        await client.create_invoice(Sat(1), "tea", 600)
    await client.aclose()


async def test_the_balance_grows_by_what_is_paid(parts: DemoParts, node: Phoenixd):
    """And is nothing while the peer is away, as phoenixd tells it."""
    before = await node.balance()
    invoice = await node.create_invoice(Sat(21), "tea", 600)
    await parts.pay(invoice.bolt11)
    after = await node.balance()
    await parts.knobs("seller", peer_offline=True)

    assert (after.value - before.value, await node.balance()) == (21, Sat(0))
