"""The doubles on free ports, and clients that speak to them over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import httpx
import pytest

from lib.demo.parts import DemoParts, demo_parts

CLIENT_LIMIT_SECONDS = 20.0
WAIT_LIMIT_SECONDS = 20.0
POLL_SECONDS = 0.002
QUIET_SECONDS = 0.3


async def until(happened: Callable[[], object]) -> None:
    """Returns once it is true. Raises TimeoutError after WAIT_LIMIT_SECONDS."""
    async with asyncio.timeout(WAIT_LIMIT_SECONDS):
        while not happened():
            await asyncio.sleep(POLL_SECONDS)


async def answered(calls: Iterable[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Which of them end although nothing more happens: for long enough that one which may end does."""
    done, _ = await asyncio.wait(set(calls), timeout=QUIET_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    return done


@pytest.fixture
async def parts() -> AsyncGenerator[DemoParts]:
    async with demo_parts() as running:
        yield running


def client_of(base_url: str, *, password: str | None = None, key: str | None = None) -> httpx.AsyncClient:
    """Plain HTTP. An empty TLS context saves reading the certificate store, most of what a client costs."""
    return httpx.AsyncClient(
        base_url=base_url,
        auth=None if password is None else ("", password),
        headers={} if key is None else {"authorization": f"Bearer {key}"},
        limits=httpx.Limits(max_connections=None),
        timeout=CLIENT_LIMIT_SECONDS,
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )


@pytest.fixture
async def seller(parts: DemoParts) -> AsyncGenerator[httpx.AsyncClient]:
    """The seller's node, asked with the limited password as our server does."""
    async with client_of(parts.seller_url, password=parts.seller_limited_password) as client:
        yield client


@pytest.fixture
async def payer(parts: DemoParts) -> AsyncGenerator[httpx.AsyncClient]:
    """The payer's wallet, with its full password."""
    async with client_of(parts.payer_url, password=parts.payer_password) as client:
        yield client


@pytest.fixture
async def control(parts: DemoParts) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(parts.control_url) as client:
        yield client


@pytest.fixture
async def upstream(parts: DemoParts) -> AsyncGenerator[httpx.AsyncClient]:
    """The OpenAI double, with the key it takes."""
    async with client_of(parts.openai_url, key=parts.upstream_key) as client:
        yield client
