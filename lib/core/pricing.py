"""What a call may cost before it runs, and what it does cost afterwards.

`ceiling` is an upper bound from the request alone; `cost` prices what upstream says was used and never exceeds the
ceiling. Costs are exact dollars until the one conversion to msat, which rounds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from lib.core.money import BtcPrice, Msat, Rate, UsdMicros, UsdPicos
from lib.core.units import INPUTS, OUTPUTS, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lib.core.catalog import Model, PriceBook, Rates
    from lib.core.order import Order
    from lib.core.schema import Typical
    from lib.core.usage import Reading

VISIBLE_BYTES_PER_TOKEN = 8
"""Bytes that make one token when usage is unknown: English has about five, so eight favours the buyer."""
TYPICAL_BYTES_PER_TOKEN = 4
"""Bytes of a typical token, for what a call will probably cost."""


@dataclass(frozen=True, slots=True)
class LineItem:
    """So many of a unit at a rate."""

    unit: Unit
    quantity: int
    rate: Rate

    @property
    def amount(self) -> UsdPicos:
        """Exact."""
        return self.rate.times(self.quantity)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call owes, and what it meant for the operator."""

    charge: Msat
    """Never above the ceiling."""
    clamped: Msat
    """By how much the computed cost exceeded the ceiling."""
    upstream: UsdPicos | None
    """What upstream charges the operator; None if unknown."""
    waived: UsdPicos = UsdPicos.ZERO
    """The part of it that the buyer is spared, because our cap left its answer empty."""


def ceiling(order: Order, price: BtcPrice) -> Msat:
    """The most this order can cost. Sources: no byte-level tokenizer makes more tokens than bytes; caps are sent."""
    if order.model.flat is not None:
        return _flat(order.model, price)
    return _metered_ceiling(order, price, order.output_cap)


def items_of_ceiling(order: Order, price: BtcPrice) -> list[LineItem]:
    """What the ceiling is made of. A flat price in sats is told in dollars of this price."""
    match order.model.flat:
        case None:
            return dearest(_sold(order.model), order)
        case UsdMicros() as usd:
            return [LineItem(Unit.CALL, 1, usd.as_rate())]
        case Msat() as msat:
            return [LineItem(Unit.CALL, 1, price.micros_rounded_up(msat).as_rate())]


def upstream_ceiling(order: Order) -> UsdPicos:
    """The most upstream can bill the operator for this order; nothing if its prices are unknown."""
    return _sum(dearest(order.model.bought, order)) if order.model.bought else UsdPicos.ZERO


def typical(order: Order, price: BtcPrice) -> Msat:
    """What this order will probably cost: never above the ceiling."""
    if order.model.flat is not None:
        return _flat(order.model, price)
    tokens_in = order.demand.input_bytes // TYPICAL_BYTES_PER_TOKEN + order.demand.image_tokens
    written = min(order.output_cap, order.endpoint.rules.typical.output_tokens)
    tokens_out = order.answers * (written + order.demand.usual_output_tokens)
    usual = _usual(order.model, tokens_in, tokens_out, order.demand.measured, price)
    return min(usual, ceiling(order, price))


def typical_of_model(model: Model, typical: Typical, price: BtcPrice) -> Msat:
    """What the call that is called typical costs with this model."""
    if model.flat is not None:
        return _flat(model, price)
    measured = {Unit.SECOND: typical.seconds, Unit.CHARACTER: typical.characters}
    return _usual(model, typical.input_tokens, typical.output_tokens, measured, price)


def affordable_output_tokens(order: Order, price: BtcPrice, available: Msat) -> int:
    """The largest output cap that `available` would cover for this order's input; 0 if not even that fits."""
    if order.model.flat is not None:
        return 0
    low, high = 0, order.output_cap
    while low < high:
        middle = (low + high + 1) // 2
        if _metered_ceiling(order, price, middle) <= available:
            low = middle
        else:
            high = middle - 1
    return low


def dearest(book: PriceBook, order: Order, output_cap: int | None = None) -> list[LineItem]:
    """The dearest this order can turn out to be by a price book, or would be with another output cap."""
    demand = order.demand
    cap = order.output_cap if output_cap is None else output_cap

    def items(rates: Rates) -> list[LineItem]:
        found = [
            _dearest_of(INPUTS, demand.input_tokens, rates),
            _dearest_of((*INPUTS, Unit.IMAGE_INPUT), demand.image_tokens, rates),
            _dearest_of(OUTPUTS, order.answers * (cap + demand.output_tokens), rates),
        ]
        return [item for item in found if item] + _items(_beside_tokens(demand.measured), rates)

    return max(map(items, book.at_most(demand.input_tokens + demand.image_tokens)), key=_sum)


def _metered_ceiling(order: Order, price: BtcPrice, output_cap: int) -> Msat:
    most = price.msat_rounded_up(_sum(dearest(_sold(order.model), order, output_cap)))
    return max(most, order.model.minimum)


def cost(order: Order, reading: Reading, price: BtcPrice, limit: Msat) -> Cost:
    """What the buyer owes for an answer, as the table of endings says. `limit` is the hold's ceiling."""
    owed, upstream, waived = _owed(order, reading, price), _upstream(order, reading), _waived(order, reading)
    if owed > limit:
        return Cost(limit, owed - limit, upstream, waived)
    return Cost(owed, Msat.ZERO, upstream, waived)


def usage_as_json(order: Order, reading: Reading) -> str | None:
    """What was used, for the buyer's history: our own names, sorted. None if that is not known."""
    counts = reading.usage.counts() if reading.usage else {}
    if reading.answered:
        counts |= {f"{unit}s": many for unit, many in {**order.demand.measured, **reading.measured}.items()}
    return orjson.dumps(counts, option=orjson.OPT_SORT_KEYS).decode() if counts else None


def _owed(order: Order, reading: Reading, price: BtcPrice) -> Msat:
    if order.model.flat is not None:
        return _flat(order.model, price) if reading.answered else Msat.ZERO
    owed = price.msat_rounded_up(_used(_sold(order.model), order, reading))
    return max(owed, order.model.minimum) if reading.answered else owed


def _used(book: PriceBook, order: Order, reading: Reading) -> UsdPicos:
    usage = reading.usage
    beside = _beside_answer(order, reading)
    if usage is None:
        visible = reading.visible_bytes // VISIBLE_BYTES_PER_TOKEN if order.protocol.writes else 0
        return _sum(_items({Unit.OUTPUT: visible + _made(order, reading), **beside}, book.rates))
    billed = usage.billed()
    if _left_empty(order, reading):
        billed |= dict.fromkeys(OUTPUTS, 0)
    return _sum(_items({**billed, **beside}, book.for_input(usage.input)))


def _upstream(order: Order, reading: Reading) -> UsdPicos | None:
    book, usage = order.model.bought, reading.usage
    if book is None:
        return None
    beside = _beside_answer(order, reading)
    if usage is not None:
        return _sum(_items({**usage.billed(), **beside}, book.for_input(usage.input)))
    if Unit.INPUT in book.rates or not reading.answered:
        return None
    return _sum(_items(beside, book.rates))


def _left_empty(order: Order, reading: Reading) -> bool:
    """Our cap ended an answer, sold by its tokens, before the buyer had anything of it."""
    return order.model.flat is None and order.cap_is_ours and reading.empty_by_cap


def _waived(order: Order, reading: Reading) -> UsdPicos:
    book, usage = order.model.bought, reading.usage
    if book is None or usage is None or not _left_empty(order, reading):
        return UsdPicos.ZERO
    written = {unit: many for unit, many in usage.billed().items() if unit in OUTPUTS}
    return _sum(_items(written, book.for_input(usage.input)))


def _made(order: Order, reading: Reading) -> int:
    """Tokens of what was drawn or spoken, where a whole answer does not say: as many as usual."""
    if not reading.answered:
        return 0
    answers = order.answers if reading.answers is None else min(order.answers, reading.answers)
    return answers * order.demand.usual_output_tokens


def _beside_answer(order: Order, reading: Reading) -> dict[Unit, int]:
    return _beside_tokens({**order.demand.measured, **reading.measured}) if reading.answered else {}


def _beside_tokens(measured: Mapping[Unit, int]) -> dict[Unit, int]:
    """What an answer is billed beside its tokens."""
    return {Unit.CALL: 1, **measured}


def _items(quantities: Mapping[Unit, int], rates: Rates) -> list[LineItem]:
    """What is there and has a price: a model priced by the call alone does not bill its tokens."""
    return [LineItem(unit, many, rates[unit]) for unit, many in quantities.items() if many and unit in rates]


def _dearest_of(units: Iterable[Unit], many: int, rates: Rates) -> LineItem | None:
    """So many, each of which may turn out to be any of `units`."""
    priced = [unit for unit in units if unit in rates]
    if not (many and priced):
        return None
    unit = max(priced, key=lambda unit: rates[unit])
    return LineItem(unit, many, rates[unit])


def _sum(items: Iterable[LineItem]) -> UsdPicos:
    return sum((item.amount for item in items), UsdPicos.ZERO)


def _usual(model: Model, tokens_in: int, tokens_out: int, measured: Mapping[Unit, int], price: BtcPrice) -> Msat:
    rates = _sold(model).for_input(tokens_in)
    quantities = {Unit.INPUT: tokens_in, Unit.OUTPUT: tokens_out, Unit.CALL: 1, **measured}
    return max(price.msat_rounded_up(_sum(_items(quantities, rates))), model.minimum)


def _flat(model: Model, price: BtcPrice) -> Msat:
    match model.flat:
        case Msat() as msat:
            return msat
        case UsdMicros() as usd:
            return price.msat_rounded_up(usd.picos())
        case None:
            raise ValueError(f"{model.id} is metered")


def _sold(model: Model) -> PriceBook:
    if model.sold is None:
        raise ValueError(f"{model.id} is priced per call")
    return model.sold
