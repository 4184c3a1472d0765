"""The phoenixd client against replies written out byte for byte, good and bad."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

import pytest

from lib.core.money import Msat, Sat
from lib.lightning.node import IncomingPayment, Invoice, LightningNode, NodeInfo, NodeUnavailable, PaymentState
from lib.lightning.phoenixd import (
    CONNECTIONS_MAX_COUNT,
    INVOICES_IN_CREATION_MAX_COUNT,
    REPLY_MAX_BYTES,
    Phoenixd,
)
from tests.lightning.canned_http import CannedHttp, canned_http, http_reply, unused_address

HASH = bytes.fromhex("f419207c9edde9021ebfb6bd0df6bd0a6606ecaf935357cc2f362e30835c3765")
PREIMAGE = "d4ff52dcbaf62b4ef9a3a2ddc0e7b1a3cf09f46e7c4b4b3c3f1d0ad7a6e1ab9f"
PASSWORD = "hunter2-hunter2"
SHORT_SECONDS = 0.1
WITHOUT_CONTENT = {"module", "function", "type", "Task", "_UnixSelectorEventLoop"}


def pretty(value: object) -> bytes:
    """As phoenixd prints JSON."""
    return http_reply(json.dumps(value, indent=4))


def created(**changes: Any) -> bytes:
    reply: dict[str, Any] = {"amountSat": 100, "paymentHash": HASH.hex(), "serialized": "lnbc1u1pnexample"}
    return pretty(reply | changes)


def payment_fields(**changes: Any) -> dict[str, Any]:
    """What phoenixd says of an unpaid invoice; a change to None leaves the key out, as phoenixd does."""
    reply: dict[str, Any] = {
        "type": "incoming_payment",
        "subType": "lightning",
        "paymentHash": HASH.hex(),
        "preimage": PREIMAGE,
        "description": "foobar",
        "invoice": "lnbc1u1pnexample",
        "isPaid": False,
        "isExpired": False,
        "requestedSat": 100,
        "receivedSat": 0,
        "fees": 0,
        "expiresAt": 1740674444198,
        "createdAt": 1740588044198,
    }
    return {key: value for key, value in (reply | changes).items() if value is not None}


def payment(**changes: Any) -> bytes:
    return pretty(payment_fields(**changes))


def node_info(*states: str, **changes: Any) -> bytes:
    reply: dict[str, Any] = {
        "nodeId": "02" + "ab" * 32,
        "channels": [{"state": state} for state in states],
        "chain": "mainnet",
        "version": "0.8.0-de6f8ae",
    }
    return pretty({key: value for key, value in (reply | changes).items() if value is not None})


@asynccontextmanager
async def asking(
    url: str, *, timeout_seconds: float = 5.0, create_timeout_seconds: float | None = None
) -> AsyncGenerator[Phoenixd]:
    node = Phoenixd(
        url,
        PASSWORD,
        create_invoice_timeout_seconds=create_timeout_seconds or timeout_seconds,
        read_timeout_seconds=timeout_seconds,
    )
    try:
        yield node
    finally:
        await node.aclose()


@asynccontextmanager
async def node_that_answers(reply: bytes | None, **options: Any) -> AsyncGenerator[tuple[Phoenixd, CannedHttp]]:
    async with canned_http(reply) as canned, asking(canned.url, **options) as node:
        yield node, canned


async def failure_of(reply: bytes | None, **options: Any) -> NodeUnavailable:
    """What `incoming` raises on this reply."""
    async with node_that_answers(reply, **options) as (node, _):
        with pytest.raises(NodeUnavailable) as caught:
            await node.incoming(HASH)
    return caught.value


async def test_it_is_a_lightning_node():
    """The client keeps the port's signatures: pyright checks this assignment."""
    async with asking(unused_address()) as phoenixd:
        node: LightningNode = phoenixd

        assert node is phoenixd


# createinvoice


async def test_an_invoice_is_made_with_what_was_asked():
    """Amount, description and expiry go up as a form, with the password and without a user name."""
    async with node_that_answers(created()) as (node, canned):
        invoice = await node.create_invoice(Sat(100), "10 % of ₿ & more + tea", 600)

    assert invoice == Invoice(HASH, "lnbc1u1pnexample", Sat(100))
    (asked,) = canned.asked
    assert (asked.method, asked.path) == ("POST", "/createinvoice")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["authorization"] == "Basic " + b64encode(f":{PASSWORD}".encode()).decode()
    assert asked.form == {"amountSat": ["100"], "description": ["10 % of ₿ & more + tea"], "expirySeconds": ["600"]}


@pytest.mark.parametrize(
    ("amount", "description", "seconds"),
    [
        (Sat(0), "an amount of 0 means: pay what you like", 600),
        (Sat(-5), "negative", 600),
        (Sat(1), "x" * 129, 600),
        (Sat(1), "😀" * 65, 600),
        (Sat(1), "never payable", 0),
    ],
)
async def test_terms_that_phoenixd_misreads_are_never_sent(amount: Sat, description: str, seconds: int):
    """Each is a ValueError, and the node hears nothing of it."""
    async with node_that_answers(created()) as (node, canned):
        with pytest.raises(ValueError, match=r"invoice|UTF-16"):
            await node.create_invoice(amount, description, seconds)

    assert canned.asked == []


@pytest.mark.parametrize("description", ["", "x" * 128, "😀" * 64])
async def test_the_longest_description_is_sent(description: str):
    """128 UTF-16 units pass: an emoji counts as two."""
    async with node_that_answers(created()) as (node, canned):
        await node.create_invoice(Sat(100), description, 600)

    assert canned.asked[0].form["description"] == [description]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(created(amountSat=99), id="another amount"),
        pytest.param(created(amountSat=None), id="any amount"),
        pytest.param(created(amountSat="100"), id="amount as text"),
        pytest.param(created(amountSat=100.0), id="amount as float"),
        pytest.param(created(amountSat=True), id="amount as bool"),
        pytest.param(created(paymentHash=HASH.hex()[:-2]), id="short hash"),
        pytest.param(created(paymentHash=HASH.hex() + "\n"), id="hash and newline"),
        pytest.param(created(paymentHash="g" * 64), id="hash not hex"),
        pytest.param(created(serialized="bc1qexample"), id="not an invoice"),
        pytest.param(created(serialized='lnbc1u1p", x="'), id="breaks out of a header"),
        pytest.param(created(serialized="lnbc1u1p\r\nSet-Cookie: a=b"), id="a second header"),
        pytest.param(created(serialized="ln" + "q" * 5_000), id="endless invoice"),
        pytest.param(pretty({"amountSat": 100, "paymentHash": HASH.hex()}), id="no invoice"),
        pytest.param(pretty([]), id="a list"),
        pytest.param(http_reply("Not found", status=404), id="404"),
        pytest.param(http_reply("Request parameter X is missing", status=400), id="400"),
    ],
)
async def test_an_invoice_that_was_not_asked_for_is_not_sold(reply: bytes):
    """A reply for another amount, without a 32-byte hash or without a clean BOLT11 text is no invoice."""
    async with node_that_answers(reply) as (node, _):
        with pytest.raises(NodeUnavailable):
            await node.create_invoice(Sat(100), "tea", 600)


async def test_an_invoice_is_asked_for_once():
    """A failed createinvoice is not repeated: the node may have made one, and another would be payable too."""
    async with node_that_answers(b"") as (node, canned):
        canned.reply = http_reply("database is locked", status=500)
        with pytest.raises(NodeUnavailable):
            await node.create_invoice(Sat(100), "tea", 600)

    assert len(canned.asked) == 1


# payments/incoming


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, IncomingPayment(PaymentState.OPEN, Sat(100), Msat(0)), id="open"),
        pytest.param({"isExpired": True}, IncomingPayment(PaymentState.EXPIRED, Sat(100), Msat(0)), id="expired"),
        pytest.param(
            {"isPaid": True, "receivedSat": 100, "completedAt": 1740588050000},
            IncomingPayment(PaymentState.PAID, Sat(100), Msat(100_000)),
            id="paid",
        ),
        pytest.param(
            {"isPaid": True, "isExpired": True, "receivedSat": 100},
            IncomingPayment(PaymentState.PAID, Sat(100), Msat(100_000)),
            id="paid long ago",
        ),
        pytest.param(
            {"isPaid": True, "receivedSat": 61, "fees": 39_000},
            IncomingPayment(PaymentState.PAID, Sat(100), Msat(61_000)),
            id="paid in full, net of a liquidity fee",
        ),
        pytest.param(
            {"isPaid": True, "receivedSat": -21_461, "fees": 21_561_000},
            IncomingPayment(PaymentState.PAID, Sat(100), Msat(0)),
            id="paid in full, and the fee took more",
        ),
        pytest.param(
            {"isPaid": True, "receivedSat": 200},
            IncomingPayment(PaymentState.PAID, Sat(100), Msat(200_000)),
            id="overpaid",
        ),
        pytest.param(
            {"receivedSat": 100},
            IncomingPayment(PaymentState.OPEN, Sat(100), Msat(100_000)),
            id="only isPaid says paid",
        ),
        pytest.param(
            {"isPaid": True, "requestedSat": None, "receivedSat": 7},
            IncomingPayment(PaymentState.PAID, None, Msat(7_000)),
            id="amount-less",
        ),
        pytest.param(
            {"swapIn": {"new": [1]}, "payerNote": "hi"},
            IncomingPayment(PaymentState.OPEN, Sat(100), Msat(0)),
            id="keys of a newer version",
        ),
    ],
)
async def test_a_payment_is_what_the_node_says(changes: dict[str, Any], expected: IncomingPayment):
    """`isPaid` decides, whatever expired or arrived; fees are never added."""
    async with node_that_answers(payment(**changes)) as (node, canned):
        assert await node.incoming(HASH) == expected

    assert (canned.asked[0].method, canned.asked[0].path) == ("GET", f"/payments/incoming/{HASH.hex()}")


async def test_a_payment_without_a_record_is_unknown():
    """404 `Not found` is the node's own word that it has no such payment."""
    async with node_that_answers(http_reply("Not found", status=404, content_type="text/plain")) as (node, _):
        assert await node.incoming(HASH) == IncomingPayment(PaymentState.UNKNOWN, None, Msat(0))


@pytest.mark.parametrize("text", ["Unknown endpoint (check api doc)", "<h1>404</h1>", ""])
async def test_a_404_of_somebody_else_says_nothing(text: str):
    """A wrong address also answers 404. Taking it for "never paid" would freeze every account."""
    assert "404" in str(await failure_of(http_reply(text, status=404)))


@pytest.mark.parametrize("length", [0, 31, 33])
async def test_only_32_bytes_are_a_payment_hash(length: int):
    """Another length is our own bug, and nothing is asked."""
    async with node_that_answers(payment()) as (node, canned):
        with pytest.raises(ValueError, match="32 bytes"):
            await node.incoming(bytes(length))

    assert canned.asked == []


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(payment(paymentHash="ab" * 32, isPaid=True), id="another payment"),
        pytest.param(payment(isPaid=None), id="no isPaid"),
        pytest.param(payment(isExpired=None), id="no isExpired"),
        pytest.param(payment(receivedSat=None), id="no receivedSat"),
        pytest.param(payment(paymentHash=None), id="no paymentHash"),
        pytest.param(payment(isPaid="true"), id="isPaid as text"),
        pytest.param(payment(isPaid=1), id="isPaid as number"),
        pytest.param(payment(receivedSat=1.5), id="half a satoshi"),
        pytest.param(payment(receivedSat=10**30), id="more than there is"),
        pytest.param(payment(requestedSat=-1), id="asked for less than nothing"),
        pytest.param(pretty(None), id="null"),
        pytest.param(pretty([payment_fields()]), id="a list"),
        pytest.param(http_reply("<html>welcome</html>", content_type="text/html"), id="HTML"),
        pytest.param(http_reply(""), id="empty"),
        pytest.param(http_reply(b"\xff\xfe{"), id="not UTF-8"),
        pytest.param(http_reply(json.dumps(payment_fields(isPaid=True))[:-1]), id="cut JSON"),
        pytest.param(payment(isPaid=True)[:-9], id="cut connection"),
        pytest.param(http_reply(" " * (REPLY_MAX_BYTES + 1)), id="endless"),
        pytest.param(payment(isPaid=True, description="x" * REPLY_MAX_BYTES), id="too long"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="not HTTP"),
        pytest.param(http_reply(json.dumps(payment_fields(isPaid=True)), status=500), id="500"),
        pytest.param(http_reply("", status=204), id="204"),
        pytest.param(b"HTTP/1.1 307 X\r\nLocation: /getinfo\r\nContent-Length: 0\r\n\r\n", id="redirect"),
    ],
)
async def test_what_is_not_the_api_is_no_answer(reply: bytes):
    """Nothing is known: neither paid nor unpaid."""
    failure = await failure_of(reply, timeout_seconds=0.5)

    assert str(failure).startswith("phoenixd, payments/incoming: ")


# When it does not answer


async def test_a_wrong_password_is_named_but_not_shown():
    """401 tells the operator what to mend."""
    text = "Invalid authentication (use basic auth with the http password set in phoenix.conf)"

    failure = await failure_of(http_reply(text, status=401, content_type="text/plain"))

    assert str(failure) == "phoenixd, payments/incoming: it refuses our password (401)."


async def test_a_refused_connection_is_no_answer():
    """phoenixd does not listen before it has met its peer."""
    async with asking(unused_address()) as node:
        with pytest.raises(NodeUnavailable, match="nothing accepts connections"):
            await node.info()


async def test_every_question_has_a_limit():
    """A node that takes the connection and says nothing is given up on, by each method."""
    async with node_that_answers(None, timeout_seconds=SHORT_SECONDS) as (node, _):
        for question in (node.create_invoice(Sat(1), "tea", 600), node.incoming(HASH), node.info()):
            with pytest.raises(NodeUnavailable, match=r"no answer within 0\.1 s"):
                await question


async def test_a_node_that_hung_is_asked_again_later():
    """Given-up questions leave no connection behind: more of them than the pool holds do not fill it."""
    async with node_that_answers(None, timeout_seconds=SHORT_SECONDS) as (node, canned):
        for _ in range(2):
            outcomes = await asyncio.gather(
                *(node.incoming(HASH) for _ in range(CONNECTIONS_MAX_COUNT)), return_exceptions=True
            )
            assert {type(outcome) for outcome in outcomes} == {NodeUnavailable}
        canned.reply = payment()

        assert (await node.incoming(HASH)).state is PaymentState.OPEN


async def test_a_flood_of_invoices_does_not_delay_the_question_whether_one_is_paid():
    """However many invoices wait for the node, a payment can be looked up."""
    async with node_that_answers(payment(), create_timeout_seconds=60) as (node, canned):
        canned.hanging = frozenset({"/createinvoice"})
        flood = [asyncio.create_task(node.create_invoice(Sat(1), "tea", 600)) for _ in range(2 * CONNECTIONS_MAX_COUNT)]
        await canned.until_asked(INVOICES_IN_CREATION_MAX_COUNT)

        answered = await node.incoming(HASH)

        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
    assert answered.state is PaymentState.OPEN


# Readiness


@pytest.mark.parametrize(
    ("states", "ready", "detail"),
    [
        ([], True, "no channel yet: the first payment opens one"),
        (["Normal"], True, "channels: 1 Normal"),
        (["Offline(Normal)", "Normal"], True, "channels: 1 Normal, 1 Offline(Normal)"),
        (["Offline(Normal)", "Offline(Normal)"], False, "no channel is usable: 2 Offline(Normal)"),
        (["Syncing(Normal)", "Closing"], False, "no channel is usable: 1 Closing, 1 Syncing(Normal)"),
    ],
)
async def test_a_node_is_ready_with_a_usable_channel_or_none(states: list[str], ready: bool, detail: str):
    """A channel whose peer is away cannot be paid through; before the first payment there is none."""
    async with node_that_answers(node_info(*states, blockHeight=900_000)) as (node, _):
        assert await node.info() == NodeInfo("0.8.0-de6f8ae", "mainnet", ready, detail)


@pytest.mark.parametrize("more", [{}, {"swapIn": {"unconfirmedBalanceSat": 7}}], ids=str)
async def test_the_balance_is_what_can_be_paid(more: dict[str, Any]):
    """Fee credit is none; what a newer phoenixd adds is not looked at."""
    async with node_that_answers(pretty({"balanceSat": 12, "feeCreditSat": 3, **more})) as (node, _):
        assert await node.balance() == Sat(12)


@pytest.mark.parametrize("reply", [{}, {"balanceSat": -1}, {"balanceSat": "12"}, [12]], ids=str)
async def test_half_a_balance_is_none(reply: object):
    """Nothing is swept on the word of something that is no phoenixd."""
    async with node_that_answers(pretty(reply)) as (node, _):
        with pytest.raises(NodeUnavailable, match="not of its API"):
            await node.balance()


@pytest.mark.parametrize(
    "reply",
    [
        node_info(channels=None),
        node_info(version=None),
        node_info(channels=[{}]),
        node_info(chain="x" * 100),
        http_reply("Not found", status=404),
    ],
)
async def test_half_an_info_is_none(reply: bytes):
    """A server that is not phoenixd is not called ready."""
    async with node_that_answers(reply) as (node, _):
        with pytest.raises(NodeUnavailable):
            await node.info()


# Secrets


def test_no_parsed_type_has_a_place_for_a_preimage():
    """Neither a payment nor an invoice can carry one."""
    names = {each.name for kind in (IncomingPayment, Invoice, NodeInfo) for each in fields(kind)}

    assert names == {
        *("payment_hash", "bolt11", "amount"),
        *("state", "requested", "received"),
        *("version", "chain", "ready", "detail"),
    }


def reachable_text(root: object) -> str:
    """The repr of everything an exception keeps alive: its chain, its frames, what their variables hold."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or type(thing).__name__ in {
            "module",
            "function",
            "type",
            "Task",
            "_UnixSelectorEventLoop",
        }:
            continue
        seen[id(thing)] = thing
        waiting += gc.get_referents(thing)
    return " ".join(repr(thing) for thing in seen.values() if isinstance(thing, str | bytes | bytearray))


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(payment(isPaid=True, requestedSat=-1), id="wrong value"),
        pytest.param(payment(isPaid=PREIMAGE), id="wrong type"),
        pytest.param(payment(paymentHash="ab" * 32), id="another payment"),
        pytest.param(http_reply(f'{{"preimage": "{PREIMAGE}", '), id="cut JSON"),
        pytest.param(http_reply(f'{{"preimage": "{PREIMAGE}"}}', status=500), id="500"),
        pytest.param(http_reply(PREIMAGE, status=404), id="404"),
        pytest.param(f"HTTP/{PREIMAGE}\r\n\r\n".encode(), id="not HTTP"),
    ],
)
async def test_a_failure_keeps_no_preimage(reply: bytes, caplog: pytest.LogCaptureFixture):
    """Not in its text, its chain, its frames or a log line from INFO up; nor is the password there."""
    caplog.set_level(logging.INFO)

    async with canned_http(reply) as canned:
        failure = await _failure_seen_from_inside(canned.url)
        logged = "\n".join(record.getMessage() for record in caplog.records)

    assert failure.__cause__ is None
    assert failure.__context__ is None
    assert PASSWORD not in str(failure)
    assert PREIMAGE not in _frames_of_the_client(failure)
    assert PREIMAGE not in logged
    assert PASSWORD not in logged


async def _failure_seen_from_inside(url: str) -> NodeUnavailable:
    async with asking(url) as node:
        try:
            await node.incoming(HASH)
        except NodeUnavailable as exc:
            return exc
    raise AssertionError("it should have failed")


def _frames_of_the_client(failure: NodeUnavailable) -> str:
    """What the variables of the client's frames hold, except the client itself."""
    texts = [reachable_text(failure.args)]
    step = failure.__traceback__
    while step is not None:
        if step.tb_frame.f_globals["__name__"].startswith("lib."):
            texts += [reachable_text(value) for name, value in step.tb_frame.f_locals.items() if name != "self"]
        step = step.tb_next
    return " ".join(texts)


async def test_an_answer_shows_no_preimage(caplog: pytest.LogCaptureFixture):
    """Neither its repr nor anything it holds, nor what was logged on the way."""
    caplog.set_level(logging.DEBUG)
    async with node_that_answers(payment(isPaid=True, receivedSat=100)) as (node, _):
        answer = await node.incoming(HASH)

    assert PREIMAGE not in repr(answer)
    assert PREIMAGE not in reachable_text([getattr(answer, each.name) for each in fields(answer)])
    assert f"payments/incoming/{HASH.hex()}" in caplog.text
    assert PREIMAGE not in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{PASSWORD}@127.0.0.1:9740",
        f"127.0.0.1:{PASSWORD}",
        "ftp://127.0.0.1",
        "http://",
        f"http://h?{PASSWORD}",
    ],
)
def test_an_address_that_would_be_logged_with_a_password_is_refused(url: str):
    """And the refusal does not quote it."""
    with pytest.raises(ValueError, match="must look like") as caught:
        Phoenixd(url, PASSWORD)

    assert PASSWORD not in str(caught.value)


async def test_an_address_may_have_a_path():
    """Behind a reverse proxy the node may live below one; a slash at the end does not matter."""
    async with canned_http(payment()) as canned:
        for suffix in ("/node", "/node/"):
            async with asking(canned.url + suffix) as node:
                await node.incoming(HASH)

    assert {asked.path for asked in canned.asked} == {f"/node/payments/incoming/{HASH.hex()}"}


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch):
    """The password goes to the node and nowhere else."""
    monkeypatch.setenv("HTTP_PROXY", unused_address())
    monkeypatch.setenv("ALL_PROXY", unused_address())

    async with node_that_answers(payment()) as (node, _):
        assert (await node.incoming(HASH)).state is PaymentState.OPEN
