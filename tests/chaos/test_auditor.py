"""Each rule of the auditor fails when it should, and none does when all is well."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chaos_parts import auditor
from chaos_parts.books import Account, Entry
from chaos_parts.record import Life

from tests.chaos.honest import CHARGE, MODEL, PAYMENT, PRICES, Sides, hold, honest, work

FIRST, KEYED = "CHAOS-0000-000001", "CHAOS-0000-000002"


def found(sides: Sides, directory: Path) -> list[str]:
    """What the auditor says."""
    return auditor.differences(sides.evidence(), directory)


def changed_hold(sides: Sides, number: int, **facts: Any) -> None:
    """Tamper with a hold."""
    sides.holds[number] = replace(sides.holds[number], **facts)


def changed_work(sides: Sides, number: int, **facts: Any) -> None:
    """Tamper with the journal."""
    sides.work[number] = replace(sides.work[number], **facts)


def left_early(sides: Sides, name: str, at: float, **facts: Any) -> None:
    """The buyer of a call leaves its first attempt, and repeats it."""
    [attempt] = sides.call(name).attempts
    sides.call(name).attempts.append(replace(attempt, id="again", began_at=at + 0.1, request_id="req-again"))
    attempt.whole, attempt.left_at, attempt.told_msat, attempt.body_digest = False, at, None, None
    attempt.window_bytes, attempt.received_bytes = 1_000, 100
    for field, value in facts.items():
        setattr(attempt, field, value)


def test_nothing_is_found_where_all_is_well(tmp_path: Path):
    """An honest run has no difference, and the worked price is the one in the books."""
    assert PRICES.of_usage(MODEL, 8, 13) == CHARGE
    assert found(honest(), tmp_path) == []


def credit_lost(sides: Sides) -> None:
    sides.received["bb" * 32] = 5_000


def credit_of_nothing(sides: Sides) -> None:
    del sides.received[PAYMENT]


def credit_short(sides: Sides) -> None:
    sides.received[PAYMENT] = 10_001


def credit_unconfirmed(sides: Sides) -> None:
    sides.credits = [replace(sides.credits[0], confirmed=False)]


def balance_too_high(sides: Sides) -> None:
    sides.accounts = [Account("account", sides.accounts[0].balance_msat + 1, 0)]


def still_held(sides: Sides) -> None:
    sides.accounts = [replace(sides.accounts[0], held_msat=7)]


def hold_lives(sides: Sides) -> None:
    changed_hold(sides, 0, ended_at=None, ending=None)


def entry_twice(sides: Sides) -> None:
    sides.entries.append(replace(sides.entries[1], id=9))


def above_ceiling(sides: Sides) -> None:
    changed_hold(sides, 0, ceiling_msat=10)


def charge_of_nobody(sides: Sides) -> None:
    sides.entries.append(Entry(9, "account", "charge", -5, None, "hold-of-nobody"))


def own_audit(sides: Sides) -> None:
    sides.own_differences.append("account a has too much")


@pytest.mark.parametrize(
    ("tamper", "sentence"),
    [
        (credit_lost, "the node received 5000 msat, the ledger booked 0"),
        (credit_of_nothing, "the node received 0 msat, the ledger booked 10000"),
        (credit_short, "the node received 10001 msat, the ledger booked 10000"),
        (credit_unconfirmed, "1 credits were never confirmed"),
        (balance_too_high, "paid 10000 msat, but charged 168 and balances 9833"),
        (still_held, "account account still holds 7 msat"),
        (hold_lives, "hold hold-1 is still live"),
        (entry_twice, "hold hold-1 was charged 84 msat, its entries say [84, 84]"),
        (above_ceiling, "hold hold-1 owed 84 msat, above its ceiling of 10"),
        (charge_of_nobody, "1 charges are for calls that nobody made"),
        (own_audit, "the ledger's own audit: account a has too much"),
    ],
)
def test_money_that_does_not_add_up_is_found(tmp_path: Path, tamper: Callable[[Sides], None], sentence: str):
    """Paid, booked, charged and left are compared payment by payment, hold by hold, and in all."""
    sides = honest()
    tamper(sides)

    assert any(sentence in told for told in found(sides, tmp_path)), found(sides, tmp_path)


@pytest.mark.parametrize(
    ("facts", "journal", "sentence"),
    [
        ({}, {"tokens_out": 14}, "owed 84 msat instead of 90"),
        ({}, {"scenario": {"status": 500}}, "owed 84 msat instead of 0"),
        ({}, {"scenario": {"close_before_answer": True}}, "owed 84 msat instead of 0"),
        ({}, {"scenario": {"cut_after_chunks": 6}}, "owed 84 msat instead of 0"),
        ({}, {"scenario": {"cut_after_chunks": 6}, "streaming": True}, "owed 84 msat instead of 59"),
        ({}, {"scenario": {"error_in_band_after_chunks": 4}, "streaming": True}, "owed 84 msat instead of 59"),
        ({}, {"scenario": {"usage_missing": True}}, "owed 84 msat instead of 59"),
        ({}, {"scenario": {"reasoning_only": True}, "capped": False}, "owed 84 msat instead of 8"),
        ({"ending": "refused"}, {}, "hold hold-1 ended refused and was charged 84 msat"),
        ({"ending": "lapsed", "charge_msat": 0}, {}, "lapsed, but its server was never killed"),
    ],
)
def test_a_charge_that_the_table_of_endings_does_not_say_is_found(
    tmp_path: Path, facts: dict[str, Any], journal: dict[str, Any], sentence: str
):
    """Every charge is computed again from what upstream really did, in every ending."""
    sides = honest()
    changed_hold(sides, 0, **facts)
    changed_work(sides, 0, **journal)

    assert any(sentence in told for told in found(sides, tmp_path)), found(sides, tmp_path)


def test_a_charge_without_any_work_of_upstream_is_found(tmp_path: Path):
    """And so is work that nobody holds anything for, and work done twice for one hold."""
    unasked, unheld, twice = honest(), honest(), honest()
    del unasked.work[0]
    unheld.work.append(work("hold-of-nobody", "attempt-9", FIRST))
    twice.work.append(work("hold-1", "attempt-1", FIRST))

    assert "hold hold-1 was charged 84 msat, but upstream was never asked" in found(unasked, tmp_path)
    assert "upstream worked 1 times without a hold (hold-of-nobody)" in found(unheld, tmp_path)
    assert "hold hold-1 asked upstream 2 times" in found(twice, tmp_path)


def test_an_answer_that_was_cut_on_the_way_costs_no_more_than_its_text(tmp_path: Path):
    """Where the run cut a connection, anything up to the visible bytes is right, and one msat more is not."""
    for charge, differences in ((59, 0), (12, 0), (60, 1)):
        sides = honest()
        changed_hold(sides, 0, ending="broken", charge_msat=charge)
        sides.entries[1] = replace(sides.entries[1], amount_msat=-charge)
        sides.accounts = [Account("account", 10_000 - charge - CHARGE, 0)]
        sides.call(FIRST).attempts[0].told_msat = None
        sides.record.disturbed.add("hold-1")

        assert len(found(sides, tmp_path)) == differences, found(sides, tmp_path)


def told_otherwise(sides: Sides) -> None:
    sides.call(FIRST).attempts[0].told_msat = 83


def above_the_challenge(sides: Sides) -> None:
    sides.call(FIRST).most_msat = 83


def never_answered(sides: Sides) -> None:
    sides.call(FIRST).attempts[0].whole, sides.call(FIRST).given_up = False, "409"


def another_answer_to_a_key(sides: Sides) -> None:
    attempt = sides.call(KEYED).attempts[0]
    sides.call(KEYED).attempts.append(replace(attempt, id="again", request_id="req-again", body_digest="other"))


def charged_twice_with_a_key(sides: Sides) -> None:
    sides.charge(KEYED, hold("hold-3", opened_at=102.0), work("hold-3", "again", KEYED))


def internal_error(sides: Sides) -> None:
    sides.call(FIRST).attempts[0].code = "internal_error"


def another_token_to_a_key(sides: Sides) -> None:
    sides.record.claims_by_key["key"] = {"one", "other"}


def strange(sides: Sides) -> None:
    sides.record.strange.append("a buyer was told 403")


@pytest.mark.parametrize(
    ("tamper", "sentence"),
    [
        (told_otherwise, "was told 83 msat and owed 84"),
        (above_the_challenge, "owed 84 msat; the challenge said 83 at most"),
        (never_answered, f"{FIRST} was never answered, and charged 84 msat (409)"),
        (another_answer_to_a_key, "got 2 different answers with one Idempotency-Key"),
        (charged_twice_with_a_key, "was charged twice in spite of its Idempotency-Key (hold-2, hold-3)"),
        (internal_error, "was answered 500 internal_error"),
        (another_token_to_a_key, "a claim with one Idempotency-Key got 2 different answers"),
        (strange, "a buyer was told 403"),
    ],
)
def test_what_a_buyer_could_complain_of_is_found(tmp_path: Path, tamper: Callable[[Sides], None], sentence: str):
    """Prices as told, an answer for every charge, one charge and the same bytes for every key."""
    sides = honest()
    tamper(sides)

    assert any(sentence in told for told in found(sides, tmp_path)), found(sides, tmp_path)


@pytest.mark.parametrize(
    ("why", "left_at", "again", "facts", "differences"),
    [
        ("settled long after it left: it should have been kept", 99.0, {"opened_at": 102.0}, {}, 1),
        ("repeated while the first one ran, before anybody could know", 100.5, {"opened_at": 100.6}, {}, 0),
        ("all was in the kernels' buffers when it left", 101.2, {"opened_at": 102.0}, {"promised_bytes": 1_100}, 0),
        ("one byte more than the buffers hold", 101.2, {"opened_at": 102.0}, {"promised_bytes": 1_101}, 1),
        ("another credential asks for another answer", 99.0, {"opened_at": 102.0, "owner": "other"}, {}, 0),
        ("ten minutes later it is forgotten", 99.0, {"opened_at": 702.0}, {}, 0),
    ],
)
def test_a_second_charge_needs_an_excuse(
    tmp_path: Path, why: str, left_at: float, again: dict[str, Any], facts: dict[str, Any], differences: int
):
    """Without a key a buyer that left and repeats is charged again only where its answer could not be kept for it."""
    sides = honest()
    left_early(sides, FIRST, left_at, **facts)
    sides.charge(FIRST, hold("hold-3", request_id="req-again", ended_at=703.0, **again), work("hold-3", "again", FIRST))

    assert len(found(sides, tmp_path)) == differences, (why, found(sides, tmp_path))


def test_a_lapse_is_right_for_a_server_that_was_killed(tmp_path: Path):
    """Its holds go back to their accounts; that is what the lease is for."""
    sides = honest()
    changed_hold(sides, 0, ending="lapsed", charge_msat=0)
    del sides.entries[1]
    sides.accounts = [Account("account", 10_000 - CHARGE, 0)]
    sides.record.lives = [Life(0, 0, leases={"lease"}, status=-9, killed="settle.before")]

    assert found(sides, tmp_path) == []


def line(event: str, **fields: str) -> str:
    """One of a server's log."""
    return json.dumps({"event": event, **fields}) + "\n"


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (line("paid with alb_a-secret-token_1234 just now"), "server-0.0.log holds 1 secrets"),
        (line("request L402 QWdFUm1hY2Fyb29u/x+y==:00 failed"), "server-0.0.log holds 1 secrets"),
        (line("paid", preimage="5a" * 32), "server-0.0.log holds 1 secrets"),
        (line("paid with [secret]"), "server-0.0.log holds 1 blots: secrets were told, and only just caught"),
        (line(f"could not send {FIRST} amber"), "server-0.0.log holds a prompt"),
        (
            line("failed", traceback="Traceback (most recent call last): x"),
            "server-0.0.log tells of 1 faults of our own",
        ),
        ("Fatal Python error\n", "server-0.0.log has 1 lines that are no JSON"),
    ],
)
def test_logs_are_searched(tmp_path: Path, log: str, sentence: str):
    """For every secret of the run, also of invoices that nobody paid, for prompts, and for faults of our own."""
    sides = honest()
    sides.record.secrets = {"alb_a-secret-token_1234", "QWdFUm1hY2Fyb29u/x+y=="}
    sides.record.invoices = {hashlib.sha256(bytes.fromhex("5a" * 32)).hexdigest()}
    (tmp_path / "server-0.0.log").write_text(line("all is well", payment_hash="77" * 32) + log + '{"cut by a kill')

    assert found(sides, tmp_path) == [sentence]


def test_a_call_that_was_cut_when_its_server_stopped_is_no_fault(tmp_path: Path):
    """uvicorn tells of it with a traceback; one that ends otherwise, before or after it, is still found."""
    event = "Exception in ASGI application"
    fault = line(event, traceback="Traceback (most recent call last):\n  File x\nKeyError: 1")
    cut = line(
        event,
        traceback="Traceback (most recent call last):\n  File x\naiohttp.SocketTimeoutError: late\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        "Traceback (most recent call last):\n  File y\n"
        "asyncio.exceptions.CancelledError: Task cancelled, timeout graceful shutdown exceeded",
    )
    log = tmp_path / "server-0.0.log"

    for text, faults in ((cut + cut, 0), (fault + cut, 1), (cut + fault, 1), (cut + fault + cut, 1)):
        log.write_text(text)
        told = [f"server-0.0.log tells of {faults} faults of our own"] if faults else []
        assert found(honest(), tmp_path) == told


def test_a_server_that_grows_is_found(tmp_path: Path):
    """Memory has a bound."""
    sides = honest()
    sides.record.lives[0].memory_peak_kib = 400_000

    assert found(sides, tmp_path) == ["server 0.0 took 400000 KiB of memory, above 307200"]
