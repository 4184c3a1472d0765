"""The built pages over HTTP: their heads, encodings, caching, policy; and which addresses are pages."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from lib.services import Current
from lib.web.app import create_app
from lib.web.codings import accepted_codings
from lib.web.page_head import PAGES
from tests.world import World, serving

INDEX = (
    """<!doctype html><html><head><!--head--><title>as built</title><!--/head--></head><body>the app</body></html>"""
)
SCRIPT = "console.log('hello');\n" * 50
AS_GZIP = gzip.compress(SCRIPT.encode())
AS_BROTLI = b"as the build compressed it"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
async def site(world: World, tmp_path: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """The real application over a small `dist` of this test's own."""
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text(INDEX)
    (dist / "robots.txt").write_text("User-agent: *\n")
    (dist / "assets" / "app-1a2b.js").write_text(SCRIPT)
    (dist / "assets" / "app-1a2b.js.gz").write_bytes(AS_GZIP)
    (dist / "assets" / "app-1a2b.js.br").write_bytes(AS_BROTLI)

    @asynccontextmanager
    async def as_opened(current: Current) -> AsyncGenerator[None]:
        current.services = world.services
        yield

    app = create_app(as_opened, dist)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


def title_of(page: httpx.Response) -> str:
    """What the browser's tab says before any script has run."""
    assert page.status_code == 200, page.text
    found = re.search("<title>(.*)</title>", page.text)
    assert found is not None
    return found[1]


async def test_a_page_is_found_at_its_own_address(site: httpx.AsyncClient):
    """Every deep link gives the app, with a title and a description that no other page has, and may be reloaded."""
    paths = [*PAGES, "/catalog/openai/v1/chat/completions", "/catalog/openai/v1/embeddings"]

    pages = [await site.get(path, headers=BROWSER) for path in paths]

    assert all("the app" in page.text for page in pages)
    assert len({title_of(page) for page in pages}) == len(paths)
    descriptions = [re.findall(r'<meta name="description" content="([^"]+)"', page.text) for page in pages]
    assert all(len(found) == 1 for found in descriptions) and len({found[0] for found in descriptions}) == len(paths)
    assert title_of(pages[-1]) == "Embeddings · OpenAI · alittlebitofmoney"
    assert 'property="og:title" content="Embeddings' in pages[-1].text


async def test_a_page_is_ready_to_be_drawn(site: httpx.AsyncClient):
    """The catalog is asked for together with the scripts, and a demo is known to be one."""
    page = await site.get("/catalog", headers=BROWSER)

    assert '<link rel="preload" as="fetch" href="/api/catalog" crossorigin />' in page.text
    assert '<meta name="demo" content="yes" />' in page.text
    shown = '<link rel="preload" as="fetch" href="/api/catalog/openai/v1/chat/completions" crossorigin />'
    assert shown in (await site.get("/", headers=BROWSER)).text and shown not in page.text


async def test_the_card_of_a_link_has_a_picture_at_this_host(site: httpx.AsyncClient):
    """Open Graph wants a whole address: the one that was asked for."""
    page = await site.get("/", headers=BROWSER | {"Host": "shop.example:8443"})

    assert '<meta property="og:image" content="http://shop.example:8443/og.png" />' in page.text


@pytest.mark.parametrize("host", ['a"><script>alert(1)</script>', "a.example/path", "a b", ""])
async def test_a_strange_host_is_not_repeated(site: httpx.AsyncClient, host: str):
    """Who writes the Host header writes nothing into the page."""
    page = await site.get("/", headers=BROWSER | {"Host": host})

    assert page.status_code == 400 or ("og:image" not in page.text and "<script>" not in page.text)


async def test_a_strange_address_is_not_repeated(site: httpx.AsyncClient):
    """What is no page has the home page's head, and nothing of the address."""
    page = await site.get('/catalog/"><script>x</script>', headers=BROWSER)

    assert title_of(page) == title_of(await site.get("/", headers=BROWSER))
    assert "<script>" not in page.text


async def test_topup_is_a_page_for_who_asks_for_html(site: httpx.AsyncClient):
    """A browser that opens the address gets the app; POST is the API's, and so is everything below it."""
    page = await site.get("/topup", headers=BROWSER)
    offer = await site.post("/topup", json={"amount_sats": 120}, headers=BROWSER)
    below = await site.get("/topup/claim", headers=BROWSER)
    program = await site.get("/topup", headers={"Accept": "application/json"})

    assert "the app" in page.text and page.headers["cache-control"] == "no-cache"
    assert offer.status_code == 402 and offer.json()["invoice"]
    assert (below.status_code, program.status_code) == (404, 404)


@pytest.mark.parametrize(
    ("accepts", "coding", "body"),
    [
        ("gzip, deflate, br, zstd", "br", AS_BROTLI),
        ("gzip", "gzip", AS_GZIP),
        ("br;q=0, gzip;q=0.5", "gzip", AS_GZIP),
        ("identity", None, SCRIPT.encode()),
        ("", None, SCRIPT.encode()),
    ],
    ids=["best", "gzip", "no brotli", "identity", "nothing"],
)
async def test_assets_are_sent_as_the_browser_can_read_them(
    site: httpx.AsyncClient, accepts: str, coding: str | None, body: bytes
):
    """Compressed by the build, brotli before gzip, and plain to who asks for neither; caches are told to look."""
    async with site.stream("GET", "/assets/app-1a2b.js", headers={"Accept-Encoding": accepts}) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])

    assert answer.headers.get("content-encoding") == coding
    assert raw == body
    assert "Accept-Encoding" in answer.headers["vary"]
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_a_coding_with_weight_zero_is_not_accepted():
    """As RFC 9110 has it, in any of the ways to write a zero."""
    assert accepted_codings("gzip;q=0, br; q=0.000 , zstd;q=1.0") == {"zstd"}
    assert accepted_codings("GZIP, br;q=0.1") == {"gzip", "br"}


async def test_a_head_request_has_everything_but_the_body(site: httpx.AsyncClient):
    """Pages and assets alike."""
    for path in ("/", "/catalog", "/assets/app-1a2b.js", "/robots.txt"):
        got, head = await site.get(path, headers=BROWSER), await site.head(path, headers=BROWSER)

        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "cache-control", "content-security-policy", "content-length"):
            assert head.headers[name] == got.headers[name], (path, name)


async def test_robots_are_answered_by_the_file(site: httpx.AsyncClient):
    """Never by the app."""
    answer = await site.get("/robots.txt")

    assert answer.text == "User-agent: *\n" and answer.headers["content-type"].startswith("text/plain")


async def test_the_policy_lets_in_only_what_we_serve(site: httpx.AsyncClient):
    """No script or style written into a page, no host but a wallet's relay, no markup made from strings."""
    policy = (await site.get("/", headers=BROWSER)).headers["content-security-policy"]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}

    assert rules["default-src"] == ["'none'"] and rules["script-src"] == ["'self'"] == rules["style-src"]
    assert rules["connect-src"] == ["'self'", "wss:"]
    assert rules["require-trusted-types-for"] == ["'script'"] and rules["trusted-types"] == ["'none'"]
    assert "unsafe" not in policy and "http" not in policy
