"""Documentation and status in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from lib.web.page_head import PAGES
from tests.browser import states
from tests.browser.canned_site import CannedSite
from tests.browser.open_page import PHONE, opened

pytestmark = pytest.mark.browser

DOCS = [path for path in PAGES if path.startswith("/docs")]


@pytest.mark.parametrize("path", DOCS)
def test_everybody_can_read_every_page(browser: Browser, site: CannedSite, path: str) -> None:
    """Reached by its address. Axe finds nothing in any look, nothing sticks out, the policy stops nothing."""
    with opened(browser, site.url + path) as seen:
        expect(seen.page.get_by_role("heading", level=2).first).to_be_visible()

        assert seen.faults_in_every_look() == []
        assert (seen.policy_violations(), seen.complaints) == ([], [])


def test_the_rail_has_every_page(browser: Browser, site: CannedSite) -> None:
    """Those that the server has titles for, and no other; the present one is marked."""
    with opened(browser, f"{site.url}/docs/prices") as seen:
        rail = seen.page.get_by_role("navigation", name="Documentation").get_by_role("link")
        expect(rail.first).to_be_visible()

        assert [link.get_attribute("href") for link in rail.all()] == sorted(DOCS, key=DOCS.index)
        assert [link.inner_text() for link in rail.all() if link.get_attribute("aria-current")] == ["Prices"]


def test_a_part_of_a_page_has_an_address(browser: Browser, site: CannedSite) -> None:
    """An address with a part's name scrolls to it, though the page's text comes later."""
    with opened(browser, f"{site.url}/docs/lost-sats#report") as seen:
        seen.page.set_viewport_size(PHONE)
        seen.page.reload()

        expect(seen.page.get_by_role("heading", name="Still missing one?")).to_be_in_viewport()


def test_status_says_first_what_still_works(browser: Browser, site: CannedSite) -> None:
    """While the node is down: payments are paused, balances work; and so it looks in every look."""
    states.node_down(site)
    with opened(browser, f"{site.url}/status") as seen:
        expect(seen.page.get_by_role("status").first).to_have_text("Payments are paused; balances work")

        assert seen.faults_in_every_look() == []
        assert (seen.policy_violations(), seen.complaints) == ([], [])


def test_status_notices_by_itself(browser: Browser, site: CannedSite) -> None:
    """A page that is left open is not old."""
    with opened(browser, "about:blank") as seen:
        seen.page.clock.install()
        seen.page.goto(f"{site.url}/status")
        expect(seen.page.get_by_text("Everything works")).to_be_visible()

        states.node_down(site)
        seen.page.clock.run_for(11_000)

        expect(seen.page.get_by_text("Payments are paused; balances work")).to_be_visible()
