"""The alert rules: each can be read by Prometheus, asks for metrics that there are, and is explained."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import promql_parser
import pytest
import yaml

from lib.metrics import FAMILIES, Kind
from tests.world import ROOT

FILE = ROOT / "deploy" / "alerts.yml"
RULES: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())["groups"][0]["rules"]
OF_PROMETHEUS = {"up"}
NAME = re.compile(r"\b(?:alb_\w+|up)\b")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_is_promql_over_metrics_that_there_are(rule: dict[str, Any]):
    """Its expression parses, and every series it names is in the table, with those labels."""
    promql_parser.parse(rule["expr"])

    asked = set(NAME.findall(rule["expr"]))
    assert asked and asked - OF_PROMETHEUS <= FAMILIES.keys()
    for name, matchers in re.findall(r"(alb_\w+)\{(.*?)\}", rule["expr"]):
        labels = {matcher.partition("=")[0].rstrip("!") for matcher in matchers.split(",")}
        assert labels <= set(FAMILIES[name].labels)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rate_is_asked_only_of_what_grows(rule: dict[str, Any]):
    """rate() and increase() are for counters; what may fall is compared with delta()."""
    for function, name in re.findall(r"\b(rate|increase|delta)\((alb_\w+)", rule["expr"]):
        assert (FAMILIES[name].kind is Kind.COUNTER) == (function != "delta")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_fault_that_wakes_somebody_is_explained(rule: dict[str, Any]):
    """docs/operations.md says by the alert's name what it means and what to do."""
    assert f"`{rule['alert']}`" in (ROOT / "docs" / "operations.md").read_text()
    assert rule["annotations"].keys() == {"summary", "fault"}
    assert rule["labels"]["severity"] in {"page", "ticket"}


def test_an_expression_that_is_no_promql_is_found():
    """The parser is one: what Prometheus would refuse does not pass."""
    with pytest.raises(ValueError, match="invalid promql"):
        promql_parser.parse("alb_lease == = 0")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's package prometheus has it")
def test_promtool_accepts_the_file():
    """Where Prometheus itself is installed it has the last word."""
    checked = subprocess.run(["promtool", "check", "rules", FILE], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr
