"""What a call may cost before it runs, and what it does cost afterwards.

`ceiling` is an upper bound from the request alone; `cost` prices what upstream says was used and never exceeds the
ceiling. Costs are exact dollars until the one conversion to msat, which rounds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.core.money import BtcPrice, Msat, UsdMicros, UsdPicos

if TYPE_CHECKING:
    from lib.core.catalog import Model, PriceBook
    from lib.core.order import Order
    from lib.core.usage import Reading, TokenUsage

TOKENS_PER_PIECE = 32
"""What upstream adds to a message or tool at most."""
TOKENS_PER_CALL = 64
"""What upstream adds to a conversation at most."""
VISIBLE_BYTES_PER_TOKEN = 8
"""Bytes that make one token when usage is unknown: English has about five, so eight favours the buyer."""
TYPICAL_BYTES_PER_TOKEN = 4
"""Bytes of a typical token, for what a call will probably cost."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call owes, and what it meant for the operator."""

    charge: Msat
    """Never above the ceiling."""
    clamped: Msat
    """By how much the computed cost exceeded the ceiling."""
    upstream: UsdPicos | None
    """What upstream charges the operator; None if unknown."""


def ceiling(order: Order, price: BtcPrice) -> Msat:
    """The most this order can cost. Sources: no OpenAI tokenizer makes more tokens than UTF-8 bytes; caps are sent."""
    if order.model.flat is not None:
        return _flat(order.model, price)
    return price.msat_rounded_up(_bound(_sold(order.model), order))


def upstream_ceiling(order: Order) -> UsdPicos:
    """The most upstream can bill the operator for this order; nothing if its prices are unknown."""
    return _bound(order.model.bought, order) if order.model.bought else UsdPicos.ZERO


def typical(order: Order, price: BtcPrice) -> Msat:
    """What this order will probably cost: never above the ceiling."""
    if order.model.flat is not None:
        return _flat(order.model, price)
    tokens_in = order.input_bytes // TYPICAL_BYTES_PER_TOKEN
    tokens_out = order.answers * min(order.output_cap, order.endpoint.rules.typical.output_tokens)
    return min(_typical(order.model, tokens_in, tokens_out, price), ceiling(order, price))


def typical_of_model(model: Model, tokens_in: int, tokens_out: int, price: BtcPrice) -> Msat:
    """What a call of so many tokens costs."""
    return _flat(model, price) if model.flat is not None else _typical(model, tokens_in, tokens_out, price)


def affordable_output_tokens(order: Order, price: BtcPrice, available: Msat) -> int:
    """The largest output cap that `available` would cover for this order's input; 0 if not even that fits."""
    if order.model.flat is not None:
        return 0
    low, high = 0, order.output_cap
    while low < high:
        middle = (low + high + 1) // 2
        if price.msat_rounded_up(_bound(_sold(order.model), order, middle)) <= available:
            low = middle
        else:
            high = middle - 1
    return low


def cost(order: Order, reading: Reading, price: BtcPrice, limit: Msat) -> Cost:
    """What the buyer owes for an answer, as the table of endings says. `limit` is the hold's ceiling."""
    owed, upstream = _owed(order, reading, price), _upstream(order, reading)
    if owed > limit:
        return Cost(limit, owed - limit, upstream)
    return Cost(owed, Msat.ZERO, upstream)


def _owed(order: Order, reading: Reading, price: BtcPrice) -> Msat:
    model, usage = order.model, reading.usage
    if model.flat is not None:
        return _flat(model, price) if reading.complete and not reading.failed else Msat.ZERO
    if usage is None:
        visible = reading.visible_bytes // VISIBLE_BYTES_PER_TOKEN
        return price.msat_rounded_up(_sold(model).rates.output.times(visible))
    book = _sold(model)
    if order.cap_is_ours and reading.empty_by_cap:
        return price.msat_rounded_up(_input(book, usage))
    return price.msat_rounded_up(_input(book, usage) + book.for_input(usage.input).output.times(usage.output))


def _upstream(order: Order, reading: Reading) -> UsdPicos | None:
    book, usage = order.model.bought, reading.usage
    if book is None or usage is None:
        return None
    return _input(book, usage) + book.for_input(usage.input).output.times(usage.output)


def _input(book: PriceBook, usage: TokenUsage) -> UsdPicos:
    rates = book.for_input(usage.input)
    plain = usage.input - usage.cached - usage.cache_write
    return (
        rates.input.times(plain) + rates.cached_input.times(usage.cached) + rates.cache_write.times(usage.cache_write)
    )


def _bound(book: PriceBook, order: Order, output_cap: int | None = None) -> UsdPicos:
    """The dearest this order can be at these rates, or would be with another output cap."""
    tokens_in = order.input_bytes + order.pieces * TOKENS_PER_PIECE + TOKENS_PER_CALL
    tokens_out = order.answers * (order.output_cap if output_cap is None else output_cap)
    books = {book.rates, book.for_input(tokens_in)}
    return max(rates.dearest_input.times(tokens_in) + rates.output.times(tokens_out) for rates in books)


def _typical(model: Model, tokens_in: int, tokens_out: int, price: BtcPrice) -> Msat:
    rates = _sold(model).for_input(tokens_in)
    return price.msat_rounded_up(rates.input.times(tokens_in) + rates.output.times(tokens_out))


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
