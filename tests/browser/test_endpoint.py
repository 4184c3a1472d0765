"""An endpoint's page in a real browser: its tabs, its examples, its price."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import states
from tests.browser.canned_site import CannedSite
from tests.browser.open_page import opened

pytestmark = pytest.mark.browser

PAGE = "/catalog/openai/v1/chat/completions"


@pytest.mark.parametrize(
    ("tab", "shows"),
    [
        ("try", "Message"),
        ("examples", "curl, paid per call"),
        ("parameters", "bounds the most it can cost"),
        ("errors", "payment_required"),
    ],
)
def test_everybody_can_use_every_tab(browser: Browser, site: CannedSite, tab: str, shows: str) -> None:
    """Reached by its address. Axe finds nothing in any look, nothing sticks out, the policy stops nothing."""
    with opened(browser, f"{site.url}{PAGE}?tab={tab}") as seen:
        expect(seen.page.get_by_text(shows, exact=True).locator("visible=true").first).to_be_visible()

        assert seen.faults_in_every_look() == []
        assert (seen.policy_violations(), seen.complaints) == ([], [])


def test_tabs_go_by_arrow_keys_and_stand_in_the_address(browser: Browser, site: CannedSite) -> None:
    """As a screen reader's user knows tabs."""
    with opened(browser, f"{site.url}{PAGE}") as seen:
        seen.page.get_by_role("tab", name="Try it").focus()
        seen.page.keyboard.press("ArrowRight")
        seen.page.keyboard.press("Enter")

        expect(seen.page.get_by_role("tab", name="Examples")).to_have_attribute("aria-selected", "true")
        expect(seen.page).to_have_url(f"{site.url}{PAGE}?tab=examples")


def test_an_example_is_chosen_once_for_the_whole_site(browser: Browser, site: CannedSite) -> None:
    """It is for this address, coloured without markup from strings, copied whole, and the choice lasts."""
    with opened(browser, f"{site.url}{PAGE}?tab=examples") as seen:
        seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        seen.page.get_by_role("button", name="Python, OpenAI SDK").click()
        code = seen.page.get_by_role("region", name="Python, OpenAI SDK example")
        expect(code.locator(".hljs-string").first).to_be_visible()

        seen.page.get_by_role("button", name="Copy Python, OpenAI SDK example").click()
        expect(seen.page.get_by_role("button", name="Copied Python, OpenAI SDK example")).to_be_visible()
        copied = seen.page.evaluate("navigator.clipboard.readText()")
        seen.page.reload()

        assert copied == f'client = OpenAI(base_url="{site.url}/v1", api_key="alb_YOUR_TOKEN")'
        expect(seen.page.get_by_role("button", name="Python, OpenAI SDK", pressed=True)).to_be_visible()
        assert (seen.policy_violations(), seen.complaints) == ([], [])


def test_the_price_beside_the_form_is_of_the_model_in_the_form(browser: Browser, site: CannedSite) -> None:
    """Choosing another model changes both, keeps what was written, and can be sent as an address."""
    with opened(browser, f"{site.url}{PAGE}") as seen:
        costs = seen.page.get_by_role("complementary", name="What it costs")
        expect(costs).to_contain_text("$0.195")
        seen.page.get_by_role("textbox", name="Message").fill("What is a sat?")

        seen.page.get_by_role("combobox", name="Model", exact=True).select_option("gpt-4o")

        expect(costs).to_contain_text("$3.25")
        expect(seen.page.get_by_role("textbox", name="Message")).to_have_value("What is a sat?")
        expect(seen.page).to_have_url(f"{site.url}{PAGE}?model=gpt-4o")


def test_a_paused_model_is_not_quoted(browser: Browser, site: CannedSite) -> None:
    """Instead of a price to pay it is said that it is paused; another model of the endpoint can be bought."""
    states.pause_a_model(site)
    asked: list[str] = []
    with opened(browser, "about:blank") as seen:
        seen.page.on("request", lambda request: asked.append(request.url) if "/api/quote/" in request.url else None)
        seen.page.goto(f"{site.url}{PAGE}?model=gpt-4o")
        expect(seen.page.get_by_text("The sale of gpt-4o is paused")).to_be_visible()
        expect(seen.page.get_by_role("button", name="Pay")).to_be_disabled()
        assert seen.faults_in_every_look() == []
        assert asked == []

        seen.page.get_by_role("combobox", name="Model", exact=True).select_option("gpt-4o-mini")

        expect(seen.page.get_by_role("button", name="Pay 42 sats and run")).to_be_enabled()
        assert (seen.policy_violations(), seen.complaints) == ([], [])


def test_what_is_not_sold_has_no_page(browser: Browser, site: CannedSite) -> None:
    """It is said, and the way to what is sold is shown."""
    with opened(browser, f"{site.url}/catalog/openai/v1/nothing") as seen:
        expect(seen.page.get_by_role("heading", level=1)).to_be_visible()
        expect(seen.page.get_by_role("main").get_by_role("link").first).to_be_visible()
        assert seen.faults_in_every_look() == []
