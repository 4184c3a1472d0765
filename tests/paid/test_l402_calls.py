"""L402 over the server: the 402, paying it, spending the change, and everything a credential can be but good."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import bolt11
import httpx
import pytest

from lib.btc_price import FixedBtcPrice
from lib.core import l402
from lib.core.l402 import Facts, PaymentKind, RootKey
from lib.core.money import BtcPrice, Msat
from lib.store.ledger import EntryKind
from tests.core.plain_macaroon import appended, caveats_of, decoded
from tests.world import CHAT, HELLO, Paid, World

CEILING = Msat(1_643)
"""What HELLO may cost at most: 230 tokens in, 2,048 out."""
CHARGE = Msat(15)
"""What it costs: 8 tokens in, 17 out."""
PAID = Msat(2_000)
SECONDS = 10.0
QUOTED_SECONDS = 600 + 3_600
PROVIDER_KEY = "sk-proj-T3BlbkFJabcdefghijklmnopqrstuvwxyz0123456789"


def used(tokens_out: int) -> dict[str, int]:
    """A usage for upstream to say; each token out costs 0.78 msat."""
    return {"prompt_tokens": 8, "completion_tokens": tokens_out, "total_tokens": 8 + tokens_out}


async def spend(world: World, paid: Paid, *, tokens_out: int) -> Msat:
    """One HELLO that costs as told; what is left."""
    world.parts.scenario(usage=used(tokens_out))
    answer = await world.ask(paid=paid)
    world.parts.scenario()
    assert answer.status_code == 200, answer.text
    return (await world.settled(paid)).balance


def with_price(world: World, usd: int) -> None:
    """A bitcoin costs something else from now on."""
    world.exchange(price=FixedBtcPrice(BtcPrice.from_usd(Decimal(usd)), lambda: datetime.now(UTC)))


def challenged(answer: httpx.Response) -> dict[str, str]:
    """The facts and limits of a 402's macaroon."""
    assert answer.status_code == 402, answer.text
    assert answer.json()["error"]["code"] == "payment_required"
    return dict(text.split("=", 1) for text in caveats_of(answer.json()["macaroon"]))


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """An error without any offer to pay; its `error` object."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert not [value for value in answer.headers.get_list("www-authenticate") if value.startswith(("L402", "LSAT"))]
    assert list(answer.json()) == ["error"] and "x-lightning-invoice" not in answer.headers
    return answer.json()["error"]


# The 402


async def test_an_unpaid_call_is_answered_with_an_invoice(world: World):
    """Every header and member of the body is there, exactly, and they agree with each other."""
    answer = await world.ask()
    body = answer.json()

    assert answer.status_code == 402 and answer.headers["content-type"] == "application/json"
    message, invoice, macaroon = body.pop("error"), body["invoice"], body["macaroon"]
    assert body == {
        "status": "payment_required",
        "kind": "call",
        "invoice": invoice,
        "payment_hash": bolt11.decode(invoice).payment_hash,
        "amount_sats": 2,
        "max_price_msat": CEILING.value,
        "typical_price_msat": 241,
        "expires_in": 600,
        "macaroon": macaroon,
    }
    assert (message["code"], message["type"], message["param"]) == ("payment_required", "payment_required", None)
    assert "2 sat" in message["message"] and "the rest stays yours" in message["message"]
    assert answer.headers.get_list("www-authenticate") == [
        f'L402 macaroon="{macaroon}", invoice="{invoice}", version="0", token="{macaroon}"'
    ]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-lightning-invoice"] == invoice
    assert answer.headers["x-payment-hash"] == body["payment_hash"]
    assert answer.headers["x-price-sats"] == "2"
    assert answer.headers["x-topup-url"] == "/topup"


async def test_the_invoice_asks_what_the_402_says(world: World):
    """Its amount, expiry and description are in the BOLT11 text itself; the macaroon commits to its hash."""
    offer = (await world.ask()).json()

    invoice = bolt11.decode(offer["invoice"])

    assert invoice.amount_msat == offer["amount_sats"] * 1_000 == PAID.value
    assert invoice.expiry == offer["expires_in"] == 600
    assert invoice.description == "alittlebitofmoney: gpt-4o-mini"
    assert decoded(offer["macaroon"]).identifier[:34] == b"\x00\x00" + bytes.fromhex(invoice.payment_hash)


async def test_the_macaroon_says_what_was_quoted(world: World):
    """Amount, bitcoin price and how long it is firm; no time limit of ours on the credit itself."""
    before = int(time.time())
    facts = challenged(await world.ask())

    until = int(facts.pop("quote_until"))
    assert before + QUOTED_SECONDS <= until <= time.time() + QUOTED_SECONDS
    assert facts == {
        "kind": "call",
        "amount_msat": "2000",
        "btc_price": "100000000000",
        "account": "",
        "carry": "",
        "proof": "",
    }


async def test_an_unpaid_call_is_written_down_nowhere(world: World):
    """The macaroon carries all we need: no account, no hold, nothing upstream, and each 402 has its own invoice."""
    first, second = await world.ask(), await world.ask()

    totals = await world.services.ledger.totals()
    assert (totals.accounts, totals.credited, totals.live_holds) == (0, Msat.ZERO, 0)
    assert world.parts.journal() == []
    assert first.json()["payment_hash"] != second.json()["payment_hash"] and await world.invoices() == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer l402"},
        {"Authorization": "bearer L402"},
        {"x-api-key": "l402"},
    ],
    ids=str,
)
async def test_what_says_that_it_is_unpaid_is_challenged(world: World, headers: dict[str, str]):
    """An SDK that insists on a key sends `l402`."""
    answer = await world.client.post(CHAT, json=HELLO, headers=headers)

    assert challenged(answer)["carry"] == ""


async def test_a_macaroon_without_its_preimage_is_unpaid(world: World):
    """Whether its invoice is paid or not: without the proof there is a new invoice, and nothing is credited."""
    paid = await world.buy()

    answer = await world.client.post(CHAT, json=HELLO, headers={"Authorization": f"L402 {paid.macaroon}:"})

    assert challenged(answer)["carry"] == ""
    assert answer.json()["payment_hash"] != paid.payment_hash.hex()
    assert (await world.services.ledger.totals()).accounts == 0


# A paid call


async def test_a_paid_call_is_answered_and_its_change_stays(world: World):
    """The answer costs what it used; the rest of the payment is the credential's balance."""
    paid = await world.buy()

    answer = await world.ask(paid=paid)

    assert answer.status_code == 200 and answer.json()["object"] == "chat.completion"
    assert (answer.headers["x-charge-msat"], answer.headers["x-balance-msat"]) == ("15", "1985")
    assert (await world.settled(paid)).balance == PAID - CHARGE
    kinds = [(entry.kind, entry.amount) for entry in await world.entries(paid)]
    assert kinds == [(EntryKind.CREDIT, PAID), (EntryKind.CHARGE, -CHARGE)]


async def test_the_change_pays_for_the_next_call(world: World):
    """A client that caches its credential makes no new invoice as long as the ceiling fits."""
    paid = await world.buy()

    answers = [await world.ask(paid=paid) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert (await world.settled(paid)).balance == Msat(1_955)
    assert await world.invoices() == 1


@pytest.mark.parametrize(
    "form",
    [
        "Bearer {macaroon}:{preimage}",
        "LSAT {macaroon}:{preimage}",
        "l402 {macaroon}:{upper}",
        "L402 {urlsafe}:{preimage}",
        "L402 {macaroon},{macaroon}:{preimage}",
    ],
)
async def test_every_way_to_write_a_credential(world: World, form: str):
    """A stock SDK's Bearer, the old name, any case, another base64, several macaroons: all are the same credential."""
    paid = await world.buy()
    urlsafe = paid.macaroon.replace("+", "-").replace("/", "_").rstrip("=")
    value = form.format(macaroon=paid.macaroon, preimage=paid.preimage, upper=paid.preimage.upper(), urlsafe=urlsafe)

    answer = await world.client.post(CHAT, json=HELLO, headers={"Authorization": value})

    assert answer.status_code == 200, answer.text
    assert (await world.settled(paid)).balance == PAID - CHARGE


async def test_a_credential_in_x_api_key(world: World):
    """SDKs that send their key in `x-api-key` can pay, too."""
    paid = await world.buy()

    answer = await world.client.post(CHAT, json=HELLO, headers={"x-api-key": f"{paid.macaroon}:{paid.preimage}"})

    assert answer.status_code == 200, answer.text


async def test_lnget_s_credential(world: World):
    """lnget appends the preimage as a caveat before it sends the macaroon."""
    paid = await world.buy()

    answer = await world.ask(paid=replace(paid, macaroon=appended(paid.macaroon, f"preimage={paid.preimage}")))

    assert answer.status_code == 200, answer.text


# The difference


async def test_a_spent_credential_is_asked_only_for_the_difference(world: World):
    """What is left counts: 1,644 are needed, 438 are there, so 1,206 msat are asked as 2 sat, with `carry`."""
    paid = await world.buy()
    assert await spend(world, paid, tokens_out=2_000) == Msat(438)

    answer = await world.ask(paid=paid)

    facts = challenged(answer)
    assert (answer.json()["amount_sats"], facts["amount_msat"]) == (2, "2000")
    assert facts["carry"] == paid.payment_hash.hex()
    assert answer.json()["max_price_msat"] == CEILING.value
    assert answer.headers["x-price-sats"] == "2"
    assert bolt11.decode(answer.json()["invoice"]).amount_msat == 2_000
    assert (await world.settled(paid)).balance == Msat(438)


async def test_a_tiny_difference_is_one_sat(world: World):
    """44 msat are missing; no invoice is below 1 sat."""
    paid = await world.buy()
    assert await spend(world, paid, tokens_out=511) == Msat(1_599)

    answer = await world.ask(paid=paid)

    assert challenged(answer)["carry"] == paid.payment_hash.hex()
    assert answer.json()["amount_sats"] == 1


async def test_paying_the_difference_joins_the_account(world: World):
    """The new credential and the old one spend the same balance; nothing moved, nothing was lost."""
    old = await world.buy()
    await spend(world, old, tokens_out=2_000)
    new = await world.pay(await world.ask(paid=old))

    by_new = await world.ask(paid=new)
    by_old = await world.ask(paid=old)

    assert (by_new.status_code, by_old.status_code) == (200, 200)
    assert by_new.headers["x-balance-msat"] == "2423"
    assert by_old.headers["x-balance-msat"] == "2408"
    assert (await world.settled(old)) == (await world.settled(new))
    amounts = [entry.amount.value for entry in await world.entries(old)]
    assert amounts == [2_000, -1_562, 2_000, -15, -15]
    assert await world.services.ledger.audit() == []


async def test_a_chain_of_differences_stays_one_account(world: World):
    """Each payment carries the one before it: three credentials, one balance."""
    first = await world.buy()
    await spend(world, first, tokens_out=2_000)
    second = await world.pay(await world.ask(paid=first))
    await spend(world, second, tokens_out=2_000)
    third = await world.pay(await world.ask(paid=second))

    answer = await world.ask(paid=third)

    assert answer.status_code == 200
    left = Msat(438 + 2_000 - 1_562 + 1_000 - 15)
    assert [(await world.settled(paid)).balance for paid in (first, second, third)] == [left] * 3


async def test_an_unpaid_difference_takes_nothing(world: World):
    """Being asked again and again costs nothing and leaves the balance to smaller calls."""
    paid = await world.buy()
    await spend(world, paid, tokens_out=2_000)

    await world.ask(paid=paid)
    small = await world.ask({**HELLO, "max_completion_tokens": 100}, paid)

    assert small.status_code == 200, small.text
    assert (await world.settled(paid)).balance == Msat(438) - CHARGE


async def test_a_request_bigger_than_quoted_is_asked_the_difference(world: World):
    """The request that arrives is priced again; nothing is consumed, and the whole payment counts."""
    paid = await world.buy()
    bigger = {**HELLO, "max_completion_tokens": 16_384}
    most = (await world.ask(bigger)).json()["max_price_msat"]

    answer = await world.ask(bigger, paid)

    assert challenged(answer)["carry"] == paid.payment_hash.hex()
    assert answer.json()["max_price_msat"] == most == 12_825
    assert answer.json()["amount_sats"] == 11
    assert world.parts.journal() == []
    assert (await world.account(paid)).balance == PAID


async def test_the_difference_of_a_limited_credential_is_limited_alike(world: World):
    """Whoever holds an attenuated credential gets, for its own money, nothing that can do more."""
    limits = ["services=openai:0", f"openai_valid_until={int(time.time()) + 600}"]
    paid = await world.buy()
    limited = replace(paid, macaroon=appended(paid.macaroon, *limits))
    await spend(world, limited, tokens_out=2_000)

    answer = await world.ask(paid=limited)

    assert challenged(answer)["carry"] == paid.payment_hash.hex()
    assert list(caveats_of(answer.json()["macaroon"])[7:]) == limits
    assert (await world.ask(paid=await world.pay(answer))).status_code == 200


# A quote is firm


async def test_a_first_redemption_is_served_at_the_quoted_price(world: World):
    """Bitcoin fell to half while the invoice was being paid: the call fits, and costs what was quoted."""
    paid = await world.buy()
    with_price(world, 50_000)

    answer = await world.ask(paid=paid)

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-charge-msat"] == "15"


async def test_the_change_is_spent_at_the_current_price(world: World):
    """Only the first answer is pinned: the second call needs 3,285 msat and 1,985 are there."""
    paid = await world.buy()
    with_price(world, 50_000)
    await world.ask(paid=paid)

    answer = await world.ask(paid=paid)

    assert challenged(answer)["carry"] == paid.payment_hash.hex()
    assert (answer.json()["max_price_msat"], answer.json()["amount_sats"]) == (3_285, 2)


async def test_a_stale_quote_is_asked_the_difference(world: World):
    """After `quote_until` the price is the current one; the payment is credited whenever it comes."""
    paid = await world.buy()
    with_price(world, 50_000)
    world.exchange(clock=lambda: time.time() + QUOTED_SECONDS + 1)

    answer = await world.ask(paid=paid)

    assert challenged(answer)["carry"] == paid.payment_hash.hex()
    assert answer.json()["amount_sats"] == 2
    assert (await world.account(paid)).balance == PAID


async def test_a_stale_quote_at_the_same_price_is_served(world: World):
    """Coming late is no reason to pay again."""
    paid = await world.buy()
    world.exchange(clock=lambda: time.time() + 1_000_000)

    answer = await world.ask(paid=paid)

    assert answer.status_code == 200
    assert (await world.settled(paid)).balance == PAID - CHARGE


async def test_a_better_price_is_the_buyer_s(world: World):
    """Bitcoin doubled: the call costs half as many msat, quote or not."""
    paid = await world.buy()
    with_price(world, 200_000)

    answer = await world.ask(paid=paid)

    assert (answer.status_code, answer.headers["x-charge-msat"]) == (200, "8")


async def test_a_balance_asked_before_the_first_call_keeps_the_quote(world: World):
    """Looking at the balance credits the payment but is no answer: the quote is still firm."""
    paid = await world.buy()
    with_price(world, 50_000)

    await world.client.get("/api/balance", headers=paid.headers)
    answer = await world.ask(paid=paid)

    assert (answer.status_code, answer.headers["x-charge-msat"]) == (200, "15")


# What paying again would help


@pytest.mark.parametrize("caveat", ["openai_valid_until=1700000000", "services=acme:0"])
async def test_a_credential_that_is_not_for_this_is_challenged_afresh(world: World, caveat: str):
    """Expired, or limited to another service: a new invoice for the whole ceiling, no carry, nothing credited."""
    paid = await world.buy()

    answer = await world.ask(paid=replace(paid, macaroon=appended(paid.macaroon, caveat)))

    facts = challenged(answer)
    assert (facts["carry"], answer.json()["amount_sats"]) == ("", 2)
    assert len(caveats_of(answer.json()["macaroon"])) == 7
    assert (await world.services.ledger.totals()).accounts == 0
    assert (await world.ask(paid=paid)).status_code == 200


async def not_sold_here(world: World, *, key: bytes, ledger: bytes) -> Paid:
    """A macaroon minted elsewhere, for an invoice that is really paid here."""
    paid = await world.buy()
    facts = Facts(kind=PaymentKind.CALL, amount=PAID)
    return replace(paid, macaroon=l402.mint(RootKey(key), ledger, paid.payment_hash, facts, b"n" * 24))


@pytest.mark.parametrize("foreign", ["key", "ledger"])
async def test_a_foreign_credential_is_challenged_afresh(world: World, foreign: str):
    """Signed with a retired key, or for a ledger that is not this one: it buys nothing, and may pay."""
    here = await world.services.ledger.ledger_id()
    paid = await not_sold_here(
        world,
        key=b"\x99" * 32 if foreign == "key" else b"\x5a" * 32,
        ledger=b"M" * 16 if foreign == "ledger" else here,
    )

    answer = await world.ask(paid=paid)

    assert (challenged(answer)["carry"], answer.json()["amount_sats"]) == ("", 2)
    assert (await world.services.ledger.totals()).accounts == 0


# What paying again would not help


@dataclass(frozen=True)
class Bad:
    """What is wrong with a credential, and how to make it so."""

    what: str
    value: str

    def of(self, paid: Paid) -> str:
        """The Authorization header."""
        return self.value.format(
            macaroon=paid.macaroon,
            preimage=paid.preimage,
            cut=paid.macaroon[:-8],
            widened=appended(paid.macaroon, "amount_msat=9000000"),
            relaxed=appended(paid.macaroon, "services=acme:0", "services=openai:0"),
            lying=appended(paid.macaroon, f"preimage={'00' * 32}"),
            forged=replace(decoded(paid.macaroon), signature=b"\x00" * 32).text,
            wrong="00" * 32,
        )


BAD = [
    Bad("wrong preimage", "L402 {macaroon}:{wrong}"),
    Bad("forged signature", "L402 {forged}:{preimage}"),
    Bad("truncated", "L402 {cut}:{preimage}"),
    Bad("a fact appended", "L402 {widened}:{preimage}"),
    Bad("a limit widened", "L402 {relaxed}:{preimage}"),
    Bad("preimage caveat disagrees", "L402 {lying}:{preimage}"),
    Bad("no macaroon", "L402 :{preimage}"),
    Bad("no preimage", "L402 {macaroon}"),
    Bad("half a preimage", "L402 {macaroon}:abcd"),
    Bad("random text", "L402 hello:{preimage}"),
    Bad("as a Bearer", "Bearer {forged}:{preimage}"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.what)
async def test_an_invalid_credential_is_not_asked_to_pay(world: World, bad: Bad):
    """401 with a Bearer challenge, never an L402 one, no invoice, nothing credited; the real credential stays good."""
    paid = await world.buy()

    answer = await world.client.post(CHAT, json=HELLO, headers={"Authorization": bad.of(paid)})

    refused(answer, 401, "invalid_l402")
    assert answer.headers.get_list("www-authenticate") == ['Bearer error="invalid_token"']
    assert paid.preimage not in answer.text and paid.macaroon not in answer.text
    assert await world.invoices() == 1
    assert (await world.services.ledger.totals()).accounts == 0
    assert (await world.ask(paid=paid)).status_code == 200


async def test_two_payments_in_one_credential_are_invalid(world: World):
    """One preimage proves one payment; the second macaroon is not paid by it."""
    first, second = await world.buy(), await world.buy()

    answer = await world.client.post(
        CHAT, json=HELLO, headers={"Authorization": f"L402 {first.macaroon},{second.macaroon}:{first.preimage}"}
    )

    refused(answer, 401, "invalid_l402")


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_an_unknown_token_is_401(world: World, header: str):
    """A token is refilled at /topup, not by a challenge that its owner did not ask for."""
    token = "alb_" + "x" * 43
    value = f"Bearer {token}" if header == "authorization" else token

    answer = await world.client.post(CHAT, json=HELLO, headers={header: value})

    error = refused(answer, 401, "invalid_token")
    assert answer.headers.get_list("www-authenticate") == ['Bearer error="invalid_token"']
    assert token not in answer.text and error["type"] == "authentication_error"
    assert await world.invoices() == 0


async def test_a_provider_s_key_is_warned_about_and_never_logged(world: World, caplog: pytest.LogCaptureFixture):
    """Whoever sends a real provider's key here is told so; it stands in no answer, no log, and goes nowhere."""
    caplog.set_level("DEBUG")

    answer = await world.client.post(CHAT, json=HELLO, headers={"Authorization": f"Bearer {PROVIDER_KEY}"})

    assert "provider's own API key" in refused(answer, 401, "invalid_token")["message"]
    assert PROVIDER_KEY not in answer.text + str(answer.headers) + caplog.text
    assert world.parts.journal() == []


async def test_no_secret_of_a_sale_is_logged(world: World, caplog: pytest.LogCaptureFixture):
    """Neither preimage nor macaroon nor prompt, whether the credential was good or bad. The node's client included."""
    caplog.set_level("DEBUG")
    paid = await world.buy()
    caplog.clear()  # the test's own client tells its log the 402 it got
    prompt = {**HELLO, "messages": [{"role": "user", "content": "a very private question"}]}

    for candidate in (paid, replace(paid, macaroon=appended(paid.macaroon, "kind=topup"))):
        await world.ask(prompt, candidate)

    for secret in (paid.preimage, paid.macaroon, "private question", world.parts.upstream_key):
        assert secret not in caplog.text


# The balance


async def test_the_balance_of_an_unused_payment(world: World):
    """It is credited first, and says so exactly."""
    paid = await world.buy()
    await world.parts.knobs("seller", error_500="busy")  # nobody confirms it meanwhile

    answer = await world.client.get("/api/balance", headers=paid.headers)

    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "kind": "l402",
        "status": "unconfirmed",
        "balance_sats": 2,
        "balance_msat": 2_000,
        "held_msat": 0,
        "available_msat": 2_000,
    }


async def test_the_balance_becomes_active_once_the_node_said_paid(world: World):
    """Seconds later the credit is confirmed; sats are rounded down, never up."""
    paid = await world.buy()
    await world.ask(paid=paid)

    async with asyncio.timeout(SECONDS):
        while (found := (await world.client.get("/api/balance", headers=paid.headers)).json())["status"] != "active":
            await asyncio.sleep(0.02)

    assert found == {
        "kind": "l402",
        "status": "active",
        "balance_sats": 1,
        "balance_msat": 1_985,
        "held_msat": 0,
        "available_msat": 1_985,
    }


async def test_the_balance_while_a_call_runs(world: World):
    """What a running call holds is shown, and is not available."""
    paid = await world.buy()
    world.parts.scenario(hang_before_answer=True)
    call = asyncio.create_task(world.ask(paid=paid))
    async with asyncio.timeout(SECONDS):
        while not world.parts.journal():
            await asyncio.sleep(0.005)

    found = (await world.client.get("/api/balance", headers=paid.headers)).json()
    world.parts.scenario()
    await call

    assert (found["balance_msat"], found["held_msat"], found["available_msat"]) == (2_000, 1_643, 357)


async def test_the_balance_of_a_frozen_account(world: World):
    """It is told, not hidden: 200 with the status."""
    unpaid = await world.leak(await world.ask())
    await world.ask(paid=unpaid)

    async with asyncio.timeout(SECONDS):
        while (answer := await world.client.get("/api/balance", headers=unpaid.headers)).json()["status"] != "frozen":
            await asyncio.sleep(0.02)

    assert (answer.status_code, answer.json()["balance_msat"]) == (200, 1_985)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_token"),
        ({"Authorization": "Bearer l402"}, "missing_token"),
        ({"Authorization": "Bearer nobody"}, "invalid_token"),
        ({"Authorization": "Basic dTpw"}, "invalid_token"),
        ({"Authorization": "L402 TUFD"}, "invalid_l402"),
        ({"Authorization": f"L402 TUFD:{'00' * 32}"}, "invalid_l402"),
    ],
)
async def test_a_balance_needs_a_credential(world: World, headers: dict[str, str], code: str):
    """401 with the reason, and no invoice: there is nothing to pay for."""
    answer = await world.client.get("/api/balance", headers=headers)

    refused(answer, 401, code)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await world.invoices() == 0


async def test_the_balance_of_a_foreign_credential_is_401(world: World):
    """A balance is never for sale, so also a credential that is not ours any more is 401 here."""
    paid = await not_sold_here(world, key=b"\x99" * 32, ledger=b"M" * 16)

    answer = await world.client.get("/api/balance", headers=paid.headers)

    refused(answer, 401, "invalid_l402")
    assert answer.headers["www-authenticate"].startswith("Bearer")
