"""The doubles of providers that speak OpenAI's chat completions differ from it as those do."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest

from lib.demo.compatible import DIALECTS
from lib.demo.parts import DemoParts

ASKED: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def provider(parts: DemoParts, request: pytest.FixtureRequest) -> AsyncGenerator[openai.AsyncOpenAI]:
    """OpenAI's SDK, without repetitions, at the double that the test names."""
    url = parts.upstream_environment[f"{request.param.upper()}_BASE_URL"]
    async with openai.AsyncOpenAI(base_url=url, api_key=parts.upstream_key, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("provider", [dialect.name for dialect in DIALECTS], indirect=True)
async def test_each_answers_whatever_the_model(provider: openai.AsyncOpenAI) -> None:
    """Which models there are is the configuration's to say."""
    answer = await provider.chat.completions.create(model="any/model-7", messages=ASKED)

    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (8, 17)


@pytest.mark.parametrize("provider", ["mistral"], indirect=True)
async def test_mistral_says_its_usage_unasked_and_refuses_to_be_asked(provider: openai.AsyncOpenAI) -> None:
    """Every stream ends with it; `stream_options` is 422."""
    stream = await provider.chat.completions.create(model="m", messages=ASKED, stream=True)
    assert [chunk.usage.completion_tokens async for chunk in stream if chunk.usage] == [17]

    with pytest.raises(openai.UnprocessableEntityError, match="stream_options"):
        await provider.chat.completions.create(
            model="m", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )


@pytest.mark.parametrize(
    ("provider", "field"), [("mistral", "max_completion_tokens"), ("xai", "max_tokens")], indirect=["provider"]
)
async def test_each_knows_one_word_for_the_cap(provider: openai.AsyncOpenAI, field: str) -> None:
    """A double that took both would hide that a cap was sent in vain."""
    with pytest.raises(openai.UnprocessableEntityError, match=field):
        await provider.chat.completions.create(model="m", messages=ASKED, extra_body={field: 5})
