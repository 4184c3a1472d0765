"""What clients are known to send is sold as it comes: bodies of Codex, Claude Code, agents and of SDKs in a loop.

Seen in openai 3.54 and anthropic 2.14 (what they send back of an answer), in Codex's ResponsesApiRequest, and in the
issues of gateways that Claude Code broke on (`context_management`, `role: system`, `eager_input_streaming`).
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from lib import config
from lib.core import catalog
from lib.core.errors import ApiError, Code
from lib.core.order import Order, order_of
from lib.media.image_size import size_of
from tests.world import ROOT

TODAY = dt.date(2026, 11, 30)
SHOP = catalog.build(config.read_config(ROOT / "config.yaml"))
CHAT = "/openai/v1/chat/completions"
RESPONSES = "/openai/v1/responses"
MESSAGES = "/anthropic/v1/messages"
HELLO: dict[str, Any] = {"role": "user", "content": "Hello"}
CALL: dict[str, Any] = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
ANSWER: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "refusal": None,
    "annotations": [],
    "audio": None,
    "function_call": None,
    "tool_calls": [CALL],
}
"""A message as OpenAI answers it and its SDKs send it back."""
RESULT: dict[str, Any] = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
CODEX: dict[str, Any] = {
    "model": "gpt-6-luna",
    "instructions": "You are Codex.",
    "input": [
        {
            "type": "additional_tools",
            "id": "at_1",
            "role": "developer",
            "tools": [
                {
                    "type": "namespace",
                    "name": "functions",
                    "description": "",
                    "tools": [
                        {"type": "custom", "name": "exec", "description": "runs", "format": {"type": "grammar"}},
                        {"type": "function", "name": "wait", "description": "", "strict": False, "parameters": {}},
                    ],
                }
            ],
        },
        {"type": "message", "id": "msg_1", "role": "developer", "content": [{"type": "input_text", "text": "sandbox"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gAAA"},
        {"type": "function_call", "name": "shell", "namespace": "functions", "arguments": "{}", "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
        {"type": "custom_tool_call", "status": "completed", "call_id": "c2", "name": "apply_patch", "input": "+"},
        {"type": "custom_tool_call_output", "call_id": "c2", "name": "apply_patch", "output": "done"},
    ],
    "tools": [
        {"type": "function", "name": "shell", "description": "runs", "strict": False, "parameters": {"type": "object"}},
        {"type": "custom", "name": "apply_patch", "description": "patches", "format": {"type": "grammar"}},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "a conversation",
    "text": {"verbosity": "medium"},
    "client_metadata": {"x-codex-installation-id": "1"},
}
AGENT: dict[str, Any] = {
    "model": "gpt-6-luna",
    "input": [HELLO],
    "include": [],
    "tools": [{"type": "function", "name": "look", "parameters": {}, "strict": True, "defer_loading": False}],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "metadata": {},
    "prompt_cache_retention": "24h",
    "truncation": "auto",
    "reasoning": {"effort": "low", "summary": None, "mode": None, "context": None},
    "text": {"format": None, "verbosity": None},
    "user": "somebody",
}
CLAUDE_CODE: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 32_000,
    "stream": True,
    "temperature": 1,
    "system": [{"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "signed"},
                {"type": "text", "text": "I look.", "citations": None},
                {"type": "tool_use", "id": "t1", "name": "Read", "input": {}, "caller": {"type": "direct"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "42", "is_error": False}]},
        {"role": "system", "content": "The plan has changed."},
    ],
    "tools": [{"name": "Read", "description": "reads", "input_schema": {}, "eager_input_streaming": True}],
    "metadata": {"user_id": "user_session"},
    "thinking": {"type": "adaptive", "display": "summarized"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
}


def ordered(path: str, body: dict[str, Any]) -> Order:
    place = SHOP.find("POST", path)
    assert place is not None
    return order_of(place, json.dumps(body).encode(), today=TODAY, size_of=size_of)


def sent(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What upstream receives."""
    return json.loads(ordered(path, body).upstream_body("hashed"))


def refused(path: str, body: dict[str, Any]) -> ApiError:
    with pytest.raises(ApiError) as error:
        ordered(path, body)
    return error.value


@pytest.mark.parametrize(
    ("path", "body"),
    [(RESPONSES, CODEX), (RESPONSES, AGENT), (MESSAGES, CLAUDE_CODE)],
    ids=["codex", "agents", "claude code"],
)
def test_an_agent_s_request_is_sold(path: str, body: dict[str, Any]):
    """What only concerns its client is taken and not sent on; the rest is sent as it came."""
    asked = sent(path, body)

    assert asked.keys().isdisjoint({"client_metadata", "context_management", "prompt_cache_retention"})
    assert asked.get("metadata") in (None, {"user_id": "hashed"})
    for name in ("input", "messages", "tools", "system"):
        assert asked.get(name) == body.get(name)


@pytest.mark.parametrize(
    ("path", "model", "more"),
    [
        (CHAT, "gpt-6-luna", {}),
        (
            "/openrouter/v1/chat/completions",
            "minimax/minimax-m3",
            {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}]},
        ),
        ("/groq/v1/chat/completions", "openai/gpt-oss-20b", {"reasoning": "hm"}),
        ("/deepseek/v1/chat/completions", "deepseek-flash", {"reasoning_content": "hm"}),
        ("/mistral/v1/chat/completions", "mistral-small-2603", {}),
        ("/xai/v1/chat/completions", "grok-4.3", {"reasoning_content": "hm"}),
        ("/gemini/v1/chat/completions", "gemini-3.5-flash-lite", {}),
    ],
)
def test_an_answer_is_sent_back_whole(path: str, model: str, more: dict[str, Any]):
    """`messages.append(answer)`, the loop of every tutorial: what says nothing is left out, thoughts are not."""
    asked = sent(path, {"model": model, "messages": [HELLO, {**ANSWER, **more}, RESULT], "metadata": {"a": "b"}})

    assert asked["messages"] == [HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL], **more}, RESULT]
    assert "metadata" not in asked


def test_tools_in_a_namespace_are_counted_and_no_hosted_one_hides_there():
    """The bound has room for what upstream writes around each; a tool that runs at the provider's is refused."""

    def body(*tools: dict[str, Any]) -> dict[str, Any]:
        space = {"type": "namespace", "name": "n", "description": "", "tools": list(tools)}
        added = {"type": "additional_tools", "role": "developer", "tools": [space]}
        return {"model": "gpt-6-luna", "input": [added, HELLO]}

    tool = {"type": "function", "name": "look"}
    without, beside = ordered(RESPONSES, body()).demand, ordered(RESPONSES, body(tool)).demand
    written = beside.input_bytes - without.input_bytes

    assert beside.input_tokens - without.input_tokens == written + 32
    error = refused(RESPONSES, body({"type": "web_search"}))
    assert error.param == "input[0].tools[0].tools[0].type"
    assert "hosted tools are billed apart" in str(error.message)


def test_thoughts_without_their_content_are_left_out():
    """The OpenAI Agents SDK sends them back by id, as if they were stored; a call of a tool beside them is kept."""
    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "42", "status": "completed"}
    named: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": []}
    whole: dict[str, Any] = {**named, "encrypted_content": "gAAA"}

    asked = sent(RESPONSES, {"model": "gpt-6-luna", "input": [HELLO, named, whole, call, result]})

    assert asked["input"] == [HELLO, whole, call, result]


def test_an_answer_with_sound_is_not_sent_back():
    """What would be billed apart is refused, by its name and with the reason."""
    error = refused(CHAT, {"model": "gpt-6-luna", "messages": [HELLO, {**ANSWER, "audio": {"id": "audio_1"}}]})

    assert (error.code, error.param) == (Code.INVALID_FIELD_VALUE, "messages[1].audio")
    assert error.message == "`messages[1].audio` must be one of: null; audio is not sold."


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        (CHAT, {"tools": [{"type": "web_search"}]}, "`tools[0].type` must be one of: function, custom; hosted tools"),
        (CHAT, {"service_tier": "priority"}, "other tiers have prices of their own"),
        (CHAT, {"store": True}, "nothing is stored"),
        (
            RESPONSES,
            {"input": [{"type": "item_reference", "id": "msg_1"}]},
            "nothing is stored, so items are sent whole",
        ),
        (RESPONSES, {"reasoning": {"mode": "pro"}}, "`reasoning.mode` must be one of: standard, null; what others"),
        (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "custom, null; hosted tools"),
        (MESSAGES, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "the hour-long cache is dearer"),
    ],
)
def test_a_refusal_says_why(path: str, body: dict[str, Any], why: str):
    """Where the rules say something of a field, whoever chose another value is told."""
    example = {CHAT: {"messages": [HELLO]}, RESPONSES: {"input": "Hello"}, MESSAGES: {"messages": [HELLO]}}[path]
    model = "claude-sonnet-5-5" if path == MESSAGES else "gpt-6-luna"

    assert why in str(refused(path, {"model": model, **example, **body}).message)


@pytest.mark.parametrize(
    ("path", "field", "model"),
    [(MESSAGES, "max_tokens", "claude-opus-5-5"), (CHAT, "max_completion_tokens", "gpt-6-luna")],
)
def test_a_cap_that_nobody_could_reach_is_the_largest_that_is_sold(path: str, field: str, model: str):
    """The Vercel AI SDK and LangChain send Anthropic's models all that they could ever write: 64,000 and more."""
    order = ordered(path, {"model": model, "messages": [HELLO], field: 128_000})
    largest = order.model.max_output

    assert (order.output_cap, order.cap_is_ours) == (largest, False)
    assert json.loads(order.upstream_body("hashed"))[field] == largest
    assert largest < 128_000


def test_what_a_model_lets_nobody_choose():
    """Anthropic's newer models refuse to be sampled otherwise: told before it is paid. The one value is not sent."""
    body: dict[str, Any] = {"model": "claude-opus-5-5", "max_tokens": 99, "messages": [HELLO]}

    assert "temperature" not in sent(MESSAGES, {**body, "temperature": 1})
    for field in ({"temperature": 0.2}, {"top_p": 0.9}, {"top_k": 1}):
        error = refused(MESSAGES, {**body, **field})
        assert (error.code, error.param) == (Code.INVALID_FIELD_VALUE, next(iter(field)))
        assert "claude-opus-5-5" in str(error.message)
    older = sent(MESSAGES, {**body, "model": "claude-sonnet-4-6", "temperature": 0.2, "top_k": 5})
    assert (older["temperature"], older["top_k"]) == (0.2, 5)
