"""How the console tells its answers: as JSON with units in the names, and as text made of the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, TypeAlias, cast

from lib.core.money import BtcPrice, Msat, Sat, UsdPicos

Plain: TypeAlias = Any
"""What JSON knows."""
UNTOLD = frozenset({"order_digest"})
"""It stands for a prompt: who guesses that could prove it by this."""


def plain(value: object) -> Plain:
    """Amounts become numbers whose names end in their unit; bytes hex; moments RFC 3339; dollars text."""
    match value:
        case Enum():
            return value.value
        case bytes():
            return value.hex()
        case datetime():
            return value.isoformat(timespec="seconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Mapping():
            members = cast("Mapping[str, object]", value)
            return dict(_member(name, member) for name, member in members.items() if name not in UNTOLD)
        case str():
            return value
        case Sequence():
            return [plain(item) for item in cast("Sequence[object]", value)]
        case _ if is_dataclass(value):
            return plain({field.name: getattr(value, field.name) for field in fields(value)})
        case _:
            return value


def _member(name: str, value: object) -> tuple[str, Plain]:
    match value:
        case Msat():
            return _named(name, "msat"), value.value
        case Sat():
            return _named(name, "sat"), value.value
        case UsdPicos() | BtcPrice():
            return _named(name, "usd"), f"{value.usd():f}"
        case _:
            return name, plain(value)


def _named(name: str, unit: str) -> str:
    return name if name.endswith(f"_{unit}") else f"{name}_{unit}"


def as_json(told: Plain) -> str:
    """For programs."""
    return json.dumps(told, indent=2, ensure_ascii=False)


def as_text(told: Plain) -> str:
    """For people: names and values, lists as tables."""
    return "\n".join(_lines(told, ""))


def _lines(told: Plain, indent: str) -> list[str]:
    match told:
        case dict():
            return _pairs(cast("dict[str, Plain]", told), indent)
        case list():
            items = cast("list[Plain]", told)
            if items and all(isinstance(item, dict) for item in items):
                return _table(cast("list[dict[str, Plain]]", items), indent)
            return [f"{indent}{_word(item)}" for item in items] or [f"{indent}none"]
        case _:
            return [f"{indent}{_word(told)}"]


def _pairs(told: dict[str, Plain], indent: str) -> list[str]:
    simple = {name: value for name, value in told.items() if not isinstance(value, dict | list)}
    width = max((len(name) for name in simple), default=0)
    lines = [f"{indent}{_spaced(name):<{width}}  {_word(value)}".rstrip() for name, value in simple.items()]
    for name, value in told.items():
        if name not in simple:
            lines += [f"{indent}{_spaced(name)}:", *_lines(value, indent + "  ")]
    return lines


def _table(rows: list[dict[str, Plain]], indent: str) -> list[str]:
    """Columns in which no row has anything are left out."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if any(row.get(name) not in (None, [], "") for row in rows)]
    cells = [[_spaced(name) for name in names], *([_word(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    numeric = [all(isinstance(row.get(name), int | None) for row in rows) for name in names]
    return [
        indent
        + "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]


def _spaced(name: str) -> str:
    """A name as people write it."""
    return name.replace("_", " ")


def _word(value: Plain) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)
