"""Prepaid in a real browser: top up, spend, refill, and what an account shows and can do."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from lib.core.money import Msat
from lib.store.ledger import Owner
from tests.browser.visitor import CHAT_PAGE, Visitor, visiting
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WEBLN = """
window.webln = {
  enable: async () => undefined,
  sendPayment: async (invoice) => ({ preimage: await window.payWithExtension(invoice) }),
};
"""
NO_BREAK_SPACE = "\u00a0"
THOUSAND, FIVE_THOUSAND = re.compile(r"^1\s000\b"), re.compile(r"^5\s000\b")


async def top_up(visitor: Visitor, preset: re.Pattern[str] = THOUSAND, *, keep: bool = False) -> str:
    """Buy a token on the top-up page with the demo wallet; the token."""
    await visitor.press(preset)
    await visitor.press("Pay with the demo wallet")
    token = await token_shown(visitor)
    if keep:
        await visitor.page.get_by_label(re.compile("Keep it in this browser")).check()
    await visitor.page.get_by_label("I have saved it").check()
    await visitor.press("Done")
    await expect(visitor.page.get_by_role("heading", name="Account")).to_be_visible()
    return token


async def token_shown(visitor: Visitor) -> str:
    """The token in its field, waited for; the account's section of that name is no field."""
    return await visitor.page.get_by_role("textbox", name="Token", exact=True).input_value()


async def run_a_chat(visitor: Visitor) -> None:
    """One call from the balance."""
    await visitor.go(CHAT_PAGE)
    await visitor.press("Run from balance")
    await visitor.sees("Complete")


async def usage(world: World, token: str) -> list[dict[str, object]]:
    """The account's history as the server tells it."""
    answer = await world.client.get("/api/usage", headers={"Authorization": f"Bearer {token}"})
    return answer.json()["entries"]


async def test_top_up_spend_and_see_it_to_the_msat(world: World):
    """A token is shown once and works; what a call cost stands in the history exactly, with the balance after it."""
    async with visiting(world, "/topup") as visitor:
        token = await top_up(visitor)
        assert token.startswith("alb_")
        await run_a_chat(visitor)
        await visitor.go("/account")

        charge, credit = await usage(world, token)
        cells = visitor.page.get_by_role("row").filter(has_text=str(charge["model"])).get_by_role("cell")
        await expect(cells).not_to_have_count(0)
        shown = [text.replace(NO_BREAK_SPACE, " ") for text in await cells.all_inner_texts()]
        assert credit["amount_msat"] == 1_000_000
        assert f"− {-int(str(charge['amount_msat']))} msat" in shown
        assert f"{int(str(charge['balance_msat'])):,} msat".replace(",", " ") in shown
        assert await visitor.payments() == []


async def test_a_browser_s_wallet_tops_up(world: World):
    """An injected WebLN provider is offered first, and one press pays."""
    async with visiting(world, "/") as visitor:

        async def pay(invoice: str) -> str:
            return await world.parts.pay(invoice)

        await visitor.context.expose_function("payWithExtension", pay)  # pyright: ignore[reportUnknownMemberType]
        await visitor.context.add_init_script(WEBLN)
        await visitor.go("/topup")
        await visitor.press(FIVE_THOUSAND)
        await visitor.press("Pay with your browser’s wallet")

        await visitor.sees("Your token, shown once")
        await visitor.sees(re.compile(r"It holds\s+5\s000"))


async def test_a_refill_is_on_the_same_token(world: World):
    """The balance grows by itself, and no new token is made."""
    async with visiting(world, "/topup") as visitor:
        token = await top_up(visitor)
        await visitor.page.get_by_role("link", name="Refill").click()
        await visitor.press(FIVE_THOUSAND)
        await visitor.press("Pay with the demo wallet")

        await visitor.sees(re.compile("are on your balance"))
        balance = await world.client.get("/api/balance", headers={"Authorization": f"Bearer {token}"})
        assert balance.json()["balance_sats"] == 6_000
        await expect(visitor.page.get_by_role("banner").get_by_text(re.compile(r"6\s000"))).to_be_visible()


async def test_an_amount_in_dollars(world: World):
    """Dollars are shown in sats before the invoice is made; what is no amount is said to be none."""
    async with visiting(world, "/topup") as visitor:
        await visitor.page.get_by_label("Another amount").fill("a lot")
        await visitor.sees("Whole sats, as 2500.")
        await visitor.page.get_by_label("Unit").select_option("USD")
        await visitor.page.get_by_label("Another amount").fill("2.50")
        await visitor.sees(re.compile(r"2\s500 sats at this moment"))
        await visitor.press("Make invoice")

        dialog = visitor.page.get_by_role("dialog")
        await expect(dialog.get_by_role("img")).to_be_visible()
        await expect(dialog.get_by_text(re.compile(r"^2\s500\ssats$"))).to_be_visible()


async def test_a_top_up_paid_after_its_tab_was_closed_still_gives_its_token(world: World):
    """The next visit says so in the header, and the claim is made then."""
    async with visiting(world, "/topup") as visitor:
        await visitor.press(THOUSAND)
        await expect(visitor.page.get_by_role("dialog").get_by_role("img")).to_be_visible()
        invoice = await visitor.invoice()
        await visitor.close_tab()
        await world.parts.pay(invoice)

        await visitor.new_tab("/")
        await visitor.page.get_by_role("link", name="Get your token").click()
        await visitor.press("Get the token")
        await visitor.sees("Your token, shown once")


async def test_a_token_that_was_not_saved_is_shown_again(world: World):
    """Until "Done" a reload gives the same token back: the claim is repeated with its key."""
    async with visiting(world, "/topup") as visitor:
        await visitor.press(THOUSAND)
        await visitor.press("Pay with the demo wallet")
        token = await token_shown(visitor)
        await visitor.page.reload()
        await visitor.press("Get the token")

        assert await token_shown(visitor) == token


async def test_a_token_is_kept_only_if_wanted(world: World):
    """Without the tick it ends with the tab; with it, it is there in the next one; forgotten, it is gone."""
    async with visiting(world, "/topup") as visitor:
        await top_up(visitor)
        await visitor.close_tab()
        await visitor.new_tab("/account")
        await expect(visitor.page.get_by_label("Paste a token")).to_be_visible()

        await visitor.go("/topup")
        token = await top_up(visitor, keep=True)
        await visitor.close_tab()
        await visitor.new_tab("/account")
        await visitor.sees("Nothing is held")
        await visitor.press("Forget it here")
        await expect(visitor.page.get_by_label("Paste a token")).to_be_visible()
        kept = await visitor.page.evaluate("JSON.stringify([localStorage, sessionStorage])")
        assert token not in kept


async def test_rotate_and_revoke(world: World):
    """Rotating ends the old token at once; a token with a balance is not revoked."""
    async with visiting(world, "/topup") as visitor:
        visitor.expected.add("409")
        old = await top_up(visitor)
        await visitor.press("Rotate")
        new = await token_shown(visitor)
        await visitor.page.get_by_label("I have saved it").check()
        await visitor.press("Done")

        told = {"Authorization": f"Bearer {old}"}
        assert (await world.client.get("/api/balance", headers=told)).status_code == 401
        await visitor.press("Revoke")
        await visitor.page.get_by_label(re.compile("Type its last 4")).fill(new[-4:])
        await visitor.press("Revoke for ever")
        await visitor.sees("Nothing was changed")
        told = {"Authorization": f"Bearer {new}"}
        assert (await world.client.get("/api/balance", headers=told)).json()["balance_sats"] == 1_000


async def test_an_unknown_token_is_refused_in_words(world: World):
    """A pasted token that the server does not know opens nothing."""
    async with visiting(world, "/account") as visitor:
        visitor.expected.add("401")
        await visitor.page.get_by_label("Paste a token").fill("alb_" + "x" * 43)
        await visitor.press("Open the account")

        await visitor.sees(re.compile("not known here"))


async def test_change_is_collected_into_a_token(world: World):
    """What a call left becomes a token that holds it to the msat, and is then no change any more."""
    async with visiting(world, CHAT_PAGE) as visitor:
        await visitor.press(re.compile(r"^Pay \d+ sats and run$"))
        await visitor.press("Pay with the demo wallet")
        await visitor.sees(re.compile(r"^\(\d+\smsat\)$"))
        (payment,) = await visitor.payments()
        await visitor.page.get_by_role("banner").get_by_role("link", name="Change").click()
        await visitor.press(re.compile("^Collect"))
        token = await token_shown(visitor)
        await visitor.page.get_by_label("I have saved it").check()
        await visitor.press("Done")

        told = {"Authorization": f"Bearer {token}"}
        assert (await world.client.get("/api/balance", headers=told)).json()["balance_msat"] == payment["balanceMsat"]
        assert await visitor.payments() == []


async def test_the_history_is_filtered_and_downloaded(world: World, tmp_path: Path):
    """Filters are in the address; the CSV has every entry with exact msat."""
    async with visiting(world, "/topup") as visitor:
        token = await top_up(visitor)
        await run_a_chat(visitor)
        calls = visitor.page.get_by_role("rowheader").filter(has_text="/chat/completions")
        await visitor.go("/account")
        await expect(calls).to_have_count(1)
        await visitor.go("/account?type=credit")
        await visitor.sees("Paid in")
        await expect(calls).to_have_count(0)
        async with visitor.page.expect_download() as downloading:
            await visitor.press(re.compile("^CSV"))
        saved = tmp_path / "history.csv"
        await (await downloading.value).save_as(saved)

        rows = list(csv.DictReader(io.StringIO(saved.read_text())))
        entries = await usage(world, token)
        assert [int(row["amount_msat"]) for row in rows] == [entry["amount_msat"] for entry in entries]
        assert [row["request_id"] or None for row in rows] == [entry["request_id"] for entry in entries]


async def test_a_balance_that_was_spent_elsewhere_offers_both_ways_out(world: World):
    """The page did not know yet: nothing is charged, and refilling or paying this one call is offered."""
    async with visiting(world, "/topup") as visitor:
        token = await top_up(visitor)
        await visitor.go(CHAT_PAGE)
        await visitor.button("Run from balance").wait_for()
        found = await world.services.ledger.balance(Owner.of_token(token))
        assert found is not None
        await world.services.ledger.adjust("spent elsewhere", found.account, Msat(1) - found.balance, "spent")
        await visitor.press("Run from balance")

        await visitor.sees("Nothing was charged")
        answer = visitor.page.get_by_role("region", name="Answer")
        await expect(answer.get_by_role("link", name="Refill")).to_be_visible()
        await answer.get_by_role("button", name="Pay this one call").click()
        await visitor.press("Pay with the demo wallet")
        await visitor.sees("Complete")


async def test_a_call_dearer_than_the_balance_is_offered_by_invoice(world: World):
    """The button says what it will do before it is pressed: the balance does not cover it, so it pays this call."""
    async with visiting(world, "/topup") as visitor:
        await visitor.page.get_by_label("Another amount").fill("100")
        await visitor.press("Make invoice")
        await visitor.press("Pay with the demo wallet")
        await visitor.page.get_by_label("I have saved it").check()
        await visitor.press("Done")
        await visitor.go(CHAT_PAGE)
        await visitor.button("Run from balance").wait_for()
        await visitor.page.get_by_label("Model", exact=True).select_option("gpt-6-astra")

        await visitor.press(re.compile(r"^Pay \d+ sats and run$"))
        await expect(visitor.page.get_by_role("dialog").get_by_role("img")).to_be_visible()


async def test_the_pages_are_usable_by_all(world: World):
    """Axe finds nothing on the top-up page, the token, the account and its table, phone and laptop, light and dark."""
    async with visiting(world, "/topup") as visitor:
        await visitor.button(THOUSAND).wait_for()
        faults = await visitor.faults_in_every_look()
        await visitor.press(THOUSAND)
        await visitor.press("Pay with the demo wallet")
        await visitor.sees("Your token, shown once")
        await expect(visitor.page.get_by_role("dialog")).to_have_count(0)
        faults += await visitor.faults_in_every_look()
        await visitor.page.get_by_label("I have saved it").check()
        await visitor.press("Done")
        await run_a_chat(visitor)
        await visitor.go("/account")
        await visitor.sees("Paid in")
        await visitor.button("As a table").wait_for()
        faults += await visitor.faults_in_every_look()
        await visitor.press("As a table")
        faults += await visitor.faults_in_every_look()
        await visitor.press("Forget it here")
        faults += await visitor.faults_in_every_look()

        assert faults == []
