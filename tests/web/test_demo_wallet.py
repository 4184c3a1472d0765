"""The demo's wallet: pages pay with play money, and nowhere else does anything pay by itself."""

from __future__ import annotations

from dataclasses import replace

from tests.world import HELLO, World


async def test_the_demo_s_wallet_pays_an_invoice(world: World):
    """After its 200 the invoice is paid, and the call it was made for is answered without a preimage."""
    challenge = await world.ask(HELLO, X_Payment_Proof="node")
    offer = challenge.json()

    paid = await world.client.post("/api/demo/pay", json={"invoice": offer["invoice"]})

    assert (paid.status_code, paid.json()) == (200, {"status": "paid"})
    assert paid.headers["cache-control"] == "no-store"
    waiting = {"Authorization": f"L402 {offer['macaroon']}:"}
    state = await world.client.get(f"/api/invoices/{offer['payment_hash']}", headers=waiting)
    assert state.json()["status"] == "paid"
    assert (await world.ask(HELLO, Authorization=waiting["Authorization"])).status_code == 200


async def test_what_the_wallet_will_not_pay_is_told(world: World):
    """A paid invoice, and what is none, are refused in words; nothing of the wallet's answer is repeated."""
    offer = (await world.ask(HELLO)).json()
    body = {"invoice": offer["invoice"]}
    await world.client.post("/api/demo/pay", json=body)

    again = await world.client.post("/api/demo/pay", json=body)
    nonsense = await world.client.post("/api/demo/pay", json={"invoice": "lnbc1nonsense"})
    missing = await world.client.post("/api/demo/pay", json={})

    for answer in (again, nonsense):
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "invalid_payment"
        assert "The demo's wallet did not pay" in answer.json()["error"]["message"]
    assert missing.json()["error"]["code"] == "missing_required_field"


async def test_a_wallet_that_is_down_is_said_to_be(world: World):
    """503, and come back later: the invoice stays as it is."""
    offer = (await world.ask(HELLO)).json()
    await world.parts.knobs("payer", refuse=True)

    answer = await world.client.post("/api/demo/pay", json={"invoice": offer["invoice"]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "phoenix_unavailable")
    assert answer.headers["retry-after"] == "30"


async def test_outside_the_demo_there_is_no_wallet(world: World):
    """A server that sells for real has nothing at this address, whatever its environment holds."""
    world.exchange(demo_wallet=None)
    offer = (await world.ask(HELLO)).json()

    answer = await world.client.post("/api/demo/pay", json={"invoice": offer["invoice"]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api_not_found")


async def test_waiting_for_a_payment_uses_up_nothing_else(world: World):
    """A page asks for its own invoice as often as it likes, and its next unpaid call is still answered."""
    limits = world.services.settings.config.limits.model_copy(update={"unpaid_per_ip_per_minute": 2})
    config = world.services.settings.config.model_copy(update={"limits": limits})
    world.exchange(settings=replace(world.services.settings, config=config))
    offer = (await world.ask(HELLO, X_Payment_Proof="node")).json()
    waiting = {"Authorization": f"L402 {offer['macaroon']}:"}

    asked = [await world.client.get(f"/api/invoices/{offer['payment_hash']}", headers=waiting) for _ in range(20)]

    assert {answer.status_code for answer in asked} == {200}
    assert (await world.ask(HELLO)).status_code == 402
    assert (await world.ask(HELLO)).status_code == 429
