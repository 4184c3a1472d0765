"""A client in a process of its own, spoken to in lines of JSON."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients.answer import Answer
from tests.clients.observed import Ask

ANSWER_SECONDS = 30.0
END_SECONDS = 5.0


@dataclass(slots=True)
class Buyer:
    """A running program; a line there, a line back."""

    program: asyncio.subprocess.Process
    way: str | None = None
    """How a credential is presented; None for a client that pays by itself."""
    credential: str | None = None

    def give(self, credential: str) -> None:
        """Presented from the next question on."""
        if self.way is None:
            raise TypeError("it pays by itself")
        self.credential = credential

    async def ask(self, ask: Ask) -> Answer:
        """One question. Fails if the program has ended; why is on its stderr."""
        assert self.program.stdin is not None and self.program.stdout is not None
        question = {"body": ask.body, "credential": self.credential, "way": self.way}
        self.program.stdin.write(json.dumps(question).encode() + b"\n")
        line = await asyncio.wait_for(self.program.stdout.readline(), ANSWER_SECONDS)
        assert line, "the client's program has ended"
        return Answer(**json.loads(line))


@asynccontextmanager
async def buyer(
    *command: str, cwd: Path, way: str | None = None, env: Mapping[str, str] | None = None
) -> AsyncGenerator[Buyer]:
    """Start the program, with `env` over our own environment; it ends when its input does."""
    program = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Buyer(program, way)
    finally:
        assert program.stdin is not None
        program.stdin.close()
        try:
            await asyncio.wait_for(program.wait(), END_SECONDS)
        except TimeoutError:
            program.kill()
            await program.wait()
