"""A form's fields are all text: what they mean as JSON values, by the endpoint's own schema."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, cast

from lib.core.errors import ApiError, Code

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?")


def typed(fields: Mapping[str, str | list[str]], properties: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as a JSON body would have them. Raises ApiError for text that is not of its field's type.

    A value has one spelling: `true`, never `True` or `1`; so nobody can read it in another way than we did.
    """
    return {name: _value(name, value, properties[name]) for name, value in fields.items()}


def lists(properties: Mapping[str, Any]) -> frozenset[str]:
    """The fields that may hold several texts."""
    return frozenset(name for name, rule in properties.items() if "array" in _types(rule))


def _value(name: str, value: str | list[str], rule: Any) -> Any:
    if isinstance(value, list):
        return [_one(name, item, rule.get("items", {})) for item in value]
    return _one(name, value, rule)


def _one(name: str, text: str, rule: Any) -> Any:
    types = _types(rule)
    if "boolean" in types and text in {"true", "false"}:
        return text == "true"
    if "integer" in types and INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if not types or "string" in types:
        return text
    raise ApiError(Code.INVALID_FIELD_TYPE, f"`{name}` must be of type {' or '.join(types)}.", param=name)


def _types(rule: Any) -> list[str]:
    kind: object = cast("dict[str, object]", rule).get("type", []) if isinstance(rule, dict) else []
    return [kind] if isinstance(kind, str) else cast("list[str]", kind)
