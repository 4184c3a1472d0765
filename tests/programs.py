"""Starts this repository's programs as an operator does, and ends each by its own pid."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.world import ROOT

PROGRAM_LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program did."""

    code: int
    said: str
    complained: str


async def run(program: str, *arguments: str, env: Mapping[str, str], said: str | None = None) -> Ended:
    """Run it to its end; `said` is its input. Only what `env` names is in its environment."""
    command = [sys.executable, str(ROOT / program)]
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        env={"PATH": os.environ["PATH"], "HOME": str(Path("/nonexistent")), **env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complained = await asyncio.wait_for(
        process.communicate(None if said is None else said.encode()), PROGRAM_LIMIT_SECONDS
    )
    return Ended(process.returncode or 0, told.decode(), complained.decode())
