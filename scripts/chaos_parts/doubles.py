"""The demo's pretended wallets and OpenAI, in a process of their own, and what a run asks of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from chaos_parts.fleet import ROOT, environment
from lib.demo.doubles import PAYER_PASSWORD

LOOPBACK = "127.0.0.1"
START_LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 20.0
QUESTION_LIMIT_SECONDS = 120.0
CALM: dict[str, Any] = {"weight": 80}
MIX: list[dict[str, Any]] = [
    {"weight": 2, "scenario": {"status": 500}},
    {"weight": 1.5, "scenario": {"status": 503}},
    {"weight": 2, "scenario": {"status": 429, "retry_after": 1}},
    {"weight": 2, "scenario": {"cut_after_chunks": 6}},
    {"weight": 2, "scenario": {"error_in_band_after_chunks": 4}},
    {"weight": 2, "scenario": {"close_before_answer": True}},
    {"weight": 1, "scenario": {"usage_missing": True}},
    {"weight": 0.5, "scenario": {"usage": {"prompt_tokens": -5, "completion_tokens": 2.5}}},
    {"weight": 0.5, "scenario": {"usage_twice": True}},
    {"weight": 1, "scenario": {"no_done": True}},
    {"weight": 0.5, "scenario": {"not_json": True}},
    {"weight": 1.5, "scenario": {"first_byte_delay_ms": 800}},
    {"weight": 2, "scenario": {"chunk_delay_ms": 40}},
    {"weight": 1.5, "scenario": {"split_bytes": 97}},
    {"weight": 3, "scenario": {"chunks": 24, "chunk_bytes": 8_000}},
    {"weight": 3, "scenario": {"chunks": 8, "chunk_bytes": 13_000}},
    {"weight": 0.5, "scenario": {"reasoning_only": True}},
    {"weight": 0.3, "scenario": {"hang_before_answer": True}},
]
"""What requests to upstream meet: every ending of docs/money.md, and answers too large for any buffer."""


class PaymentRefused(Exception):
    """The payer's wallet did not pay."""


@dataclass(frozen=True, slots=True)
class Doubles:
    """Where they listen."""

    seller: int
    payer: int
    openai: int
    control: int
    session: aiohttp.ClientSession

    async def pay(self, invoice: str) -> str:
        """The payer pays; the preimage in hex. Raises PaymentRefused."""
        async with self.session.post(
            f"http://{LOOPBACK}:{self.payer}/payinvoice",
            data={"invoice": invoice},
            auth=aiohttp.BasicAuth("", PAYER_PASSWORD),
        ) as reply:
            paid = await reply.json()
        if "paymentPreimage" not in paid:
            raise PaymentRefused(paid.get("reason", "no reason"))
        return str(paid["paymentPreimage"])

    async def knobs(self, node: str, **knobs: Any) -> None:
        """Turn a node's knobs; without any, it is healthy again."""
        path = f"/node/{node}/knobs"
        await (self._control("POST", path, knobs) if knobs else self._control("DELETE", path))

    async def mix(self, seed: int) -> None:
        """Upstream fails now and then."""
        await self._control("POST", "/upstream/mix", {"seed": seed, "draws": [CALM, *MIX]})

    async def well_behaved(self) -> None:
        """Upstream fails no more."""
        await self._control("DELETE", "/upstream/mix")

    async def received(self) -> dict[str, int]:
        """What the seller's node has really received: msat by payment hash."""
        ledger = await self._control("GET", "/node/seller/ledger")
        return {row["payment_hash"]: row["received_msat"] for row in ledger["incoming"] if row["is_paid"]}

    async def invoices(self) -> set[str]:
        """The payment hash of every invoice that the seller's node made."""
        ledger = await self._control("GET", "/node/seller/ledger")
        return {row["payment_hash"] for row in ledger["incoming"]}

    async def journal(self) -> list[dict[str, Any]]:
        """What reached upstream, oldest first."""
        return await self._control("GET", "/journal")

    async def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        url = f"http://{LOOPBACK}:{self.control}{path}"
        async with self.session.request(method, url, json=body) as reply:
            reply.raise_for_status()
            return await reply.json()


@contextlib.asynccontextmanager
async def running(directory: Path, journal_entries: int) -> AsyncGenerator[Doubles]:
    """Start them; they end with the block."""
    free = [part for name in ("seller", "payer", "openai", "control") for part in (f"--{name}-port", "0")]
    options = [*free, "--journal-entries", str(journal_entries)]
    with (directory / "doubles.log").open("w", encoding="utf-8") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "lib.demo",
            *options,
            cwd=ROOT,
            env=environment({}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    limit = aiohttp.ClientTimeout(total=QUESTION_LIMIT_SECONDS)
    try:
        if process.stdout is None:
            raise ValueError("its output goes elsewhere")
        async with asyncio.timeout(START_LIMIT_SECONDS):
            ports = json.loads(await process.stdout.readline())
        async with aiohttp.ClientSession(trust_env=False, timeout=limit) as session:
            yield Doubles(**ports, session=session)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_LIMIT_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
