"""The doubles inside a test's own event loop, with words for what tests do to them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lib.demo import doubles as passwords
from lib.demo.anthropic import Anthropic
from lib.demo.compatible import DIALECTS
from lib.demo.doubles import Doubles, Ports
from lib.demo.invoice import read_invoice
from lib.demo.network import PaymentFailed
from lib.demo.scenario import Scenario
from lib.demo.search import Search

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

NodeName = Literal["seller", "payer"]
FREE_PORTS = Ports(seller=0, payer=0, openai=0, control=0)

__all__ = ["DemoParts", "NodeName", "PaymentFailed", "Ports", "demo_parts"]


@dataclass(frozen=True, slots=True)
class DemoParts:
    """Addresses and secrets of running doubles. `doubles` gives what has no word here."""

    doubles: Doubles

    seller_password: str = passwords.SELLER_PASSWORD
    seller_limited_password: str = passwords.SELLER_LIMITED_PASSWORD
    payer_password: str = passwords.PAYER_PASSWORD
    upstream_key: str = passwords.UPSTREAM_KEY

    @property
    def seller_url(self) -> str:
        """The seller's node, for PHOENIX_URL."""
        return self.doubles.seller.url

    @property
    def payer_url(self) -> str:
        """The payer's wallet, for PHOENIX_TEST_URL."""
        return self.doubles.payer.url

    @property
    def openai_url(self) -> str:
        """With `/v1`, for OPENAI_BASE_URL."""
        return f"{self.doubles.openai.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """With `/v1`, for ANTHROPIC_BASE_URL."""
        return f"{self.doubles.openai.url}{Anthropic.prefix}/v1"

    @property
    def search_url(self) -> str:
        """For TAVILY_BASE_URL."""
        return f"{self.doubles.openai.url}{Search.prefix}"

    @property
    def upstream_environment(self) -> dict[str, str]:
        """What a server is told to buy here all that is pretended here."""
        urls = {"OPENAI": self.openai_url, "ANTHROPIC": self.anthropic_url, "TAVILY": self.search_url}
        urls |= {dialect.name.upper(): f"{self.doubles.openai.url}/{dialect.name}/v1" for dialect in DIALECTS}
        keys = {f"{name}_API_KEY": self.upstream_key for name in urls}
        return {**keys, **{f"{name}_BASE_URL": url for name, url in urls.items()}}

    @property
    def control_url(self) -> str:
        """The control port."""
        return self.doubles.control.url

    async def pay(self, bolt11: str, *, amount_msat: int | None = None) -> str:
        """The payer pays; returns the preimage, hex. Raises PaymentFailed, NotAnInvoice, ValueError (no amount)."""
        network = self.doubles.network
        invoice = read_invoice(bolt11)
        amount = invoice.terms.amount_msat if amount_msat is None else amount_msat
        if amount is None:
            raise ValueError("this invoice asks no amount: say one")
        payment = await network.pay(network.payer, bolt11, invoice, amount)
        if payment.preimage is None:
            raise PaymentFailed("no preimage")
        return payment.preimage

    def settle(self, payment_hash: str, *, amount_msat: int | None = None) -> None:
        """A stranger pays an invoice of the seller; without an amount, what it asks. Raises KeyError, ValueError."""
        self.doubles.settle("seller", payment_hash, amount_msat)

    async def knobs(self, node: NodeName, **knobs: Any) -> None:
        """Merge into the node's knobs (see `Knobs`). Raises ValidationError."""
        await self.doubles.set_knobs(node, knobs)

    async def reset_knobs(self, node: NodeName) -> None:
        """A healthy node again."""
        await self.doubles.reset_knobs(node)

    def scenario(self, **scenario: Any) -> None:
        """How upstream misbehaves from now on (see `Scenario`); nothing given: not at all. Raises ValidationError."""
        self.doubles.stage.set(Scenario.model_validate(scenario))

    def journal(self) -> list[dict[str, Any]]:
        """What reached upstream, oldest first (see `Entry`)."""
        return self.doubles.journal.entries()

    def clear_journal(self) -> None:
        """Forget what reached upstream."""
        self.doubles.journal.clear()

    def ledger(self, node: NodeName) -> dict[str, Any]:
        """What the node really did, in msat; as GET /node/{name}/ledger."""
        return self.doubles.ledger(node)

    def advance_clock(self, seconds: float) -> None:
        """Move the nodes' time on."""
        self.doubles.network.clock.advance(seconds)


@asynccontextmanager
async def demo_parts(ports: Ports = FREE_PORTS) -> AsyncGenerator[DemoParts]:
    """Run all doubles in this event loop for as long as the block lasts. Raises PortInUse."""
    doubles = Doubles(ports)
    await doubles.start()
    try:
        yield DemoParts(doubles)
    finally:
        await doubles.stop()
