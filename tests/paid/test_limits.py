"""Limits on what is free: they are checked before a body is read, and whoever pays does not meet them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.core.plain_macaroon import appended
from tests.prepaid.counter import new_token
from tests.world import CHAT, HELLO, World, opened_world

ANSWER_SECONDS = 10.0
MAX_BODY_BYTES = 10_485_760


@dataclass(frozen=True)
class Head:
    """How an answer began."""

    status: int
    headers: dict[str, str]


async def sent_head(world: World, **headers: str) -> Head:
    """Send a request's headers and none of its body; what is answered to that."""
    address = urlsplit(world.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    names = {"Host": "shop", "Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = [f"POST {CHAT} HTTP/1.1", *(f"{name}: {value}" for name, value in names.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(ANSWER_SECONDS):
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    writer.close()
    await writer.wait_closed()
    found = dict(line.lower().split(": ", 1) for line in rest)
    return Head(int(first.split(" ")[1]), found)


@asynccontextmanager
async def client_from(world: World, address: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A client whose packets really come from another loopback address."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(base_url=world.url, transport=transport, trust_env=False) as client:
        yield client


async def statuses(client: httpx.AsyncClient, *forwarded: str) -> list[int]:
    """Unpaid requests, each with what a proxy would say of its sender."""
    return [
        (await client.post(CHAT, json=HELLO, headers={"X-Forwarded-For": address})).status_code for address in forwarded
    ]


def limited(answer: httpx.Response) -> bool:
    """429, when to come back, and nothing to pay."""
    assert answer.status_code == 429, answer.text
    assert answer.json()["error"]["code"] == "rate_limited" and answer.json()["error"]["type"] == "rate_limit_error"
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert "www-authenticate" not in answer.headers and list(answer.json()) == ["error"]
    return True


# Unpaid requests


async def test_unpaid_requests_of_an_address_are_limited(tmp_path: Path):
    """After its share of a minute it is 429 with Retry-After, and no invoice is made."""
    async with opened_world(tmp_path, unpaid_per_ip_per_minute=2) as world:
        answers = [await world.ask() for _ in range(3)]

        assert [answer.status_code for answer in answers[:2]] == [402, 402]
        assert limited(answers[2])
        assert await world.invoices() == 2


async def test_another_address_has_its_own_share(tmp_path: Path):
    """One buyer's flood does not keep another one out."""
    async with opened_world(tmp_path, unpaid_per_ip_per_minute=1) as world:
        async with client_from(world, "127.0.0.2") as neighbour:
            found = [*await statuses(world.client, "", ""), *await statuses(neighbour, "", "")]

        assert found == [402, 429, 402, 429]


async def test_unpaid_requests_of_a_network_are_limited(tmp_path: Path):
    """Many addresses of one /24 share a limit; the next network does not."""
    async with opened_world(tmp_path, unpaid_per_network_per_minute=2) as world:
        found: list[int] = []
        for address in ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.1.2"):
            async with client_from(world, address) as client:
                found += await statuses(client, "")

        assert found == [402, 402, 429, 402]


async def test_the_limit_is_met_before_the_body_is_read(tmp_path: Path):
    """Who is over the limit is answered on its headers alone, and is not invited to send the rest."""
    async with opened_world(tmp_path, unpaid_per_ip_per_minute=1) as world:
        await world.ask()

        silent = await sent_head(world, Content_Length="1000000")
        expecting = await sent_head(world, Content_Length="1000000", Expect="100-continue")

        assert (silent.status, expecting.status) == (429, 429)
        assert 0 < int(silent.headers["retry-after"]) <= 60


async def test_within_the_limit_the_body_is_invited(world: World):
    """The counterpart: `Expect: 100-continue` is answered 100 when the body will be read."""
    assert (await sent_head(world, Content_Length="100", Expect="100-continue")).status == 100


@pytest.mark.parametrize(
    "authorization",
    ["Bearer nobody-s-token", "L402 TUFD:abcd", f"L402 TUFD:{'00' * 32}", "Basic dTpw", "Bearer l402"],
)
async def test_who_proves_nothing_counts_as_unpaid(tmp_path: Path, authorization: str):
    """Junk in Authorization is no way around the limit."""
    async with opened_world(tmp_path, unpaid_per_ip_per_minute=1) as world:
        first = await world.ask(Authorization=authorization)
        second = await world.ask(Authorization=authorization)

        assert first.status_code in {401, 402}
        assert limited(second)


async def test_an_unknown_token_over_the_limit_sends_no_body(tmp_path: Path):
    """A flood of made-up tokens is refused on its headers, like any other unpaid request."""
    async with opened_world(tmp_path, unpaid_per_ip_per_minute=1) as world:
        await world.ask()

        head = await sent_head(
            world, Content_Length="1000000", Expect="100-continue", Authorization="Bearer nobody-s-token"
        )

        assert head.status == 429


@pytest.mark.parametrize(
    ("body", "headers"),
    [({}, {}), (HELLO, {"X_Max_Price_Msat": "1"}), (HELLO, {"Idempotency_Key": ""})],
    ids=["no order", "price", "key"],
)
async def test_an_unknown_token_counts_whatever_else_is_wrong(
    tmp_path: Path, body: dict[str, Any], headers: dict[str, str]
):
    """A made-up token that never comes to its hold is no way around the limit; an owner is told what is wrong."""
    async with opened_world(tmp_path, unpaid_per_ip_per_minute=3) as world:
        owner = {"Authorization": f"Bearer {await new_token(world)}"}  # its top-up and its claim count as well
        stranger = {"Authorization": "Bearer nobody-s-token"}

        first, second = [await world.ask(body, None, **stranger, **headers) for _ in range(2)]
        own = await world.ask(body, None, **owner, **headers)

        assert first.status_code == 401 and limited(second)
        assert own.status_code in {400, 402}


async def test_bad_requests_count(tmp_path: Path):
    """Being wrong is free, but not for ever."""
    async with opened_world(tmp_path, unpaid_per_ip_per_minute=1) as world:
        first, second = await world.ask({}), await world.ask({})

        assert first.status_code == 400 and limited(second)


# Behind a proxy
#
# These clients are not at 127.0.0.1, because uvicorn itself believes that one address unless it is told not to.


async def test_a_stranger_s_x_forwarded_for_is_ignored(tmp_path: Path):
    """Anybody can write that header: it gives nobody a fresh share."""
    async with (
        opened_world(tmp_path, unpaid_per_ip_per_minute=1) as world,
        client_from(world, "127.0.0.2") as stranger,
    ):
        assert await statuses(stranger, "198.51.100.1", "198.51.100.2") == [402, 429]


async def test_a_trusted_proxy_s_word_counts(tmp_path: Path):
    """Behind a configured proxy each client has a share of its own, and cannot invent further hops."""
    async with (
        opened_world(tmp_path, unpaid_per_ip_per_minute=1) as world,
        client_from(world, "127.0.0.2") as proxy,
    ):
        trusting = replace(world.services.settings, trusted_proxies=(ip_network("127.0.0.2/32"),))
        world.exchange(settings=trusting)

        found = await statuses(proxy, "198.51.100.1", "198.51.100.1", "198.51.100.2", "203.0.113.9, 198.51.100.2")

        assert found == [402, 429, 402, 429]


# Invoices


async def test_invoices_are_limited_for_everybody_together(tmp_path: Path):
    """The node keeps each one for ever: above the budget nobody gets one, whatever the address."""
    async with opened_world(tmp_path, invoices_per_minute=2) as world:
        first = [await world.ask() for _ in range(2)]
        async with client_from(world, "127.0.1.2") as stranger:
            answer = await stranger.post(CHAT, json=HELLO)

        assert [found.status_code for found in first] == [402, 402]
        assert limited(answer)
        assert await world.invoices() == 2


async def test_differences_of_an_account_are_limited(tmp_path: Path):
    """A paid credential cannot be used to make invoices without end; other buyers are not affected."""
    async with opened_world(tmp_path, differences_per_account_per_minute=2) as world:
        paid, other = await world.buy(), await world.buy()
        bigger = {**HELLO, "max_completion_tokens": 16_384}

        found = [await world.ask(bigger, paid) for _ in range(3)]

        assert [answer.status_code for answer in found[:2]] == [402, 402] and limited(found[2])
        assert (await world.ask(bigger, other)).status_code == 402
        assert (await world.ask(paid=paid)).status_code == 200


async def test_refused_invoices_take_nothing_from_everybody_s_budget(tmp_path: Path):
    """One account that asks on and on meets its own limit, and the invoices it did not get are there for others."""
    async with opened_world(tmp_path, invoices_per_minute=3, differences_per_account_per_minute=1) as world:
        paid = await world.buy()
        bigger = {**HELLO, "max_completion_tokens": 16_384}

        found = [(await world.ask(bigger, paid)).status_code for _ in range(4)]
        stranger = await world.ask()

        assert found == [402, 429, 429, 429]
        assert stranger.status_code == 402 and await world.invoices() == 3


async def test_invoices_for_a_credential_that_is_not_for_this_are_limited(tmp_path: Path):
    """A valid credential, limited by its holder so that it never fits, is no way to make invoices without end."""
    async with opened_world(tmp_path, differences_per_account_per_minute=2) as world:
        paid = await world.buy()
        useless = replace(paid, macaroon=appended(paid.macaroon, "services=acme:0"))

        found = [await world.ask(paid=useless) for _ in range(3)]

        assert [answer.status_code for answer in found[:2]] == [402, 402] and limited(found[2])
        assert (await world.ask(paid=paid)).status_code == 200


# Whoever pays


async def test_paying_calls_meet_none_of_these_limits(tmp_path: Path):
    """An address over its share still spends its balance; a proven credential is not counted."""
    async with opened_world(
        tmp_path, unpaid_per_ip_per_minute=2, unpaid_per_network_per_minute=2, invoices_per_minute=2
    ) as world:
        paid = await world.buy()
        paying = [await world.ask(paid=paid) for _ in range(5)]
        await world.ask()
        assert limited(await world.ask())

        after = await world.ask(paid=paid)

        assert [answer.status_code for answer in [*paying, after]] == [200] * 6


async def test_a_call_that_is_refused_gives_its_place_back(tmp_path: Path):
    """Whatever is wrong with it, and even if nobody knows its token."""
    async with opened_world(tmp_path, concurrent_calls=1) as world:
        paid = await world.buy()
        wrong = [{"Idempotency_Key": ""}, {"X_Max_Price_Msat": "much"}, {"X_Max_Price_Msat": "1"}]
        nobody = {"Authorization": "Bearer alb_nobody"}

        refused = [await world.ask(HELLO, paid, **headers) for headers in wrong]
        refused += [await world.ask(HELLO, None, **nobody, **headers) for headers in wrong]

        assert [answer.status_code for answer in refused] == [400, 400, 402, 401, 401, 401]
        assert (await world.ask(paid=paid)).status_code == 200


# Size


async def test_a_body_that_says_it_is_too_large_is_not_read(world: World):
    """413 on the headers alone, and no invoice."""
    head = await sent_head(world, Content_Length=str(MAX_BODY_BYTES + 1), Expect="100-continue")

    assert head.status == 413
    assert await world.invoices() == 0


async def test_a_body_that_turns_out_too_large_is_413(world: World):
    """Without a Content-Length it is counted as it comes; a paid credential changes nothing and stays good."""
    paid = await world.buy()

    async def pieces() -> AsyncGenerator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65_536 + 1):
            yield b" " * 65_536

    answer = await world.client.post(CHAT, content=pieces(), headers=paid.headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert str(MAX_BODY_BYTES) in answer.json()["error"]["message"]
    assert (await world.ask(paid=paid)).status_code == 200


async def test_the_largest_body_is_sold(world: World):
    """Exactly at the limit it is a request like any other."""
    body = json.dumps(HELLO).encode()
    padded = body + b" " * (MAX_BODY_BYTES - len(body))

    answer = await world.client.post(CHAT, content=padded)

    assert answer.status_code == 402 and answer.json()["amount_sats"] == 2
