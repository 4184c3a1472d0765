"""What a client does with us, watched from our side of the wire: what it asked, what it was told, what it paid."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib.core.money import Msat
from tests.clients.answer import Answer
from tests.world import CHAT, HELLO, Paid, World, opened_world, serving

LARGE_CAP_TOKENS = 8_000
"""Makes a call dearer than what the change of a first call can pay."""
WAIT_SECONDS = 20.0
SHORT_RETRY_AFTER = b"0.02"
"""Seconds, in place of our own 1 or 30, so that a client that repeats need not be waited for."""
CHALLENGE = re.compile(r'L402 macaroon="([^"]+)", invoice="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Ask:
    """One call, in a form that a command line can say as well."""

    stream: bool = False
    cap_tokens: int | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The request."""
        cap = {} if self.cap_tokens is None else {"max_completion_tokens": self.cap_tokens}
        return {**HELLO, **cap, **({"stream": True} if self.stream else {})}


class Client(Protocol):
    """A program that buys. One object is one buyer: it may remember credentials."""

    async def ask(self, ask: Ask) -> Answer:
        """Make the call as this client makes it; pay if it pays by itself."""
        ...

    def give(self, credential: str) -> None:
        """Use `<macaroon>:<preimage>` from now on. Never called for a client that pays by itself."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table."""

    name: str
    version: Callable[[], str]
    pays: bool
    """By itself; otherwise its user pays and hands it the credential."""
    used: str
    """How, in words for the table."""
    opened: Callable[[World, str, Path], AbstractAsyncContextManager[Client]]
    """With the shop, the address of the chat endpoint and an empty folder."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One call, or one attempt to make it: what we saw in order, and what the buyer saw in the end."""

    events: tuple[str, ...]
    answer: Answer

    @property
    def words(self) -> str:
        """For the table: `402 → pays 2 sat → 200`, `503 ×3, shown`."""
        groups = [(event, len(list(same))) for event, same in groupby(self.events)]
        path = " → ".join(event if count == 1 else f"{event} ×{count}" for event, count in groups)
        return path if self.answer.status == 200 else f"{path}, shown"


@dataclass(frozen=True, slots=True)
class Observed:
    """A client's row. `busy` is None where it never sends a credential twice, so that nothing can hold its balance."""

    name: str
    version: str
    pays: bool
    used: str
    unpaid: Seen | None
    """What an unpaid call shows, where the client does not pay by itself."""
    json: Seen
    stream: Seen
    next: Seen
    busy: Seen | None
    small: Seen
    refused: Seen
    recovered: Seen

    @property
    def reuses(self) -> bool:
        """Does the change pay for the next call?"""
        return self.next.events == ("200",)


@dataclass(slots=True)
class Counter:
    """Stands before the shop and notes what passes. Alters one thing: `Retry-After` is shortened."""

    app: ASGIApp
    payments: Callable[[], list[Msat]]
    """All payments of the buyer's wallet so far."""
    events: list[str] = field(default_factory=list[str])
    authorization: str = ""
    """The newest one that was answered 200."""
    on_conflict: Callable[[], Awaitable[None]] | None = None
    _counted: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application. The shop behind it is open already, so it has no lifespan of its own."""
        if scope["type"] != "http":
            raise RuntimeError("only requests")
        self.count_payments()
        headers = dict(scope["headers"])

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                status: int = message["status"]
                self.events.append(str(status))
                if status == 200:
                    self.authorization = headers.get(b"authorization", b"").decode()
                if status == 409 and self.on_conflict is not None:
                    await self.on_conflict()
                message = {**message, "headers": _with_short_retry(message["headers"])}
            await send(message)

        await self.app(scope, receive, noted)

    def count_payments(self) -> None:
        """Note payments made since the last look."""
        for amount in self.payments()[self._counted :]:
            self.events.append(f"pays {amount.sat_rounded_up().value} sat")
            self._counted += 1


def _with_short_retry(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, SHORT_RETRY_AFTER if name == b"retry-after" else value) for name, value in headers]


@dataclass(slots=True)
class Observer:
    """Puts one client through everything, in a shop of its own."""

    kind: Kind
    world: World
    counter: Counter
    url: str
    folder: Path
    clients: int = 0

    async def row(self) -> Observed:
        """All scenarios, one after the other: later ones spend what earlier ones bought."""
        async with self._client() as fresh:
            _, streamed = await self._bought(fresh, Ask(stream=True))
        async with self._client() as client:
            first, bought = await self._bought(client, Ask())
            again = await self._seen(client, Ask())
            return Observed(
                name=self.kind.name,
                version=self.kind.version(),
                pays=self.kind.pays,
                used=self.kind.used,
                unpaid=None if self.kind.pays else first,
                json=bought,
                stream=streamed,
                next=again,
                busy=await self._busy(client) if again.events == ("200",) else None,
                small=(await self._bought(client, Ask(cap_tokens=LARGE_CAP_TOKENS)))[1],
                refused=await self._refused(client),
                recovered=await self._seen(client, Ask()),
            )

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[Client]:
        self.clients += 1
        self.counter.authorization = ""
        folder = self.folder / f"buyer{self.clients}"
        folder.mkdir()
        async with self.kind.opened(self.world, self.url, folder) as client:
            yield client

    async def _seen(self, client: Client, ask: Ask) -> Seen:
        self.counter.count_payments()
        self.counter.events.clear()
        answer = await client.ask(ask)
        self.counter.count_payments()
        return Seen(tuple(self.counter.events), answer)

    async def _bought(self, client: Client, ask: Ask) -> tuple[Seen, Seen]:
        """The call alone, and with what follows where its user is the one who pays."""
        first = await self._seen(client, ask)
        if self.kind.pays or first.answer.status != 402:
            return first, first
        client.give(await self._paid_by_hand(first.answer, ask))
        self.counter.count_payments()
        by_hand = [f"you {event.replace('pays', 'pay')}" for event in self.counter.events[len(first.events) :]]
        second = await self._seen(client, ask)
        return first, Seen((*first.events, *by_hand, *second.events), second.answer)

    async def _paid_by_hand(self, answer: Answer, ask: Ask) -> str:
        """A credential from the challenge that the client shows, or, if it hides it, from one asked for beside it."""
        challenge = answer.challenge
        if challenge is None:
            shown = await self.world.ask(ask.body, Authorization=self.counter.authorization or "Bearer l402")
            challenge = shown.headers["www-authenticate"]
        found = CHALLENGE.match(challenge)
        assert found is not None, challenge
        return f"{found[1]}:{await self.world.parts.pay(found[2])}"

    async def _busy(self, client: Client) -> Seen:
        """409: another call of the same credential holds the balance, and ends while the client is being told."""
        self.world.parts.clear_journal()
        self.world.parts.scenario(hang_before_answer=True, times=1)
        authorization = {"Authorization": self.counter.authorization}
        other = asyncio.create_task(self.world.client.post(CHAT, json=HELLO, headers=authorization))
        async with asyncio.timeout(WAIT_SECONDS):
            while not self.world.parts.journal():
                await asyncio.sleep(0.005)

        async def end_the_other() -> None:
            self.world.parts.scenario()
            assert (await other).status_code == 200
            preimage = authorization["Authorization"].rpartition(":")[2]
            await self.world.settled(Paid("", preimage, Msat.ZERO))

        self.counter.on_conflict = end_the_other
        try:
            return await self._seen(client, Ask())
        finally:
            self.counter.on_conflict = None
            self.world.parts.scenario()
            await other

    async def _refused(self, client: Client) -> Seen:
        """503: upstream refuses our key. Afterwards all is well again at once."""
        self.world.parts.scenario(status=401)
        try:
            return await self._seen(client, Ask())
        finally:
            self.world.parts.scenario()
            self.world.services.upstream._refused_until.clear()  # pyright: ignore[reportPrivateUsage]


def _payments(world: World) -> list[Msat]:
    outgoing: list[Mapping[str, Any]] = world.parts.ledger("payer")["outgoing"]
    return [Msat(payment["amount_msat"]) for payment in outgoing if payment["is_paid"]]


@asynccontextmanager
async def watched(folder: Path) -> AsyncGenerator[tuple[World, Counter, str]]:
    """A shop, the counter before it, and the address of the chat endpoint behind that counter."""
    async with opened_world(folder / "ledger") as world:
        counter = Counter(world.app, lambda: _payments(world))
        async with serving(counter) as url:
            yield world, counter, url + CHAT


async def observe(kind: Kind, folder: Path) -> Observed:
    """Run one client through every scenario; `folder` is empty. Fails if our books do not balance afterwards."""
    (folder / "ledger").mkdir()
    async with watched(folder) as (world, counter, url):
        observed = await Observer(kind, world, counter, url, folder).row()
        assert await world.services.ledger.audit() == []
        return observed
