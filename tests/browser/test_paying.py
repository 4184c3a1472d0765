"""Paying for one call in a real browser at a real shop: every way it can go."""

from __future__ import annotations

import asyncio
import re
import wave
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.open_page import LAPTOP
from tests.browser.visitor import CHAT_PAGE, Visitor, visiting
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAY_AND_RUN = re.compile(r"^Pay \d+ sats and run$")
INVOICE_SECONDS = 600
GROWS_SECONDS = 20
RUN = re.compile(r"^(Pay \d+ sats? and run|Pay and run|Run with your change)$")
PLAYABLE = """
async (audio) => {
  while (audio.readyState < 1 && audio.error === null) await new Promise((done) => setTimeout(done, 20));
  return audio.error === null && audio.duration > 0;
}
"""
DEAR_MODEL = "gpt-6-astra"
"""Its call can cost more than any change of the example's."""
SLOW_STREAM = {"chunks": 40, "chunk_delay_ms": 100}
LONG_STREAM = {"chunks": 60, "chunk_bytes": 400, "chunk_delay_ms": 100}
"""Higher than any window long before it ends."""


def write_silence(path: Path) -> None:
    """One second of it."""
    with wave.open(str(path), "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(8_000)
        recording.writeframes(bytes(16_000))


async def pay_if_asked(visitor: Visitor) -> None:
    """Pay where the change does not cover the call; which it is depends on the catalog's prices."""
    pay, answer = visitor.button("Pay with the demo wallet"), visitor.page.get_by_text("Complete", exact=True)
    await expect(pay.or_(answer).first).to_be_visible()
    if await pay.count():
        await pay.click()
    await expect(answer).to_be_visible()


async def ask_to_pay(visitor: Visitor) -> None:
    """Press the button of the chat page that makes an invoice, and wait for it."""
    await visitor.press(PAY_AND_RUN)
    await expect(visitor.page.get_by_role("dialog").get_by_role("img")).to_be_visible()


async def pay_from_a_phone(visitor: Visitor) -> None:
    """Another device pays the invoice that is shown."""
    await visitor.world.parts.pay(await visitor.invoice())


async def height_of(visitor: Visitor) -> int:
    """How high the whole page is, in pixels."""
    return await visitor.page.evaluate("document.body.scrollHeight")


async def until_higher_than(pixels: int, visitor: Visitor) -> None:
    """Wait while the page grows."""
    async with asyncio.timeout(GROWS_SECONDS):
        while await height_of(visitor) <= pixels:
            await asyncio.sleep(0.02)


async def charged_msat(visitor: Visitor) -> int:
    """What the server says the newest call of the newest payment cost."""
    (charge, *_) = [entry for entry in await visitor.entries() if entry["type"] == "charge"]
    return -charge["amount_msat"]


async def test_a_chat_is_paid_with_the_demo_wallet_and_streams(world: World):
    """One press pays; the answer is written while it comes; its cost is the ledger's to the msat."""
    world.parts.scenario(**SLOW_STREAM)
    async with visiting(world, CHAT_PAGE) as visitor:
        await ask_to_pay(visitor)
        await visitor.press("Pay with the demo wallet")

        answer = visitor.page.get_by_role("region", name="Answer")
        await expect(answer.get_by_text("Answer is coming").last).to_be_visible()
        await expect(answer.locator("[aria-busy=true] p").first).not_to_be_empty()
        await visitor.sees("Complete")
        await expect(visitor.page.get_by_role("dialog")).to_have_count(0)

        cost = await charged_msat(visitor)
        await visitor.sees(f"({cost} msat)")
        (payment,) = await visitor.payments()
        assert (payment["state"], payment["balanceMsat"]) == ("used", payment["amountSats"] * 1_000 - cost)


async def test_a_payment_from_another_device_is_noticed(world: World):
    """Nobody copies a preimage: the page asks the node by itself, and the call runs."""
    async with visiting(world, CHAT_PAGE, phone=True) as visitor:
        await ask_to_pay(visitor)
        await pay_from_a_phone(visitor)

        await visitor.sees("Complete")
        await expect(visitor.page.get_by_role("heading", name="Answer")).to_be_focused()


async def test_the_whole_call_works_by_keyboard(world: World):
    """Enter opens the dialog with the focus on its title; Tab and Enter pay; Escape keeps the invoice."""
    async with visiting(world, CHAT_PAGE) as visitor:
        await visitor.button(PAY_AND_RUN).focus()
        await visitor.page.keyboard.press("Enter")
        await expect(visitor.page.get_by_role("heading", name="Pay for one call")).to_be_focused()
        await expect(visitor.page.get_by_role("dialog").get_by_role("img")).to_be_visible()

        await visitor.page.keyboard.press("Escape")
        await expect(visitor.page.get_by_role("dialog")).to_have_count(0)
        await expect(visitor.button(PAY_AND_RUN)).to_be_focused()
        await visitor.button(re.compile("1 unpaid invoice")).focus()
        await visitor.page.keyboard.press("Enter")
        await visitor.button("Pay with the demo wallet").focus()
        await visitor.page.keyboard.press("Enter")

        await visitor.sees("A call is paid and was not run")
        await visitor.button("Run it now").focus()
        await visitor.page.keyboard.press("Enter")
        await visitor.sees("Complete")


async def test_a_tab_closed_between_paying_and_running_loses_nothing(world: World):
    """The payment is found by the next visit, and runs the request it was made for."""
    async with visiting(world, CHAT_PAGE) as visitor:
        await visitor.page.get_by_label("Message", exact=True).fill("Say it seven times.")
        await ask_to_pay(visitor)
        invoice = await visitor.invoice()
        await visitor.close_tab()
        await world.parts.pay(invoice)

        await visitor.new_tab("/")
        await visitor.page.get_by_role("link", name=re.compile(r"^\d+ sats paid, not used$")).click()
        await visitor.press("Run it now")

        await visitor.sees("Complete")
        (sent,) = world.parts.doubles.journal.entries()
        assert sent["body"]["messages"][-1]["content"] == "Say it seven times."


async def test_an_expired_invoice_is_replaced(world: World):
    """It says that nothing was charged; a press makes another invoice, and that one can be paid."""
    async with visiting(world, CHAT_PAGE) as visitor:
        await ask_to_pay(visitor)
        first = await visitor.invoice()
        world.parts.doubles.network.clock.advance(INVOICE_SECONDS + 1)

        await visitor.sees("The invoice has expired. Nothing was charged")
        await visitor.press("New invoice")
        await expect(visitor.page.get_by_role("dialog").get_by_role("img")).to_be_visible()
        assert await visitor.invoice() != first
        await visitor.press("Pay with the demo wallet")
        await visitor.sees("Complete")


async def test_a_node_that_is_down_makes_no_invoice(world: World):
    """Payments are said to be paused; when the node is back a press makes the invoice."""
    async with visiting(world, CHAT_PAGE) as visitor:
        visitor.expected.add("503")
        await visitor.button(PAY_AND_RUN).wait_for()
        await world.parts.knobs("seller", refuse=True)
        await visitor.press(PAY_AND_RUN)
        await visitor.sees("Payments are paused. No invoice was made")

        await world.parts.reset_knobs("seller")
        await visitor.press("Try again")
        await visitor.press("Pay with the demo wallet")
        await visitor.sees("Complete")


async def test_a_node_that_goes_down_while_one_pays_is_waited_for(world: World):
    """The dialog says that it still asks, and notices the payment once the node answers again."""
    async with visiting(world, CHAT_PAGE) as visitor:
        visitor.expected.add("503")
        await ask_to_pay(visitor)
        invoice = await visitor.invoice()
        await world.parts.knobs("seller", hang=True)
        await world.parts.pay(invoice)
        await world.parts.knobs("seller", refuse=True)
        await visitor.sees("The node does not answer. Still asking")

        await world.parts.reset_knobs("seller")
        await visitor.sees("Complete")


async def test_being_offline_costs_nothing(world: World):
    """The invoice stays valid; back online, the page asks at once and finds it paid."""
    async with visiting(world, CHAT_PAGE) as visitor:
        await ask_to_pay(visitor)
        invoice = await visitor.invoice()
        await visitor.context.set_offline(True)
        await visitor.sees("You are offline. The invoice stays valid")
        await world.parts.pay(invoice)

        await visitor.context.set_offline(False)
        await visitor.sees("Complete")


async def test_a_wallet_that_refuses_is_quoted_and_never_paid_twice(world: World):
    """Its words are shown; the code is not, because a wallet has it; paying another way makes a new invoice."""
    async with visiting(world, CHAT_PAGE) as visitor:
        visitor.expected.add("400")
        await world.parts.knobs("payer", pay_reason="the recipient is asleep")
        await ask_to_pay(visitor)
        first = await visitor.invoice()
        await visitor.press("Pay with the demo wallet")
        await visitor.sees(re.compile("the recipient is asleep"))
        await expect(visitor.page.get_by_role("dialog").get_by_role("img")).to_have_count(0)

        await world.parts.reset_knobs("payer")
        await visitor.press("Pay another way")
        await expect(visitor.page.get_by_role("dialog").get_by_role("img")).to_be_visible()
        assert await visitor.invoice() != first
        await visitor.press("Pay with the demo wallet")
        await visitor.sees("Complete")


async def test_a_long_answer_is_followed_by_who_reads_its_end(world: World):
    """Who scrolls up is left alone, and comes back to the end with one press."""
    world.parts.scenario(**LONG_STREAM)
    async with visiting(world, CHAT_PAGE) as visitor:
        answer = visitor.page.get_by_role("region", name="Answer")
        end = answer.get_by_text("Cost", exact=True)
        await ask_to_pay(visitor)
        await visitor.press("Pay with the demo wallet")
        await until_higher_than(2 * LAPTOP["height"], visitor)
        jump = visitor.button("Jump to end")
        await expect(jump.or_(end).first).to_be_visible()
        if await jump.count():  # where the answer began below the window
            await jump.click()
        await expect(end).to_be_in_viewport()

        await visitor.page.mouse.wheel(0, -10_000)
        await expect(jump).to_be_visible()
        await until_higher_than(await height_of(visitor), visitor)
        assert await visitor.page.evaluate("scrollY") == 0

        await jump.click()
        await expect(end).to_be_in_viewport()
        await until_higher_than(await height_of(visitor), visitor)
        await expect(end).to_be_in_viewport()
        await visitor.press("Stop")
        await expect(jump).to_have_count(0)


async def test_an_answer_may_be_shown_only_when_it_is_complete(world: World):
    """A setting, which the browser keeps: nothing grows under a reader's eyes."""
    world.parts.scenario(**SLOW_STREAM)
    async with visiting(world, CHAT_PAGE) as visitor:
        await visitor.page.get_by_text("More settings", exact=True).click()
        await visitor.page.get_by_label("Show answers only when complete").check()
        await visitor.page.reload()
        await ask_to_pay(visitor)
        await visitor.press("Pay with the demo wallet")

        answer = visitor.page.get_by_role("region", name="Answer")
        shown = answer.locator("[aria-busy]")
        await expect(shown).to_have_text("It is shown once it is complete.")
        await expect(answer.get_by_text("Answer is coming").last).to_be_visible()
        await visitor.sees("Complete")
        await expect(shown).to_contain_text("canned answer of the demo")


async def test_a_stopped_answer_is_fetched_without_a_second_charge(world: World):
    """Stop ends the listening, not the call; its answer is fetched whole, and the account has one charge."""
    world.parts.scenario(**SLOW_STREAM, times=1)
    async with visiting(world, CHAT_PAGE) as visitor:
        visitor.expected.add("409")
        await ask_to_pay(visitor)
        await visitor.press("Pay with the demo wallet")
        await expect(visitor.page.locator("[aria-busy=true] p").first).not_to_be_empty()
        await visitor.press("Stop")
        await visitor.press("Fetch the answer")

        await visitor.sees("Complete")
        charges = [entry for entry in await visitor.entries() if entry["type"] == "charge"]
        assert len(charges) == 1


async def test_a_run_lost_with_its_tab_is_fetched_by_the_next_visit(world: World):
    """The page says that a call did not end here, and fetches its answer without a second charge."""
    world.parts.scenario(**SLOW_STREAM, times=1)
    async with visiting(world, CHAT_PAGE) as visitor:
        visitor.expected.add("409")
        await ask_to_pay(visitor)
        await visitor.press("Pay with the demo wallet")
        await expect(visitor.page.locator("[aria-busy=true] p").first).not_to_be_empty()
        await visitor.close_tab()

        await visitor.new_tab(CHAT_PAGE)
        await visitor.press("Fetch the answer")

        await visitor.sees("Complete")
        assert len([entry for entry in await visitor.entries() if entry["type"] == "charge"]) == 1


async def test_a_failed_call_keeps_what_was_paid(world: World):
    """Upstream fails: nothing is spent, it is said so, and the next run uses the same payment."""
    world.parts.scenario(status=500, times=1)
    async with visiting(world, CHAT_PAGE) as visitor:
        visitor.expected.add("502")
        await ask_to_pay(visitor)
        await visitor.press("Pay with the demo wallet")
        await visitor.sees("Nothing was spent. What you paid is kept here")

        await visitor.press("Run with your change")
        await visitor.sees("Complete")
        assert await world.invoices() == 1


async def test_change_pays_first_and_the_difference_after(world: World):
    """A dearer call asks only for what the change does not cover, and both are one account afterwards."""
    async with visiting(world, CHAT_PAGE) as visitor:
        await ask_to_pay(visitor)
        await visitor.press("Pay with the demo wallet")
        await visitor.sees("Complete")
        (first,) = await visitor.payments()

        await visitor.sees(re.compile(r"\bChange: \d"))
        await visitor.page.get_by_label("Model", exact=True).select_option(DEAR_MODEL)
        await visitor.press(PAY_AND_RUN)
        await visitor.sees("Pay the difference")
        await visitor.press("Pay with the demo wallet")
        await expect(visitor.page.get_by_role("dialog")).to_have_count(0)
        await visitor.sees("Complete")

        (second,) = await visitor.payments()
        entries = await visitor.entries()
        paid = sum(entry["amount_msat"] for entry in entries if entry["type"] == "credit")
        assert second["hash"] != first["hash"]
        assert paid == (first["amountSats"] + second["amountSats"]) * 1_000
        assert len([entry for entry in entries if entry["type"] == "charge"]) == 2


async def test_pictures_sounds_and_uploads_are_answered_in_place(world: World, tmp_path: Path):
    """A picture is seen, a sound can be played, a chosen file is sent: each paid by its own invoice or by change."""
    recording = tmp_path / "recording.wav"
    write_silence(recording)
    async with visiting(world, "/catalog/openai/v1/images/generations") as visitor:
        await ask_to_pay(visitor)
        await visitor.press("Pay with the demo wallet")
        picture = visitor.page.get_by_role("region", name="Answer").get_by_role("img")
        await expect(picture).to_be_visible()
        assert await picture.evaluate("async (img) => { await img.decode(); return img.naturalWidth; }") > 0

        await visitor.go("/catalog/openai/v1/audio/speech")
        await visitor.press(RUN)
        await pay_if_asked(visitor)
        sound = visitor.page.get_by_label("The answer as sound")
        await expect(sound).to_be_visible()
        assert await sound.evaluate(PLAYABLE) is True

        await visitor.go("/catalog/openai/v1/audio/transcriptions")
        await visitor.sees("Choose a file for “file” first.")
        await visitor.page.get_by_label("File", exact=True).set_input_files(recording)
        await visitor.press(RUN)
        await pay_if_asked(visitor)
        await visitor.sees(re.compile("canned transcription"))


async def test_every_state_of_the_dialog_is_usable_by_all(world: World):
    """Axe finds nothing in the form, the dialog and the answer, on phone and laptop, light and dark."""
    async with visiting(world, CHAT_PAGE) as visitor:
        await visitor.button(PAY_AND_RUN).wait_for()
        faults = await visitor.faults_in_every_look()
        await visitor.page.get_by_text("More settings", exact=True).click()
        await expect(visitor.page.get_by_label("Temperature")).to_be_visible()
        faults += await visitor.faults_in_every_look()
        await ask_to_pay(visitor)
        faults += await visitor.faults_in_every_look()
        await visitor.press("Connect a wallet by its link")
        faults += await visitor.faults_in_every_look()
        await visitor.press("Back")
        await visitor.press("Pay with the demo wallet")
        await visitor.sees("Complete")
        faults += await visitor.faults_in_every_look()

        assert faults == []
