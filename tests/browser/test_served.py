"""The page as the real server serves it, with its real catalog."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.canned_site import DIST
from tests.browser.conftest import CHROMIUM_ARGUMENTS, cannot_run
from tests.browser.open_page import opened
from tests.world import World

pytestmark = pytest.mark.browser


@dataclass
class Seen:
    """What a visitor's browser showed and complained about."""

    text: str
    complaints: list[str]
    policy_violations: list[str]
    faults: list[str]


def visit(url: str) -> Seen:
    """Open the page in a browser of its own thread, because the server runs in the test's event loop."""
    executable = shutil.which("chromium") or cannot_run("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        with opened(browser, url) as here:
            expect(here.page.get_by_text("gpt-4o-mini").first).to_be_visible()
            faults = here.faults_in_every_look()
            text = here.page.inner_text("body")
            return Seen(text, here.complaints, here.policy_violations(), faults)


async def test_the_server_serves_the_page_with_its_catalog_under_its_policy(world: World):
    """A visitor sees what is sold at live prices; policy, console and accessibility have nothing to complain about."""
    if not (DIST / "index.html").exists():
        cannot_run("the pages are not built: cd frontend && npm install && npm run build")

    seen = await asyncio.to_thread(visit, world.url)

    assert "gpt-4o-mini" in seen.text
    assert "text-embedding-3-small" in seen.text
    assert "$0.195" in seen.text
    assert "Demo" in seen.text
    assert (seen.complaints, seen.policy_violations, seen.faults) == ([], [], [])


async def test_hashed_assets_are_kept_for_ever_and_the_page_never(world: World):
    """A new release is seen at once, and costs only what changed."""
    if not (DIST / "index.html").exists():
        cannot_run("the pages are not built: cd frontend && npm install && npm run build")
    script = next((DIST / "assets").glob("*.js")).name

    page, asset = await world.client.get("/"), await world.client.get(f"/assets/{script}")

    assert page.headers["cache-control"] == "no-cache"
    assert "immutable" in asset.headers["cache-control"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
