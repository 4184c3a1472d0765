"""Every page as the real server serves it, with its real catalog, its policy and its compressed assets."""

from __future__ import annotations

import asyncio
import shutil
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, Response, expect, sync_playwright

from lib.web.page_head import PAGES
from lib.web.page_scripts import manifest_in, scripts_of
from tests.browser.canned_site import DIST
from tests.browser.conftest import CHROMIUM_ARGUMENTS, cannot_run
from tests.browser.open_page import opened
from tests.world import CHAT, World

pytestmark = pytest.mark.browser

FIRST_LOAD_MAX_BYTES = 200_000
"""Of compressed script, on any of the pages a visitor comes to."""
FIRST_LOAD_WANTED_BYTES = 150_000
ENDPOINT = f"/catalog{CHAT}"
FIRST_PAGES = ("/", "/catalog", ENDPOINT)

T = TypeVar("T")


@pytest.fixture(autouse=True)
def built() -> None:
    """Without a build there is nothing to visit."""
    if not (DIST / "index.html").exists():
        cannot_run("the pages are not built: cd frontend && npm install && npm run build")


@contextmanager
def chromium() -> Generator[Browser]:
    """A browser for a thread of its own: the server runs in the test's event loop."""
    executable = shutil.which("chromium") or cannot_run("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)


async def visiting(visit: Callable[[Browser], T]) -> T:
    """What a visitor in a browser found."""

    def visited() -> T:
        with chromium() as browser:
            return visit(browser)

    return await asyncio.to_thread(visited)


@pytest.mark.parametrize("path", [*PAGES, ENDPOINT])
async def test_every_page_is_whole_as_it_is_served(world: World, path: str):
    """Opened by its address, under its own title; nothing is stopped, nothing is complained about."""

    def visit(browser: Browser) -> tuple[str, list[str], list[str]]:
        with opened(browser, world.url + path) as seen:
            expect(seen.page.get_by_role("heading", level=1)).to_be_visible()
            seen.page.wait_for_load_state("networkidle")
            return seen.page.content(), seen.policy_violations(), seen.complaints

    served, violations, complaints = await visiting(visit)

    assert (violations, complaints) == ([], [])
    assert "Loading the page" not in served


async def test_a_visitor_sees_what_is_sold(world: World):
    """Live prices of the shipped catalog; everybody can use it."""

    def visit(browser: Browser) -> tuple[str, list[str]]:
        with opened(browser, f"{world.url}/catalog") as seen:
            expect(seen.page.get_by_role("link", name="gpt-4o-mini", exact=True)).to_be_visible()
            return seen.page.inner_text("body"), seen.faults_in_every_look()

    text, faults = await visiting(visit)

    assert "text-embedding-3-small" in text and "$0.195" in text and "Demo" in text
    assert faults == []


async def test_hashed_assets_are_kept_for_ever_and_the_page_never(world: World):
    """A new release is seen at once, and costs only what changed."""
    script = next((DIST / "assets").glob("*.js")).name

    page, asset = await world.client.get("/"), await world.client.get(f"/assets/{script}")

    assert page.headers["cache-control"] == "no-cache"
    assert "immutable" in asset.headers["cache-control"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def scripts_loaded(world: World, path: str) -> dict[str, int]:
    """Every script that a page loads by itself, and its bytes as they were sent."""

    def visit(browser: Browser) -> dict[str, int]:
        scripts: dict[str, int] = {}

        def note(response: Response) -> None:
            if response.request.resource_type == "script":
                scripts[response.url.removeprefix(world.url)] = int(response.headers["content-length"])

        with opened(browser, "about:blank") as seen:
            seen.page.on("response", note)
            seen.page.goto(world.url + path)
            seen.page.wait_for_load_state("networkidle")
        return scripts

    return await visiting(visit)


@pytest.mark.parametrize("path", [*PAGES, ENDPOINT])
async def test_no_script_waits_for_another(world: World, path: str):
    """All that draws a page is named in its HTML, but the colours of code, which come when there is code."""

    scripts = await scripts_loaded(world, path)

    html = (await world.client.get(path, headers={"Accept": "text/html"})).text
    later = scripts_of(["src/shared/ui/highlight.tsx"], manifest_in(DIST))
    assert len(scripts) > 1
    assert [script for script in scripts if script not in html and script.removeprefix("/") not in later] == []


@pytest.mark.filterwarnings("default:first load")
@pytest.mark.parametrize("path", FIRST_PAGES)
async def test_the_first_load_is_small(world: World, path: str):
    """At most 200 kB of compressed script before a visitor does anything; above 150 kB there is a warning."""

    scripts = await scripts_loaded(world, path)

    total = sum(scripts.values())
    assert 0 < total <= FIRST_LOAD_MAX_BYTES, scripts
    if total > FIRST_LOAD_WANTED_BYTES:
        warnings.warn(f"first load of {path}: {total} bytes of script", stacklevel=1)
