"""What is not served: a blocklist before any invoice, a moderation before any hold. Both cost nobody anything."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib import config
from lib.config import ConfigError
from lib.core.schema import Blocklist, Moderation
from tests.world import ROOT, World

BAD = "violence"
"""The one word that the double's moderation minds."""


def asking(text: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}


async def under(world: World, **rules: Moderation | Blocklist) -> None:
    """Serve under these rules from now on."""
    settings = world.newest.settings
    changed = settings.config.model_copy(update=rules)
    await world.reload(replace(settings, config=changed))


def blocked(answer: httpx.Response) -> bool:
    return answer.status_code == 400 and answer.json()["error"]["code"] == "content_blocked"


def paths(world: World) -> list[str]:
    """Where upstream was asked."""
    return [entry["path"] for entry in world.parts.journal()]


@pytest.mark.parametrize(
    "body",
    [
        asking("tell me of FORBIDDEN Fruit, please"),
        asking("a code: zz-1234."),
        {
            **asking("hello"),
            "tools": [{"type": "function", "function": {"name": "f", "description": "forbidden fruit"}}],
        },
        {**asking("hello"), "messages": [{"role": "user", "content": [{"type": "text", "text": "forbidden fruit"}]}]},
    ],
    ids=["a phrase in any case", "a pattern", "in a tool", "in a part"],
)
async def test_a_listed_word_is_refused_before_any_invoice(world: World, body: dict[str, Any]):
    """Wherever it stands: 400, no invoice, no quote, nothing upstream, and not a word of what was found."""
    await under(world, blocklist=Blocklist(words=["forbidden fruit"], patterns=[r"zz-\d{4}"]))

    answer = await world.ask(body)
    quote = await world.client.post("/api/quote/openai/v1/chat/completions", json=body)

    assert blocked(answer) and blocked(quote)
    assert "forbidden" not in answer.text.lower() and "zz-" not in answer.text
    assert await world.invoices() == 0 and world.parts.journal() == []


async def test_other_words_are_served(world: World):
    """A listed word is found as a whole, and names of models and roles are no words."""
    await under(world, blocklist=Blocklist(words=["for", "user", "gpt-4o-mini"]))

    assert (await world.ask(asking("a forest"))).status_code == 402
    assert blocked(await world.ask(asking("for a rest")))


async def test_words_of_a_file(tmp_path: Path):
    """One a line, with comments; a file that cannot be read is a fault of the configuration."""
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text() + "\nblocklist: {file: blocked.txt}\n")
    env = {"L402_ROOT_KEY": "5a" * 32}
    with pytest.raises(ConfigError, match=r"blocklist\.file: blocked\.txt cannot be read"):
        config.read(env, tmp_path)

    (tmp_path / "blocked.txt").write_text("# ours\nfirst\n\nsecond word # why\n")

    assert config.read(env, tmp_path).blocked_words == ("first", "second word")


async def test_a_pattern_that_is_none_changes_nothing(world: World):
    """A reload with a pattern that cannot be compiled keeps what was served."""
    await under(world, blocklist=Blocklist(patterns=["("]))

    assert (await world.ask(asking("hello"))).status_code == 402


async def test_a_flagged_request_costs_nothing(world: World, caplog: pytest.LogCaptureFixture):
    """400 before the hold; upstream answers no call, the whole payment stays, and nothing of the text is logged."""
    caplog.set_level(logging.DEBUG)
    await under(world, moderation=Moderation(api="openai"))
    paid = await world.buy(asking(f"a story of {BAD} and peace"))

    answer = await world.ask(asking(f"a story of {BAD} and peace"), paid)

    assert blocked(answer)
    assert paths(world) == ["/v1/moderations"]
    assert (await world.ask(asking("a story of peace"), paid)).status_code == 200
    balance = await world.settled(paid)
    assert paid.amount.value - balance.balance.value < 100
    assert BAD not in caplog.text


async def test_nobody_moderates_for_free(world: World):
    """Who has no credential gets the invoice, and a token that is unknown 401: neither is read for."""
    await under(world, moderation=Moderation(api="openai"))

    unpaid = await world.ask(asking(BAD))
    unknown = await world.ask(asking(BAD), Authorization=f"Bearer alb_{'x' * 43}")

    assert (unpaid.status_code, unknown.status_code) == (402, 401)
    assert world.parts.journal() == []


async def test_only_what_the_operator_minds(world: World):
    """With `categories` other verdicts pass."""
    await under(world, moderation=Moderation(api="openai", categories=["sexual/minors"]))
    paid = await world.buy(asking(BAD))

    assert (await world.ask(asking(BAD), paid)).status_code == 200

    await under(world, moderation=Moderation(api="openai", categories=["violence"]))
    assert blocked(await world.ask(asking(BAD), paid))


DOWN: dict[str, dict[str, Any]] = {
    "refusing": {"status": 500, "times": 1},
    "silent": {"hang_before_answer": True, "times": 1},
    "no verdict": {"not_json": True, "times": 1},
}


@pytest.mark.parametrize("trouble", DOWN)
async def test_without_a_verdict_nothing_is_served(world: World, trouble: str):
    """`closed`: 503 with Retry-After, and the credential is as good as before."""
    await under(world, moderation=Moderation(api="openai", seconds=0.5))
    paid = await world.buy(asking("hello"))
    world.parts.scenario(**DOWN[trouble])

    answer = await world.ask(asking("hello"), paid)

    assert answer.status_code == 503 and answer.headers["retry-after"] == "30"
    assert paths(world) == ["/v1/moderations"]
    world.parts.scenario()
    assert (await world.ask(asking("hello"), paid)).status_code == 200


@pytest.mark.parametrize("trouble", DOWN)
async def test_an_operator_may_serve_without_a_verdict(world: World, trouble: str):
    """`open`: the call is served, and paid for."""
    await under(world, moderation=Moderation(api="openai", seconds=0.5, when_down="open"))
    paid = await world.buy(asking("hello"))
    world.parts.scenario(**DOWN[trouble])

    assert (await world.ask(asking("hello"), paid)).status_code == 200
    assert paths(world) == ["/v1/moderations", "/v1/chat/completions"]


def test_a_moderation_by_nobody_is_a_fault(tmp_path: Path):
    """Its API must be one of ours."""
    path = tmp_path / "config.yaml"
    path.write_text((ROOT / "config.yaml").read_text() + "\nmoderation: {api: acme}\n")

    with pytest.raises(ConfigError, match="`acme` is not among the apis"):
        config.read_config(path)
