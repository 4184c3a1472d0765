"""What the buyers saw, and what the run did: the auditor's one side. The other sides are ledger, node and journal.

Times are Unix seconds, amounts are msat.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

PROMPT_MARK = "CHAOS"
"""Every prompt begins with it: a log that holds it holds a prompt."""


class CallKind(StrEnum):
    """What is bought."""

    JSON = "json"
    STREAM = "stream"
    EMBEDDING = "embedding"


@dataclass(slots=True)
class Attempt:
    """One request for a call, as its buyer saw it."""

    id: str
    """Sent along, and handed on to upstream, so that the journal tells which attempt made it work."""
    owner: str
    """Which credential paid: a digest."""
    began_at: float
    status: int | None = None
    sent: bool = False
    """The whole request was."""
    whole: bool = False
    """The reply came to its end, and it was no error."""
    left_at: float | None = None
    """When the buyer left, or saw that the connection was lost; None if the reply came to its end."""
    received_bytes: int = 0
    promised_bytes: int | None = None
    """By Content-Length, the head included."""
    window_bytes: int = 0
    """What the two kernels can hold of the reply while the buyer does not read."""
    request_id: str | None = None
    told_msat: int | None = None
    """What the reply said that it cost."""
    body_digest: str | None = None
    """Of a whole reply."""
    code: str | None = None
    """The error's code."""


@dataclass(slots=True)
class Call:
    """One logical call: one prompt of its own, sent until it is answered."""

    name: str
    """The first word of its prompt; unique."""
    kind: CallKind
    key: str | None = None
    """Its Idempotency-Key."""
    most_msat: int | None = None
    """The least that a challenge for it said it may cost at most."""
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    given_up: str | None = None
    """Why its buyer stopped without an answer."""

    @property
    def answered(self) -> bool:
        """Its buyer has a whole answer."""
        return any(attempt.whole for attempt in self.attempts)


@dataclass(frozen=True, slots=True)
class Payment:
    """An invoice that a buyer paid, and what redeems it."""

    payment_hash: str
    kind: str
    macaroon: str
    preimage: str
    by_node: bool
    """Its macaroon needs no preimage."""


@dataclass(slots=True)
class Life:
    """One server process from its start to its end."""

    server: int
    number: int
    pid: int = 0
    leases: set[str] = field(default_factory=set[str])
    stopped_at: float | None = None
    """When it was asked to stop in order."""
    killed: str | None = None
    """`random`, or the named point."""
    status: int | None = None
    memory_peak_kib: int = 0

    @property
    def name(self) -> str:
        """For logs and sentences."""
        return f"server {self.server}.{self.number}"


@dataclass(slots=True)
class Record:
    """Everything that was seen."""

    nonce: str
    calls: list[Call] = field(default_factory=list[Call])
    payments: list[Payment] = field(default_factory=list[Payment])
    lives: list[Life] = field(default_factory=list[Life])
    secrets: set[str] = field(default_factory=set[str])
    """Tokens, preimages, macaroons, Idempotency-Keys and the operator's keys."""
    invoices: set[str] = field(default_factory=set[str])
    """The payment hash of every invoice that the seller's node made."""
    claims_by_key: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Idempotency-Key of a claim → the digests of all its whole answers."""
    disturbed: set[str] = field(default_factory=set[str])
    """Holds whose connection to upstream was cut or stalled on the way."""
    ledger_troubles: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """From when to when the ledger was slow or not to be reached."""
    strange: list[str] = field(default_factory=list[str])
    """What no buyer may ever be told: 403, 422 for its own key, 401 for a token that lives."""
    counts: dict[str, int] = field(default_factory=dict[str, int])
    """Faults that were made, by name."""

    def count(self, what: str, by: int = 1) -> None:
        """One more of these."""
        self.counts[what] = self.counts.get(what, 0) + by
