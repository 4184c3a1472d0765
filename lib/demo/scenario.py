"""How the doubles of upstreams misbehave, set from outside while it runs: one scenario for every request, or a mix."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

BARRIER_LIMIT_SECONDS = 30.0
HANG_LIMIT_SECONDS = 300.0
MAX_DELAY_MS = 600_000
MAX_CHUNKS = 100_000
MAX_CHUNK_BYTES = 10_000_000
MAX_DRAWS = 100

Milliseconds = Annotated[int, Field(ge=0, le=MAX_DELAY_MS)]
Count = Annotated[int, Field(ge=0, le=MAX_CHUNKS)]


class Scenario(BaseModel):
    """What goes wrong; the defaults are a well-behaved upstream. Unknown names are refused.

    A chunk is one event of a stream that carries text. Chunks are counted over all choices.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    status: int | None = Field(default=None, ge=100, le=599, description="Answer this status with an error body.")
    error: Any = Field(default=None, description="The body's `error` value, or a default for the status.")
    retry_after: str | int | float | None = Field(default=None, description="The reply's Retry-After.")
    headers: dict[str, str] = Field(default={}, description="More reply headers.")
    chunks: Count | None = Field(default=None, description="Text comes in this many pieces.")
    chunk_bytes: int | None = Field(default=None, ge=1, le=MAX_CHUNK_BYTES, description="Each piece is this long.")
    chunk_delay_ms: Milliseconds = Field(default=0, description="Wait before each chunk.")
    first_byte_delay_ms: Milliseconds = Field(default=0, description="Wait before the status line.")
    hang_before_answer: bool = Field(default=False, description="No answer while this scenario lasts.")
    usage: Any = Field(default=None, description="Said instead of the real usage; null is said as null.")
    usage_raw: str | None = Field(default=None, description="The same as raw text, for what JSON cannot say.")
    usage_missing: bool = Field(default=False, description="No usage at all.")
    usage_twice: bool = Field(default=False, description="In a stream two usage chunks, in JSON the key twice.")
    content: str | None = Field(default=None, description="The answer's text.")
    reasoning_only: bool = Field(default=False, description="All tokens went into reasoning; the answer is empty.")
    cut_after_chunks: Count | None = Field(default=None, description="The connection ends after this many chunks.")
    error_in_band_after_chunks: Count | None = Field(default=None, description="An error event, then the end.")
    failed: bool = Field(default=False, description="A response (of OpenAI's Responses) ends as one that failed.")
    no_done: bool = Field(default=False, description="The stream ends without its last event, `[DONE]` for one.")
    close_before_answer: bool = Field(default=False, description="The connection ends once the request was read.")
    redirect: bool = Field(default=False, description="302 to another address of this double.")
    not_json: bool = Field(default=False, description="200 with a page of HTML.")
    split_bytes: int | None = Field(default=None, ge=1, description="Write the reply in pieces of this many bytes.")
    wait_for: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=0,
        validation_alias=AliasChoices("wait_for", "hold"),
        description="Hold every reply until this many requests have arrived.",
    )
    times: int | None = Field(default=None, ge=1, description="Lasts for so many requests.")

    def usage_texts(self, real: dict[str, Any]) -> list[str]:
        """The JSON texts to give as usage: none, one, or two."""
        if self.usage_missing:
            return []
        said = self.usage if "usage" in self.model_fields_set else real
        text = self.usage_raw if self.usage_raw is not None else json.dumps(said)
        return [text, text] if self.usage_twice else [text]


class Draw(BaseModel):
    """One scenario of a mix. The default is a well-behaved upstream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(gt=0, description="How often it is drawn, in proportion to the others.")
    scenario: Scenario = Scenario()

    @model_validator(mode="after")
    def _alone(self) -> Draw:
        if self.scenario.times is not None or self.scenario.wait_for:
            raise ValueError("a mix draws for each request alone: neither `times` nor `wait_for`")
        return self


class Mix(BaseModel):
    """Every request draws one of these, until a scenario or another mix is set. One seed draws the same order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    draws: list[Draw] = Field(min_length=1, max_length=MAX_DRAWS)


class Running:
    """A scenario while it lasts. Requests that arrived in it stay in it, and wait here."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._arrived = 0
        self._everybody_is_here = asyncio.Event()
        self._over = asyncio.Event()

    def arrive(self) -> bool:
        """Count one request. False when it was the last one of this scenario."""
        self._arrived += 1
        if self._arrived >= self.scenario.wait_for:
            self._everybody_is_here.set()
        return self.scenario.times is None or self._arrived < self.scenario.times

    def end(self) -> None:
        """Let everybody go."""
        self._over.set()
        self._everybody_is_here.set()

    async def until_everybody_is_here(self) -> None:
        """The barrier. Raises TimeoutError after BARRIER_LIMIT_SECONDS."""
        async with asyncio.timeout(BARRIER_LIMIT_SECONDS):
            await self._everybody_is_here.wait()

    async def until_over(self) -> None:
        """Returns once another scenario was set. Raises TimeoutError after HANG_LIMIT_SECONDS."""
        async with asyncio.timeout(HANG_LIMIT_SECONDS):
            await self._over.wait()


class Stage:
    """The scenario that new requests arrive in."""

    def __init__(self) -> None:
        self._running = Running(Scenario())
        self._used_up: list[Running] = []
        self._drawn: list[Running] = []
        self._random = random.Random()
        self.mixed: Mix | None = None
        """The mix that new requests draw from, if there is one."""

    @property
    def current(self) -> Scenario:
        """What the next request will meet."""
        return self._running.scenario

    def set(self, scenario: Scenario) -> None:
        """Replaces the old scenario or mix; who hangs in an old one is let go."""
        for running in [*self._used_up, *self._drawn, self._running]:
            running.end()
        self._used_up, self._drawn, self.mixed = [], [], None
        self._running = Running(scenario)

    def mix(self, mix: Mix) -> None:
        """Replaces the old scenario or mix; every request draws its own from now on."""
        self.set(Scenario())
        self._drawn, self.mixed = [Running(draw.scenario) for draw in mix.draws], mix
        self._random = random.Random(mix.seed)

    def arrive(self) -> Running:
        """One request has arrived."""
        if self.mixed is not None:
            drawn = self._random.choices(self._drawn, [draw.weight for draw in self.mixed.draws])[0]
            drawn.arrive()
            return drawn
        running = self._running
        if not running.arrive():
            self._used_up.append(running)
            self._running = Running(Scenario())
        return running
