"""The contract over HTTP: errors, CORS, models, catalog, bounds; and what upstream sees of a buyer: nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import openai
import pytest

from lib.store.ledger import Owner
from tests.world import CHAT, HELLO, World

SHORT = "/v1/chat/completions"
ERROR_MEMBERS = ["message", "type", "param", "code", "next_action"]
SDK_HEADERS = "authorization,content-type,x-stainless-lang,x-stainless-retry-count,openai-organization,x-max-price-msat"
MESSAGES = '"messages":[{"role":"user","content":"Hello"}]'


def error_of(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """An error in OpenAI's shape, and nothing beside it; its `error` object."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error"] and list(body["error"])[:5] == ERROR_MEMBERS
    assert body["error"]["code"] == code, answer.text
    assert body["error"]["message"] and body["error"]["next_action"]
    assert "www-authenticate" not in answer.headers
    return body["error"]


# Errors and pages


async def test_an_unknown_address_is_404_in_json(world: World):
    """Below the API's prefixes, and for every method but GET anywhere, it is never the web page."""
    for address in """GET /api/nothing, GET /v1/nothing, GET /openai/nothing, GET /openai/v1/files, GET /metrics/x,
        POST /openai/v1/nothing, POST /nothing, DELETE /, GET /docs/../api/x, GET /nobody/v1/models""".split(","):
        method, path = address.split()
        error_of(await world.client.request(method, path), 404, "api_not_found")


async def test_a_wrong_method_is_405_in_json(world: World):
    """It names the method that is sold there."""
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        for path in (CHAT, SHORT):
            answer = await world.client.request(method, path)

            error_of(answer, 405, "method_not_allowed")
            assert answer.headers["allow"] == "POST"


async def test_a_slash_too_many_is_no_other_address(world: World):
    """A base URL that ends in a slash, and a path that does."""
    for path in ("/v1//chat/completions", f"{CHAT}/", f"{CHAT}?beta=true"):
        assert (await world.client.post(path, json=HELLO)).status_code == 402
    assert (await world.client.get("/v1/models/")).json()["object"] == "list"


async def test_head_is_answered_like_get(world: World):
    """Programs that watch an address ask so."""
    for path in ("/v1/models", "/api/health/live", "/api/catalog", "/v1/nothing", CHAT):
        head, get = await world.client.head(path), await world.client.get(path)

        assert (head.status_code, head.headers["content-type"]) == (get.status_code, get.headers["content-type"])
        assert head.content == b""


async def test_other_pages_are_the_site(world: World):
    """The single-page application, or the notice that it was not built; with its security policy."""
    for path in ("/", "/catalog", "/anything/else"):
        answer = await world.client.get(path)

        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.status_code == 200 or "has not been built" in answer.text
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_every_answer_has_a_request_id_of_its_own(world: World):
    """Pages, free routes, errors, challenges and sales; a client cannot choose it."""
    paid = await world.buy()
    answers = [
        await world.ask(),
        await world.ask(paid=paid),
        await world.ask({}),
        await world.client.get("/api/catalog"),
        await world.client.get("/api/balance"),
        await world.client.get("/v1/models", headers={"X-Request-Id": "mine"}),
        await world.client.get("/api/nothing"),
        await world.client.get("/"),
        await world.client.options(
            CHAT, headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        ),
    ]

    ids = [answer.headers["x-request-id"] for answer in answers]

    assert all(re.fullmatch(r"req_[0-9a-f]{32}", found) for found in ids)
    assert len(set(ids)) == len(ids)
    assert [entry.call.request_id for entry in await world.entries(paid) if entry.call] == [ids[1]]


@pytest.mark.parametrize("path", [CHAT, "/api/balance"])
async def test_a_fault_of_ours_is_told_in_the_same_shape(world: World, path: str):
    """500 `internal_error` with a request id to report, and nothing of what happened inside."""
    paid = await world.buy()
    world.exchange(ledger=object())  # every operation is an AttributeError

    answer = await world.client.request("POST" if path == CHAT else "GET", path, json=HELLO, headers=paid.headers)

    error_of(answer, 500, "internal_error")
    assert "AttributeError" not in answer.text and answer.headers["x-request-id"]


# CORS


async def test_a_browser_s_sdk_may_call(world: World):
    """The preflight of any origin with an SDK's own headers is allowed, for a day."""
    answer = await world.client.options(
        CHAT,
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": SDK_HEADERS,
        },
    )

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"].split(",") == SDK_HEADERS.split(",")
    assert answer.headers["access-control-max-age"] == "86400"
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_browser_may_read_what_it_needs(world: World):
    """Challenge, price, charge, balance and request id are exposed, on the 402 as well as on the answer."""
    paid = await world.buy()
    origin = "https://app.example"

    answers = [
        await world.ask(Origin=origin),
        await world.ask(paid=paid, Origin=origin),
        await world.ask({}, Origin=origin),
    ]

    exposed = """WWW-Authenticate X-Lightning-Invoice X-Payment-Hash X-Price-Sats X-Topup-URL X-Charge-Msat
        X-Balance-Msat X-Request-Id Retry-After Payment-Receipt""".split()
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert set(exposed) <= set(answer.headers["access-control-expose-headers"].split(", "))


# Models and catalog


@pytest.mark.parametrize("path", ["/v1/models", "/openai/v1/models"])
async def test_the_models_in_openai_s_shape(world: World, path: str):
    """What is sold here, not what upstream has; an SDK's `models.list()` reads it."""
    answer = await world.client.get(path)
    body = answer.json()

    assert answer.status_code == 200 and body["object"] == "list"
    assert next(model for model in body["data"] if model["id"] == "gpt-4o-mini") == {
        "id": "gpt-4o-mini",
        "object": "model",
        "created": 0,
        "owned_by": "openai",
        "shutdown_date": "2127-01-14",
        "type": "model",
        "display_name": "gpt-4o-mini",
        "created_at": "1970-01-01T00:00:00Z",
    }
    assert {model["owned_by"] for model in body["data"]} == {"openai"}
    assert len({model["id"] for model in body["data"]}) == len(body["data"]) > 10
    assert world.parts.journal() == []


async def test_the_sdks_read_the_models(world: World):
    """`models.list()` and `models.retrieve()` of OpenAI's SDK and of Anthropic's, also where a name holds a slash."""
    async with openai.AsyncOpenAI(base_url=f"{world.url}/groq/v1", api_key="l402", max_retries=0) as client:
        assert "openai/gpt-oss-20b" in [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("openai/gpt-oss-20b")).owned_by == "groq"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("gpt-4o-mini")
    async with anthropic.AsyncAnthropic(base_url=f"{world.url}/anthropic", api_key="l402", max_retries=0) as claude:
        [first, *_] = [model async for model in claude.models.list()]
        assert (first.type, first.display_name, first.created_at.year) == ("model", "claude-haiku-5-5", 1970)
        assert (await claude.models.retrieve("claude-haiku-5-5")).id == "claude-haiku-5-5"


async def test_the_catalog(world: World):
    """What is sold, its limits, an example, and prices in USD as text, msat as integers and sats as text."""
    answer = await world.client.get("/api/catalog")
    body = answer.json()
    api = body["apis"][0]
    endpoint = api["endpoints"][0]
    [model] = [model for model in endpoint["models"] if model["id"] == "gpt-4o-mini"]

    assert body["btc_price"]["usd"] == "100000" and body["btc_price"]["age_seconds"] == 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["btc_price"]["at"])
    assert body["topup"] == {"enabled": True, "min_sats": 100, "max_sats": 1_000_000, "bare_claim_max_sats": 10_000}
    assert (api["name"], api["default"], api["title"], api["available"]) == ("openai", True, "OpenAI", True)
    assert (endpoint["method"], endpoint["path"], endpoint["url"]) == ("POST", SHORT, CHAT)
    assert (endpoint["content_type"], endpoint["streaming"]) == ("json", True)
    assert endpoint["limits"] == {"max_body_bytes": 10_485_760}
    assert model == {
        "id": "gpt-4o-mini",
        "prices": [
            {"unit": "input_token", "per": 1_000_000, "usd": "0.195", "msat": 195_000, "sats": "195"},
            {"unit": "cached_input_token", "per": 1_000_000, "usd": "0.0975", "msat": 97_500, "sats": "97.5"},
            {"unit": "cache_write_token", "per": 1_000_000, "usd": "0.195", "msat": 195_000, "sats": "195"},
            {"unit": "output_token", "per": 1_000_000, "usd": "0.78", "msat": 780_000, "sats": "780"},
        ],
        "context": 128_000,
        "max_output": 16_384,
        "default_max_output": 2_048,
        "typical_price_msat": 332,
        "shutdown": "2127-01-14",
        "paused": False,
    }


async def test_the_catalog_s_example_is_sold(world: World):
    """Whoever copies it gets a challenge, and its required field and bad values are refused as it says."""
    api = (await world.client.get("/api/catalog")).json()["apis"][0]
    endpoint = api["endpoints"][0]
    body, e2e = endpoint["example"]["body"], endpoint["example"]["e2e"]

    good = await world.client.post(endpoint["url"], json=body)
    lacking = await world.client.post(
        endpoint["url"], json={name: value for name, value in body.items() if name != e2e["required_field"]}
    )
    wrong = await world.client.post(endpoint["url"], json=body | e2e["invalid"])

    assert good.status_code == 402
    assert error_of(lacking, 400, "missing_required_field")["param"] == e2e["required_field"]
    error_of(wrong, 400, "invalid_field_value")


async def test_the_default_api_answers_below_v1(world: World):
    """`base_url=https://host/v1` works: the same sale, the same credential."""
    challenge = await world.client.post(SHORT, json=HELLO)
    paid = await world.pay(challenge)

    answers = [await world.client.post(path, json=HELLO, headers=paid.headers) for path in (SHORT, CHAT)]

    assert [answer.status_code for answer in answers] == [200, 200]


# The buyer's own bound


LOGPROBS = {"logprobs": True, "top_logprobs": 20}
TOLD: dict[str, Any] = {"include": ["message.output_text.logprobs"], "top_logprobs": 20}
RESPONSE: dict[str, Any] = {"model": "gpt-4o-mini", "input": "Hello"}


@pytest.mark.parametrize(
    ("path", "body", "fits"),
    [
        (CHAT, {**HELLO, **LOGPROBS}, True),
        (CHAT, {**HELLO, **LOGPROBS, "max_tokens": 16_000}, False),
        (CHAT, {**HELLO, **LOGPROBS, "n": 8}, False),
        (CHAT, {**HELLO, "top_logprobs": 20, "max_tokens": 16_000}, True),
        (CHAT, {**HELLO, "logprobs": True, "max_tokens": 16_000}, True),
        ("/openai/v1/responses", {**RESPONSE, **TOLD, "max_output_tokens": 16_000}, False),
        ("/openai/v1/responses", {**RESPONSE, "top_logprobs": 20, "max_output_tokens": 16_000}, True),
    ],
)
async def test_an_answer_that_would_be_too_large_is_not_sold(world: World, path: str, body: dict[str, Any], fits: bool):
    """Nobody could be handed 20 log probabilities beside each of so many tokens: 400 before any invoice."""
    answer = await world.client.post(path, json=body)

    if fits:
        assert answer.status_code == 402
    else:
        error = error_of(answer, 400, "invalid_field_value")
        assert error["param"] in {"max_completion_tokens", "max_output_tokens"} and "13315 tokens" in error["message"]
    assert await world.invoices() == fits


async def test_a_price_above_the_buyer_s_limit(world: World):
    """402 price_above_limit without a challenge or invoice, for the unpaid and for who has paid."""
    paid = await world.buy()

    for payer in (None, paid):
        answer = await world.ask(paid=payer, X_Max_Price_Msat="1642")
        error = error_of(answer, 402, "price_above_limit")
        assert error["max_price_msat"] == 1_643

    assert await world.invoices() == 1 and world.parts.journal() == []


async def test_a_price_within_the_buyer_s_limit(world: World):
    """Exactly the ceiling is within."""
    challenge = await world.ask(X_Max_Price_Msat="1643")
    answer = await world.ask(paid=await world.pay(challenge), X_Max_Price_Msat="1643")

    assert (challenge.status_code, answer.status_code) == (402, 200)


async def test_a_limit_that_is_no_number(world: World):
    """400 before any invoice: a bound that cannot be read must not pass as none."""
    for value in ("", "-1", "1.5", "1e3", "many", "9" * 17):
        error_of(await world.ask(X_Max_Price_Msat=value), 400, "invalid_field_value")

    assert await world.invoices() == 0


# What upstream sees


async def test_upstream_sees_nothing_of_the_buyer(world: World):
    """Our headers and our key only, whatever the buyer sent along."""
    paid = await world.buy()

    await world.ask(
        paid=paid,
        Cookie="session=buyer",
        User_Agent="buyer/1.0",
        X_Forwarded_For="198.51.100.7",
        X_Stainless_Lang="python",
        OpenAI_Organization="org-buyer",
        OpenAI_Project="proj-buyer",
        Idempotency_Key="buyer-key",
        Referer="https://buyer.example",
        X_Custom="buyer",
    )

    [entry] = world.parts.journal()
    assert entry["authorized"] is True
    headers = {name: value for name, value in entry["headers"].items() if name not in {"host", "content-length"}}
    assert headers.pop("authorization").startswith("sha256:")  # the double shows only a digest of our key
    assert headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "alittlebitofmoney",
    }
    assert (entry["method"], entry["path"], entry["query"]) == ("POST", SHORT, "")


async def test_a_query_is_not_passed_on(world: World):
    """What is not part of the Order does not travel."""
    paid = await world.buy()

    answer = await world.client.post(f"{CHAT}?debug=1&api-version=x", json=HELLO, headers=paid.headers)

    assert answer.status_code == 200
    assert world.parts.journal()[0]["query"] == ""


async def test_upstream_gets_the_body_that_was_priced(world: World):
    """The buyer's fields serialised again, with what we force, our cap, and nothing of the buyer's identity."""
    identity = {"user": "alice", "safety_identifier": "alice", "prompt_cache_key": "alice"}
    asked = {**HELLO, **identity, "temperature": 0.5, "service_tier": "auto", "store": False, "seed": None}
    paid = await world.pay(await world.ask(asked))

    await world.ask(asked, paid)

    body = world.parts.journal()[0]["body"]
    buyer = body.pop("safety_identifier")
    assert body.pop("prompt_cache_key") == buyer and re.fullmatch(r"[0-9a-f]{32}", buyer)
    assert body == {
        **HELLO,
        "temperature": 0.5,
        "service_tier": "default",
        "store": False,
        "max_completion_tokens": 2_048,
    }


async def test_the_buyer_s_own_cap_is_kept(world: World):
    """In the provider's own field, whichever of the two it was sent in; ours is not sent beside it."""
    asked = {**HELLO, "max_tokens": 50}
    paid = await world.pay(await world.ask(asked))

    await world.ask(asked, paid)

    body = world.parts.journal()[0]["body"]
    assert body["max_completion_tokens"] == 50 and "max_tokens" not in body


async def test_upstream_can_tell_accounts_apart_but_not_who_they_are(world: World):
    """One stable name for each account, whatever its credential: neither its id nor anything it was paid with."""
    first, second = await world.buy(), await world.buy()
    joined = await world.pay(await world.ask({**HELLO, "max_completion_tokens": 16_384}, first))

    for paid in (first, first, joined, second):
        await world.ask(paid=paid)

    names = [entry["body"]["safety_identifier"] for entry in world.parts.journal()]
    assert names[0] == names[1] == names[2] != names[3]
    account = await world.account(first)
    secrets = [account.account, first.payment_hash.hex(), Owner.of_payment(first.payment_hash).digest.hex()]
    assert not any(names[0] in secret or secret in names[0] for secret in secrets)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_buyer_sees_nothing_of_our_standing_with_upstream(world: World, stream: bool):
    """Organisation, rate limits, cookies and whatever else upstream adds stay with us."""
    world.parts.scenario(
        headers={
            "openai-organization": "org-ours",
            "openai-project": "proj-ours",
            "openai-processing-ms": "12",
            "x-ratelimit-remaining-requests": "9",
            "x-request-id": "req_upstream",
            "set-cookie": "__cf_bm=ours",
            "cf-ray": "ours",
            "strict-transport-security": "max-age=1",
        }
    )
    paid = await world.buy({**HELLO, "stream": stream})

    answer = await world.ask({**HELLO, "stream": stream}, paid)

    ours = {"date", "server", "content-type", "cache-control", "vary", "x-request-id"}
    ours |= {"transfer-encoding"} if stream else {"content-length", "x-charge-msat", "x-balance-msat"}
    assert answer.status_code == 200 and set(answer.headers) == ours
    assert answer.headers["x-request-id"] != "req_upstream" and answer.headers["cache-control"] == "no-store"


# Requests that parsers disagree on, and all others that are not sold


@dataclass(frozen=True)
class BadBody:
    """A body, the code it is refused with, and the field that is named."""

    body: str | bytes
    code: str
    param: str | None = None


async def refused(world: World, bad: BadBody) -> tuple[str, str | None]:
    """The code of a 400, and the field it names."""
    answer = await world.client.post(CHAT, content=bad.body, headers={"Content-Type": "application/json"})
    error = error_of(answer, 400, answer.json()["error"]["code"])
    assert error["type"] == "invalid_request_error"
    return error["code"], error["param"]


def with_field(text: str) -> str:
    """HELLO with one more field, as raw JSON."""
    return f'{{"model":"gpt-4o-mini",{MESSAGES},{text}}}'


UNCLEAR = {
    "duplicate model": BadBody(f'{{"model":"gpt-4o-mini","model":"gpt-4o",{MESSAGES}}}', "invalid_json"),
    "duplicate below": BadBody(
        '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"a","content":"b"}]}', "invalid_json"
    ),
    "duplicate by escape": BadBody(with_field(r'"n":1,"\u006e":8'), "invalid_json"),
    "NaN": BadBody(with_field('"temperature":NaN'), "invalid_json"),
    "Infinity": BadBody(with_field('"temperature":-Infinity'), "invalid_json"),
    "1e999": BadBody(with_field('"temperature":1e999'), "invalid_json"),
    "huge integer": BadBody(with_field('"seed":123456789012345678901234567890'), "invalid_json"),
    "too many digits": BadBody(with_field('"seed":' + "1" * 10_000), "invalid_json"),
    "lone surrogate": BadBody(
        r'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"\ud800"}]}', "invalid_json"
    ),
    "deep nesting": BadBody(with_field('"tools":' + "[" * 50_000 + "]" * 50_000), "invalid_json"),
    "deep objects": BadBody(with_field('"x":' + '{"a":' * 2_000 + "1" + "}" * 2_000), "invalid_json"),
    "not JSON": BadBody("hello", "invalid_json"),
    "a list": BadBody("[]", "invalid_json"),
    "null": BadBody("null", "invalid_json"),
    "empty": BadBody("", "invalid_json"),
    "cut off": BadBody('{"model":"gpt-4o-mini"', "invalid_json"),
    "two documents": BadBody("{}{}", "invalid_json"),
    "not UTF-8": BadBody(b'{"model":"\xff"}', "invalid_json"),
}
WRONG = {
    "boolean cap": BadBody(with_field('"max_tokens":true'), "invalid_field_type", "max_tokens"),
    "boolean n": BadBody(with_field('"n":true'), "invalid_field_type", "n"),
    "boolean temperature": BadBody(with_field('"temperature":true'), "invalid_field_type", "temperature"),
    "1.0 for n": BadBody(with_field('"n":1.0'), "invalid_field_type", "n"),
    "1e2 for a cap": BadBody(with_field('"max_completion_tokens":1e2'), "invalid_field_type", "max_completion_tokens"),
    "text for n": BadBody(with_field('"n":"2"'), "invalid_field_type", "n"),
    "n of 0": BadBody(with_field('"n":0'), "invalid_field_value", "n"),
    "n above": BadBody(with_field('"n":9'), "invalid_field_value", "n"),
    "cap of 0": BadBody(with_field('"max_tokens":0'), "invalid_field_value", "max_tokens"),
    "caps differ": BadBody(
        with_field('"max_tokens":5,"max_completion_tokens":6'), "invalid_field_value", "max_completion_tokens"
    ),
    "unknown field": BadBody(with_field('"best_of":20'), "invalid_field_value", "best_of"),
    "unknown field below": BadBody(
        '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"a","file":{}}]}',
        "invalid_field_value",
        "messages[0]",
    ),
    "an image": BadBody(
        '{"model":"gpt-4o-mini","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"a"}}]}]}',
        "invalid_field_value",
        "messages[0].content[0].image_url.url",
    ),
    "a file": BadBody(
        '{"model":"gpt-4o-mini","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"a"}}]}]}',
        "invalid_field_value",
        "messages[0].content[0].type",
    ),
    "stored": BadBody(with_field('"store":true'), "invalid_field_value", "store"),
    "priority": BadBody(with_field('"service_tier":"priority"'), "invalid_field_value", "service_tier"),
    "hosted tools": BadBody(with_field('"web_search_options":{}'), "invalid_field_value", "web_search_options"),
    "options without stream": BadBody(
        with_field('"stream_options":{"include_usage":true}'), "invalid_field_value", "stream_options"
    ),
    "no messages": BadBody('{"model":"gpt-4o-mini"}', "missing_required_field", "messages"),
    "messages null": BadBody('{"model":"gpt-4o-mini","messages":null}', "missing_required_field", "messages"),
    "no role": BadBody(
        '{"model":"gpt-4o-mini","messages":[{"content":"a"}]}', "missing_required_field", "messages[0].role"
    ),
    "messages empty": BadBody('{"model":"gpt-4o-mini","messages":[]}', "invalid_field_value", "messages"),
    "no model": BadBody(f"{{{MESSAGES}}}", "missing_required_field", "model"),
    "model a number": BadBody(f'{{"model":4,{MESSAGES}}}', "invalid_field_type", "model"),
    "another model": BadBody(f'{{"model":"gpt-3",{MESSAGES}}}', "model_not_supported", "model"),
}


async def test_json_that_parsers_disagree_on_is_refused(world: World):
    """That difference is somebody's money: 400, no invoice."""
    found = {what: await refused(world, bad) for what, bad in UNCLEAR.items()}

    assert found == {what: (bad.code, bad.param) for what, bad in UNCLEAR.items()}
    assert await world.invoices() == 0


async def test_what_is_not_sold_is_refused_by_name(world: World):
    """400 with the code and the field, as OpenAI names it; no invoice."""
    found = {what: await refused(world, bad) for what, bad in WRONG.items()}

    assert found == {what: (bad.code, bad.param) for what, bad in WRONG.items()}
    assert await world.invoices() == 0


async def test_a_bad_request_spends_nothing(world: World):
    """The same refusals for who has paid: nothing is held, sent or charged, and the credential stays good."""
    paid = await world.buy()

    for bad in [*UNCLEAR.values(), *WRONG.values()]:
        answer = await world.client.post(CHAT, content=bad.body, headers=paid.headers)
        error_of(answer, 400, bad.code)

    assert (await world.services.ledger.totals()).accounts == 0 and world.parts.journal() == []
    assert (await world.ask(paid=paid)).status_code == 200


async def test_the_content_type_is_not_asked(world: World):
    """A body is JSON or it is refused, whatever it calls itself."""
    for content_type in ("application/json; charset=utf-8", "text/plain", ""):
        body = f'{{"model":"gpt-4o-mini",{MESSAGES}}}'
        answer = await world.client.post(CHAT, content=body, headers={"Content-Type": content_type})

        assert answer.status_code == 402
