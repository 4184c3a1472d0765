"""Debian's nginx and Caddy with the files that we ship, before a real server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from lib.demo.parts import DemoParts, demo_parts
from tests.deploy.callers import calling
from tests.deploy.machine import machine_at
from tests.deploy.needed import program
from tests.processes.shops import NOT_HERE, Street, free_port
from tests.world import CHAT, HELLO, REQUEST_SECONDS, ROOT, STREAM, World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

START_SECONDS = 30.0
HEADER_BYTES = 15_000
"""More than any credential that we mint, and than most proxies take unless told."""
UPLOAD_BYTES = 25_000_000
PIECES = {"chunks": 10, "chunk_delay_ms": 100}
FREE_REQUESTS = 4


def nginx_files(directory: Path, port: int, upstream: int) -> list[str]:
    """The command; its files are in the directory. Replaced are only names, ports and the certificate."""
    directory.mkdir()
    certificate, key = directory / "cert.pem", directory / "key.pem"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=here -keyout {key} -out {certificate}"
    subprocess.run(make.split(), check=True, capture_output=True)
    site = (ROOT / "deploy" / "nginx.conf").read_text()
    for shipped, here in (
        ("/etc/letsencrypt/live/example.com/fullchain.pem", str(certificate)),
        ("/etc/letsencrypt/live/example.com/privkey.pem", str(key)),
        ("127.0.0.1:3000", f"127.0.0.1:{upstream}"),
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
    ):
        assert shipped in site
        site = site.replace(shipped, here)
    site = "\n".join(line for line in site.splitlines() if "listen [::]" not in line)
    places = "".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"daemon off; pid {directory}/pid; error_log {directory}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {places}\n{site}\n}}\n"
    )
    return [program("nginx", "nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf")]


def caddy_files(directory: Path, port: int, upstream: int) -> list[str]:
    """The same for Caddy, without TLS: its certificates come from the world."""
    directory.mkdir()
    text = (ROOT / "deploy" / "Caddyfile").read_text()
    for shipped, here in (
        ("{$SITE:example.com}", f"http://127.0.0.1:{port}"),
        ("{$UPSTREAM:127.0.0.1:3000}", f"127.0.0.1:{upstream}"),
        ("{\n\tservers", "{\n\tadmin off\n\tservers"),
    ):
        assert shipped in text
        text = text.replace(shipped, here, 1)
    (directory / "Caddyfile").write_text(text)
    return [program("caddy", "caddy"), "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile")]


PROXIES: dict[str, tuple[str, Callable[[Path, int, int], list[str]]]] = {
    "nginx": ("https", nginx_files),
    "caddy": ("http", caddy_files),
}


@pytest.fixture
async def parts() -> AsyncGenerator[DemoParts]:
    async with demo_parts() as parts:
        yield parts


@pytest.fixture(params=list(PROXIES))
async def shop(request: pytest.FixtureRequest, tmp_path: Path, parts: DemoParts) -> AsyncGenerator[World]:
    """A server, seen through a proxy that it trusts; four requests a minute are free for each address."""
    config = tmp_path / "roomy.yaml"
    shipped = (ROOT / "config.yaml").read_text()
    limits = json.dumps({"trusted_proxies": ["127.0.0.1/32"], "unpaid_per_ip_per_minute": FREE_REQUESTS})
    config.write_text(shipped.replace("max_body_bytes: 1048576", "max_body_bytes: 27000000") + f"limits: {limits}\n")
    street = Street(parts, tmp_path, env={"ALITTLEBITOFMONEY_CONFIG": str(config)})
    async with (
        street.opened() as behind,
        before(request.param, tmp_path / "proxy", urlsplit(behind.world.url).port) as (
            url,
            client,
        ),
    ):
        yield World(url, parts, NOT_HERE, client, NOT_HERE)


@asynccontextmanager
async def before(proxy: str, directory: Path, upstream: int | None) -> AsyncGenerator[tuple[str, httpx.AsyncClient]]:
    """A proxy before the server at a port: its address, and a client that trusts its certificate of a moment."""
    scheme, files = PROXIES[proxy]
    port = free_port()
    async with running(files(directory, port, upstream or 0), directory):
        url = f"{scheme}://127.0.0.1:{port}"
        async with httpx.AsyncClient(
            base_url=url,
            verify=False,  # noqa: S501 - made for this test
            timeout=REQUEST_SECONDS,
            trust_env=False,
        ) as client:
            await answering(client)
            yield url, client


@asynccontextmanager
async def running(command: list[str], directory: Path) -> AsyncGenerator[None]:
    """A program that ends with the block."""
    env = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=env, cwd=directory, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def answering(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                await client.get("/api/health/live")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_it_carries_a_stream_piece_by_piece(shop: World):
    """The first piece of an answer arrives long before its last one."""
    shop.parts.scenario(**PIECES)
    paid = await shop.buy(STREAM)
    async with shop.client.stream("POST", CHAT, json=STREAM, headers=paid.headers) as answer:
        times = [time.monotonic() async for _ in answer.aiter_raw()]

    assert len(times) >= PIECES["chunks"]
    assert times[-1] - times[0] > PIECES["chunks"] * PIECES["chunk_delay_ms"] / 1_000 / 2


async def test_it_hides_the_metrics(shop: World):
    """/metrics is refused by the proxy, whatever the server would say."""
    answers = [await shop.client.get(path) for path in ("/metrics", "/metrics/more")]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert "error" not in answers[0].text[:1]


async def test_it_tells_browsers_to_stay_with_tls(shop: World):
    """For a year, also on what the server answers itself."""
    answer = await shop.client.get("/api/health/live")

    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_it_takes_a_long_credential(shop: World):
    """A header of 15 kB reaches the server, which answers for itself."""
    answer = await shop.client.post(CHAT, json=HELLO, headers={"Authorization": "Bearer " + "x" * HEADER_BYTES})

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_token"


async def test_it_takes_the_largest_upload(shop: World):
    """25 MB reach the server, which read them all before it refuses a field that it does not know."""
    answer = await shop.client.post(CHAT, json={**HELLO, "padding": "x" * UPLOAD_BYTES})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "padding"


async def test_it_tells_who_calls_and_believes_nobody_about_it(shop: World):
    """Who writes another X-Forwarded-For into each request has the free share of one address."""
    answers = [
        await shop.client.post(CHAT, json=HELLO, headers={"X-Forwarded-For": f"203.0.113.{number}"})
        for number in range(FREE_REQUESTS + 1)
    ]

    assert [answer.status_code for answer in answers] == [402] * FREE_REQUESTS + [429]


async def test_nobody_notices_a_switch_behind_caddy(tmp_path: Path, parts: DemoParts):
    """Calls that go through the proxy while a release is switched are all answered, none with an error of it."""
    async with machine_at(tmp_path / "site", parts) as machine:
        machine.release("1")
        first = await machine.switch("1")
        assert first.code == 0, first.said + first.complained
        machine.release("2")
        async with before("caddy", tmp_path / "proxy", machine.port) as (url, _), calling(url) as calls:
            done = await machine.switch("2")

    assert done.code == 0, done.said + done.complained
    assert calls.failures == [] and set(calls.statuses) == {"402"}
