"""A page that remembers everything a visitor's browser would complain about."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, ViewportSize

from tests.browser.canned_site import FRONTEND

AXE = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"
ACTION_TIMEOUT_MS = 8_000
LAPTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 780}

# Runs before the page's own scripts, so that no violation is missed.
_COLLECT_VIOLATIONS = """
window.policyViolations = [];
addEventListener("securitypolicyviolation", (event) =>
  window.policyViolations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@dataclass
class OpenPage:
    """`page` is Playwright's; `complaints` collects console errors, warnings and uncaught exceptions."""

    page: Page
    complaints: list[str] = field(default_factory=list[str])

    def policy_violations(self) -> list[str]:
        """What the content security policy has stopped since the page opened."""
        return self.page.evaluate("window.policyViolations")

    def accessibility_violations(self) -> list[str]:
        """Axe's findings, each as rule and place. axe runs as evaluated text: the policy lets no tag be added."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        result: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [f"{rule['id']}: {node['target']}" for rule in result["violations"] for node in rule["nodes"]]

    def faults_in_every_look(self) -> list[str]:
        """Axe's findings and sideways scrolling, on a phone and on a laptop, in the light and the dark theme."""
        found: list[str] = []
        for size in (PHONE, LAPTOP):
            for theme in ("light", "dark"):
                self.page.set_viewport_size(size)
                self.page.emulate_media(color_scheme=theme)
                faults = self.accessibility_violations() + (["scrolls sideways"] if self._overflows() else [])
                found += [f"{size['width']} px, {theme}: {fault}" for fault in faults]
        return found

    def _overflows(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


@contextmanager
def opened(browser: Browser, url: str) -> Generator[OpenPage]:
    """The address in a fresh profile, on a laptop whose system is light."""
    context = browser.new_context(viewport=LAPTOP, color_scheme="light", reduced_motion="reduce")
    context.set_default_timeout(ACTION_TIMEOUT_MS)
    context.add_init_script(_COLLECT_VIOLATIONS)
    seen = OpenPage(context.new_page())

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            seen.complaints.append(message.text)

    def on_exception(error: Error) -> None:
        seen.complaints.append(error.message)

    seen.page.on("console", on_console)
    seen.page.on("pageerror", on_exception)
    try:
        seen.page.goto(url)
        yield seen
    finally:
        context.close()
