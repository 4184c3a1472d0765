"""Our server with its ledger on, as an operator runs it, and one buyer who paid a single large invoice."""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench_parts.processes import LOOPBACK, Served, application

PATH = "/openai/v1/chat/completions"
LARGE_ORDER = {
    "model": "gpt-5.5",
    "messages": [{"role": "user", "content": "Hello"}],
    "max_completion_tokens": 32_768,
    "n": 7,
}
"""Never run: it is so dear that the invoice for it, just below what is credited on a preimage alone, pays for two
hundred thousand cheap calls."""
BTC_USD = "100000"
PAYER_PASSWORD = "demo"  # noqa: S105 - of the demo's pretended wallet
LIMIT_SECONDS = 30.0
POLL_SECONDS = 0.01
CEILING_PER_CHARGE = 2
"""Running calls hold their ceilings, so the balance must be larger than what is charged in the end."""


@dataclass(slots=True)
class Shop:
    """The running server and its buyer."""

    server: Served
    payer_port: int
    asked: Mapping[str, Any]
    """The measured call."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """The buyer's L402 credential. A secret, though of pretended money."""
    charge_msat: int = 0
    """What one measured call costs, by the header of the first one."""

    def balance_msat(self) -> int:
        """What is left on the credential, once no call holds anything any more. Raises SystemExit if that stays."""
        until = time.monotonic() + LIMIT_SECONDS
        with self._client() as client:
            while time.monotonic() < until:
                found = client.get("/api/balance", headers=self.headers).raise_for_status().json()
                if not found["held_msat"]:
                    return int(found["balance_msat"])
                time.sleep(POLL_SECONDS)
        sys.exit("money is still held although no call runs")

    def stock(self, calls: int) -> int:
        """Buy another credential if this one does not pay for so many calls; the balance in msat."""
        for _ in range(2):
            if self.headers and (balance := self.balance_msat()) >= calls * self.charge_msat * CEILING_PER_CHARGE:
                return balance
            self._buy()
        sys.exit(f"the dearest order does not pay for {calls} calls of {self.charge_msat} msat")

    def _buy(self) -> None:
        with self._client() as client:
            offer = _expected(402, client.post(PATH, json=LARGE_ORDER))
            wallet = f"http://{LOOPBACK}:{self.payer_port}/payinvoice"
            invoice = {"invoice": offer.json()["invoice"]}
            paid = _expected(200, client.post(wallet, data=invoice, auth=("", PAYER_PASSWORD)))
            self.headers = {"Authorization": f"L402 {offer.json()['macaroon']}:{paid.json()['paymentPreimage']}"}
            first = _expected(200, client.post(PATH, json=dict(self.asked), headers=self.headers))
        self.charge_msat = int(first.headers["x-charge-msat"])

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{LOOPBACK}:{self.server.port}", timeout=LIMIT_SECONDS, trust_env=False)


def _expected(status: int, reply: httpx.Response) -> httpx.Response:
    if reply.status_code != status:
        sys.exit(f"{reply.url.path} answered {reply.status_code} instead of {status}")
    return reply


@contextlib.contextmanager
def opened(upstream_port: int, ports: Mapping[str, int], directory: Path, asked: Mapping[str, Any]) -> Generator[Shop]:
    """`uvicorn server:app` with the shipped configuration, a fresh ledger in `directory`, and upstream ready-made."""
    env = {
        "L402_ROOT_KEY": secrets.token_hex(32),
        "OPENAI_API_KEY": "upstream-key",
        "OPENAI_BASE_URL": f"http://{LOOPBACK}:{upstream_port}/v1",
        "PHOENIX_URL": f"http://{LOOPBACK}:{ports['seller']}",
        "PHOENIX_PASSWORD": "demo-limited",
        "BTC_USD": BTC_USD,
        "ALITTLEBITOFMONEY_DEMO": "1",
        "ALITTLEBITOFMONEY_DATA_DIR": str(directory / "ledger"),
    }
    with application("server", ["server:app"], env, directory) as server:
        yield Shop(server, ports["payer"], asked)
