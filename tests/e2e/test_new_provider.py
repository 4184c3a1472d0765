"""A provider is added by configuration alone: an endpoint, its example, and everything else is made of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lib.core.money import Msat
from lib.demo.parts import demo_parts
from tests.e2e.test_scripts import E2E, SCRIPT_LIMIT_SECONDS, prove
from tests.world import World, opened_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SCRIPT_LIMIT_SECONDS + 60)]

ACME = """
markup: 1.25
apis:
  acme:
    title: Acme
    base_url: {url}
    api_key_env: ACME_KEY
    endpoints:
      # 1. The endpoint.
      - path: /v1/chat/completions
        upstream_path: /groq/v1/chat/completions
        title: Acme's chat
        protocol: chat_completions
        streaming: true
        request:
          required: [model, messages]
          properties:
            model: {{type: string}}
            messages: {{type: array, minItems: 1, items: {{type: object}}}}
            max_tokens: {{type: integer, minimum: 1}}
            stream: {{type: boolean}}
            stream_options: {{type: object}}
            mood: {{enum: [kind, terse]}}
          refused: {{tools: Acme bills its tools apart.}}
          forced: {{mood: kind}}
          output_cap: {{fields: [max_tokens], inject: max_completion_tokens}}
        models:
          - id: acme-1
            tokens: {{input: 0.4, output: 1.6}}
            max_output: 4096
            default_max_output: 512
        # 2. Its example.
        example:
          content_type: json
          body:
            model: acme-1
            messages:
              - {{role: user, content: Say hello.}}
          e2e:
            required_field: messages
            invalid: {{mood: angry}}
            keyword: canned
      - path: /v1/lookup
        upstream_path: /tavily/search
        title: Acme's index
        protocol: json
        request:
          required: [query]
          properties:
            query: {{type: string, minLength: 1}}
            max_results: {{type: integer, minimum: 0, maximum: 5}}
        models:
          - id: lookup
            per_call: 0.004
        example:
          content_type: json
          body: {{query: anvils, max_results: 2}}
          e2e:
            required_field: query
            invalid: {{max_results: 6}}
            keyword: results
"""
CHAT, LOOKUP = "/acme/v1/chat/completions", "/acme/v1/lookup"
HELLO: dict[str, Any] = {"model": "acme-1", "messages": [{"role": "user", "content": "Hello"}]}


@asynccontextmanager
async def acme_shop(tmp_path: Path) -> AsyncGenerator[World]:
    """A server whose config.yaml sells Acme, and nothing else that differs from any other server."""
    async with demo_parts() as parts:
        path = tmp_path / "acme.yaml"
        path.write_text(ACME.format(url=parts.doubles.openai.url), encoding="utf-8")
        env = {"ALITTLEBITOFMONEY_CONFIG": str(path), "ACME_KEY": parts.upstream_key}
        async with opened_server(parts, tmp_path, env) as world:
            yield world


async def test_a_provider_with_two_endpoints_is_added_by_configuration_alone(tmp_path: Path):
    """3. The catalog, the pages' programs and the end-to-end checks are there, and every check passes."""
    async with acme_shop(tmp_path) as world:
        [api] = (await world.client.get("/api/catalog")).json()["apis"]
        assert (api["name"], api["title"], api["available"]) == ("acme", "Acme", True)
        assert [endpoint["url"] for endpoint in api["endpoints"]] == [CHAT, LOOKUP]
        for url in (CHAT, LOOKUP):
            shown = (await world.client.get(f"/api/catalog{url}")).json()
            assert {example["id"] for example in shown["examples"]} >= {"curl-l402", "curl-token"}
            assert all(url in example["code"] or "/acme/v1" in example["code"] for example in shown["examples"])

        ran = await prove(world, E2E, "--only", "^/acme/")

    assert (ran.code, ran.err) == (0, ""), ran.out
    assert ran.counts == (18, 0, 2), "a lookup names no model and does not stream"
    assert ran.checks("ok") == [
        *"invalid missing model unpaid invoice paid answer again stream balance".split(),
        *"invalid missing unpaid invoice paid answer again balance".split(),
    ]


async def test_it_is_charged_by_its_own_prices(tmp_path: Path):
    """8 tokens in at 0.40 and 17 out at 1.60, × 1.25; a lookup at 0.004 dollars × 1.25. Its rules are kept."""
    async with acme_shop(tmp_path) as world:
        paid = await world.pay(await world.client.post(CHAT, json=HELLO))
        answer = await world.client.post(CHAT, json=HELLO, headers=paid.headers)
        assert Msat(int(answer.headers["x-charge-msat"])) == Msat(38)  # 8 × 0.5 + 17 × 2
        asked = world.parts.journal()[-1]["body"]
        assert {name: asked.get(name) for name in ("mood", "max_completion_tokens")} == {
            "mood": "kind",
            "max_completion_tokens": 512,
        }

        refused = await world.client.post(CHAT, json={**HELLO, "tools": []})
        assert refused.json()["error"]["message"] == "Acme bills its tools apart."

        looked = await world.pay(await world.client.post(LOOKUP, json={"query": "anvils"}))
        found = await world.client.post(LOOKUP, json={"query": "anvils"}, headers=looked.headers)
        assert (found.status_code, looked.amount) == (200, Msat(5_000))
        assert Msat(int(found.headers["x-charge-msat"])) == Msat(5_000)
        assert (await world.settled(looked)).balance == Msat(0)
