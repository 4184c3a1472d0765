"""Which files of the build a page begins with, so that its HTML names them all and no script waits for another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

MANIFEST = Path(".vite", "manifest.json")
"""What Vite calls each module's file, and which others the file imports."""
ENTRY = "index.html"

Manifest = Mapping[str, Mapping[str, Any]]


def manifest_in(dist: Path) -> Manifest:
    """The build's manifest; empty where there is none."""
    try:
        return json.loads((dist / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def scripts_of(modules: Iterable[str], manifest: Manifest) -> list[str]:
    """The files of modules and of all that they import, each once, without those that `index.html` names itself.

    A module that the build does not have is left out: the app finds it by itself.
    """
    named = set(_with_imports([ENTRY], manifest))
    wanted = dict.fromkeys(_with_imports(modules, manifest))
    return [manifest[module]["file"] for module in wanted if module not in named]


def _with_imports(modules: Iterable[str], manifest: Manifest) -> Iterator[str]:
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop(0)
        if module in manifest and module not in seen:
            seen.add(module)
            waiting += manifest[module].get("imports", [])
            yield module
