"""The home page in a real browser: what it shows, that its policy holds, that everybody can use it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.canned_site import CannedSite, models_of
from tests.browser.open_page import OpenPage, opened

pytestmark = pytest.mark.browser

CURL_TIMEOUT_SECONDS = 10
NO_BREAK_SPACE = "\u00a0"


def refuse(site: CannedSite) -> None:
    """The server answers every request for the catalog with an error."""
    site.catalog = None


def close_shop(site: CannedSite) -> None:
    """The one API cannot be bought."""
    assert site.catalog is not None
    site.catalog["apis"][0] |= {"available": False, "unavailable_reason": "The server has no key for it."}


def empty_shop(site: CannedSite) -> None:
    """Nothing is listed."""
    assert site.catalog is not None
    site.catalog["apis"] = []


def old_price(site: CannedSite) -> None:
    """A bitcoin price of an hour ago."""
    assert site.catalog is not None
    site.catalog["btc_price"]["age_seconds"] = 3_600


def as_demo(site: CannedSite) -> None:
    """The server plays."""
    assert site.catalog is not None
    site.catalog["demo"] = True


def open_for_business(site: CannedSite) -> None:
    """The sample as it is."""


STATES: list[tuple[Callable[[CannedSite], None], str]] = [
    (open_for_business, "gpt-4o-mini"),
    (as_demo, "Demo: play money, canned answers"),
    (old_price, "old price, 1 h ago"),
    (CannedSite.without_bitcoin_price, "No bitcoin price right now"),
    (close_shop, "OpenAI is not for sale right now"),
    (empty_shop, "Nothing is for sale here yet"),
    (refuse, "The server could not list its prices"),
]


def text(page: Page, name: str) -> str:
    """The text of the row of a model, with plain spaces."""
    row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))
    return row.inner_text().replace(NO_BREAK_SPACE, " ")


def assert_clean(seen: OpenPage) -> None:
    """Nothing was stopped by the policy, nothing was written to the console."""
    assert seen.policy_violations() == []
    assert seen.complaints == []


def test_the_page_lists_models_with_their_prices(browser: Browser, site: CannedSite) -> None:
    """Dollars per million tokens, sats under them, the typical call; a flat price says what it is for."""
    with opened(browser, site.url) as seen:
        seen.page.get_by_role("table").wait_for()

        chat = text(seen.page, "gpt-4o-mini").split()
        image = text(seen.page, "dall-e-2")

        assert chat == "gpt-4o-mini $0.195 195 sats $0.0975 97.5 sats $0.78 780 sats 0.34 sats 128k".split()
        assert "$0.02" in image and "per call" in image and image.count("20 sats") == 2
        assert "1 BTC = $98 412" in seen.page.locator("#prices").inner_text().replace(NO_BREAK_SPACE, " ")
        assert_clean(seen)


def test_an_ending_model_says_when(browser: Browser, site: CannedSite) -> None:
    """The shutdown date is told as days from today, in UTC."""
    assert site.catalog is not None
    last_day = datetime.now(UTC).date() + timedelta(days=52)
    for model in models_of(site.catalog):
        model["shutdown"] = last_day.isoformat() if model["id"] == "gpt-4o" else None
    with opened(browser, site.url) as seen:
        expect(seen.page.get_by_text("ends in 52 days")).to_have_count(1)
        assert "ends in 52 days" in text(seen.page, "gpt-4o")


def test_the_commands_work_when_pasted(browser: Browser, site: CannedSite) -> None:
    """What the copy buttons hold, run by a shell as it is, sends the catalog's example here, unpaid and then paid."""
    assert site.catalog is not None
    example = site.catalog["apis"][0]["endpoints"][0]["example"]["body"]
    with opened(browser, site.url) as seen:
        seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        commands = [_copied(seen.page, name) for name in ("request", "proof of payment", "paid request")]

    _run_in_shell("\n".join(commands))

    assert site.bodies == [example, example]
    assert site.authorizations == [None, "L402 macaroon from the answer:preimage from your wallet"]


@pytest.mark.parametrize(("prepare", "shows"), STATES, ids=lambda value: getattr(value, "__name__", None))
def test_everybody_can_use_every_state(
    browser: Browser, site: CannedSite, prepare: Callable[[CannedSite], None], shows: str
) -> None:
    """In both themes, on a phone and on a laptop: axe finds nothing, nothing sticks out, the policy stops nothing."""
    prepare(site)
    with opened(browser, site.url) as seen:
        expect(seen.page.get_by_text(shows, exact=True)).to_be_visible()

        assert seen.faults_in_every_look() == []
        assert seen.policy_violations() == []
        assert [line for line in seen.complaints if "503" not in line] == []


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

        expect(seen.page.get_by_role("table")).to_be_visible()
        expect(seen.page.get_by_role("alert")).to_have_count(0)


def test_prices_stay_when_the_server_goes(browser: Browser, site: CannedSite) -> None:
    """A visitor who has prices keeps them, and is told that they are the last ones."""
    with opened(browser, "about:blank") as seen:
        seen.page.clock.install()
        seen.page.goto(site.url)
        seen.page.get_by_role("table").wait_for()

        refuse(site)
        seen.page.clock.run_for(60_000)

        expect(seen.page.get_by_text("The server has stopped answering")).to_be_visible()
        expect(seen.page.get_by_role("table")).to_be_visible()


def test_the_price_of_bitcoin_ages_in_front_of_the_visitor(browser: Browser, site: CannedSite) -> None:
    """Two minutes after it was taken a price that was not renewed is called old."""
    with opened(browser, "about:blank") as seen:
        seen.page.clock.install()
        seen.page.goto(site.url)
        expect(seen.page.get_by_text("12 s ago")).to_be_visible()

        refuse(site)
        seen.page.clock.run_for(130_000)

        expect(seen.page.get_by_text("old price, 2 min ago")).to_be_visible()


def test_a_chosen_theme_is_there_before_the_first_paint(browser: Browser, site: CannedSite) -> None:
    """The choice is kept over a reload, and is on the page before any of the app's own code."""
    with opened(browser, site.url) as seen:
        seen.page.get_by_role("button", name="Dark theme").click()

        seen.page.route("**/assets/*.js", lambda route: route.abort())
        seen.page.reload(wait_until="domcontentloaded")

        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 18, 16)"


def test_the_page_works_by_keyboard(browser: Browser, site: CannedSite) -> None:
    """Skip link first; filter and sort without a mouse."""
    with opened(browser, site.url) as seen:
        seen.page.get_by_role("table").wait_for()
        seen.page.keyboard.press("Tab")
        expect(seen.page.get_by_role("link", name="Skip to content")).to_be_focused()

        seen.page.get_by_role("searchbox", name="Filter models and endpoints").focus()
        seen.page.keyboard.type("chat")
        for _ in range(2):
            seen.page.keyboard.press("Tab")
        seen.page.keyboard.press("Enter")

        expect(seen.page.get_by_role("rowheader").nth(1)).to_contain_text("gpt-4o-mini")
        expect(seen.page.get_by_role("columnheader", name="Typical call")).to_have_attribute("aria-sort", "ascending")
        assert_clean(seen)


def _copied(page: Page, name: str) -> str:
    page.get_by_role("button", name=f"Copy {name}", exact=True).click()
    expect(page.get_by_role("button", name=f"Copied {name}", exact=True)).to_be_visible()
    return page.evaluate("navigator.clipboard.readText()")


def _run_in_shell(script: str) -> None:
    subprocess.run(["sh", "-ec", script], check=True, capture_output=True, timeout=CURL_TIMEOUT_SECONDS)
