"""Makes the plan's faults happen, lane by lane, and says each as it begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chaos_parts import plan
from chaos_parts.doubles import Doubles
from chaos_parts.fleet import Fleet
from chaos_parts.plan import Fault
from chaos_parts.proxy import Proxy
from chaos_parts.record import Record

MS_PER_SECOND = 1_000
LEDGER_LANES = frozenset({plan.SQLITE.name, plan.DATABASE.name})
NODE_KNOBS = {
    "refuses connections": {"refuse": True},
    "answers 500": {"error_500": "chaos"},
    "hangs": {"hang": True},
}


@dataclass(frozen=True, slots=True)
class Weather:
    """Who can be hurt."""

    fleet: Fleet
    doubles: Doubles
    upstream: Proxy
    strike_database: Callable[[Fault], Awaitable[None]]
    """Makes one fault of the database lane, to its end."""
    record: Record
    say: Callable[[str], None]

    async def run(self, faults: Sequence[Fault], began_at: float) -> None:
        """Every lane, until it is cancelled; what lasts is then undone."""
        lanes = {fault.lane for fault in faults}
        try:
            async with asyncio.TaskGroup() as tasks:
                for name in sorted(lanes):
                    tasks.create_task(self._lane([fault for fault in faults if fault.lane == name], began_at))
        finally:
            await self.clear()

    async def clear(self) -> None:
        """Everybody is well again. Servers have a weather of their own, which ends with their lives."""
        self.upstream.refuses = False
        self.upstream.let_pass()
        await asyncio.gather(self.doubles.knobs("seller"), self.doubles.knobs("payer"), self.doubles.well_behaved())

    async def _lane(self, faults: Sequence[Fault], began_at: float) -> None:
        for fault in faults:
            await asyncio.sleep(max(0.0, began_at + fault.at_seconds - time.time()))
            self.say(str(fault))
            self.record.count(f"{fault.lane}: {fault.what}")
            began = time.time()
            try:
                await self._strike(fault)
            finally:
                if fault.lane in LEDGER_LANES:
                    self.record.ledger_troubles.append((began, time.time()))

    async def _strike(self, fault: Fault) -> None:
        match fault.lane:
            case plan.SERVERS.name:
                await self._server(fault)
            case plan.NODE.name:
                knobs = NODE_KNOBS.get(fault.what) or {"delay_ms": int(fault.amount * MS_PER_SECOND)}
                await self.doubles.knobs("seller", **knobs)
                await asyncio.sleep(fault.lasts_seconds)
                await self.doubles.knobs("seller")
            case plan.PAYER.name:
                await self.doubles.knobs("payer", overpay_factor=2)
                await asyncio.sleep(fault.lasts_seconds)
                await self.doubles.knobs("payer")
            case plan.UPSTREAM.name:
                await strike_proxy(self.upstream, fault)
            case plan.DATABASE.name:
                await self.strike_database(fault)
            case _:  # the servers make those of their own ledger themselves
                await asyncio.sleep(fault.lasts_seconds)

    async def _server(self, fault: Fault) -> None:
        if fault.what == plan.KILL:
            self.fleet.kill(int(fault.amount))
        else:
            await self.fleet.stop(int(fault.amount))


async def strike_proxy(proxy: Proxy, fault: Fault) -> None:
    """One fault on the way to a server, from its beginning to its end."""
    match fault.what:
        case "all connections cut":
            proxy.cut()
        case "refuses connections":
            proxy.refuses = True
            proxy.cut()
            await asyncio.sleep(fault.lasts_seconds)
            proxy.refuses = False
        case "slow":
            proxy.delay_seconds = fault.amount
            await asyncio.sleep(fault.lasts_seconds)
            proxy.delay_seconds = 0.0
        case _:
            proxy.hold_up()
            await asyncio.sleep(fault.lasts_seconds)
            proxy.let_pass()
