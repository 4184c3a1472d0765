"""Clients in Python, and curl, as the buyers use them."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import httpx
import openai
from l402_requests import AsyncL402Client
from l402_requests.wallets import WalletBase
from pydantic import SecretStr

from tests.clients.answer import Answer
from tests.clients.cln import cln_wallet
from tests.clients.lines import buyer
from tests.clients.observed import Ask, Client, Kind
from tests.world import ROOT, World

LIMIT_SECONDS = 30.0
UNPAID_KEY = "l402"
MODEL = "gpt-4o-mini"
QUESTION = "Hello"
Way = Literal["header", "key"]
Make = Callable[["Way", str, Path], Client]
USED: dict[Way, str] = {"header": "header `Authorization: L402 …`", "key": "key `<macaroon>:<preimage>`"}


def base_url(url: str) -> str:
    """What an OpenAI client is told, from the address of the chat endpoint."""
    return url.removesuffix("/chat/completions")


@dataclass(slots=True)
class Given:
    """How a client without a wallet presents what its user paid for."""

    way: Way
    credential: str | None = None

    def give(self, credential: str) -> None:
        """`<macaroon>:<preimage>`, from now on."""
        self.credential = credential

    @property
    def key(self) -> str:
        """The API key: the credential itself, or the word for "not paid"."""
        return self.credential if self.credential and self.way == "key" else UNPAID_KEY

    @property
    def headers(self) -> dict[str, str]:
        """The header, where it is the way."""
        return {"Authorization": f"L402 {self.credential}"} if self.credential and self.way == "header" else {}


def _refusal(error: openai.APIStatusError) -> Answer:
    """What the SDK's user can read of an error."""
    return Answer(error.status_code, error.code, challenge=error.response.headers.get("www-authenticate"))


# --- Official SDK ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class OpenAISdk(Given):
    """`openai.AsyncOpenAI`, with its own retries."""

    url: str = ""

    async def ask(self, ask: Ask) -> Answer:
        async with openai.AsyncOpenAI(
            base_url=base_url(self.url), api_key=self.key, default_headers=self.headers, timeout=LIMIT_SECONDS
        ) as client:
            try:
                return Answer(200, text=await self._said(client, ask))
            except openai.APIStatusError as error:
                return _refusal(error)

    async def _said(self, client: openai.AsyncOpenAI, ask: Ask) -> str:
        cap = openai.omit if ask.cap_tokens is None else ask.cap_tokens
        if not ask.stream:
            answer = await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": QUESTION}], max_completion_tokens=cap
            )
            return answer.choices[0].message.content or ""
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": QUESTION}], max_completion_tokens=cap, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


@dataclass(slots=True)
class LangChain(Given):
    """`langchain_openai.ChatOpenAI`. It counts tokens with tiktoken only when asked to, so nothing is downloaded."""

    url: str = ""

    async def ask(self, ask: Ask) -> Answer:
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 - takes a second, also of tests that do not need it

        model = ChatOpenAI(
            model=MODEL,
            base_url=base_url(self.url),
            api_key=SecretStr(self.key),
            default_headers=self.headers,
            max_completion_tokens=ask.cap_tokens,
            timeout=LIMIT_SECONDS,
        )
        try:
            if ask.stream:
                return Answer(200, text="".join([chunk.text async for chunk in model.astream(QUESTION)]))
            return Answer(200, text=(await model.ainvoke(QUESTION)).text)
        except openai.APIStatusError as error:
            return _refusal(error)


# --- A command -------------------------------------------------------------------------------------------------------


async def run(*command: str) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    program = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(program.communicate(), LIMIT_SECONDS)
    except TimeoutError:
        program.kill()
        raise
    return program.returncode or 0, out.decode(), err.decode()


@dataclass(slots=True)
class Curl(Given):
    """`curl`."""

    url: str = ""

    async def ask(self, ask: Ask) -> Answer:
        header = {"Authorization": f"Bearer {self.key}"} | self.headers
        lines = [f"{name}: {value}" for name, value in {"Content-Type": "application/json", **header}.items()]
        flags = [flag for line in lines for flag in ("-H", line)]
        body = httpx.Request("POST", self.url, json=ask.body).content.decode()
        status, out, err = await run("curl", "-q", "-sSi", "--noproxy", "*", self.url, *flags, "-d", body)
        assert status == 0, err
        head, _, text = out.replace("\r\n", "\n").partition("\n\n")
        challenge = re.search(r"^www-authenticate: (.+)$", head, re.MULTILINE | re.IGNORECASE)
        return Answer.of_json(int(head.split(" ", 2)[1]), text, challenge and challenge[1])


# --- Clients that pay -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class PhoenixdWallet(WalletBase):
    """What l402-requests needs of a wallet, over phoenixd's own API."""

    url: str
    password: str

    async def pay_invoice(self, bolt11: str) -> str:
        """Pay; returns the preimage, hex."""
        async with httpx.AsyncClient(auth=("", self.password), trust_env=False, timeout=LIMIT_SECONDS) as node:
            paid = await node.post(f"{self.url}/payinvoice", data={"invoice": bolt11})
            return paid.json()["paymentPreimage"]


@dataclass(slots=True)
class L402Requests:
    """`l402_requests.AsyncL402Client`: an httpx client that pays."""

    url: str
    client: AsyncL402Client

    async def ask(self, ask: Ask) -> Answer:
        answer = await self.client.post(self.url, json=ask.body)
        return Answer.of_json(answer.status_code, answer.text, answer.headers.get("www-authenticate"))

    def give(self, credential: str) -> None:
        raise TypeError("it pays by itself")


# --- Rows -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _l402_requests(world: World, url: str, folder: Path) -> AsyncGenerator[Client]:
    wallet = PhoenixdWallet(world.parts.payer_url, world.parts.payer_password)
    async with AsyncL402Client(wallet, trust_env=False, timeout=LIMIT_SECONDS) as client:
        yield L402Requests(url, client)


@asynccontextmanager
async def _l402sdk(world: World, url: str, folder: Path) -> AsyncGenerator[Client]:
    program = [sys.executable, "-m", "tests.clients.l402sdk_buyer"]
    async with cln_wallet(world) as node, buyer(*program, url, node, cwd=ROOT) as running:
        yield running


@asynccontextmanager
async def _llm(world: World, url: str, folder: Path) -> AsyncGenerator[Client]:
    program = [sys.executable, "-m", "tests.clients.llm_buyer", base_url(url)]
    env = {"HOME": str(folder), "LLM_USER_PATH": str(folder)}
    async with buyer(*program, cwd=ROOT, way="key", env=env) as running:
        yield running


def _given(name: str, package: str | None, make: Make, way: Way) -> Kind:
    """A client whose user pays."""

    @asynccontextmanager
    async def opened(world: World, url: str, folder: Path) -> AsyncGenerator[Client]:
        yield make(way, url, folder)

    def version() -> str:
        return metadata.version(package) if package else "any"

    return Kind(name, version, pays=False, used=USED[way], opened=opened)


def _openai(way: Way, url: str, folder: Path) -> Client:
    return OpenAISdk(way, url=url)


def _langchain(way: Way, url: str, folder: Path) -> Client:
    return LangChain(way, url=url)


def _curl(way: Way, url: str, folder: Path) -> Client:
    return Curl(way, url=url)


def kinds() -> list[Kind]:
    """Every row of this module."""
    return [
        Kind("l402-requests", lambda: metadata.version("l402-requests"), pays=True, used="PyPI", opened=_l402_requests),
        Kind("l402sdk", lambda: metadata.version("l402sdk"), pays=True, used="PyPI", opened=_l402sdk),
        _given("openai (Python)", "openai", _openai, "header"),
        _given("openai (Python)", "openai", _openai, "key"),
        _given("langchain-openai", "langchain-openai", _langchain, "header"),
        _given("langchain-openai", "langchain-openai", _langchain, "key"),
        Kind("llm", lambda: metadata.version("llm"), pays=False, used=USED["key"], opened=_llm),
        _given("curl", None, _curl, "header"),
    ]
