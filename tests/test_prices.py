"""`scripts/prices`: real prices of genai-prices, the double's list of models, and a configuration with each fault."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from _prices import Level, Report, report

from lib import config
from lib.demo.parts import DemoParts, demo_parts
from tests.world import ROOT, environment

NOW = dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC)


@pytest.fixture
async def parts() -> AsyncGenerator[DemoParts]:
    async with demo_parts() as running:
        yield running


def changed(tmp_path: Path, right: str, wrong: str) -> Path:
    """A copy of the shipped configuration with one change."""
    text = (ROOT / "config.yaml").read_text()
    assert right in text
    path = tmp_path / "config.yaml"
    path.write_text(text.replace(right, wrong))
    return path


def compared(path: Path, now: dt.datetime = NOW) -> Report:
    return report(config.read_config(path), now)


async def prices(env: dict[str, str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the program as an operator does; its exit code and its JSON."""
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "scripts" / "prices"),
        "--json",
        *arguments,
        env={"PATH": os.environ["PATH"], **env},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(program.communicate(), 60)
    return program.returncode or 0, json.loads(said)


def two_keys(parts: DemoParts, tmp_path: Path) -> dict[str, str]:
    """Keys of the two providers whose doubles have lists of their own."""
    wanted = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
    every = environment(parts, tmp_path)
    return {name: value for name, value in every.items() if not name.endswith("_API_KEY") or name in wanted}


def of_level(document: dict[str, Any], level: str) -> list[str]:
    return [f"{one['api']} {one['model']}: {one['what']}" for one in document["findings"] if one["level"] == level]


def test_what_we_ship_is_sold_above_cost():
    """No price of the shipped config.yaml is below what genai-prices knows, at any hour, long inputs included."""
    found = compared(ROOT / "config.yaml")

    assert found.faults == []
    assert sum(row.known is not None for row in found.rows) > 200


def test_only_the_newest_models_are_unknown():
    """genai-prices lags behind by days: what it does not know is told, for somebody to compare by hand."""
    found = compared(ROOT / "config.yaml")

    unknown = {one.model for one in found.findings if "does not know" in one.what}
    assert unknown == {"gpt-6.2-sol", "gpt-6.2-astra", "search"}


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (
            "tokens: {input: 0.15, output: 0.6, cached_input: 0.075}",
            "tokens: {input: 0.15, output: 0.4, cached_input: 0.075}",
            "output_token costs 0.6 USD per million, configured are 0.400000 and sold below that",
        ),
        (
            "tokens: {input: 0.15, output: 0.6, cached_input: 0.075}",
            "tokens: {input: 0.14, output: 0.6, cached_input: 0.075}",
            "input_token costs 0.15 USD per million, configured are 0.140000",
        ),
        (
            "long_context: {above: 272000, input: 5, output: 22.5, cached_input: 0.5}",
            "long_context: {above: 272000, input: 5, output: 15, cached_input: 0.5}",
            "output_token of a long input costs 22.5 USD per million, configured are 15.000000",
        ),
        ("tokens: {input: 0.3, output: 1.2, cached_input: 0.006}", "tokens: {input: 0.15, output: 0.6}", "0.3 USD"),
        ("cached_input: 0.01, cache_write: 0.125}", "cached_input: 0.01}", "cache_write_token costs 0.125 USD"),
        (
            "per_minute: 0.0045",
            "per_minute: 0.003",
            "second costs 75",
        ),
        ("per_million_characters: 15", "per_million_characters: 11", "character costs 15 USD per million"),
        ("cached_input: 2, image_input: 8}", "cached_input: 1.25, image_input: 8}", "cached_input_token costs 2 USD"),
        ("cached_input: 2, image_input: 8}", "cached_input: 2}", "image_input_token costs 8 USD per million"),
        ("output: 30, cached_input: 1.25, image_input: 8}", "output: 20, image_input: 8}", "output_token costs 30 USD"),
        (
            "flat: {sats: 1} # this pays for the request …\n            per_call: 0",
            "flat: {usd: 0.001}\n            per_call: 0.002",
            "sold flat at 0.001 USD, and costs 0.002 a call",
        ),
    ],
    ids=[
        "below cost",
        "below cost without the markup",
        "long context",
        "at the dearest hour",
        "written to a cache",
        "seconds",
        "characters",
        "cached images",
        "images seen",
        "images drawn",
        "flat",
    ],
)
def test_each_fault_is_found(tmp_path: Path, right: str, wrong: str, told: str):
    """A fault that is put into the shipped configuration is the one that is told."""
    found = compared(changed(tmp_path, right, wrong))

    assert any(told in one.what for one in found.faults)


def test_a_contract_explains_lower_prices(tmp_path: Path):
    """With `own_prices` the same finding is a note with the reason."""
    path = changed(tmp_path, "tokens: {input: 1.4, ", "own_prices: we buy in bulk\n            tokens: {input: 1.3, ")

    found = compared(path)

    assert found.faults == []
    assert [one.what for one in found.findings if one.level is Level.NOTE and "not compared" not in one.what] == [
        "input_token costs 1.4 USD per million, configured are 1.300000; we buy in bulk"
    ]


def test_an_end_is_announced_thirty_days_before():
    """A model that ends soon is a warning, one that ends later is nothing."""

    def warned(day: dt.datetime) -> set[str]:
        findings = compared(ROOT / "config.yaml", day).findings
        return {one.model for one in findings if one.level is Level.WARNING and "ends on" in one.what}

    assert "gpt-5" not in warned(dt.datetime(2026, 11, 10, tzinfo=dt.UTC))
    assert "gpt-5" in warned(dt.datetime(2026, 11, 11, tzinfo=dt.UTC))


def test_what_cannot_be_compared_is_told():
    """Units without a known price, and what is no price: an operator knows what was not looked at."""
    found = compared(ROOT / "config.yaml")

    told = {f"{one.path} {one.model}: {one.what}" for one in found.findings if "not compared" in one.what}
    assert "/v1/audio/transcriptions gpt-4o-transcribe: second: not compared, genai-prices has no price for it" in told
    assert "/v1/images/edits gpt-image-2: how many tokens an image is: not compared, genai-prices does not say" in told
    assert any("gpt-4o-mini-tts: how many tokens a character is" in one for one in told)


@pytest.mark.parametrize("day", ["2026-12-01", "2026-12-11", "2027-01-06", "2027-01-14", "2027-02-26", "2027-04-01"])
def test_a_model_that_ends_is_no_fault_on_its_day(day: str):
    """It is not sold any more by itself: an operator is reminded, and nothing begins to fail."""
    found = compared(ROOT / "config.yaml", dt.datetime.fromisoformat(f"{day}T12:00:00+00:00"))

    assert found.faults == []
    assert any(one.level is Level.WARNING and f"ended on {day}" in one.what for one in found.findings)


async def test_models_are_compared_with_upstreams_own_list(parts: DemoParts, tmp_path: Path):
    """All that we sell of those whose key is set is alive there until the day we say; nobody else is asked."""
    env = two_keys(parts, tmp_path) | {"ALITTLEBITOFMONEY_CONFIG": str(ROOT / "config.yaml")}
    _, document = await prices(env)

    assert not [told for told in of_level(document, "fault") if "upstream" in told]
    assert document["prices"]
    assert not [told for told in of_level(document, "warning") if "cannot be read" in told]


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("id: gpt-5.2\n", "id: gpt-5.2-old\n", "openai gpt-5.2-old: upstream does not list it"),
        ("shutdown: 2027-04-01", "shutdown: 2127-04-01", "upstream ends it on 2027-04-01, not 2127-04-01"),
    ],
    ids=["dead", "ends earlier"],
)
async def test_what_upstream_knows_better_is_a_fault(
    parts: DemoParts, tmp_path: Path, right: str, wrong: str, told: str
):
    """A model that upstream does not list, and one that ends before the day we say; offline neither is seen."""
    path = changed(tmp_path, right, wrong)
    env = two_keys(parts, tmp_path) | {"ALITTLEBITOFMONEY_CONFIG": str(path)}

    code, document = await prices(env)
    offline, _ = await prices(env, "--offline")

    assert (code, offline) == (1, 0)
    assert any(told in fault for fault in of_level(document, "fault"))


async def test_an_upstream_that_does_not_answer_is_a_warning(parts: DemoParts, tmp_path: Path):
    """It says nothing about our models, and no key is told."""
    env = two_keys(parts, tmp_path) | {"OPENAI_API_KEY": "sk-wrong-and-secret"}

    code, document = await prices(env)

    assert code == 0
    assert "openai : its list of models cannot be read (status 401)" in of_level(document, "warning")
    assert "secret" not in json.dumps(document)
