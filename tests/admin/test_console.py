"""`scripts/admin` beside a running server: what it tells agrees with what happened, what it orders takes effect."""

from __future__ import annotations

import asyncio
import re

import pytest

from lib.core.money import Msat
from lib.store.ledger import Owner
from tests.admin.conftest import Console
from tests.prepaid.counter import bearer, new_token
from tests.world import CHAT, HELLO, Paid

pytestmark = pytest.mark.slow

LEFTOVERS = re.compile(r"alb_[A-Za-z0-9_-]{43}|macaroon=|preimage")


async def sold(console: Console) -> tuple[Paid, str, int]:
    """A call that was bought: its credential, its request id, its charge."""
    paid = await console.world.buy()
    answer = await console.world.ask(paid=paid)
    assert answer.status_code == 200
    await console.world.settled(paid)
    async with asyncio.timeout(30):
        while await console.world.services.ledger.in_doubt(1):
            await asyncio.sleep(0.02)
    return paid, answer.headers["x-request-id"], int(answer.headers["x-charge-msat"])


async def test_what_is_owed_and_earned_is_told(anywhere: Console):
    """Liabilities, the node's balance, what may be swept; margin by model; debts per key, to the msat."""
    paid, _, charge = await sold(anywhere)
    left = paid.amount.value - charge

    owed = await anywhere.ask("owed", "--reserve", "500msat")
    earnings = await anywhere.ask("earnings", "--by", "model")
    [key] = await anywhere.ask("keys")
    status = await anywhere.ask("status")

    assert (owed["owed_msat"], owed["node"]["balance_msat"]) == (left, paid.amount.value)
    assert (owed["safe_to_sweep_sat"], owed["missing_msat"]) == (0, 500 - charge)
    [row] = earnings["rows"]
    assert (row["api"], row["model"], row["calls"], row["charged_msat"]) == ("openai", "gpt-4o-mini", 1, charge)
    assert float(row["margin_usd"]) == pytest.approx(float(row["charged_usd"]) - float(row["upstream_usd"]))
    assert float(row["charged_usd"]) == pytest.approx(charge / 1e6)
    assert (key["balance_msat"], key["accounts"]) == (left, 1)
    assert (status["server"]["parts"]["ledger"]["ok"], status["node"]["ok"]) == (True, True)
    assert (status["ledger"]["balance_msat"], status["ledger"]["payments"]) == (left, 1)


async def test_a_payment_and_a_request_tell_their_story(anywhere: Console):
    """Credit, hold, settlement, entries and owner kinds, by the hash or id that the buyer can show."""
    paid, request_id, charge = await sold(anywhere)

    payment = await anywhere.ask("payment", paid.payment_hash.hex())
    request = await anywhere.ask("request", request_id)
    account = await anywhere.ask("account", request["call"]["account"])

    assert payment["payment"]["credited"]["amount_msat"] == paid.amount.value
    assert payment["payment"]["credited"]["confirmed_at"] is not None
    assert (payment["node"]["state"], payment["node"]["received_msat"]) == ("paid", paid.amount.value)
    assert [entry["amount_msat"] for entry in payment["entries"]] == [-charge, paid.amount.value]
    assert [call["request_id"] for call in payment["calls"]] == [request_id]
    assert (request["call"]["in_short"], request["call"]["charge_msat"]) == ("charged", charge)
    assert (request["call"]["ending"], request["entries"][0]["amount_msat"]) == ("answered", -charge)
    assert [owner["kind"] for owner in account["account"]["owners"]] == ["payment"]
    assert account["account"]["balance_msat"] == paid.amount.value - charge


async def test_what_nobody_knows_is_told_as_such(console: Console):
    """Exit status 1 and a sentence, for each."""
    for question in (["payment", "00" * 32], ["request", "req_none"], ["account", "none"], ["freeze", "none", "why"]):
        ended = await console.run(*question)
        assert (ended.code, ended.said) == (1, "") and ended.complained.strip()


async def test_an_adjustment_is_booked_once_and_spent(console: Console):
    """With its reason; repeated with its op-id it changes nothing; what is not there is not taken."""
    paid, request_id, charge = await sold(console)
    account = (await console.ask("request", request_id))["call"]["account"]
    left = paid.amount.value - charge

    for _ in range(2):
        assert (await console.run("adjust", account, "--add", "3sat", "--op-id", "one", "sorry")).code == 0
    too_much = await console.run("adjust", account, "--take", "999999sat", "all of it")

    assert (await console.world.account(paid)).balance == Msat(left + 3_000)
    assert too_much.code == 1 and "are free" in too_much.said
    [entry, *_] = (await console.ask("account", account))["entries"]
    assert (entry["type"], entry["amount_msat"], entry["reason"]) == ("adjust", 3_000, "sorry")


async def test_a_frozen_account_buys_nothing_until_it_is_thawed(console: Console):
    """The running server says 403 at once."""
    paid, request_id, _ = await sold(console)
    account = (await console.ask("request", request_id))["call"]["account"]

    assert (await console.run("freeze", account, "reported as stolen")).code == 0
    frozen = await console.world.ask(paid=paid)
    assert (await console.run("unfreeze", account)).code == 0
    thawed = await console.world.ask(paid=paid)

    assert (frozen.status_code, frozen.json()["error"]["code"]) == (403, "account_frozen")
    assert thawed.status_code == 200
    [freeze] = (await console.ask("account", account))["account"]["freezes"]
    assert freeze["reason"] == "reported as stolen" and freeze["ended_at"] is not None


async def test_a_token_is_revoked_once_nothing_is_owed(console: Console):
    """Refused while it owns anything; afterwards the server does not know it."""
    token = await new_token(console.world)
    found = await console.world.services.ledger.balance(Owner.of_token(token))
    assert found is not None

    refused = await console.run("revoke", found.account)
    await console.run("adjust", found.account, "--take", f"{found.balance.value}msat", "paid back")
    done = await console.run("revoke", found.account)
    answer = await console.world.client.post(CHAT, json=HELLO, headers=bearer(token))

    assert refused.code == 1 and "are owed" in refused.said
    assert done.code == 0
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token")


async def test_a_pause_reaches_the_running_server(anywhere: Console):
    """Within some seconds nobody is asked to pay for it; afterwards it is sold again."""
    await sold(anywhere)

    assert (await anywhere.run("pause", "openai/gpt-4o-mini", "prices changed")).code == 0
    await until_status(anywhere, 503)
    [pause] = await anywhere.ask("paused")
    assert (await anywhere.run("resume", "openai/gpt-4o-mini")).code == 0
    await until_status(anywhere, 402)

    assert (pause["api"], pause["model"], pause["reason"]) == ("openai", "gpt-4o-mini", "prices changed")
    assert (await anywhere.run("resume", "openai/gpt-4o-mini")).code == 1


async def test_a_slip_of_a_name_pauses_nothing_and_says_so(console: Console):
    """Otherwise an operator would believe that something is off sale that is not."""
    api = await console.run("pause", "opnai", "why")
    model = await console.run("pause", "openai/gpt-4o-mimi", "why")

    assert (api.code, model.code) == (1, 1)
    assert "has no API opnai; it has anthropic," in api.complained
    assert "has no model gpt-4o-mimi of openai" in model.complained
    assert await console.ask("paused") == []


async def test_json_is_asked_for_before_or_behind_the_command(console: Console):
    """Both orders are what people type."""
    before, behind = await console.run("--json", "keys"), await console.run("keys", "--json")

    assert before.code == 0 and before.said == behind.said


async def test_a_backup_that_cannot_be_written_says_why(console: Console):
    """One line, no traceback, and nothing is left."""
    ended = await console.run("backup", "/nonexistent/copy")

    assert ended.code == 1 and ended.complained.strip() == "[Errno 2] No such file or directory: '/nonexistent/copy'"


async def until_status(console: Console, status: int) -> None:
    """The server has read the pauses: its job does so every few seconds."""
    async with asyncio.timeout(60):
        while (await console.world.ask()).status_code != status:
            await asyncio.sleep(0.2)


async def test_no_secret_is_ever_printed(console: Console):
    """Neither a token, macaroon, preimage or key, nor a digest that stands for one."""
    paid, request_id, _ = await sold(console)
    token = await new_token(console.world)
    found = await console.world.services.ledger.balance(Owner.of_token(token))
    assert found is not None
    for words in (["payment", paid.payment_hash.hex()], ["request", request_id], ["account", found.account], ["keys"]):
        await console.run(*words)
        await console.run("--json", *words)
    await console.run("status")

    said = "".join(ended.said + ended.complained for ended in console.told)
    digests = [Owner.of_token(token).digest.hex(), Owner.of_payment(paid.payment_hash).digest.hex()]
    secrets = [paid.preimage, paid.macaroon, token, "5a" * 32, console.env["PHOENIX_PASSWORD"], *digests]
    assert [secret for secret in secrets if secret in said] == []
    assert not LEFTOVERS.search(said)


async def test_a_copy_is_made_while_the_server_runs_and_put_back_once_it_stopped(console: Console):
    """Beside a server nothing is put back; what was there is kept; then the operator is asked what becomes of it."""
    paid, _, _ = await sold(console)
    copy = console.world.services.settings.data_dir / "copy"

    backed_up = await console.run("backup", str(copy))
    again = await console.run("backup", str(copy))
    refused = await console.run("restore", str(copy))
    await console.world.ask(paid=paid)

    assert (backed_up.code, again.code, refused.code) == (0, 1, 1)
    assert "no difference" in backed_up.said and "already uses the ledger" in refused.complained
