"""The scripts that prove a live site: they pass on a good one, name what is broken on a bad one, and keep secrets."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.between import Answer, Lie, between
from tests.world import World

ROOT = Path(__file__).parent.parent.parent
E2E = ROOT / "e2e-test-all.sh"
TOPUP = ROOT / "scripts" / "test_topup.sh"
SHARED = ROOT / "scripts" / "_e2e.sh"
CHAT = "/openai/v1/chat/completions"
SCRIPT_LIMIT_SECONDS = 400
COUNT = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")
NOWHERE = "http://127.0.0.1:9"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SCRIPT_LIMIT_SECONDS + 60)]


@dataclass(frozen=True, slots=True)
class Run:
    """What a script did."""

    code: int
    out: str
    err: str

    @property
    def counts(self) -> tuple[int, int, int]:
        """Passed, failed and skipped, as the last line says."""
        found = COUNT.fullmatch(self.out.splitlines()[-1])
        assert found is not None, self.out + self.err
        return int(found[1]), int(found[2]), int(found[3])

    def checks(self, mark: str) -> list[str]:
        """The names of the checks with a mark, in their order."""
        return re.findall(rf"^  {mark} +(\S+) ", self.out, re.MULTILINE)

    def line(self, check: str) -> str:
        """What is said about a check."""
        (found,) = re.findall(rf"^  (?:ok|FAIL|skip) +{check} .*$", self.out, re.MULTILINE)
        return found


async def run(*arguments: str | Path, command: str = "bash", **environment: str) -> Run:
    """Run a script with nothing in its environment but this."""
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment}
    program = await asyncio.create_subprocess_exec(
        command, *arguments, env=clean, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SCRIPT_LIMIT_SECONDS):
            out, err = await program.communicate()
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    return Run(program.returncode or 0, out.decode(), err.decode())


async def prove(world: World, script: Path, *arguments: str, url: str | None = None, **environment: str) -> Run:
    """Run a script against a shop with the payer's wallet."""
    wallet = {"PHOENIX_TEST_URL": world.parts.payer_url, "PHOENIX_TEST_PASSWORD": world.parts.payer_password}
    return await run(script, url or world.url, *arguments, **{**wallet, **environment})


def secrets_of_payments(world: World) -> set[str]:
    """The preimages of everything that was paid."""
    return {payment.preimage for payment in world.parts.doubles.network.payer.outgoing if payment.preimage}


def paid_msat(world: World) -> int:
    """What has left the payer's wallet, fees included."""
    return sum(row["amount_msat"] + row["fees_msat"] for row in world.parts.ledger("payer")["outgoing"])


async def test_a_good_site_passes_everything(world: World):
    """Every endpoint of the catalog and a token's life: 0 failed, a table, the count last, and no secret anywhere."""
    async with between(world) as (url, somebody):
        ran = await prove(world, E2E, url=url)

    passed, failed, _ = ran.counts
    assert (ran.code, failed, ran.err) == (0, 0, "")
    assert passed == len(ran.checks("ok"))
    endpoints = [
        endpoint["url"]
        for api in (await world.client.get("/api/catalog")).json()["apis"]
        for endpoint in api["endpoints"]
    ]
    for endpoint in endpoints:
        assert re.search(rf"^{endpoint} +ok +ok", ran.out, re.MULTILINE)
    assert re.search(r"^/topup( +ok)+ *$", ran.out, re.MULTILINE)
    assert "FAIL" not in ran.out

    secrets = somebody.secrets | secrets_of_payments(world)
    assert len(secrets) > 8
    assert [secret for secret in secrets if secret in ran.out] == []
    outgoing = world.parts.ledger("payer")["outgoing"]
    invoices = sum(row["amount_msat"] for row in outgoing) // 1_000
    fees = sum(row["fees_msat"] // 1_000 for row in outgoing)
    assert f"paid {invoices} sat and {fees} sat of fees, of 1000 sat at most" in ran.out


async def test_one_endpoint_in_every_detail_keeps_its_secrets(world: World):
    """VERBOSE=1 prints requests and replies, of the wallet too; a filter leaves the other endpoints and top-up out."""
    async with between(world) as (url, somebody):
        ran = await prove(world, E2E, "--only", CHAT, url=url, VERBOSE="1")

    assert (ran.code, ran.counts) == (0, (10, 0, 0))
    assert ran.checks("ok") == "invalid missing model unpaid invoice paid answer again stream balance".split()
    assert f"> POST {url}{CHAT}" in ran.out
    assert "> Authorization: L402 <credential>" in ran.out
    assert "< HTTP/1.1 402 Payment Required" in ran.out
    assert "< data: [DONE]" in ran.out
    assert '"paymentPreimage": "<preimage>"' in ran.out
    assert "/topup " not in ran.out
    secrets = somebody.secrets | secrets_of_payments(world)
    assert len(secrets) == 2  # one macaroon and its preimage served all three calls
    assert [secret for secret in secrets if secret in ran.out] == []


async def test_the_life_of_a_token_passes(world: World):
    """test_topup.sh with VERBOSE=1: amounts, credentials, claim, refill and rotation; no token in what it prints."""
    async with between(world) as (url, somebody):
        ran = await prove(world, TOPUP, url=url, VERBOSE="1")

    assert (ran.code, ran.err, ran.counts) == (0, "", (24, 0, 0))
    assert ran.checks("ok")[:9] == "text float bool low high amount no-token no-key payment".split()
    tokens = {secret for secret in somebody.secrets if secret.startswith("alb_")}
    assert len(tokens) == 3 + 1  # claimed, claimed again, rotated; and the one that nobody knows
    assert [secret for secret in somebody.secrets | secrets_of_payments(world) if secret in ran.out] == []
    assert ran.line("refilled").endswith("the balance grew by 100 sat, once")


async def test_an_answer_that_is_none_is_named(world: World):
    """Upstream sends a page of HTML: the answer fails with what the site said, the rest still runs, the end is 1."""
    world.parts.scenario(not_json=True)

    ran = await prove(world, E2E, "--only", CHAT)

    assert ran.code == 1
    assert ran.checks("FAIL") == ["answer", "again", "stream"]
    assert "expected 200, got 502 upstream_error" in ran.line("answer")
    assert "charged 0 + left 6000 msat" in ran.line("balance")
    assert ran.counts == (7, 3, 0)


async def test_a_missing_keyword_fails_unless_relaxed(world: World):
    """The answer must contain the example's word; STRICT_KEYWORD_MATCH=0 notes its absence and passes."""
    world.parts.scenario(content="Good morning.")

    strict = await prove(world, E2E, CHAT)
    relaxed = await prove(world, E2E, CHAT, STRICT_KEYWORD_MATCH="0")

    assert (strict.code, strict.checks("FAIL")) == (1, ["answer", "stream"])
    assert "the answer does not say 'hello': Good morning." in strict.line("answer")
    assert (relaxed.code, relaxed.checks("FAIL")) == (0, [])
    assert relaxed.out.count("note      the answer does not say 'hello'") == 2


async def test_no_more_than_the_budget_is_paid(world: World):
    """An invoice above what is left is refused before it is paid; what would need it is skipped."""
    ran = await prove(world, E2E, "--max-sats", "14", "/(openai/v1/chat/completions|topup)$")

    assert ran.code == 1
    assert paid_msat(world) == 6_000 + 4_024  # the call's invoice, and what the network takes for it
    assert ran.checks("FAIL") == ["paid"]
    refusal = "not paid: the invoice asks 120 sat and up to 5 sat of fees, but 4 sat are left of the budget of 14"
    assert refusal in ran.out
    assert ran.checks("skip")[:2] == ["claim", "bare"]


async def test_the_budget_can_come_from_the_environment(world: World):
    """MAX_SATS is never passed, and an argument overrules it."""
    bound = await prove(world, E2E, CHAT, MAX_SATS="1")
    raised = await prove(world, E2E, CHAT, "--max-sats", "50", MAX_SATS="1")

    assert (bound.code, bound.checks("FAIL")) == (1, ["paid"])
    assert "left of the budget of 1" in bound.out
    assert (raised.code, raised.checks("FAIL")) == (0, [])


async def test_a_wallet_that_cannot_pay_says_why(world: World):
    """A payment that failed is told with the node's own reason; what would need it is skipped, not failed."""
    await world.parts.knobs("payer", pay_reason="recipient node rejected the payment")

    ran = await prove(world, E2E, CHAT)

    assert (ran.code, ran.checks("FAIL")) == (1, ["paid"])
    assert "the wallet did not pay: recipient node rejected the payment" in ran.line("paid")
    assert ran.checks("skip") == ["answer", "again", "stream", "balance"]


async def test_a_credential_that_is_used_up_is_asked_for_the_difference(world: World):
    """The answer took nearly all: the same credential is asked for the rest, which is paid for the stream, exactly."""
    world.parts.scenario(usage={"prompt_tokens": 14, "completion_tokens": 2_000, "total_tokens": 2_014})

    ran = await prove(world, E2E, CHAT)

    assert (ran.code, ran.counts) == (0, (10, 0, 0))
    assert "402 for the difference of 1 sat" in ran.line("again")
    assert "paid 7000 = charged 2604 + left 4396 msat" in ran.line("balance")
    assert [row["amount_msat"] for row in world.parts.ledger("payer")["outgoing"]] == [6_000, 1_000]


async def test_a_busy_site_is_waited_for(world: World):
    """429 with Retry-After: one more try, as told; the checks do not notice."""
    refusals = [429]

    def busy_once(answer: Answer) -> None:
        if answer.status == 402 and refusals:
            answer.status = refusals.pop()
            answer.headers = {"retry-after": "1"}

    async with between(world, busy_once) as (url, _):
        ran = await prove(world, E2E, CHAT, url=url)

    assert (ran.code, ran.counts) == (0, (10, 0, 0))
    assert "the site asks for 1 s of patience (429)" in ran.out


async def test_a_slow_wallet_is_asked_what_became_of_the_payment(world: World, tmp_path: Path):
    """A wallet that does not answer in time may have paid: the script looks the payment up and goes on."""
    copy = tmp_path / "scripts" / "_e2e.sh"
    copy.parent.mkdir()
    text = SHARED.read_text()
    copy.write_text(text.replace("WALLET_LIMIT_SECONDS=90", "WALLET_LIMIT_SECONDS=2"))
    (tmp_path / E2E.name).write_text(E2E.read_text())
    await world.parts.knobs("payer", pay_delay_ms=4_000)

    ran = await prove(world, tmp_path / E2E.name, CHAT)

    assert (ran.code, ran.counts) == (0, (10, 0, 0))


@pytest.mark.parametrize("script", [E2E, TOPUP])
async def test_without_a_wallet_or_a_site_nothing_can_be_proven(world: World, script: Path):
    """Ends with 2 and one sentence that names what does not answer."""
    no_wallet = await prove(world, script, PHOENIX_TEST_URL=NOWHERE)
    wrong_password = await prove(world, script, PHOENIX_TEST_PASSWORD="no such word")
    no_site = await prove(world, script, url=NOWHERE)

    assert (no_wallet.code, wrong_password.code, no_site.code) == (2, 2, 2)
    assert f"the test wallet at {NOWHERE} does not help: no answer" in no_wallet.err
    assert "it refuses PHOENIX_TEST_PASSWORD" in wrong_password.err
    assert f"{NOWHERE} does not answer" in no_site.err


@pytest.mark.parametrize("script", [E2E, TOPUP])
async def test_topup_that_is_switched_off_is_skipped(world: World, script: Path):
    """The catalog says so and POST /topup too: 503 topup_unavailable. The rest is skipped with a note."""
    settings = world.services.settings
    off = settings.config.model_copy(update={"topup": settings.config.topup.model_copy(update={"enabled": False})})
    world.exchange(settings=replace(settings, config=off))

    ran = await prove(world, script, *(["topup"] if script is E2E else []))

    assert (ran.code, ran.counts) == (0, (1, 0, 15))
    assert "503 topup_unavailable" in ran.line("off")
    assert "top-up is switched off here" in ran.line("offer")


# --- A site that lies -----------------------------------------------------------------------------------------------


def asks_to_pay_for_mistakes(answer: Answer) -> None:
    """400 with an invoice, and a 402 whose header and body name different macaroons."""
    if answer.status == 400:
        answer.headers["x-lightning-invoice"] = "lnbc1" + "q" * 200
    if answer.status == 402:
        answer.say(macaroon=answer.json["macaroon"][::-1])


def says_less_than_the_invoice(answer: Answer) -> None:
    """The invoice asks 6 sat, everything around it says 1."""
    if answer.status == 402:
        answer.headers["x-price-sats"] = "1"
        answer.say(amount_sats=1, max_price_msat=1)


def hides_an_amount_in_the_invoice(answer: Answer) -> None:
    """What a careless form would send to the wallet as its own parameter."""
    if answer.status == 402:
        invoice = answer.json["invoice"]
        long = f"{invoice}&amountSat=100000"
        answer.headers = {name: value.replace(invoice, long) for name, value in answer.headers.items()}
        answer.say(invoice=long)


def charges_more_than_it_says(answer: Answer) -> None:
    """The header understates what was taken."""
    if "x-charge-msat" in answer.headers:
        answer.headers["x-charge-msat"] = "1"


@pytest.mark.parametrize(
    ("lie", "failed", "told"),
    [
        (asks_to_pay_for_mistakes, "invalid missing model unpaid", "the macaroons of header and body differ"),
        (says_less_than_the_invoice, "invoice", "the invoice's own amount in msat is '6000' instead of '1000'"),
        (hides_an_amount_in_the_invoice, "unpaid", "the invoice is not bolt11"),
        (charges_more_than_it_says, "answer again stream balance", "balance_msat (paid 6000, charged"),
    ],
)
async def test_a_lie_is_found(world: World, lie: Lie, failed: str, told: str):
    """Each lie fails the check that is there for it; what has been found to be wrong is never paid."""
    async with between(world, lie) as (url, _):
        ran = await prove(world, E2E, CHAT, url=url)

    assert (ran.code, ran.checks("FAIL")) == (1, failed.split())
    assert told in ran.out
    outgoing = world.parts.ledger("payer")["outgoing"]
    assert [row["amount_msat"] for row in outgoing] == ([6_000] if lie is charges_more_than_it_says else [])


# --- How they are called --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [E2E, TOPUP])
@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (["--frobnicate"], {}, "unknown argument '--frobnicate'"),
        (["example.com"], {}, "'example.com' is not the address of a site"),
        (["--max-sats", "1e9"], {}, "--max-sats needs a whole number of sats"),
        (["--max-sats"], {}, "--max-sats needs a value"),
        ([], {"MAX_SATS": "many"}, "--max-sats needs a whole number of sats"),
        (["a", "b", "c"], {}, "too many arguments"),
        ([], {"PHOENIX_TEST_URL": "https://wallet.example"}, "set PHOENIX_TEST_PASSWORD: the wallet at"),
        ([], {"PHOENIX_TEST_URL": "https://localhost.example"}, "set PHOENIX_TEST_PASSWORD: the wallet at"),
    ],
)
async def test_a_wrong_call_is_told(script: Path, arguments: list[str], environment: dict[str, Any], told: str):
    """Ends with 2 before anything is asked of anybody."""
    ran = await run(script, *arguments, **environment)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"{script.name}: ")
    assert told in ran.err


async def test_a_filter_that_chooses_nothing_or_is_none_is_told(world: World):
    """Ends with 2: an empty run proves nothing."""
    nothing = await prove(world, E2E, "--only", "no-such-endpoint")
    broken = await prove(world, E2E, "--only", "(")

    assert (nothing.code, broken.code) == (2, 2)
    assert "no endpoint here matches 'no-such-endpoint'" in nothing.err
    assert "'(' is not a regular expression" in broken.err


@pytest.mark.parametrize("script", [E2E, TOPUP])
async def test_help_is_the_comment_at_the_top(script: Path):
    """It names every option and variable."""
    told = await run(script, "--help")

    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("usage: ")
    for name in (
        "PHOENIX_TEST_URL",
        "PHOENIX_TEST_PASSWORD",
        "VERBOSE",
        "STRICT_KEYWORD_MATCH",
        "MAX_SATS",
        "--max-sats",
    ):
        assert name in told.out


@pytest.mark.parametrize("shell", ["bash", "dash"])
async def test_an_old_or_other_shell_is_told_what_is_needed(shell: str):
    """The Bash of macOS, and a shell that is none: 2 and a sentence, before anything that they cannot read."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")

    ran = await run("-c", 'BASH_VERSION=$1; . "$2"', "a-script", "3.2.57(1)-release", SHARED, command=shell)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("a-script needs Bash 4 or newer; this is 3.2.57")
