"""When something that a sale needs is not there: 503 before any challenge, and everything else goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.btc_price import BtcPriceFeed, FeedLimits, Source
from lib.config import read_config
from lib.core.money import Msat
from lib.jobs import LeaseKeeper, look_around
from lib.lightning.phoenixd import Phoenixd
from lib.store.ledger import HoldUnknown, LedgerUnavailable
from tests.world import CHAT, HELLO, ROOT, World, opened_world

NO_KEYS = {api.api_key_env: "" for api in read_config(ROOT / "config.yaml").apis.values()}
FREE_PATHS = ("/api/catalog", "/v1/models", "/openai/v1/models", "/api/health", "/api/health/live", "/robots.txt", "/")


def unavailable(answer: httpx.Response, code: str) -> str:
    """A 503 without anything to pay, that says when to come back if that can help; its message."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, code), answer.text
    assert "www-authenticate" not in answer.headers and list(answer.json()) == ["error"]
    return answer.json()["error"]["message"]


@asynccontextmanager
async def dead_feed() -> AsyncGenerator[BtcPriceFeed]:
    """A price feed whose sources do not answer."""
    sources = [Source(f"nobody {port}", f"http://127.0.0.1:{port}/", ("usd",)) for port in (1, 2)]
    feed = BtcPriceFeed(sources, FeedLimits(timeout_seconds=1), lambda: datetime.now(UTC))
    await feed.refresh()
    yield feed
    await feed.aclose()


# The node


@pytest.mark.parametrize("knob", [{"refuse": True}, {"hang": True}, {"error_500": "busy"}], ids=str)
async def test_without_a_node_nobody_is_challenged(world: World, knob: dict[str, Any]):
    """No invoice can be made: 503 phoenix_unavailable with Retry-After, and no challenge."""
    node = Phoenixd(world.parts.seller_url, world.parts.seller_limited_password, create_invoice_timeout_seconds=0.2)
    world.exchange(node=node)
    await world.parts.knobs("seller", **knob)

    answer = await world.ask()

    unavailable(answer, "phoenix_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    await node.aclose()


@pytest.mark.parametrize("knob", [{"refuse": True}, {"hang": True}, {"error_500": "busy"}], ids=str)
async def test_paid_calls_need_no_node(world: World, knob: dict[str, Any]):
    """A first redemption and a call from the change are both served while the node is away."""
    used, unused = await world.buy(), await world.buy()
    await world.ask(paid=used)
    await world.parts.knobs("seller", **knob)

    answers = [await world.ask(paid=used), await world.ask(paid=unused)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert (await world.settled(used)).balance == Msat(1_970)
    assert (await world.settled(unused)).balance == Msat(1_985)


async def test_a_difference_needs_the_node(world: World):
    """A spent credential cannot be asked for more now; it stays good, its change too."""
    paid = await world.buy()
    await world.parts.knobs("seller", refuse=True)

    bigger = await world.ask({**HELLO, "max_completion_tokens": 16_384}, paid)
    fitting = await world.ask(paid=paid)

    unavailable(bigger, "phoenix_unavailable")
    assert fitting.status_code == 200
    assert (await world.settled(paid)).balance == Msat(1_985)


async def test_a_node_that_refuses_our_password_is_unavailable(world: World):
    """The buyer is told nothing of passwords."""
    node = Phoenixd(world.parts.seller_url, "wrong")
    world.exchange(node=node)

    message = unavailable(await world.ask(), "phoenix_unavailable")

    assert "password" not in message and "401" not in message
    await node.aclose()


# What the operator has yet to configure


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "PHOENIX_PASSWORD"])
async def test_what_is_not_configured_is_not_sold(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture):
    """503 and the catalog say so in plain words, no invoice is made; the log alone names the variable."""
    async with opened_world(tmp_path, {name: ""}) as world:
        answer = await world.ask()
        free = [await world.client.get(path) for path in FREE_PATHS]
        catalog = (await world.client.get("/api/catalog")).json()

        assert "this server is not set up to sell it" in unavailable(answer, "upstream_unavailable")
        assert [reply.status_code for reply in free] == [200] * len(FREE_PATHS)
        assert catalog["apis"][0]["available"] is False
        assert catalog["apis"][0]["unavailable_reason"] == "This server is not set up to sell it."
        assert await world.invoices() == 0
        assert f"openai ({name} is not set)" in caplog.text
        assert name not in "".join([answer.text, *(reply.text for reply in free)])


async def test_a_bad_request_is_told_before_what_is_missing(tmp_path: Path):
    """Validation comes first: a developer without keys still learns what is wrong with the request."""
    async with opened_world(tmp_path, {"OPENAI_API_KEY": ""}) as world:
        answer = await world.ask({"model": "gpt-4o-mini"})

        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "missing_required_field")


async def test_health_says_what_is_missing(tmp_path: Path):
    """Without any key `ready` is 503 and says which upstreams are not set up; `live` and the summary are 200."""
    async with opened_world(tmp_path, NO_KEYS) as world:
        await look_around(world.services)

        ready = await world.client.get("/api/health/ready")
        summary = await world.client.get("/api/health")

        assert (ready.status_code, summary.status_code) == (503, 200)
        assert ready.json() == summary.json()
        assert ready.json()["status"] == "not_ready"
        assert ready.json()["parts"]["upstream openai"]["ok"] is False
        assert "not set up" in ready.json()["parts"]["upstream openai"]["detail"]


async def test_an_api_without_a_key_is_no_part_while_another_has_one(tmp_path: Path):
    """What the operator does not sell cannot keep the server from being ready."""
    async with opened_world(tmp_path, {"OPENAI_API_KEY": ""}) as world:
        await look_around(world.services)

        ready = await world.client.get("/api/health/ready")

        assert ready.status_code == 200, ready.text
        assert "upstream openai" not in ready.json()["parts"]
        assert ready.json()["parts"]["upstream anthropic"]["ok"] is True


# Upstream


async def test_a_dead_upstream_key_takes_the_api_off_sale(world: World):
    """The call that met it costs nothing and tells nothing of our standing; nobody is challenged after it."""
    paid = await world.buy()
    world.parts.scenario(status=401, error={"message": "Incorrect API key provided: sk-x", "code": "invalid_api_key"})

    met = await world.ask(paid=paid)
    after = await world.ask()

    assert "sk-x" not in unavailable(met, "upstream_unavailable")
    unavailable(after, "upstream_unavailable")
    assert int(after.headers["retry-after"]) > 0
    assert (await world.settled(paid)).balance == Msat(2_000)
    assert await world.invoices() == 1
    assert (await world.client.get("/api/catalog")).json()["apis"][0]["available"] is False


# The price


async def test_without_a_price_nothing_is_sold(world: World):
    """503 rate_unavailable, unpaid or paid; no invoice, nothing credited, and the credential is good afterwards."""
    paid, old = await world.buy(), world.services
    async with dead_feed() as feed:
        world.exchange(price=feed)
        unpaid_answer, paid_answer = await world.ask(), await world.ask(paid=paid)
    world.exchange(price=old.price)

    for answer in (unpaid_answer, paid_answer):
        unavailable(answer, "rate_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert await world.invoices() == 1 and world.parts.journal() == []
    assert (await world.ask(paid=paid)).status_code == 200


async def test_without_a_price_the_catalog_still_shows_dollars(world: World):
    """There is no msat price then, and none is invented."""
    async with dead_feed() as feed:
        world.exchange(price=feed)
        catalog = (await world.client.get("/api/catalog")).json()
        models = await world.client.get("/v1/models")

    model = next(one for one in catalog["apis"][0]["endpoints"][0]["models"] if one["id"] == "gpt-4o-mini")
    assert catalog["btc_price"] is None and model["typical_price_msat"] is None
    assert model["prices"][0] == {"unit": "input_token", "per": 1_000_000, "usd": "0.195", "msat": None, "sats": None}
    assert models.status_code == 200


# The ledger


class Unreachable:
    """A ledger that nothing reaches. When it is back it will know of no hold."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        async def operation(*_: object, **__: object) -> None:
            raise HoldUnknown if name == "settle" else LedgerUnavailable("the disk is gone")

        return operation


async def test_without_a_ledger_nothing_is_taken(world: World):
    """503 ledger_unavailable for whoever has paid: nothing is charged or sent, and the credential stays good."""
    paid, ledger = await world.buy(), world.services.ledger
    world.exchange(ledger=Unreachable())

    answers = [
        await world.ask(paid=paid),
        await world.client.post(CHAT, json=HELLO, headers={"Authorization": "Bearer alb_x"}),
        await world.client.get("/api/balance", headers=paid.headers),
    ]
    sent = len(world.parts.journal())
    world.exchange(ledger=ledger)

    for answer in answers:
        unavailable(answer, "ledger_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert sent == 0 and (await world.ask(paid=paid)).status_code == 200


async def test_without_a_lease_nobody_is_challenged(world: World):
    """Once the lease cannot be renewed no payment is asked for that could not be credited."""
    with pytest.raises(LedgerUnavailable):
        await LeaseKeeper(world.exchange(ledger=Unreachable())).step()

    unavailable(await world.ask(), "ledger_unavailable")

    assert await world.invoices() == 0


# Health


async def test_health_of_a_shop_that_sells(world: World):
    """Every part is named and well; no balances, no secrets."""
    await look_around(world.services)

    ready = await world.client.get("/api/health/ready")

    assert ready.status_code == 200 and ready.headers["cache-control"] == "no-store"
    told = ready.json()
    states = {name: (part["ok"], part["detail"]) for name, part in told["parts"].items()}
    assert (told["status"], told["alarms"]) == ("ok", {})
    assert states == {
        "ledger": (True, "SQLite: holds a lease"),
        "node": (True, told["parts"]["node"]["detail"]),
        "price": (True, "fresh"),
        **{f"upstream {api}": (True, "for sale") for api in world.services.settings.offered},
    }
    assert (await world.client.get("/api/health/live")).json() == {"status": "ok"}


@pytest.mark.parametrize("part", ["node", "ledger", "price"])
async def test_health_says_which_part_is_away(world: World, part: str):
    """`ready` is 503 and says in words which part it is; `live` stays 200."""
    if part == "node":
        await world.parts.knobs("seller", refuse=True)
    if part == "ledger":
        with pytest.raises(LedgerUnavailable):
            await LeaseKeeper(world.exchange(ledger=Unreachable())).step()
    async with dead_feed() as feed:
        await look_around(world.exchange(price=feed) if part == "price" else world.services)

    ready = await world.client.get("/api/health/ready")

    assert ready.status_code == 503 and ready.json()["status"] == "not_ready"
    assert [name for name, found in ready.json()["parts"].items() if not found["ok"]] == [part]
    assert ready.json()["parts"][part]["detail"]
    assert (await world.client.get("/api/health/live")).status_code == 200
