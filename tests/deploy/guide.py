"""The blocks of SETUP_GUIDE.md."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.world import ROOT

BLOCK = re.compile(r"(?:<!-- tested: (\w+) -->\n)?```bash\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """What an operator pastes."""

    place: str
    """Where it is run by a test: `here`, on the operator's machine, or on the `server`. Empty: by none."""
    text: str


def guide() -> list[Block]:
    """Every block of shell commands, in order."""
    return [Block(place, text) for place, text in BLOCK.findall((ROOT / "SETUP_GUIDE.md").read_text())]


def run_by_tests() -> list[Block]:
    """Those that `test_over_ssh.py` runs."""
    return [block for block in guide() if block.place]
