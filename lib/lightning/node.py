"""The Lightning node as a port: three questions. Another node is one more file beside phoenixd.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lib.core.money import Msat, Sat


class NodeUnavailable(Exception):
    """The node did not answer, answered late, or answered something that is not its API. Nothing is known."""


class PaymentState(StrEnum):
    """What the node says of an incoming payment. UNKNOWN means that it has no record: never that nobody paid."""

    OPEN = "open"
    PAID = "paid"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Invoice:
    """A BOLT11 invoice of ours. `amount` is what it asks."""

    payment_hash: bytes
    bolt11: str
    amount: Sat


@dataclass(frozen=True, slots=True)
class IncomingPayment:
    """What the node knows of one invoice. It carries no preimage: the node tells it even before anyone paid."""

    state: PaymentState
    requested: Sat | None
    received: Msat


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Is the node fit to sell? `ready` when a channel is usable, or none exists yet."""

    version: str
    chain: str
    ready: bool
    detail: str


class LightningNode(Protocol):
    """What we need of a node. Every method may raise NodeUnavailable and returns within its time limit."""

    async def create_invoice(self, amount: Sat, description: str, expires_in_seconds: int) -> Invoice:
        """A new invoice; a repeated call makes another one. `amount` must be ≥ 1 sat."""
        ...

    async def incoming(self, payment_hash: bytes) -> IncomingPayment:
        """The state of one invoice, decided by the node's own paid flag and nothing else."""
        ...

    async def info(self) -> NodeInfo:
        """Version, chain and readiness."""
        ...

    async def balance(self) -> Sat:
        """What it could pay now. A node whose peer is away has nothing."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
