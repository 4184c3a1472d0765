"""The free quote: the paid call's own body in, what it can cost out, item by item."""

from __future__ import annotations

import base64
import math
from decimal import Decimal
from typing import Any

import pytest

from tests.core.openai_tokenizer import upstream_count
from tests.media.images import still
from tests.world import CHAT, HELLO, World

QUOTE = "/api/quote"


async def quoted(world: World, body: Any = HELLO, path: str = CHAT) -> dict[str, Any]:
    """A quote that is given."""
    answer = await world.client.post(QUOTE + path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_quote_says_what_the_challenge_will_say(world: World):
    """The same ceiling and typical price as the 402 of the same body; no invoice is made for it."""
    before = await world.invoices()
    quote = await quoted(world)
    assert await world.invoices() == before

    offer = (await world.ask()).json()
    assert (quote["max_price_msat"], quote["typical_price_msat"], quote["amount_sats"]) == (
        offer["max_price_msat"],
        offer["typical_price_msat"],
        offer["amount_sats"],
    )


async def test_the_items_add_up_to_the_ceiling(world: World):
    """Rounded up once, at the end; dollars and msat alike at one price."""
    quote = await quoted(world, {**HELLO, "n": 2, "max_tokens": 100})

    assert [(item["unit"], item["quantity"]) for item in quote["line_items"]][1:] == [("output_token", 200)]
    assert math.ceil(sum(Decimal(item["usd"]) for item in quote["line_items"]) * 10**6) == quote["max_price_msat"]
    assert quote["btc_price"]["usd"] == "100000"


async def test_quoting_is_deterministic_and_free_of_credentials(world: World):
    """The same body costs the same, whoever asks."""
    paid = await world.buy()
    with_credential = await world.client.post(QUOTE + CHAT, json=HELLO, headers=paid.headers)
    first, second = await quoted(world), await quoted(world)
    for quote in (first, second, again := with_credential.json()):
        quote["btc_price"].pop("age_seconds")
        quote["btc_price"].pop("at")
    assert first == second == again


async def test_an_image_is_priced_by_its_real_size(world: World):
    """A larger picture is more tokens of input; its bytes are no text."""

    async def tokens(width: int, height: int) -> int:
        url = "data:image/png;base64," + base64.b64encode(still("PNG", width, height)).decode()
        part = {"type": "image_url", "image_url": {"url": url}}
        quote = await quoted(world, {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": [part]}]})
        return sum(item["quantity"] for item in quote["line_items"] if "input" in item["unit"])

    small, large = await tokens(512, 512), await tokens(2048, 2048)
    assert large - small == 2_489 - 415  # 1,536 patches at most, and 256, at 1.62 tokens each


async def test_a_flat_price_is_one_call(world: World):
    """Moderations cost one sat."""
    quote = await quoted(world, {"input": "Hello"}, "/v1/moderations")

    assert (quote["model"], quote["max_price_msat"]) == ("omni-moderation-latest", 1_000)
    assert quote["line_items"] == [{"unit": "call", "quantity": 1, "usd": "0.001", "msat": "1000"}]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (CHAT, {**HELLO, "temperature": 9}, 400, "invalid_field_value"),
        (CHAT, {"model": "gpt-4o-mini"}, 400, "missing_required_field"),
        (CHAT, {**HELLO, "model": "gpt-2"}, 400, "model_not_supported"),
        ("/openai/v1/nothing", HELLO, 404, "api_not_found"),
    ],
)
async def test_a_bad_request_is_told_as_the_call_would(
    world: World, path: str, body: dict[str, Any], status: int, code: str
):
    """The same validation."""
    answer = await world.client.post(QUOTE + path, json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("path", ["/v1/files", "/openai/v1/files/file-1", "/v1/responses/resp_1", "/v1/assistants"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_leaks_state_is_not_sold_and_says_why(world: World, path: str, method: str):
    """404 in OpenAI's shape, with a sentence of its own."""
    answer = await world.client.request(method, path)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "api_not_found")
    assert "store" in error["message"]


async def test_a_long_text_is_counted_beside_the_event_loop(world: World):
    """A text of 200 kB is quoted by its tokens, to the token; one of 300 kB, more than is counted, by its bytes."""
    text = "The quick brown fox jumps over the lazy dog, because it could. "
    long, longer = text * (200_000 // len(text)), text * (300_000 // len(text))

    def asking(content: str) -> dict[str, Any]:
        return {**HELLO, "messages": [{"role": "user", "content": content}]}

    around = (await quoted(world, asking("")))["line_items"][0]["quantity"]
    counted = (await quoted(world, asking(long)))["line_items"][0]["quantity"]
    by_bytes = (await quoted(world, asking(longer)))["line_items"][0]["quantity"]

    assert counted - around == upstream_count(long, "o200k_base")
    assert by_bytes - around == len(longer)
