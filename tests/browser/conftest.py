"""A real Chromium and the built pages. Without them these tests are skipped with a sentence; in CI they fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.canned_site import DIST, FRONTEND, CannedSite, serving_site

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BUILD_INPUTS = ("index.html", "package-lock.json", "vite.config.ts", "src", "public")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "browser: opens the built pages in Chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Per module, because Playwright's loop must not outlive the tests that use it."""
    executable = shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(executable).exists():
        cannot_run("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def running_site() -> Iterator[CannedSite]:
    """The built pages, refused when they are older than their source."""
    built = DIST / "index.html"
    if not built.exists():
        cannot_run("the pages are not built: cd frontend && npm install && npm run build")
    if built.stat().st_mtime < _newest_source_mtime():
        pytest.fail("the built pages are older than their source: cd frontend && npm run build")
    with serving_site() as site:
        yield site


@pytest.fixture
def site(running_site: CannedSite) -> CannedSite:
    """The running site, as if just started."""
    running_site.reset()
    return running_site


def cannot_run(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def _newest_source_mtime() -> float:
    roots = [FRONTEND / name for name in BUILD_INPUTS]
    found = [path for root in roots for path in (root.rglob("*") if root.is_dir() else [root])]
    return max(path.stat().st_mtime for path in found if path.is_file() and _is_built(path))


def _is_built(path: Path) -> bool:
    return ".test." not in path.name and "testing" not in path.parts
