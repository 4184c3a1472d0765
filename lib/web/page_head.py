"""What the head of a page says before any script has run: title, description, how a link unfolds, what to load."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from lib.core.catalog import Catalog

MARKED = re.compile(r"<!--head-->.*<!--/head-->", re.DOTALL)
"""The part of `index.html` that is replaced; between the marks stands what a page without server shows."""
HOST = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]{1,255}")
ENDPOINTS = "/catalog/"


@dataclass(frozen=True, slots=True)
class PageHead:
    """Plain text, not yet escaped."""

    title: str
    description: str
    modules: tuple[str, ...]
    """What of the front end draws the page, as its build names it."""


def _docs(title: str, description: str, module: str) -> PageHead:
    return PageHead(title, description, ("src/app/docs/DocsPage.tsx", f"src/features/docs/{module}.tsx"))


HOME = PageHead(
    "API calls paid in sats",
    "OpenAI-style API calls paid one at a time with bitcoin over Lightning. No account, no card: send the request, "
    "pay the invoice, get the answer.",
    ("src/app/home/HomePage.tsx",),
)
PAGES = {
    "/": HOME,
    "/catalog": PageHead(
        "Catalog",
        "Every model on sale, with its price per million tokens and what a typical call costs in sats.",
        ("src/app/catalog/CatalogPage.tsx",),
    ),
    "/topup": PageHead(
        "Top up",
        "Pay once over Lightning and use the token as the API key of any OpenAI SDK.",
        ("src/app/topup/TopupPage.tsx",),
    ),
    "/account": PageHead(
        "Account",
        "Balance, spending and history of a token, to the thousandth of a sat.",
        ("src/app/account/AccountPage.tsx",),
    ),
    "/status": PageHead(
        "Status",
        "Whether the server, its Lightning node, its providers and its price work.",
        ("src/app/status/StatusPage.tsx",),
    ),
    "/docs": _docs("Docs", "L402 in five minutes, prepaid tokens, SDKs, agents, errors, prices and privacy.", "L402"),
    "/docs/prepaid": _docs("Prepaid tokens", "Top up once, then use a token as the API key of any SDK.", "Prepaid"),
    "/docs/sdks": _docs("SDKs", "Two lines change in a program that already uses an official SDK.", "Sdks"),
    "/docs/agents": _docs(
        "Agents", "How a program finds out what is sold, what it costs, and pays by itself.", "Agents"
    ),
    "/docs/errors": _docs("Errors", "Every error code, what happened to your sats, and what to do next.", "Errors"),
    "/docs/prices": _docs(
        "Prices", "How a price is made, why the invoice asks for the most, and what comes back.", "Prices"
    ),
    "/docs/privacy": _docs(
        "Privacy", "What is kept about a call, for how long, and what is never written down.", "Privacy"
    ),
    "/docs/lost-sats": _docs(
        "Lost sats", "A call failed, a tab was closed, an invoice expired: where the sats are.", "LostSats"
    ),
}
ENDPOINT_MODULES = ("src/app/endpoint/EndpointPage.tsx", "src/features/tryit/TryIt.tsx")


def head_of(path: str, catalog: Catalog) -> PageHead:
    """The head of a page's address; an unknown one has the home page's words."""
    path = path.rstrip("/") or "/"
    place = catalog.find("POST", "/" + path.removeprefix(ENDPOINTS)) if path.startswith(ENDPOINTS) else None
    if place is None:
        return PAGES.get(path, replace(HOME, modules=()))
    title = f"{place.endpoint.rules.title} · {place.api.rules.title}"
    count = len(place.endpoint.models)
    models = f"{count} models" if count > 1 else next(iter(place.endpoint.models))
    return PageHead(
        title,
        f"{models}: try it, what it costs in sats, parameters, errors, and examples that run as they are.",
        ENDPOINT_MODULES,
    )


@dataclass(frozen=True, slots=True)
class Shop:
    """What every page of this server has in common."""

    title: str
    demo: bool
    origin: str
    """Scheme and Host as they were asked for: not to be trusted."""
    shown: str | None
    """The call that the home page shows, as `/openai/v1/chat/completions`; None where nothing is listed."""


def with_head(page: str, path: str, head: PageHead, scripts: Sequence[str], shop: Shop) -> str:
    """`index.html` with the head of this address. Everything is escaped; a strange Host names no address at all.

    `scripts` are files of the build. They and what the page will ask for come together with the app, and a demo is
    known to be one before it is drawn.
    """
    site = shop.title
    title, description = escape(f"{head.title} · {site}"), escape(head.description)
    tags = [
        f"<title>{title}</title>",
        f'<meta name="description" content="{description}" />',
        '<meta property="og:type" content="website" />',
        f'<meta property="og:site_name" content="{escape(site)}" />',
        f'<meta property="og:title" content="{title}" />',
        f'<meta property="og:description" content="{description}" />',
        '<meta name="twitter:card" content="summary_large_image" />',
        '<link rel="preload" as="fetch" href="/api/catalog" crossorigin />',
    ]
    tags += [f'<link rel="modulepreload" href="/{escape(script)}" crossorigin />' for script in scripts]
    if path == "/" and shop.shown:
        tags.append(f'<link rel="preload" as="fetch" href="/api/catalog{escape(shop.shown)}" crossorigin />')
    if shop.demo:
        tags.append('<meta name="demo" content="yes" />')
    if HOST.fullmatch(shop.origin):
        tags.append(f'<meta property="og:image" content="{shop.origin}/og.png" />')
    return MARKED.sub(lambda _: "\n    ".join(tags), page, count=1)
