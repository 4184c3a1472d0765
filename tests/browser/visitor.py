"""Somebody in front of a real Chromium, at a real shop. Lives in the test's own event loop, beside the server."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    async_playwright,
    expect,
)

from tests.browser.canned_site import DIST
from tests.browser.conftest import CHROMIUM_ARGUMENTS, cannot_run
from tests.browser.open_page import AXE, LAPTOP, PHONE
from tests.world import World

ACTION_TIMEOUT_MS = 20_000
"""Generous: the machine may be busy. Nothing waits this long where all is well."""
CHAT_PAGE = "/catalog/openai/v1/chat/completions"
COLLECT_VIOLATIONS = """
window.policyViolations = [];
addEventListener("securitypolicyviolation", (event) =>
  window.policyViolations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")
"""What Chromium itself writes about an answer that is no 2xx. A 402 is how every payment begins."""
OFFLINE = "net::ERR_INTERNET_DISCONNECTED"

expect.set_options(timeout=ACTION_TIMEOUT_MS)


@dataclass
class Visitor:
    """One browser profile with one tab at a time. `complaints` is what its console said."""

    world: World
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list[str])
    expected: set[str] = field(default_factory=lambda: {"402"})
    """Statuses that the test provokes; a console error about any other is a complaint."""

    async def go(self, path: str) -> None:
        """Open an address of the shop."""
        await self.page.goto(self.world.url + path)

    async def press(self, name: str | re.Pattern[str]) -> None:
        """Press the one button of this name."""
        await self.button(name).click()

    def button(self, name: str | re.Pattern[str]) -> Locator:
        """The button of this name; a plain one must be the whole name."""
        return self.page.get_by_role("button", name=name, exact=isinstance(name, str))

    async def sees(self, text: str | re.Pattern[str]) -> None:
        """Wait until this text is on the page; a plain one must be all of an element's."""
        await expect(self.page.get_by_text(text, exact=isinstance(text, str)).first).to_be_visible()

    async def close_tab(self) -> None:
        """Close the only tab; what the browser remembers stays."""
        await self.page.close()

    async def new_tab(self, path: str) -> None:
        """Another tab of the same browser."""
        self.page = await self.context.new_page()
        self.listen(self.page)
        await self.go(path)

    async def invoice(self) -> str:
        """The invoice in the pay dialog, as a phone's camera gets it."""
        link = self.page.get_by_role("dialog").get_by_role("link", name="Open a wallet")
        return (await link.get_attribute("href") or "").removeprefix("lightning:")

    async def payments(self) -> list[dict[str, Any]]:
        """What the browser remembers of payments."""
        return json.loads(await self.page.evaluate("localStorage.getItem('payments') ?? '[]'"))

    async def entries(self) -> list[dict[str, Any]]:
        """The history of the payment that was made last, newest first, as the server tells it."""
        (newest, *_) = await self.payments()
        headers = {"Authorization": f"L402 {newest['macaroon']}:"}
        return (await self.world.client.get("/api/usage", headers=headers)).json()["entries"]

    async def faults_in_every_look(self) -> list[str]:
        """Axe's findings and sideways scrolling, on a phone and on a laptop, in both themes."""
        found: list[str] = []
        for size in (PHONE, LAPTOP):
            for theme in ("light", "dark"):
                await self.page.set_viewport_size(size)
                await self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                faults = await self._accessibility_faults()
                if await self.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    faults.append("scrolls sideways")
                found += [f"{size['width']} px, {theme}: {fault}" for fault in faults]
        return found

    async def policy_violations(self) -> list[str]:
        """What the content security policy has stopped since the page was loaded."""
        return await self.page.evaluate("window.policyViolations")

    def listen(self, page: Page) -> None:
        """Collect what the browser complains about."""
        page.on("console", self._on_console)
        page.on("pageerror", self._on_error)

    def _on_console(self, message: ConsoleMessage) -> None:
        refused = REFUSED.match(message.text)
        is_expected = refused is not None and refused.group(1) in self.expected
        if message.type in ("error", "warning") and not is_expected and OFFLINE not in message.text:
            self.complaints.append(message.text)

    def _on_error(self, error: Error) -> None:
        self.complaints.append(error.message)

    async def _accessibility_faults(self) -> list[str]:
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE.read_text())
        result = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [f"{rule['id']}: {node['target']}" for rule in result["violations"] for node in rule["nodes"]]


@asynccontextmanager
async def visiting(world: World, path: str = "/", *, phone: bool = False) -> AsyncGenerator[Visitor]:
    """A fresh profile at an address. Whoever leaves has had no policy violation and no console error."""
    executable = shutil.which("chromium") or cannot_run("no Chromium here: apt-get install chromium")
    if not (DIST / "index.html").exists():
        cannot_run("the pages are not built: cd frontend && npm install && npm run build")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        try:
            visitor = await _at(browser, world, path, phone=phone)
            yield visitor
            violations = await visitor.policy_violations()
        finally:
            await browser.close()
    assert (visitor.complaints, violations) == ([], [])


async def _at(browser: Browser, world: World, path: str, *, phone: bool) -> Visitor:
    size = PHONE if phone else LAPTOP
    context = await browser.new_context(viewport=size, color_scheme="light", reduced_motion="reduce")
    context.set_default_timeout(ACTION_TIMEOUT_MS)
    await context.add_init_script(COLLECT_VIOLATIONS)
    visitor = Visitor(world, context, await context.new_page())
    visitor.listen(visitor.page)
    await visitor.go(path)
    return visitor
