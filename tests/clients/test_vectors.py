"""Clients that cannot be installed here: what each parses and sends, retyped from its source, byte for byte."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from pymacaroons import Macaroon

from lib.core.money import Msat
from tests.clients.observed import LARGE_CAP_TOKENS
from tests.world import CHAT, HELLO, Paid, World

LNGET_CHALLENGE = re.compile(r'(?i)(LSAT|L402)\s+macaroon="([^"]+)",\s*invoice="([^"]+)"')
IDENTIFIER_BYTES = 2 + 32 + 32
DEAR = {**HELLO, "max_completion_tokens": LARGE_CAP_TOKENS}


class Lnget:
    """lnget's flow: how it reads a challenge, asks again before it pays, adds its caveat and keeps one token."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._token: str | None = None
        self.macaroon = ""
        self.preimage = ""

    async def post(self, body: Mapping[str, Any]) -> httpx.Response:
        """A cached token is tried first; a 402 drops it, and another 402 is asked for before anything is paid."""
        if self._token is not None:
            answer = await self._world.ask(body, Authorization=self._token)
            if answer.status_code != 402:
                return answer
            self._token = None
        else:
            answer = await self._world.ask(body)
        self._read(answer)
        macaroon, invoice = self._read(await self._world.ask(body))
        preimage = await self._world.parts.pay(invoice)
        self._token = f"L402 {_with_preimage(macaroon, preimage)}:{preimage}"
        self.macaroon, self.preimage = macaroon, preimage
        return await self._world.ask(body, Authorization=self._token)

    @staticmethod
    def _read(answer: httpx.Response) -> tuple[str, str]:
        first_line = answer.headers.get_list("www-authenticate")[0]
        found = LNGET_CHALLENGE.search(first_line)
        assert answer.status_code == 402 and found is not None
        identifier = Macaroon.deserialize(found[2]).identifier_bytes
        assert len(identifier) == IDENTIFIER_BYTES and identifier[:2] == b"\x00\x00"
        return found[2], found[3]


def _with_preimage(macaroon: str, preimage: str) -> str:
    held = Macaroon.deserialize(macaroon)
    held.add_first_party_caveat(f"preimage={preimage}")
    raw = base64.urlsafe_b64decode(held.serialize() + "==")
    return base64.b64encode(raw).decode()


async def test_lnget_buys_and_its_token_serves_again(world: World):
    """Two invoices, one payment; the macaroon with its own caveat is ours, and the change pays for the next call."""
    lnget = Lnget(world)

    first, second = await lnget.post(HELLO), await lnget.post({**HELLO, "stream": True})

    assert (first.status_code, second.status_code) == (200, 200)
    assert second.text.endswith("data: [DONE]\n\n")
    assert await world.invoices() == 2
    account = await world.settled(Paid(lnget.macaroon, lnget.preimage, Msat(2_000)))
    assert account.balance == Msat(2_000 - 15 - 15)


async def test_lnget_pays_a_dear_call_in_full_and_leaves_its_change(world: World):
    """It asks anew without its token, so it is asked for all 7 sat; the old credential still holds what was left."""
    lnget = Lnget(world)
    await lnget.post(HELLO)
    old = Paid(lnget.macaroon, lnget.preimage, Msat(2_000))

    dear = await lnget.post(DEAR)

    assert dear.status_code == 200
    new = Paid(lnget.macaroon, lnget.preimage, Msat(7_000))
    assert (await world.settled(new)).balance == Msat(7_000 - 15)
    assert (await world.settled(old)).balance == Msat(2_000 - 15)


async def test_a_caveat_with_another_preimage_is_invalid(world: World):
    """The caveat that lnget and Aperture append must agree with the proof: 401, and nothing to pay."""
    paid = await world.buy()

    answer = await world.ask(Authorization=f"L402 {_with_preimage(paid.macaroon, '00' * 32)}:{paid.preimage}")

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_l402"
    assert not answer.headers["www-authenticate"].startswith(("L402", "LSAT"))


async def test_aperture_s_http_client_sends_two_lines(world: World):
    """`LSAT` and `L402` lines with the same credential count as one."""
    paid = await world.buy()
    credential = f"{paid.macaroon}:{paid.preimage}"
    lines = [("Authorization", f"LSAT {credential}"), ("Authorization", f"L402 {credential}")]

    answer = await world.client.post(CHAT, json=HELLO, headers=lines)

    assert answer.status_code == 200
    assert (await world.settled(paid)).balance == Msat(2_000 - 15)


@pytest.mark.parametrize("name", ["Macaroon", "Grpc-Metadata-Macaroon"])
async def test_aperture_s_grpc_metadata_is_not_read(world: World, name: str):
    """A macaroon in hex in a header of its own is no credential here: the call is unpaid, and nothing is taken."""
    paid = await world.buy()
    raw = base64.b64decode(_with_preimage(paid.macaroon, paid.preimage))

    answer = await world.client.post(CHAT, json=HELLO, headers={name: raw.hex()})

    assert answer.status_code == 402
    assert (await world.ask(paid=paid)).status_code == 200


def _both(pattern: str) -> Callable[[str], tuple[str, str]]:
    """One expression with two groups."""

    def read(header: str) -> tuple[str, str]:
        found = re.search(pattern, header)
        assert found is not None
        return found[1], found[2]

    return read


def _apart(macaroon: str, invoice: str) -> Callable[[str], tuple[str, str]]:
    """Two expressions with one group each."""

    def read(header: str) -> tuple[str, str]:
        return _group(macaroon, header), _group(invoice, header)

    return read


def _group(pattern: str, header: str) -> str:
    found = re.search(pattern, header)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(_both(r'(?:LSAT|L402) macaroon="(.*?)", invoice="(.*?)"'), id="Aperture"),
        pytest.param(_both(r'(?i)(?:L402|LSAT)\s+macaroon="([^"]+)"\s*,\s*invoice="([^"]+)"'), id="l402-ts"),
        pytest.param(_both(r'(?i)(?:L402|LSAT)\s+macaroon="([^"]+)",\s*invoice="([^"]+)"'), id="MCP servers"),
        pytest.param(_apart(r'macaroon="([^ ]+)"', r'invoice="([^ ]+)"'), id="L402-python"),
        pytest.param(_apart(r'macaroon="(.*?)"', r'invoice="(.*?)"'), id="LangChainBitcoin"),
    ],
)
async def test_their_expressions_find_macaroon_and_invoice(world: World, read: Callable[[str], tuple[str, str]]):
    """The challenge's first line, as each of them reads it, gives exactly what the body says."""
    challenge = await world.ask()

    found = read(challenge.headers.get_list("www-authenticate")[0])

    assert found == (challenge.json()["macaroon"], challenge.json()["invoice"])
