"""What programs read to find out what is sold: it says what the server does."""

from __future__ import annotations

import datetime as dt
from typing import Any

import httpx
import jsonschema_rs
import pytest

from lib.core.errors import Code
from lib.core.examples import ORIGIN, TOKEN
from tests.world import CHAT, HELLO, World

JSON = "application/json"
FORM = "multipart/form-data"


async def document_of(world: World) -> dict[str, Any]:
    """The OpenAPI document."""
    answer = await world.client.get("/openapi.json")
    assert answer.status_code == 200 and answer.headers["content-type"] == JSON
    return answer.json()


def faults(document: dict[str, Any], path: str, answer: httpx.Response) -> list[str]:
    """Where an answer differs from what the document says of this path, method and status."""
    operation = document["paths"][path][answer.request.method.lower()]
    told = operation["responses"][str(answer.status_code)]
    if "$ref" in told:
        told = document["components"]["responses"][told["$ref"].rpartition("/")[2]]
    shape = told["content"][JSON]["schema"]
    validator = jsonschema_rs.Draft202012Validator({**shape, "components": document["components"]})
    return [f"{path} {answer.status_code}: {error.message}" for error in validator.iter_errors(answer.json())]


async def test_free_routes_answer_what_the_document_says(world: World):
    """Each has its shape there, with no member more or less: challenges, balances, tokens and histories too."""
    document, client = await document_of(world), world.client
    paid = await world.buy()
    sold = await world.ask(paid=paid)
    assert sold.status_code == 200
    await world.settled(paid)
    offer = await client.post("/topup", json={"amount_sats": 120})
    macaroon = {"Authorization": f"L402 {offer.json()['macaroon']}:"}
    invoice = await client.get(f"/api/invoices/{offer.json()['payment_hash']}", headers=macaroon)
    preimage = (await world.pay(offer)).preimage
    claimed = await client.post("/topup/claim", json={"macaroon": offer.json()["macaroon"], "preimage": preimage})
    token = {"Authorization": f"Bearer {claimed.json()['token']}"}
    answers = {
        "/api/catalog": [await client.get("/api/catalog")],
        "/api/catalog/{api}/{path}": [await client.get(f"/api/catalog{CHAT}")],
        "/api/examples": [await client.get("/api/examples")],
        "/api/errors": [await client.get("/api/errors")],
        "/v1/models": [await client.get("/v1/models")],
        "/{api}/v1/models": [await client.get("/openai/v1/models")],
        "/v1/models/{model}": [await client.get("/v1/models/gpt-4o-mini")],
        "/{api}/v1/models/{model}": [await client.get("/groq/v1/models/openai/gpt-oss-20b")],
        "/api/health": [await client.get("/api/health")],
        "/api/health/live": [await client.get("/api/health/live")],
        "/api/health/ready": [await client.get("/api/health/ready")],
        "/topup": [offer],
        "/api/invoices/{payment_hash}": [invoice, await client.get("/api/invoices/00")],
        "/topup/claim": [claimed],
        "/api/balance": [
            await client.get("/api/balance", headers=token),
            await client.get("/api/balance", headers=paid.headers),
            await client.get("/api/balance"),
        ],
        "/api/usage": [await client.get("/api/usage", headers=paid.headers)],
        "/api/token/rotate": [await client.post("/api/token/rotate", headers=token)],
        "/api/quote/{path}": [
            await client.post(f"/api/quote{CHAT}", json=HELLO),
            await client.post(f"/api/quote{CHAT}", json={}),
        ],
        CHAT: [await world.ask(), await world.ask({})],
    }

    assert [
        fault for path, found in answers.items() for answer in found for fault in faults(document, path, answer)
    ] == []
    sold = tuple(f"/{name}/" for name in world.services.catalog.apis)
    free = {path for path in document["paths"] if not path.startswith(sold)}
    assert free - answers.keys() == {"/api/token"}, "a free route of which nothing was compared"


async def test_the_document_has_every_paid_call_with_its_own_rules(world: World):
    """The body of each is the catalog's: its example fits, a field that is not sold does not."""
    document = await document_of(world)
    for api in world.services.catalog.apis.values():
        for endpoint in api.endpoints.values():
            operation = document["paths"][f"/{api.name}{endpoint.rules.path}"]["post"]
            content = operation["requestBody"]["content"]
            validators = {
                sent_as: jsonschema_rs.Draft202012Validator({**sent["schema"], "components": document["components"]})
                for sent_as, sent in content.items()
            }
            example = endpoint.rules.example

            sent = example.body if example.body is not None else example.fields
            validator = validators[{"json": JSON, "multipart": FORM}[example.content_type]]
            assert sent is not None and validator.is_valid(sent)
            assert not validator.is_valid({**sent, "not_sold": 1})
            assert {"200", "402", "400", "503"} <= operation["responses"].keys()
            assert operation["x-payment-info"]["offers"][0]["method"] == "lightning"


async def test_an_endpoint_in_full(world: World):
    """Its entry of the catalog, the rules of its body, and programs for every way to pay."""
    catalog = (await world.client.get("/api/catalog")).json()
    detail = (await world.client.get(f"/api/catalog{CHAT}")).json()

    assert detail["endpoint"] == catalog["apis"][0]["endpoints"][0]
    assert detail["parameters"]["required"] == ["model", "messages"]
    assert detail["parameters"]["properties"]["temperature"] == {"type": "number", "minimum": 0, "maximum": 2}
    assert detail["parameters"]["output_cap"] == ["max_completion_tokens", "max_tokens"]
    assert "refused" in detail["parameters"]
    assert [example["id"] for example in detail["examples"]] == [
        "curl-l402",
        "curl-token",
        "python",
        "javascript",
        "l402-client",
    ]
    assert all(ORIGIN in example["code"] for example in detail["examples"])
    assert [TOKEN in example["code"] for example in detail["examples"]] == [False, True, True, True, False]


@pytest.mark.parametrize("path", ["/api/catalog/openai/v1/nothing", "/api/catalog/nobody/v1/chat/completions"])
async def test_what_is_not_sold_has_no_page(world: World, path: str):
    """404 in the shape of every error."""
    answer = await world.client.get(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api_not_found")


async def test_the_table_of_errors_is_whole(world: World):
    """Every code, once, with what to do next."""
    rows = (await world.client.get("/api/errors")).json()["errors"]

    assert sorted(row["code"] for row in rows) == sorted(code.code for code in Code)
    assert all(row["message"] and row["next_action"] for row in rows)


async def test_directories_and_language_models_see_what_can_be_bought(world: World):
    """Every paid route with its typical price; what a provider's missing key keeps off sale is left out."""
    catalog = (await world.client.get("/api/catalog")).json()
    urls = [endpoint["url"] for api in catalog["apis"] if api["available"] for endpoint in api["endpoints"]]

    manifest = (await world.client.get("/.well-known/l402-services")).json()
    guide = await world.client.get("/llms.txt")

    assert [route["path"] for route in manifest["routes"]] == urls and manifest["version"] == "1"
    assert all(
        0 < route["price"]["typical_min_msat"] <= route["price"]["typical_max_msat"] for route in manifest["routes"]
    )
    assert guide.headers["content-type"] == "text/plain; charset=utf-8"
    assert [url for url in urls if f"`POST {url}`" not in guide.text] == []
    for link in ("/openapi.json", "/api/catalog", "/api/errors", "/.well-known/l402-services"):
        assert f"({link})" in guide.text and (await world.client.get(link)).status_code == 200


async def test_an_endpoint_that_has_ended_is_told_and_not_offered(world: World):
    """The catalog has the day, a call of it a sentence, directories and language models nothing of it. No invoice."""
    client, later = (
        world.client,
        dt.datetime(2127, 1, 6, 12, tzinfo=dt.UTC).timestamp(),
    )  # the shop ends a century later
    world.exchange(clock=lambda: later)

    catalog = (await client.get("/api/catalog")).json()
    ended = {one["url"]: one for api in catalog["apis"] for one in api["endpoints"] if one["ended"]}
    detail = await client.get("/api/catalog/openai/v1/audio/speech")
    call = await client.post("/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "a"})
    quote = await client.post(
        "/api/quote/openai/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "a"}
    )

    assert {url: (one["ended"], one["models"]) for url, one in ended.items()} == {
        "/openai/v1/audio/speech": ("2127-01-06", [])
    }
    assert detail.json()["endpoint"]["ended"] == "2127-01-06"
    for refused in (call, quote):
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "model_not_supported")
        assert "ended the last model of this endpoint on 2127-01-06" in refused.json()["error"]["message"]
    assert "tts-1" not in {model["id"] for model in (await client.get("/v1/models")).json()["data"]}
    assert "/audio/speech" not in (await client.get("/llms.txt")).text
    assert "/audio/speech" not in (await client.get("/.well-known/l402-services")).text
    assert await world.invoices() == 0


async def test_the_document_follows_a_catalog_that_is_exchanged(world: World):
    """It is made once per catalog, not once per process."""
    before = await document_of(world)
    catalog = world.services.catalog
    openai = catalog.apis["openai"]
    first = dict(list(openai.endpoints.items())[:1])
    world.exchange(catalog=type(catalog)({"openai": type(openai)(openai.name, openai.rules, first)}, None))

    after = await document_of(world)

    assert CHAT in after["paths"] and "/openai/v1/embeddings" in before["paths"]
    assert "/openai/v1/embeddings" not in after["paths"]
    assert (await world.client.post(CHAT, json=HELLO)).status_code == 402


async def test_large_free_answers_are_compressed_for_who_can_read_that(world: World):
    """And plain for who cannot; caches are told to look."""
    for path in ("/openapi.json", "/api/catalog", f"/api/catalog{CHAT}"):
        small = await world.client.get(path, headers={"Accept-Encoding": "gzip"})
        plain = await world.client.get(path, headers={"Accept-Encoding": "identity"})

        assert small.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
        assert int(small.headers["content-length"]) * 3 < int(plain.headers["content-length"])
        assert list(small.json()) == list(plain.json())
        assert "Accept-Encoding" in small.headers["vary"] and "Accept-Encoding" in plain.headers["vary"]
