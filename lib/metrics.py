"""What this process counts for Prometheus, and the table of everything that GET /metrics tells.

Every process counts for itself: sums over processes are right for counters. What begins with `alb_ledger_` is told of
the whole ledger, the same by every process that shares it: take the maximum, never the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from lib.core.errors import Code

if TYPE_CHECKING:
    from lib.core.endings import Ending
    from lib.core.money import BtcPrice, Msat, Sat, UsdPicos
    from lib.store.ledger import Totals

PICOS_PER_USD = 1e12
SERVER_ERROR = 500
CALL_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
SETTLE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0, 60.0)


class Kind(StrEnum):
    """Of a family of series."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: a row of docs/metrics.md."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()


SOLD = ("api", "path", "model")
FAMILIES = {
    family.name: family
    for family in (
        Family("alb_challenges_total", Kind.COUNTER, "Invoices made, by what their payment is for.", ("kind",)),
        Family(
            "alb_refusals_total", Kind.COUNTER, "Paid endpoints' answers that are an error, by its code.", ("code",)
        ),
        Family("alb_calls_total", Kind.COUNTER, "Paid calls that ended, as docs/money.md names it.", (*SOLD, "ending")),
        Family("alb_charged_msat_total", Kind.COUNTER, "What they were charged.", SOLD),
        Family(
            "alb_charged_usd_total",
            Kind.COUNTER,
            "The same in dollars, each charge at the bitcoin price of its own call.",
            SOLD,
        ),
        Family(
            "alb_upstream_cost_usd_total",
            Kind.COUNTER,
            "What upstream takes for them; where it does not say, the most that it may for a call that nobody paid.",
            SOLD,
        ),
        Family(
            "alb_margin_usd",
            Kind.GAUGE,
            "Charges less upstream's cost since the process began, in dollars as above; falls with every loss.",
            SOLD,
        ),
        Family("alb_clamped_msat_total", Kind.COUNTER, "What calls cost above their ceilings.", ("api", "model")),
        Family("alb_losses_usd_total", Kind.COUNTER, "The most that calls cost us that nobody paid.", ("api", "model")),
        Family("alb_call_seconds", Kind.HISTOGRAM, "From a call's hold to its end.", ("api",)),
        Family("alb_settle_seconds", Kind.HISTOGRAM, "From a call's end until its settlement is written."),
        Family("alb_settle_retries_total", Kind.COUNTER, "Settlements that could not be written and were repeated."),
        Family("alb_shortfall_msat_total", Kind.COUNTER, "What calls that were settled late could not be charged."),
        Family("alb_upstream_errors_total", Kind.COUNTER, "Calls without a usable answer.", ("api", "code")),
        Family("alb_answers_handed_out_total", Kind.COUNTER, "Kept answers that were handed out free."),
        Family(
            "alb_up",
            Kind.GAUGE,
            "1 while a part is well: ledger, node, price, and each upstream that is set up.",
            ("part",),
        ),
        Family("alb_alarm", Kind.GAUGE, "1 while /api/health shows this alarm.", ("name",)),
        Family(
            "alb_paused", Kind.GAUGE, "1 while an operator does not sell it; an empty model is all.", ("api", "model")
        ),
        Family("alb_lease", Kind.GAUGE, "1 while this process may take calls: it could renew its lease."),
        Family("alb_unsettled", Kind.GAUGE, "Calls that run in this process, and settlements on their way."),
        Family("alb_btc_price_usd", Kind.GAUGE, "What a bitcoin costs. Not told while no price is fresh."),
        Family("alb_btc_price_age_seconds", Kind.GAUGE, "Since that price was asked for. Not told without one."),
        Family("alb_data_dir_free_bytes", Kind.GAUGE, "Room on the disk of ALITTLEBITOFMONEY_DATA_DIR."),
        Family("alb_node_balance_sats", Kind.GAUGE, "What the node could pay; 0 while its peer is away."),
        Family("alb_ledger_liabilities_msat", Kind.GAUGE, "What is owed: the sum of all balances."),
        Family("alb_ledger_held_msat", Kind.GAUGE, "The part of it that running calls hold."),
        Family("alb_ledger_live_holds", Kind.GAUGE, "Calls that run, in all processes."),
        Family("alb_ledger_accounts", Kind.GAUGE, "Accounts ever opened."),
        Family("alb_ledger_payments", Kind.GAUGE, "Payments ever credited."),
        Family("alb_ledger_credited_msat", Kind.GAUGE, "What they brought."),
        Family("alb_ledger_charged_msat", Kind.GAUGE, "What was ever charged."),
        Family("alb_ledger_adjusted_msat", Kind.GAUGE, "What operators added, less what they took."),
        Family("alb_ledger_unconfirmed_msat", Kind.GAUGE, "Credited, but not confirmed by the node yet."),
        Family("alb_ledger_denied_msat", Kind.GAUGE, "Credited, although the node says that nobody paid."),
        Family("alb_ledger_denied_spent_msat", Kind.GAUGE, "How much of that was spent: lost."),
        Family("alb_ledger_kept_answers", Kind.GAUGE, "Answers that are kept for their buyers."),
        Family("alb_ledger_age_seconds", Kind.GAUGE, "Since these sums were read."),
    )
}


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A paid call, as it is counted and told to the log. No prompt, no secret."""

    request_id: str
    api: str
    path: str
    model: str
    ending: Ending
    delivered: bool
    charge: Msat
    btc_price: BtcPrice
    upstream_cost: UsdPicos | None
    clamped: Msat | None
    loss: UsdPicos | None
    seconds: float

    def as_fields(self) -> dict[str, object]:
        """For its line in the log."""
        fields: dict[str, object] = {
            "request_id": self.request_id,
            "api": self.api,
            "path": self.path,
            "model": self.model,
            "ending": self.ending.value,
            "delivered": self.delivered,
            "msat": self.charge.value,
            "seconds": round(self.seconds, 3),
        }
        if self.clamped:
            fields["clamped_msat"] = self.clamped.value
        if self.loss:
            fields["loss_usd"] = str(self.loss.usd())
        return fields


@dataclass(frozen=True, slots=True)
class _Series:
    """What is counted for each call of one endpoint and model."""

    calls: Callable[[Ending], Counter]
    charged: Counter
    charged_usd: Counter
    upstream_cost: Counter
    margin: Gauge
    seconds: Histogram
    by_ending: dict[Ending, Counter] = field(default_factory=dict["Ending", Counter])

    def ended(self, ending: Ending) -> Counter:
        """Calls that ended so."""
        found = self.by_ending.get(ending)
        if found is None:
            found = self.by_ending[ending] = self.calls(ending)
        return found


class Metrics:
    """Counts. Nothing here waits, fails, or keeps more than a number for each endpoint, model and ending."""

    def __init__(self) -> None:
        """Everything at nothing."""
        disable_created_metrics()  # a second series for each, which nobody asks for
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._challenges = self._counter("alb_challenges_total")
        self._refusals = self._counter("alb_refusals_total")
        for code in Code:
            if code.value.status >= SERVER_ERROR:
                self._refusals.labels(code.code)  # told as 0 from the start: the first one is seen as a rise
        self._calls = self._counter("alb_calls_total")
        self._charged = self._counter("alb_charged_msat_total")
        self._charged_usd = self._counter("alb_charged_usd_total")
        self._upstream_cost = self._counter("alb_upstream_cost_usd_total")
        self._margin = Gauge("alb_margin_usd", FAMILIES["alb_margin_usd"].meaning, SOLD, registry=self.registry)
        self._clamped = self._counter("alb_clamped_msat_total")
        self._losses = self._counter("alb_losses_usd_total")
        self._call_seconds = self._histogram("alb_call_seconds", CALL_BUCKETS)
        self._settle_seconds = self._histogram("alb_settle_seconds", SETTLE_BUCKETS)
        self._settle_retries = self._counter("alb_settle_retries_total")
        self._shortfall = self._counter("alb_shortfall_msat_total")
        self._upstream_errors = self._counter("alb_upstream_errors_total")
        self._handed_out = self._counter("alb_answers_handed_out_total")
        self._series: dict[tuple[str, ...], _Series] = {}
        self.ledger: LedgerSums | None = None
        """As a job read them last; None before, and while nobody asks for metrics."""
        self.node_balance: Sat | None = None
        """The same of the node; None while it does not answer."""

    def challenged(self, kind: str) -> None:
        """An invoice was made."""
        self._challenges.labels(kind).inc()

    def refused(self, code: str) -> None:
        """A paid endpoint answered with an error."""
        self._refusals.labels(code).inc()

    def call_ended(self, call: EndedCall) -> None:
        """A paid call ended: its settlement is on its way."""
        series = self._series_of(call.api, call.path, call.model)
        series.ended(call.ending).inc()
        series.seconds.observe(call.seconds)
        charged_usd = call.btc_price.picos_rounded_down(call.charge).value / PICOS_PER_USD
        cost = call.upstream_cost or call.loss
        cost_usd = 0.0 if cost is None else cost.value / PICOS_PER_USD
        series.charged.inc(call.charge.value)
        series.charged_usd.inc(charged_usd)
        series.upstream_cost.inc(cost_usd)
        series.margin.inc(charged_usd - cost_usd)
        if call.clamped:
            self._clamped.labels(call.api, call.model).inc(call.clamped.value)
        if call.loss:
            self._losses.labels(call.api, call.model).inc(call.loss.value / PICOS_PER_USD)

    def settled(self, seconds: float, shortfall: Msat) -> None:
        """A settlement is written."""
        self._settle_seconds.observe(seconds)
        if shortfall:
            self._shortfall.inc(shortfall.value)

    def settle_repeated(self) -> None:
        """A settlement could not be written: it is repeated."""
        self._settle_retries.inc()

    def upstream_failed(self, api: str, code: str) -> None:
        """Upstream gave no usable answer; `code` is what the buyer is told."""
        self._upstream_errors.labels(api, code).inc()

    def handed_out(self) -> None:
        """A kept answer was handed out."""
        self._handed_out.inc()

    def sells(self, models: Iterable[tuple[str, str]]) -> None:
        """Losses of these (api, model) are told as 0 from now on: the first one is seen as a rise."""
        for model in models:
            self._clamped.labels(*model)
            self._losses.labels(*model)

    def _series_of(self, *sold: str) -> _Series:
        """Looked up by their labels once: a lookup takes longer than to count."""
        found = self._series.get(sold)
        if found is None:
            found = self._series[sold] = _Series(
                calls=lambda ending: self._calls.labels(*sold, ending.value),
                charged=self._charged.labels(*sold),
                charged_usd=self._charged_usd.labels(*sold),
                upstream_cost=self._upstream_cost.labels(*sold),
                margin=self._margin.labels(*sold),
                seconds=self._call_seconds.labels(sold[0]),
            )
        return found

    def _counter(self, name: str) -> Counter:
        family = FAMILIES[name]
        return Counter(name, family.meaning, family.labels, registry=self.registry)

    def _histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        family = FAMILIES[name]
        return Histogram(name, family.meaning, family.labels, buckets=buckets, registry=self.registry)


@dataclass(frozen=True, slots=True)
class LedgerSums:
    """The whole ledger, as it was read some time ago."""

    totals: Totals
    read_at: float
    """By `time.monotonic`."""

    def told(self, now: float) -> dict[str, float]:
        """By family. `now` is by the same clock."""
        totals = self.totals
        return {
            "alb_ledger_liabilities_msat": totals.balance.value,
            "alb_ledger_held_msat": totals.held.value,
            "alb_ledger_live_holds": totals.live_holds,
            "alb_ledger_accounts": totals.accounts,
            "alb_ledger_payments": totals.payments,
            "alb_ledger_credited_msat": totals.credited.value,
            "alb_ledger_charged_msat": totals.charged.value,
            "alb_ledger_adjusted_msat": totals.adjusted.value,
            "alb_ledger_unconfirmed_msat": totals.unconfirmed.value,
            "alb_ledger_denied_msat": totals.denied.value,
            "alb_ledger_denied_spent_msat": totals.denied_spent.value,
            "alb_ledger_kept_answers": totals.kept_answers,
            "alb_ledger_age_seconds": now - self.read_at,
        }
