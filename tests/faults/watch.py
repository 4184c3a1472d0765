"""What buyer, log, metrics and console show while something is broken: a row of the table in docs/operations.md."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from lib import jobs
from lib.logs import JsonLines
from lib.services import Services
from tests.programs import run
from tests.world import ROOT, World

TOKEN = "a-secret-of-the-operator"
WATCHED = {"METRICS_TOKEN": TOKEN}
LOUD = frozenset({"warning", "error", "critical"})


async def metrics_of(world: World) -> dict[str, float]:
    """Every sample, by name and labels: `name{a="b"}`."""
    answer = await world.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.text
    return {
        _series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _series(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name


def in_short(answer: httpx.Response) -> str:
    """As a buyer sees it."""
    if answer.status_code == 200:
        return "200"
    return f"{answer.status_code} `{answer.json()['error']['code']}`"


@dataclass
class Watch:
    """One fault, watched."""

    world: World
    env: dict[str, str]
    stream: io.StringIO
    seen: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def buyer(self, who: str, answer: httpx.Response) -> httpx.Response:
        """Note what somebody was told."""
        self.seen.setdefault("buyer", []).append(f"{who}: {in_short(answer)}")
        return answer

    def log(self, *words: str, until: str = "\n") -> None:
        """Note the loud line that has all these words, up to where it tells of chance."""
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        loud = [line["event"] for line in lines if line["level"] in LOUD]
        found = [event for event in loud if all(word in event for word in words)]
        assert found, loud
        self.seen.setdefault("log", []).append(f"`{_up_to(found[0], until)}`")

    async def metrics(self, **expected: float) -> None:
        """Look around as the job does, then note samples: names are series without their prefix `alb_`."""
        await jobs.look_around(self.services)
        told = await metrics_of(self.world)
        for series, value in expected.items():
            assert told.get(f"alb_{series}") == value, series
            self.seen.setdefault("metrics", []).append(f"`alb_{series}` {value:g}")

    async def console(
        self, *path: str, command: tuple[str, ...] = ("status",), code: int = 0, until: str = "\n"
    ) -> Any:
        """Note what the console shows at a place of its answer."""
        ended = await run("scripts/admin", "--json", *command, env=self.env)
        assert ended.code == code, ended.complained
        shown: Any = json.loads(ended.said) if code == 0 else ended.complained.strip()
        for name in path:
            shown = shown[name]
        words = _up_to(shown if isinstance(shown, str) else json.dumps(shown), until)
        self.seen.setdefault("console", []).append(f"{' '.join(path[-2:]) or command[0]}: `{words}`")
        return shown

    @property
    def services(self) -> Services:
        """Of this moment."""
        return self.world.app.state.services

    def is_documented(self, fault: str) -> None:
        """The row is in the document as it was seen."""
        cells = ["<br>".join(self.seen[name]) for name in ("buyer", "log", "metrics", "console")]
        row = f"| {fault} | {' | '.join(cells)} |"
        assert row in (ROOT / "docs" / "operations.md").read_text(), row


def _up_to(text: str, end: str) -> str:
    whole, cut, _ = text.partition(end)
    return f"{whole} …" if cut else whole


@contextmanager
def listening() -> Generator[io.StringIO]:
    """Everything that is told to the log, as the server writes it."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
