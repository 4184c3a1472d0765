"""What an endpoint does with each field of a body, in words: the table that is docs/parameters.md."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lib.core.catalog import Endpoint

Rule = dict[str, Any]
"""JSON Schema of one value."""

TYPES = {
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
BOUNDS = (
    ("maxLength", "at most {} characters"),
    ("maxItems", "at most {} items"),
    ("maxProperties", "at most {} members"),
    ("pattern", "matching `{}`"),
)
HASHED = "with a keyed hash of the account, so that the provider can tell buyers apart and not who they are"


class Treatment(StrEnum):
    """What becomes of a field."""

    ALLOWED = "allowed"
    FORCED = "forced"
    """Sent with our value, whatever the buyer sent."""
    DROPPED = "dropped"
    """Accepted and not sent on."""
    REPLACED = "replaced"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field. `name` has dots for members and `[]` for items."""

    name: str
    treatment: Treatment
    words: str


def parameters_of(endpoint: Endpoint) -> Iterator[Parameter]:
    """Every field that the rules of an endpoint name, those inside of others after the field that holds them."""
    request = endpoint.rules.request
    named = [*request.dropped, *request.forced, *request.identity]
    for name, rule in request.properties.items():
        treatment, words = _treated(endpoint, name, rule)
        yield Parameter(name, treatment, "; ".join([words, *_where_fixed(endpoint, name)]))
        if name in named:
            continue
        for path, inner in _inside(name, rule):
            replaced = path in request.identity
            yield Parameter(path, Treatment.REPLACED, HASHED) if replaced else Parameter(path, Treatment.ALLOWED, inner)
    ours = {name: _code(value) for name, value in request.forced.items() if name not in request.properties}
    ours |= {name: "what goes with the model" for model in endpoint.models.values() for name in model.forced}
    for name, value in ours.items():
        if name not in request.refused:
            yield Parameter(name, Treatment.FORCED, f"to {value}")
    for name, sentence in request.refused.items():
        sent = f" We send {ours[name]}." if name in ours else ""
        yield Parameter(name, Treatment.REFUSED, sentence + sent)


def _treated(endpoint: Endpoint, name: str, rule: Rule) -> tuple[Treatment, str]:
    """A field of the body itself."""
    request, words = endpoint.rules.request, _words(rule)
    if name in request.identity:
        return Treatment.REPLACED, HASHED
    if name in request.forced:
        return Treatment.FORCED, f"to {_code(request.forced[name])}; taken: {words}"
    if name in request.dropped:
        return Treatment.DROPPED, f"taken: {words}"
    cap = request.output_cap
    if cap is not None and name in cap.fields:
        sent = "" if name == cap.inject else f"; sent as `{cap.inject}`"
        return Treatment.ALLOWED, f"{words}; more than the model's `max_output` counts as that{sent}"
    if name == "model":
        return Treatment.ALLOWED, "one of the models in the catalog"
    if name in request.required:
        return Treatment.ALLOWED, f"required: {words}"
    return Treatment.ALLOWED, words


def _where_fixed(endpoint: Endpoint, name: str) -> Iterator[str]:
    """The models that let nobody choose this field."""
    models: dict[str, list[str]] = {}
    for model in endpoint.models.values():
        if name in model.fixed:
            only = model.fixed[name]
            models.setdefault("left out" if only is None else f"left out or {_code(only)}", []).append(f"`{model.id}`")
    for words, ids in models.items():
        yield f"{words} with {', '.join(ids)}"


def _inside(path: str, rule: Rule) -> list[tuple[str, str]]:
    """The fields within a value, each once, with what is allowed in any of the forms that the value may have."""
    found: dict[str, list[Rule]] = {}
    for name, inner in _members(path, rule):
        found.setdefault(name, []).append(inner)
    return [(name, _words({"anyOf": rules})) for name, rules in found.items()]


def _members(path: str, rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Members and items, depth first."""
    for form in _forms(rule):
        if "items" in form:
            items = cast("Rule", form["items"])
            if _is_telling(items):
                yield f"{path}[]", items
            yield from _members(f"{path}[]", items)
        for name, inner in cast("dict[str, Rule]", form.get("properties", {})).items():
            yield f"{path}.{name}", inner
            yield from _members(f"{path}.{name}", inner)


def _is_telling(items: Rule) -> bool:
    """Items that are plain objects are told by their members alone."""
    return any("properties" not in form for form in _forms(items))


def _forms(rule: Rule) -> list[Rule]:
    """The forms that a value may have."""
    forms = [form for word in ("anyOf", "oneOf") for form in cast("list[Rule]", rule.get(word, ()))]
    return [inner for form in forms for inner in _forms(form)] if forms else [rule]


def _words(rule: Rule) -> str:
    """What a value may be."""
    forms = _forms(rule)
    choices = [_code(value) for form in forms for value in form.get("enum", ())]
    told = [", ".join(dict.fromkeys(choices))] if choices else []
    told += dict.fromkeys(_form_words(form) for form in forms if "enum" not in form)
    notes = dict.fromkeys(form["description"] for form in [rule, *forms] if "description" in form)
    return "; ".join([" or ".join(told), *notes])


def _form_words(form: Rule) -> str:
    """The words for one form: its types and its bounds."""
    types: list[str] | str = form.get("type", "object" if "properties" in form else ())
    words = " or ".join(TYPES[name] for name in ([types] if isinstance(types, str) else types)) or "anything"
    bounds = [_range(form)] if {"minimum", "maximum"} & form.keys() else []
    bounds += ["not empty"] if {"minItems", "minLength"} & form.keys() else []
    bounds += [text.format(form[word]) for word, text in BOUNDS if word in form]
    if _is_open(form):
        bounds.append("with whatever members" if "properties" not in form else "other members are passed on")
    return ", ".join([words, *bounds])


def _range(form: Rule) -> str:
    low, high = form.get("minimum"), form.get("maximum")
    return f"{low} to {high}" if low is not None and high is not None else f"{low} or more"


def _is_open(form: Rule) -> bool:
    """An object in which other members are passed on."""
    types: list[str] | str = form.get("type", ())
    return "object" in types and form.get("additionalProperties", True) is True


def _code(value: object) -> str:
    return f"`{json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value}`"
