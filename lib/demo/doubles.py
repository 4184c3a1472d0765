"""All doubles together: two nodes on one network, the upstreams, and the control port, each on its own port."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.demo.control import Control
from lib.demo.journal import MAX_ENTRIES, Journal
from lib.demo.network import Network
from lib.demo.phoenixd import Phoenixd
from lib.demo.scenario import Scenario, Stage
from lib.demo.servers import Server
from lib.demo.upstream import UpstreamDoubles
from lib.demo.wallet import MSAT_PER_SAT

if TYPE_CHECKING:
    from lib.demo.wallet import Incoming, Outgoing, Wallet

LOOPBACK = "127.0.0.1"
SELLER_PASSWORD = "demo-full"
SELLER_LIMITED_PASSWORD = "demo-limited"
PAYER_PASSWORD = "demo"
PAYER_LIMITED_PASSWORD = "demo-payer-limited"
UPSTREAM_KEY = "demo-upstream-key"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the doubles listen. 0 picks a free port."""

    seller: int = 9740
    payer: int = 9741
    openai: int = 9742
    control: int = 9749


class Doubles:
    """Made stopped; `start` opens the ports. Everything is forgotten with the object."""

    def __init__(self, ports: Ports, host: str = LOOPBACK, journal_entries: int = MAX_ENTRIES) -> None:
        self.network = Network()
        self.stage = Stage()
        self.journal = Journal(journal_entries)
        seller = Phoenixd(
            self.network,
            self.network.seller,
            full_password=SELLER_PASSWORD,
            limited_password=SELLER_LIMITED_PASSWORD,
        )
        payer = Phoenixd(
            self.network, self.network.payer, full_password=PAYER_PASSWORD, limited_password=PAYER_LIMITED_PASSWORD
        )
        upstream = UpstreamDoubles(key=UPSTREAM_KEY, stage=self.stage, journal=self.journal)
        self.seller = Server(seller.app(), host=host, port=ports.seller)
        self.payer = Server(payer.app(), host=host, port=ports.payer)
        self.openai = Server(upstream, host=host, port=ports.openai)
        self.control = Server(Control(self).app(), host=host, port=ports.control)

    @property
    def ports(self) -> Ports:
        """Where they listen now."""
        return Ports(self.seller.port, self.payer.port, self.openai.port, self.control.port)

    async def start(self) -> None:
        """Returns once all four take connections. Raises PortInUse, and then none listens."""
        try:
            for server in self._servers():
                await server.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Let go whoever hangs, end running payments, close the ports."""
        self.stage.set(Scenario())
        for wallet in (self.network.seller, self.network.payer):
            wallet.knobs.reset()
        await self.network.stop()
        await asyncio.gather(*(server.stop() for server in self._servers()))

    async def set_knobs(self, name: str, patch: dict[str, Any]) -> None:
        """Merge into the node's knobs, and open or close its port. Raises ValidationError, KeyError."""
        wallet, server = self._node(name)
        knobs = wallet.knobs.merge(patch)
        await (server.refuse() if knobs.refuse else server.start())

    async def reset_knobs(self, name: str) -> None:
        """A healthy node again."""
        wallet, server = self._node(name)
        wallet.knobs.reset()
        await server.start()

    def settle(self, name: str, payment_hash: str, amount_msat: int | None) -> int:
        """A stranger pays; any amount goes. Returns msat paid. Raises KeyError, or ValueError if no amount is known."""
        wallet, _ = self._node(name)
        invoice = wallet.incoming[payment_hash]
        if amount_msat is None:
            if invoice.requested_sat is None:
                raise ValueError("this invoice asks no amount: say one")
            amount_msat = invoice.requested_sat * MSAT_PER_SAT
        if invoice.completed_at_ms is not None:
            raise ValueError("this invoice is paid")
        wallet.receive(payment_hash, amount_msat)
        return amount_msat

    def ledger(self, name: str) -> dict[str, Any]:
        """What the node really did, in msat, whatever its knobs make it say. No preimages."""
        wallet, _ = self._node(name)
        return {
            "node_id": wallet.node_id,
            "balance_msat": wallet.balance_msat,
            "fee_credit_msat": wallet.fee_credit_msat,
            "incoming": [_incoming_row(invoice) for invoice in wallet.incoming.values()],
            "outgoing": [_outgoing_row(payment) for payment in wallet.outgoing],
        }

    def _node(self, name: str) -> tuple[Wallet, Server]:
        return {
            "seller": (self.network.seller, self.seller),
            "payer": (self.network.payer, self.payer),
        }[name]

    def _servers(self) -> tuple[Server, ...]:
        return (self.seller, self.payer, self.openai, self.control)


def _incoming_row(invoice: Incoming) -> dict[str, Any]:
    return {
        "payment_hash": invoice.payment_hash,
        "external_id": invoice.external_id,
        "requested_msat": None if invoice.requested_sat is None else invoice.requested_sat * MSAT_PER_SAT,
        "is_paid": invoice.completed_at_ms is not None,
        "paid_msat": invoice.paid_msat,
        "received_msat": invoice.received_msat,
        "fees_msat": invoice.fees_msat,
        "created_at_ms": invoice.created_at_ms,
        "expires_at_ms": invoice.expires_at_ms,
        "completed_at_ms": invoice.completed_at_ms,
    }


def _outgoing_row(payment: Outgoing) -> dict[str, Any]:
    return {
        "payment_id": payment.payment_id,
        "payment_hash": payment.payment_hash,
        "is_paid": payment.preimage is not None,
        "amount_msat": payment.amount_msat,
        "fees_msat": payment.fees_msat,
        "created_at_ms": payment.created_at_ms,
        "completed_at_ms": payment.completed_at_ms,
    }
