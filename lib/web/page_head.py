"""What the head of a page says before any script has run: title, description, and how a link to it unfolds."""

from __future__ import annotations

import re
from dataclasses import dataclass
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


HOME = PageHead(
    "API calls paid in sats",
    "OpenAI-style API calls paid one at a time with bitcoin over Lightning. No account, no card: send the request, "
    "pay the invoice, get the answer.",
)
PAGES = {
    "/": HOME,
    "/catalog": PageHead(
        "Catalog", "Every model on sale, with its price per million tokens and what a typical call costs in sats."
    ),
    "/topup": PageHead("Top up", "Pay once over Lightning and use the token as the API key of any OpenAI SDK."),
    "/account": PageHead("Account", "Balance, spending and history of a token, to the thousandth of a sat."),
    "/status": PageHead("Status", "Whether the server, its Lightning node, its providers and its price work."),
    "/docs": PageHead("Docs", "L402 in five minutes, prepaid tokens, SDKs, agents, errors, prices and privacy."),
    "/docs/prepaid": PageHead("Prepaid tokens", "Top up once, then use a token as the API key of any SDK."),
    "/docs/sdks": PageHead("SDKs", "Two lines change in a program that already uses an official SDK."),
    "/docs/agents": PageHead("Agents", "How a program finds out what is sold, what it costs, and pays by itself."),
    "/docs/errors": PageHead("Errors", "Every error code, what happened to your sats, and what to do next."),
    "/docs/prices": PageHead("Prices", "How a price is made, why the invoice asks for the most, and what comes back."),
    "/docs/privacy": PageHead("Privacy", "What is kept about a call, for how long, and what is never written down."),
    "/docs/lost-sats": PageHead(
        "Lost sats", "A call failed, a tab was closed, an invoice expired: where the sats are."
    ),
}


def head_of(path: str, catalog: Catalog) -> PageHead:
    """The head of a page's address; an unknown one has the home page's."""
    path = path.rstrip("/") or "/"
    place = catalog.find("POST", "/" + path.removeprefix(ENDPOINTS)) if path.startswith(ENDPOINTS) else None
    if place is None:
        return PAGES.get(path, HOME)
    title = f"{place.endpoint.rules.title} · {place.api.rules.title}"
    count = len(place.endpoint.models)
    models = f"{count} models" if count > 1 else next(iter(place.endpoint.models))
    return PageHead(
        title, f"{models}: try it, what it costs in sats, parameters, errors, and examples that run as they are."
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


def with_head(page: str, path: str, catalog: Catalog, shop: Shop) -> str:
    """`index.html` with the head of this address. Everything is escaped; a strange Host names no address at all.

    What the page will ask for is asked for together with the scripts, and a demo is known to be one before it is drawn.
    """
    site = shop.title
    head = head_of(path, catalog)
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
    if path == "/" and shop.shown:
        tags.append(f'<link rel="preload" as="fetch" href="/api/catalog{escape(shop.shown)}" crossorigin />')
    if shop.demo:
        tags.append('<meta name="demo" content="yes" />')
    if HOST.fullmatch(shop.origin):
        tags.append(f'<meta property="og:image" content="{shop.origin}/og.png" />')
    return MARKED.sub(lambda _: "\n    ".join(tags), page, count=1)
