"""Real clients, unchanged, buy from us; what each does when something is in the way, docs/compatibility.md says."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.clients import table
from tests.clients.observed import Kind, Observed, observe

pytestmark = pytest.mark.slow

CANNED = "This is a canned answer of the demo"
FORGETS = {"l402sdk"}
"""Clients that reuse a credential and still pay a dear call in full."""
HIDES_THE_CHALLENGE = {"llm"}


def _id(kind: Kind) -> str:
    return f"{kind.name} {kind.used}".replace("`", "")


@pytest.mark.parametrize("kind", table.kinds(), ids=_id)
async def test_a_client_buys_and_does_what_the_page_says(kind: Kind, tmp_path: Path):
    """JSON and a stream for one payment each, nothing paid twice, and the page's row to the letter."""
    if kind.name == "curl" and shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    if kind.name == "l402sdk" and find_spec("l402") is None:
        pytest.skip("l402sdk has no wheel for this platform")

    seen = await observe(kind, tmp_path)

    an_answer_and_a_stream_cost_one_payment_each(seen)
    a_dear_call_costs_the_difference(seen)
    if seen.unpaid is not None:
        an_unpaid_call_is_one_request_and_can_be_read(seen)
    if seen.reuses:
        nothing_is_paid_twice(seen)
    assert seen.recovered.answer.text.startswith(CANNED)  # once the provider is back, the client is served
    paying, given = table.rows_of(table.PAGE.read_text(encoding="utf-8"))
    assert table.row(seen) in (paying if seen.pays else given)  # scripts/compatibility writes it


def an_answer_and_a_stream_cost_one_payment_each(seen: Observed) -> None:
    """Of the 2 sat that the call may cost, and the model's words arrive."""
    pays = "pays 2 sat" if seen.pays else "you pay 2 sat"
    for bought in (seen.json, seen.stream):
        assert bought.answer.status == 200
        assert bought.answer.text.startswith(CANNED)
        assert bought.events == ("402", pays, "200")


def a_dear_call_costs_the_difference(seen: Observed) -> None:
    """Seven sat less the change: 5. Only a client that forgets its change pays all seven."""
    paid = [event for event in seen.small.events if "pay" in event]
    if not seen.reuses or seen.name in FORGETS:
        assert paid == ["pays 7 sat"]
    elif seen.small.answer.status == 402:
        assert paid == [] and seen.small.answer.challenge is not None
    else:
        assert paid == ["pays 5 sat" if seen.pays else "you pay 5 sat"]


def an_unpaid_call_is_one_request_and_can_be_read(seen: Observed) -> None:
    """No client repeats a 402, and its user learns the code and the challenge."""
    assert seen.unpaid is not None
    assert seen.unpaid.events == ("402",)
    assert seen.unpaid.answer.status == 402
    if seen.name not in HIDES_THE_CHALLENGE:
        assert seen.unpaid.answer.code == "payment_required"
        assert (seen.unpaid.answer.challenge or "").startswith('L402 macaroon="')


def nothing_is_paid_twice(seen: Observed) -> None:
    """Who kept its credential pays nothing while its change suffices, nor for a 409 or a 503."""
    assert seen.busy is not None
    for call in (seen.next, seen.busy, seen.refused, seen.recovered):
        assert not [event for event in call.events if "pay" in event]
    assert seen.busy.events[0] == "409" and "402" not in seen.busy.events
    assert set(seen.refused.events) == {"503"}
    assert seen.refused.answer.status == 503
