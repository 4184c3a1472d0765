"""The home page in a real browser: what it shows, that its policy holds, that everybody can use it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import states
from tests.browser.canned_site import CannedSite
from tests.browser.open_page import opened
from tests.browser.states import State

pytestmark = pytest.mark.browser

COST = "What this call costs now"
STATES: list[tuple[State, str]] = [
    (states.open_for_business, "Try it here"),
    (states.as_demo, "Demo: play money, canned answers"),
    (states.old_price, "old price, 1 h ago"),
    (CannedSite.without_bitcoin_price, "No bitcoin price right now"),
    (states.close_shop, "Nothing can be bought right now"),
    (states.empty_shop, "Nothing is for sale here yet"),
    (states.refuse, "The server could not list its prices"),
]


@pytest.mark.parametrize(("prepare", "shows"), STATES, ids=lambda value: getattr(value, "__name__", None))
def test_everybody_can_use_every_state(browser: Browser, site: CannedSite, prepare: State, shows: str) -> None:
    """In both themes, on a phone and on a laptop: axe finds nothing, nothing sticks out, the policy stops nothing."""
    prepare(site)
    with opened(browser, site.url) as seen:
        expect(seen.page.get_by_text(shows, exact=True)).to_be_visible()

        assert seen.faults_in_every_look() == []
        assert seen.policy_violations() == []
        assert [line for line in seen.complaints if "503" not in line] == []


def test_a_visitor_sees_what_a_call_costs_and_is_one_press_from_trying_it(browser: Browser, site: CannedSite) -> None:
    """The invoice, the usual cost, the change; and the way to the form."""
    with opened(browser, site.url) as seen:
        card = seen.page.get_by_role("region", name=COST)
        expect(card).to_contain_text("42\u00a0sats")
        expect(card).to_contain_text("3.18\u00a0sats")
        expect(card).to_contain_text("38.8\u00a0sats")

        card.get_by_role("link", name="Try it here").click()

        expect(seen.page.get_by_role("heading", level=1, name="Chat completions")).to_be_focused()
        expect(seen.page.get_by_role("textbox", name="Message")).to_be_visible()
        assert (seen.policy_violations(), seen.complaints) == ([], [])


def test_the_program_is_for_this_address(browser: Browser, site: CannedSite) -> None:
    """The copy button gives it as it is shown."""
    with opened(browser, site.url) as seen:
        seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        seen.page.get_by_role("button", name="Copy the call").click()
        expect(seen.page.get_by_role("button", name="Copied the call")).to_be_visible()

        copied = seen.page.evaluate("navigator.clipboard.readText()")

        assert copied.startswith(f"# 1. Ask.\ncurl {site.url}/openai/v1/chat/completions")
        assert copied == seen.page.get_by_role("region", name="the call").inner_text().strip()


def test_a_server_that_is_down_is_said_to_be_down(browser: Browser, site: CannedSite) -> None:
    """Without a catalog the page still tells what this is, and shows prices once the server is back."""
    with opened(browser, "about:blank") as seen:
        seen.page.route("**/api/catalog", lambda route: route.abort("connectionrefused"))
        seen.page.goto(site.url)
        expect(seen.page.get_by_role("alert")).to_contain_text("The server is not answering")
        expect(seen.page.get_by_role("heading", level=1)).to_be_visible()
        assert seen.faults_in_every_look() == []

        seen.page.unroute("**/api/catalog")
        seen.page.get_by_role("button", name="Try again").click()

        expect(seen.page.get_by_role("region", name=COST)).to_be_visible()
        expect(seen.page.get_by_role("alert")).to_have_count(0)


def test_the_price_of_bitcoin_ages_in_front_of_the_visitor(browser: Browser, site: CannedSite) -> None:
    """Two minutes after it was taken a price that was not renewed is called old."""
    with opened(browser, "about:blank") as seen:
        seen.page.clock.install()
        seen.page.goto(site.url)
        expect(seen.page.get_by_text("12 s ago")).to_be_visible()

        states.refuse(site)
        seen.page.clock.run_for(130_000)

        expect(seen.page.get_by_text("old price, 2 min ago")).to_be_visible()


def test_a_chosen_theme_is_there_before_the_first_paint(browser: Browser, site: CannedSite) -> None:
    """The choice is kept over a reload, and is on the page before any of the app's own code."""
    with opened(browser, site.url) as seen:
        seen.page.get_by_role("button", name="Dark theme").click()

        seen.page.route("**/assets/*.js", lambda route: route.abort())
        seen.page.reload(wait_until="domcontentloaded")

        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 18, 16)"
