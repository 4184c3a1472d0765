"""Programs of Debian's that these tests use for real: without one a test is skipped with a sentence; in CI it fails."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str, package: str) -> str:
    """Where it is."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/bin") or cannot_run(
        f"no {name} here: apt-get install {package}"
    )


def cannot_run(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{why} (under CI these tests must run)")
    pytest.skip(why)
