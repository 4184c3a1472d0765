"""A whole run: everything is brought up, buyers buy while the plan's faults happen, and then it is audited."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos_parts import auditor, backends, doubles, log_rules, plan, prepaid, table
from chaos_parts.backends import Backend
from chaos_parts.buyers import Buyer
from chaos_parts.evidence import Evidence, Work
from chaos_parts.fleet import ROOT, Fleet
from chaos_parts.market import Impatient, Market
from chaos_parts.plan import Fault, Lane
from chaos_parts.prices import PriceList
from chaos_parts.proxy import Proxy
from chaos_parts.record import Record
from chaos_parts.table import Figures
from chaos_parts.weather import Weather
from lib.demo.doubles import SELLER_LIMITED_PASSWORD, UPSTREAM_KEY

LOOPBACK = "127.0.0.1"
BTC_USD = 100_000
JOURNAL_PER_CALL = 20
"""Room for every repetition of every call."""
PROGRESS_SECONDS = 5.0
AFTERMATH_SECONDS = 3.0
"""How long faults go on after the last call has begun."""
CONFIRMED_SECONDS = 90.0
POLL_SECONDS = 0.5
AT_ONCE_MAX_COUNT = 16

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    calls: int
    ledger: str
    seed: int
    processes: int
    buyers: int
    limit_seconds: float

    @property
    def lanes(self) -> list[Lane]:
        """All that can break."""
        ledger = plan.SQLITE if self.ledger == "sqlite" else plan.DATABASE
        return [plan.SERVERS, plan.NODE, plan.PAYER, plan.UPSTREAM, ledger]

    def faults(self) -> list[Fault]:
        """The plan."""
        return plan.planned(self.seed, processes=self.processes, lanes=self.lanes, slowness=plan.pace(self.calls))


async def done(wish: Wish, directory: Path, say: Say) -> Figures:
    """Do it all. Raises TimeoutError when buyers do not come to an end within the limit."""
    record = Record(nonce=secrets.token_hex(4))
    began_at = time.time()
    plan.written(wish.faults(), directory / "plan.json")
    async with AsyncExitStack() as stack:
        demo = await stack.enter_async_context(doubles.running(directory, wish.calls * JOURNAL_PER_CALL))
        backend = await stack.enter_async_context(backends.opened(wish.ledger, directory))
        upstream = await stack.enter_async_context(Proxy(demo.openai, record.disturbed.add).running())
        shop = {**_operator(record, demo.seller, upstream.port), **backend.environment}
        fleet = Fleet(record, directory, wish.seed, shop, wish.processes, began_at)
        weather = Weather(fleet, demo, upstream, backend.strike, record, say)
        market = Market(fleet, demo, record, wish.calls)
        async with fleet.running():
            await _bought(wish, market, weather, backend, say)
            await _settled_up(wish, market, backend, say)
        took_seconds = time.time() - began_at
        books = await backend.books()  # the servers have stopped in order: this is the ledger's last word
        work = [Work.of(entry) for entry in await demo.journal() if entry["method"] == "POST"]
        received, record.invoices = await demo.received(), await demo.invoices()
    found = Evidence(record, books, received, work, PriceList.of(ROOT / "config.yaml", BTC_USD))
    _kept(record, directory)
    differences = auditor.differences(found, directory)
    return table.figures(
        found, wish.ledger, wish.seed, took_seconds, differences, log_rules.searched(record, directory)
    )


def _kept(record: Record, directory: Path) -> None:
    """What buyers saw, for who looks into a difference. No secret is in it."""
    calls = [asdict(call) for call in record.calls]
    for call in calls:
        call["key"] = call["key"] is not None
    (directory / "calls.json").write_text(json.dumps(calls, indent=1), encoding="utf-8")


def _operator(record: Record, seller_port: int, upstream_port: int) -> dict[str, str]:
    """The environment of a server, without its ledger. Its secrets must not be seen again."""
    root_key, metrics_token = secrets.token_hex(32), secrets.token_hex(16)
    record.secrets.update((root_key, metrics_token, UPSTREAM_KEY, SELLER_LIMITED_PASSWORD))
    return {
        "L402_ROOT_KEY": root_key,
        "METRICS_TOKEN": metrics_token,
        "OPENAI_API_KEY": UPSTREAM_KEY,
        "OPENAI_BASE_URL": f"http://{LOOPBACK}:{upstream_port}/v1",
        "PHOENIX_URL": f"http://{LOOPBACK}:{seller_port}",
        "PHOENIX_PASSWORD": SELLER_LIMITED_PASSWORD,
        "BTC_USD": str(BTC_USD),
        "ALITTLEBITOFMONEY_DEMO": "1",
    }


async def _bought(wish: Wish, market: Market, weather: Weather, backend: Backend, say: Say) -> None:
    """Every call is begun under faults; what is then unfinished comes to its end without."""
    await market.doubles.mix(wish.seed)
    faults = asyncio.create_task(weather.run(wish.faults(), time.time()))
    async with _progress(wish, market, say), asyncio.timeout(wish.limit_seconds), asyncio.TaskGroup() as tasks:
        for number in range(wish.buyers):
            draw = random.Random(f"{wish.seed}/buyer/{number}")  # noqa: S311 - repeatable, not secret
            tasks.create_task(Buyer(market, draw).live())
        over = asyncio.create_task(market.over.wait())
        try:
            await asyncio.wait([faults, over], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(AFTERMATH_SECONDS)
        finally:
            over.cancel()
            faults.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await faults
        say("the faults are over; what was not answered yet is asked again")
        await asyncio.gather(weather.clear(), backend.heal())
        await market.fleet.calm()


async def _settled_up(wish: Wish, market: Market, backend: Backend, say: Say) -> None:
    """What was paid and never used is redeemed; then nothing is held and nothing is in doubt any more."""
    credited = {credit.payment_hash for credit in (await backend.books()).credits}
    forgotten = [payment for payment in market.record.payments if payment.payment_hash not in credited]
    say(f"{len(forgotten)} payments were never used: they are redeemed")
    market.record.count("redeemed at the end", len(forgotten))
    room = asyncio.Semaphore(AT_ONCE_MAX_COUNT)

    async def redeem(number: int) -> None:
        draw = random.Random(f"{wish.seed}/redeems/{number}")  # noqa: S311 - repeatable, not secret
        async with room:
            try:
                await prepaid.redeemed(market, draw, forgotten[number])
            except Impatient as impatient:
                market.record.strange.append(f"a payment could not be redeemed: {impatient}")

    await asyncio.gather(*(redeem(number) for number in range(len(forgotten))))
    until = time.monotonic() + CONFIRMED_SECONDS
    while time.monotonic() < until:
        books = await backend.books()
        if all(credit.confirmed for credit in books.credits) and all(hold.ended_at for hold in books.holds):
            return
        await asyncio.sleep(POLL_SECONDS)


@contextlib.asynccontextmanager
async def _progress(wish: Wish, market: Market, say: Say) -> AsyncGenerator[None]:
    """A line every few seconds: calls, lives, faults, and an estimate of the time that is left."""
    began = time.monotonic()

    async def telling() -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            passed = time.monotonic() - began
            left = passed / market.finished * (wish.calls - market.finished) if market.finished else 0.0
            ended = sum(life.killed is not None for life in market.record.lives)
            faults = sum(market.record.counts.values())
            answers = f"{market.finished} of {wish.calls} calls"
            say(f"{passed:7.1f} s  {answers}, {ended} kills, {faults} faults and rudenesses, about {left:.0f} s left")

    teller = asyncio.create_task(telling())
    try:
        yield
    finally:
        teller.cancel()
