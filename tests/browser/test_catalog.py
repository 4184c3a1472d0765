"""The catalog in a real browser: finding a model, by hand and by address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import states
from tests.browser.canned_site import CannedSite, models_of
from tests.browser.open_page import PHONE, opened
from tests.browser.states import State

pytestmark = pytest.mark.browser

NO_BREAK_SPACE = "\u00a0"
STATES: list[tuple[State, str]] = [
    (states.open_for_business, "gpt-4o-mini"),
    (CannedSite.without_bitcoin_price, "No bitcoin price right now"),
    (states.close_shop, "OpenAI is not for sale right now"),
    (states.pause_a_model, "paused"),
    (states.empty_shop, "Nothing is for sale here yet"),
    (states.refuse, "The server could not list its prices"),
]


def models(page: Page) -> list[str]:
    """The models that the table shows, from top to bottom."""
    return page.get_by_role("rowheader").get_by_role("link").all_inner_texts()


@pytest.mark.parametrize(("prepare", "shows"), STATES, ids=lambda value: getattr(value, "__name__", None))
def test_everybody_can_use_every_state(browser: Browser, site: CannedSite, prepare: State, shows: str) -> None:
    """In both themes, on a phone and on a laptop: axe finds nothing, nothing sticks out, the policy stops nothing."""
    prepare(site)
    with opened(browser, f"{site.url}/catalog") as seen:
        expect(seen.page.get_by_text(shows, exact=True)).to_be_visible()

        assert seen.faults_in_every_look() == []
        assert seen.policy_violations() == []
        assert [line for line in seen.complaints if "503" not in line] == []


def test_a_model_is_found_from_any_page(browser: Browser, site: CannedSite) -> None:
    """`/`, its name, Enter: the catalog shows it with its price, and it is one press from its page."""
    with opened(browser, f"{site.url}/status") as seen:
        seen.page.get_by_text("Everything works").wait_for()
        seen.page.keyboard.press("/")
        seen.page.keyboard.type("4o mini")
        seen.page.keyboard.press("Enter")

        expect(seen.page.get_by_role("row").filter(has_text="gpt-4o-mini")).to_contain_text("0.34")
        assert models(seen.page) == ["gpt-4o-mini"]
        seen.page.get_by_role("link", name="gpt-4o-mini").click()

        expect(seen.page.get_by_role("complementary", name="What it costs")).to_contain_text("gpt-4o-mini")
        assert seen.complaints == []


def test_the_search_offers_models_with_their_prices(browser: Browser, site: CannedSite) -> None:
    """By keyboard: down to the second one and Enter; a screen reader hears how many there are and which one it is."""
    with opened(browser, f"{site.url}/status") as seen:
        seen.page.get_by_text("Everything works").wait_for()
        search = seen.page.get_by_role("combobox", name="Search models and endpoints")
        seen.page.keyboard.press("/")
        seen.page.keyboard.type("4o")
        options = seen.page.get_by_role("listbox", name="Suggestions").get_by_role("option")
        expect(options).to_have_count(3)
        assert "0.34 sats" in options.first.inner_text().replace(NO_BREAK_SPACE, " ")
        expect(search).to_have_attribute("aria-expanded", "true")
        expect(seen.page.get_by_role("search").get_by_role("status")).to_have_text("2 models match")

        seen.page.keyboard.press("ArrowDown")
        seen.page.keyboard.press("ArrowDown")
        expect(options.nth(1)).to_have_attribute("aria-selected", "true")
        expect(search).to_have_attribute("aria-activedescendant", options.nth(1).get_attribute("id") or "")
        assert seen.accessibility_violations() == []
        seen.page.keyboard.press("Enter")

        expect(seen.page).to_have_url(f"{site.url}/catalog/openai/v1/chat/completions?model=gpt-4o")
        expect(options).to_have_count(0)
        assert (seen.policy_violations(), seen.complaints) == ([], [])


def test_the_search_is_left_by_escape_and_goes_by_hand(browser: Browser, site: CannedSite) -> None:
    """Escape closes the list, and then empties the field; a press on the last line shows all in the catalog."""
    with opened(browser, f"{site.url}/status") as seen:
        search = seen.page.get_by_role("combobox", name="Search models and endpoints")
        search.fill("images")
        offered = seen.page.get_by_role("listbox", name="Suggestions")
        expect(offered).to_be_visible()
        search.press("Escape")
        expect(offered).to_have_count(0)
        expect(search).to_have_value("images")
        search.press("Escape")
        expect(search).to_have_value("")

        search.fill("images")
        offered.get_by_role("option", name="Show all 2 in the catalog").click()

        expect(seen.page.get_by_role("searchbox", name="Search the catalog")).to_have_value("images")
        assert models(seen.page) == ["dall-e-2", "gpt-image-1-mini"]


def test_what_is_shown_is_in_the_address(browser: Browser, site: CannedSite) -> None:
    """An address that was sent to somebody shows them the same, also after a reload and on the way back."""
    with opened(browser, f"{site.url}/catalog") as seen:
        seen.page.get_by_role("group", name="Kind").get_by_label("Text").check()
        seen.page.get_by_role("combobox", name="Sort").select_option("Dearest call")
        shown = models(seen.page)
        assert shown == ["gpt-4o", "o4-mini", "gpt-4o-mini"]
        assert seen.page.url == f"{site.url}/catalog?kind=text&sort=-typical"

        seen.page.reload()
        expect(seen.page.get_by_role("table")).to_be_visible()
        assert models(seen.page) == shown

        seen.page.get_by_role("link", name="o4-mini").click()
        seen.page.get_by_role("heading", name="Chat completions").wait_for()
        seen.page.go_back()
        expect(seen.page.get_by_role("table")).to_be_visible()
        assert models(seen.page) == shown


def test_the_way_back_is_what_was_shown_before(browser: Browser, site: CannedSite) -> None:
    """Another search from the header takes the field's place, and going back brings the first one again."""
    with opened(browser, f"{site.url}/catalog?q=mini") as seen:
        field = seen.page.get_by_role("searchbox", name="Search the catalog")
        expect(field).to_have_value("mini")
        field.press("End")
        field.press_sequentially(" 4o")
        expect(seen.page).to_have_url(f"{site.url}/catalog?q=mini+4o")

        search = seen.page.get_by_role("combobox", name="Search models and endpoints")
        search.fill("dall")
        search.press("Enter")
        expect(field).to_have_value("dall")
        expect(seen.page.get_by_role("rowheader")).to_have_count(1)
        seen.page.go_back()

        expect(field).to_have_value("mini 4o")
        assert models(seen.page) == ["gpt-4o-mini"]


def test_filters_unfold_on_a_phone(browser: Browser, site: CannedSite) -> None:
    """They stand under their number, and the row keeps name and price."""
    with opened(browser, f"{site.url}/catalog") as seen:
        seen.page.set_viewport_size(PHONE)
        seen.page.get_by_text("Filters", exact=True).click()
        seen.page.get_by_role("group", name="Kind").get_by_label("Images").check()

        expect(seen.page.get_by_text("Filters (1)")).to_be_visible()
        assert models(seen.page) == ["dall-e-2", "gpt-image-1-mini"]
        assert "20 sats" in seen.page.get_by_role("row").nth(1).inner_text().replace(NO_BREAK_SPACE, " ")


def test_an_ending_model_says_when(browser: Browser, site: CannedSite) -> None:
    """The shutdown date is told as days from today, in UTC."""
    assert site.catalog is not None
    last_day = datetime.now(UTC).date() + timedelta(days=52)
    for model in models_of(site.catalog):
        model["shutdown"] = last_day.isoformat() if model["id"] == "gpt-4o" else None
    with opened(browser, f"{site.url}/catalog") as seen:
        expect(seen.page.get_by_text("ends in 52 days")).to_have_count(1)
        expect(seen.page.get_by_role("row").filter(has_text="ends in 52 days")).to_contain_text("gpt-4o")


def test_prices_stay_when_the_server_goes(browser: Browser, site: CannedSite) -> None:
    """A visitor who has prices keeps them, and is told that they are the last ones."""
    with opened(browser, "about:blank") as seen:
        seen.page.clock.install()
        seen.page.goto(f"{site.url}/catalog")
        seen.page.get_by_role("table").wait_for()

        states.refuse(site)
        seen.page.clock.run_for(60_000)

        expect(seen.page.get_by_text("The server has stopped answering")).to_be_visible()
        expect(seen.page.get_by_role("table")).to_be_visible()


def test_it_works_by_keyboard(browser: Browser, site: CannedSite) -> None:
    """Skip link first; search, filter and sort without a mouse."""
    with opened(browser, f"{site.url}/catalog") as seen:
        seen.page.get_by_role("table").wait_for()
        seen.page.keyboard.press("Tab")
        expect(seen.page.get_by_role("link", name="Skip to content")).to_be_focused()

        seen.page.get_by_role("searchbox", name="Search the catalog").focus()
        seen.page.keyboard.type("chat")
        expect(seen.page.get_by_role("searchbox", name="Search the catalog")).to_have_value("chat")
        seen.page.keyboard.press("Tab")  # the sort
        seen.page.keyboard.press("Tab")  # the first kind
        seen.page.keyboard.press("Space")
        expect(seen.page.get_by_role("checkbox", name="Text")).to_be_checked()
        seen.page.get_by_role("button", name="Typical call").focus()
        seen.page.keyboard.press("Enter")

        expect(seen.page.get_by_role("columnheader", name="Typical call")).to_have_attribute("aria-sort", "ascending")
        assert models(seen.page)[0] == "gpt-4o-mini"
        assert (seen.policy_violations(), seen.complaints) == ([], [])
