"""GET /metrics: who may read it, that it tells what happened, and that every family is in the table."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lib import config, jobs
from lib.metrics import FAMILIES
from tests.world import CHAT, HELLO, ROOT, STREAM, World, opened_world

TOKEN = "a-secret-of-the-operator"
EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
MINE = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncGenerator[World]:
    """A shop that an operator watches."""
    async with opened_world(tmp_path, {"METRICS_TOKEN": TOKEN}) as opened:
        yield opened


async def told(world: World) -> dict[str, float]:
    """Every sample, by name and labels: `name{a=b}`."""
    answer = await world.client.get("/metrics", headers=MINE)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        f"{sample.name}{{{','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def settled(world: World) -> None:
    """Once every settlement is written."""
    async with asyncio.timeout(30):
        while world.services.purchase.unsettled:
            await asyncio.sleep(0.005)


async def test_without_a_token_there_are_no_metrics(world: World):
    """Where the operator set none, nobody reads them, whatever they send."""
    for headers in ({}, MINE, {"Authorization": "Bearer x"}):
        answer = await world.client.get("/metrics", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api_not_found")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
async def test_only_the_operator_reads_them(watched: World, headers: dict[str, str]):
    """Anybody else is told 401 and nothing of the shop."""
    answer = await watched.client.get("/metrics", headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token")
    assert "alb_" not in answer.text


async def test_calls_are_counted_as_they_were_charged(watched: World):
    """By endpoint, model and ending: calls, msat, dollars and margin agree with the ledger's own word."""
    paid = await watched.buy()
    charged = int((await watched.ask(paid=paid)).headers["x-charge-msat"])
    watched.parts.scenario(status=500)
    assert (await watched.ask(paid=paid)).status_code == 502
    await settled(watched)

    sums = await told(watched)

    model = "model=gpt-4o-mini,path=/v1/chat/completions"
    sold = f"api=openai,{model}"
    assert sums[f"alb_calls_total{{api=openai,ending=answered,{model}}}"] == 1
    assert sums[f"alb_calls_total{{api=openai,ending=refused,{model}}}"] == 1
    assert sums[f"alb_charged_msat_total{{{sold}}}"] == charged > 0
    assert sums[f"alb_charged_usd_total{{{sold}}}"] == pytest.approx(charged / 1e6)  # at 100,000 USD a bitcoin
    [row] = await watched.services.ledger.earned(*EVER)
    assert sums[f"alb_margin_usd{{{sold}}}"] == pytest.approx(float(row.margin.usd()))
    assert sums[f"alb_upstream_cost_usd_total{{{sold}}}"] == pytest.approx(float(row.upstream_cost.usd()))
    assert sums["alb_challenges_total{kind=call}"] == 1
    assert sums["alb_refusals_total{code=payment_required}"] == 1
    assert sums["alb_upstream_errors_total{api=openai,code=upstream_error}"] == 1
    assert sums["alb_settle_seconds_count{}"] == sums["alb_call_seconds_count{api=openai}"] == 2


async def test_the_whole_ledger_is_told(watched: World):
    """What is owed, held and was credited, and what the node could pay, as a job read them last."""
    paid = await watched.buy()
    charged = int((await watched.ask(paid=paid)).headers["x-charge-msat"])
    await settled(watched)
    await jobs.read_figures(watched.services)

    sums = await told(watched)

    assert sums["alb_ledger_liabilities_msat{}"] == paid.amount.value - charged
    assert sums["alb_ledger_credited_msat{}"] == paid.amount.value
    assert (sums["alb_ledger_charged_msat{}"], sums["alb_ledger_payments{}"]) == (charged, 1)
    assert (sums["alb_ledger_live_holds{}"], sums["alb_unsettled{}"], sums["alb_lease{}"]) == (0, 0, 1)
    assert sums["alb_node_balance_sats{}"] == (await watched.services.node.balance()).value > 0
    assert (sums["alb_btc_price_usd{}"], sums["alb_data_dir_free_bytes{}"] > 0) == (100_000, True)


async def test_every_family_is_in_the_table_and_its_labels_agree(watched: World):
    """docs/metrics.md is made from the table; nothing is told beside it but the process's own figures."""
    paid = await watched.buy()
    await watched.ask(paid=paid)
    await watched.ask(STREAM, paid=paid)
    await jobs.look_around(watched.services)
    await jobs.read_figures(watched.services)
    answer = await watched.client.get("/metrics", headers=MINE)
    families = list(text_string_to_metric_families(answer.text))

    shown = {family.name + ("_total" if family.type == "counter" else ""): family for family in families}
    ours = {name: family for name, family in shown.items() if not name.startswith("process_")}
    assert ours.keys() == FAMILIES.keys()
    for name, family in ours.items():
        assert family.type == FAMILIES[name].kind.value
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(FAMILIES[name].labels)
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert [name for name in FAMILIES if f"`{name}`" not in page] == []


async def test_no_secret_and_no_prompt_is_told(watched: World):
    """Labels are names of the catalog, words and codes."""
    paid = await watched.buy()
    await watched.ask({**HELLO, "messages": [{"role": "user", "content": "a secret prompt"}]}, paid=paid)
    await watched.client.post(CHAT, json={"model": "a-made-up-model", "messages": []})
    text = (await watched.client.get("/metrics", headers=MINE)).text

    found = [word for word in (paid.preimage, paid.macaroon, TOKEN, "secret prompt", "made-up") if word in text]
    assert found == []
    assert not re.search(r"[0-9a-f]{32}", text)


def test_a_short_token_is_refused(tmp_path: Path):
    """Somebody would guess it."""
    with pytest.raises(config.ConfigError, match="METRICS_TOKEN"):
        config.read(
            {
                "L402_ROOT_KEY": "5a" * 32,
                "METRICS_TOKEN": "short",
                "ALITTLEBITOFMONEY_CONFIG": str(ROOT / "config.yaml"),
            },
            tmp_path,
        )
