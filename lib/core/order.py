"""From a request to an Order, or an ApiError: all validation, before any invoice.

What is priced is what is sent: upstream receives only bytes serialised from the Order, so a body that two parsers
could read differently (duplicate keys, NaN, lone surrogates) is refused here.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import jsonschema_rs
import orjson

from lib.core.errors import ApiError, Code
from lib.core.form_values import typed
from lib.core.protocols.images import measured
from lib.core.usage import object_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from lib.core.attached import Attached
    from lib.core.catalog import Api, Endpoint, Model, Place
    from lib.core.form import Form
    from lib.core.protocols.base import Demand, Protocol
    from lib.core.protocols.images import SizeOf
    from lib.core.schema import Request

SHOWN_MAX_CHARS = 80
Rules: TypeAlias = "Mapping[str, Any]"
"""JSON Schema of each field of a body."""
CANDIDATE_BYTES = 120
"""What a token takes of an answer that tells its log probability: its text, that number, and its bytes one by one."""


@dataclass(frozen=True, slots=True)
class Order:
    """A validated request: what upstream will be asked, and the facts that price it."""

    api: Api
    endpoint: Endpoint
    model: Model
    parameters: Mapping[str, Any]
    """The body without the buyer's identity, forced values and output cap included."""
    streaming: bool
    shows_usage: bool
    """The buyer asked to see what a stream used."""
    answers: int
    output_cap: int
    """Tokens each answer may have."""
    cap_is_ours: bool
    """The buyer named no cap, so we injected one."""
    demand: Demand
    """What can be used beside the output."""
    digest: bytes
    """Identifies the same call: API, path, parameters, the hashes of files, and which answer the buyer sees; never raw
    bytes."""
    unpacked: bool = False
    """The buyer gets the bytes that a stream's events carry, not the events."""
    attached: Attached | None = None
    """The files of a form; then upstream is sent a form, too."""

    @property
    def protocol(self) -> Protocol:
        """How its answers are read."""
        return self.endpoint.protocol

    @property
    def path(self) -> str:
        """The endpoint's path below its API."""
        return self.endpoint.rules.path

    def upstream_body(self, buyer: str) -> bytes:
        """The JSON that upstream is sent, byte for byte. `buyer` stands for the account without revealing it."""
        return orjson.dumps(self.upstream_fields(buyer))

    def upstream_fields(self, buyer: str) -> dict[str, Any]:
        """The parameters with the buyer's alias."""
        body = dict(self.parameters)
        for name in self.endpoint.rules.request.identity:
            field, _, member = name.partition(".")
            body[field] = {**body.get(field, {}), member: buyer} if member else buyer
        return body


def order_of(place: Place, body: bytes, *, today: date, size_of: SizeOf) -> Order:
    """Validate a request's body against its endpoint's rules. Raises ApiError; nothing was invoiced.

    `size_of` tells how large an image really is.
    """
    fields = {name: value for name, value in parse_json_object(body).items() if value is not None}
    for name in place.endpoint.rules.request.required_in_json:
        if name not in fields:
            raise ApiError(Code.MISSING_REQUIRED_FIELD, f"The field `{name}` is required.", param=name)
    return _order(place, fields, None, today=today, size_of=size_of)


def order_of_form(place: Place, form: Form, attached: Attached, *, today: date, size_of: SizeOf) -> Order:
    """Validate a form by the same rules, once its files are measured. Raises ApiError; nothing was invoiced."""
    rules = place.endpoint.rules
    for name, rule in rules.files.items():
        if rule.required and not any(file.name == name for file in form.files):
            raise ApiError(Code.MISSING_REQUIRED_FIELD, f"The field `{name}` is required.", param=name)
    return _order(place, typed(form.fields, rules.request.properties), attached, today=today, size_of=size_of)


def _order(place: Place, fields: dict[str, Any], attached: Attached | None, *, today: date, size_of: SizeOf) -> Order:
    endpoint = place.endpoint
    rules = endpoint.rules.request
    for name in fields.keys() & rules.refused.keys():
        raise ApiError(Code.INVALID_FIELD_VALUE, rules.refused[name], param=name)
    _validate(endpoint, fields)
    model = _model(endpoint, fields, today)
    _require_fixed(model, fields)
    endpoint.protocol.amend(fields)
    media = measured(endpoint.protocol.images(fields), model, size_of)
    if attached is not None:
        media = attached.media(model, media)
    cap, cap_is_ours = _output_cap(rules, model, fields)
    answers = _integer(fields, rules.answers, default=1) if rules.answers else 1
    streaming = _streaming(endpoint, model, fields)
    parameters = _parameters(endpoint, model, fields, cap=cap, streaming=streaming)
    _require_room(endpoint, parameters, answers * cap)
    shows_usage, unpacked = endpoint.protocol.shows_usage(fields), endpoint.protocol.unpacks(model, fields)
    return Order(
        api=place.api,
        endpoint=endpoint,
        model=model,
        parameters=parameters,
        streaming=streaming,
        shows_usage=shows_usage,
        answers=answers,
        output_cap=cap,
        cap_is_ours=cap_is_ours,
        demand=endpoint.protocol.demand(model, parameters, media),
        digest=_digest([place.api.name, endpoint.rules.path, parameters, shows_usage, unpacked], attached),
        unpacked=unpacked,
        attached=attached,
    )


def parse_json_object(body: bytes) -> dict[str, Any]:
    """One JSON object that every parser reads alike. Raises ApiError invalid_json."""
    try:
        value: object = json.loads(
            body, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant
        )
        orjson.dumps(value)  # refuses lone surrogates, integers beyond 64 bits and deep nesting
    except (ValueError, RecursionError, TypeError) as error:
        reason = str(error) if isinstance(error, _UnclearJson) else "The body is not valid JSON."
        raise ApiError(Code.INVALID_JSON, reason) from None
    if not isinstance(value, dict):
        raise ApiError(Code.INVALID_JSON, "The body must be a JSON object.")
    return cast("dict[str, Any]", value)


class _UnclearJson(ValueError):
    """JSON that parsers disagree on; its text is for the client."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _UnclearJson(f"The key `{twice[:SHOWN_MAX_CHARS]}` occurs twice.")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _UnclearJson("A number is too large.")
    return number


def _refuse_constant(name: str) -> float:
    raise _UnclearJson(f"{name} is not JSON.")


def _validate(endpoint: Endpoint, fields: dict[str, Any]) -> None:
    """Check the body against the endpoint's rules; the first violation is told, never the value itself."""
    violations = list(endpoint.validator.iter_errors(fields))
    if not violations:
        return
    unknown = [name for name in fields if name not in endpoint.rules.request.properties]
    missing = [name for name in endpoint.rules.request.required if name not in fields]
    if missing:
        raise ApiError(Code.MISSING_REQUIRED_FIELD, f"The field `{missing[0]}` is required.", param=missing[0])
    if unknown:
        name = unknown[0][:SHOWN_MAX_CHARS]
        raise ApiError(Code.INVALID_FIELD_VALUE, f"The field `{name}` is not sold here.", param=name)
    raise _told(violations, endpoint.rules.request.properties)


def _violation(error: jsonschema_rs.ValidationError, rules: Rules) -> ApiError:
    param = _pointer(error.instance_path)
    kind = error.kind
    match kind:
        case jsonschema_rs.ValidationErrorKind.AnyOf() | jsonschema_rs.ValidationErrorKind.OneOfNotValid():
            return _nearest(kind.context, rules) or ApiError(
                Code.INVALID_FIELD_VALUE, f"`{param}` is of no form that is sold here.", param=param
            )
        case jsonschema_rs.ValidationErrorKind.Required():
            where = f"{param}.{kind.property}" if param else str(kind.property)
            return ApiError(Code.MISSING_REQUIRED_FIELD, f"The field `{where}` is required.", param=where)
        case jsonschema_rs.ValidationErrorKind.Type():
            types = " or ".join(kind.types)
            return ApiError(Code.INVALID_FIELD_TYPE, f"`{param}` must be of type {types}.", param=param)
        case jsonschema_rs.ValidationErrorKind.AdditionalProperties():
            names = ", ".join(f"`{name[:SHOWN_MAX_CHARS]}`" for name in kind.unexpected)
            return ApiError(Code.INVALID_FIELD_VALUE, f"{names} in `{param}` is not sold here.", param=param)
        case jsonschema_rs.ValidationErrorKind.Enum():
            return _one_of(param, _options(error), _why(error, rules))
        case _:
            return ApiError(Code.INVALID_FIELD_VALUE, f"`{param}` breaks the rule `{kind.name}`.", param=param)


def _nearest(branches: list[list[jsonschema_rs.ValidationError]], rules: Rules) -> ApiError | None:
    """What is wrong by the alternative that was meant: the one that got deepest, and of those with its label right."""

    def nearness(branch: list[jsonschema_rs.ValidationError]) -> tuple[bool, int]:
        return _label_of(branch) is None, max(len(error.instance_path) for error in branch)

    told = [branch for branch in branches if branch]
    if not told:
        return None
    here = min(len(error.instance_path) for branch in told for error in branch)
    told = [branch for branch in told if not _is_another_type(branch, here)] or told
    labels = [label for branch in told if (label := _label_of(branch))]
    if len(labels) == len(told) and len({tuple(label.instance_path) for label in labels}) == 1:
        options = [option for label in labels for option in _options(label)]
        return _one_of(_pointer(labels[0].instance_path), options, _why(labels[0], rules))
    return _told(max(told, key=nearness), rules)


def _is_another_type(branch: list[jsonschema_rs.ValidationError], depth: int) -> bool:
    """The value itself is no text where this alternative wants one, or no list: another alternative was meant."""
    [first, *others] = branch
    is_type = isinstance(first.kind, jsonschema_rs.ValidationErrorKind.Type)
    return is_type and not others and len(first.instance_path) == depth


def _told(violations: list[jsonschema_rs.ValidationError], rules: Rules) -> ApiError:
    """The one to tell: a wrong label explains the others."""
    return _violation(_label_of(violations) or violations[0], rules)


def _label_of(violations: list[jsonschema_rs.ValidationError]) -> jsonschema_rs.ValidationError | None:
    """The outermost `type` or `role` that is another alternative's."""
    labels = [error for error in violations if _is_label(error)]
    return min(labels, key=lambda error: len(error.instance_path), default=None)


def _options(error: jsonschema_rs.ValidationError) -> list[Any]:
    return list(error.kind.options) if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Enum) else []


def _why(error: jsonschema_rs.ValidationError, rules: Rules) -> str | None:
    """What the rules say of the field, or of the nearest one around it that they say something of."""
    said: str | None = None
    at: Any = {"properties": rules}
    for step in error.schema_path:
        at = at[step]
        words = object_of(at).get("description")
        said = words if isinstance(words, str) else said  # else a field of this name
    return said


def _one_of(param: str, options: list[Any], why: str | None) -> ApiError:
    shown = ", ".join(json.dumps(option) if not isinstance(option, str) else option for option in options)
    told = f"`{param}` must be one of: {shown}"
    return ApiError(Code.INVALID_FIELD_VALUE, f"{told}; {why}." if why else f"{told}.", param=param)


def _is_label(error: jsonschema_rs.ValidationError) -> bool:
    return bool(error.instance_path) and error.instance_path[-1] in {"type", "role"}


def _pointer(path: list[str | int]) -> str:
    """`messages[0].content`, as OpenAI names fields."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _model(endpoint: Endpoint, fields: dict[str, Any], today: date) -> Model:
    name = fields.get("model")
    model = endpoint.only_model if name is None else endpoint.models.get(name) if isinstance(name, str) else None
    if ended := endpoint.ended(today):
        message = f"Nothing is sold here any more: the provider ended the last model of this endpoint on {ended}."
        raise ApiError(Code.MODEL_NOT_SUPPORTED, message, param="model")
    if model is None or not model.on_sale(today):
        why = f"`{model.id}` ended on {model.shutdown}." if model else "This model is not sold here."
        sold = ", ".join(model.id for model in endpoint.on_sale(today))
        raise ApiError(Code.MODEL_NOT_SUPPORTED, f"{why} Sold: {sold}.", param="model")
    return model


def _require_fixed(model: Model, fields: dict[str, Any]) -> None:
    """What upstream would refuse from this model is refused before it is paid."""
    for name in model.fixed.keys() & fields.keys():
        if fields[name] != model.fixed[name]:
            message = f"`{model.id}` does not let you choose `{name}`: leave it out."
            raise ApiError(Code.INVALID_FIELD_VALUE, message, param=name)


def _output_cap(rules: Request, model: Model, fields: dict[str, Any]) -> tuple[int, bool]:
    """The most tokens of each answer, and whether nobody asked for a cap.

    Whoever allows more than we sell gets the most that we do: many clients send all that a model could ever write.
    """
    if rules.output_cap is None:
        return 0, False
    given = {name: _integer(fields, name) for name in rules.output_cap.fields if fields.get(name) is not None}
    if not given:
        return model.default_max_output, True
    if len(set(given.values())) > 1:
        names = " and ".join(f"`{name}`" for name in given)
        raise ApiError(Code.INVALID_FIELD_VALUE, f"{names} differ: send one of them.", param=next(iter(given)))
    return min(next(iter(given.values())), model.max_output), False


def _require_room(endpoint: Endpoint, parameters: Mapping[str, Any], tokens: int) -> None:
    """An answer that is too large is delivered to nobody, and log probabilities are most of it. Raises ApiError."""
    candidates = endpoint.protocol.candidates(parameters)
    if tokens * candidates * CANDIDATE_BYTES > endpoint.rules.max_reply_bytes:
        most = endpoint.rules.max_reply_bytes // (candidates * CANDIDATE_BYTES)
        cap = endpoint.rules.request.output_cap
        message = (
            f"With `top_logprobs` of {candidates - 1} at most {most} tokens fit into all answers: send a lower cap."
        )
        raise ApiError(Code.INVALID_FIELD_VALUE, message, param=cap.inject if cap else None)


def _integer(fields: dict[str, Any], name: str, default: int = 0) -> int:
    """A number that multiplies the price: an int, not `1.0`, which JSON Schema calls an integer too."""
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise ApiError(Code.INVALID_FIELD_TYPE, f"`{name}` must be of type integer.", param=name)
    if value < 1:
        raise ApiError(Code.INVALID_FIELD_VALUE, f"`{name}` must be at least 1.", param=name)
    return value


def _streaming(endpoint: Endpoint, model: Model, fields: dict[str, Any]) -> bool:
    """Whether to stream."""
    streaming = endpoint.protocol.streams(model, fields)
    if fields.get("stream") and not endpoint.rules.streaming:
        raise ApiError(Code.INVALID_FIELD_VALUE, "Streaming is not sold here.", param="stream")
    if "stream_options" in fields and not streaming:
        raise ApiError(Code.INVALID_FIELD_VALUE, "`stream_options` needs `stream: true`.", param="stream_options")
    return streaming


def _parameters(
    endpoint: Endpoint, model: Model, fields: dict[str, Any], *, cap: int, streaming: bool
) -> dict[str, Any]:
    """What upstream is asked: the buyer's fields less what we drop, plus what we force."""
    rules = endpoint.rules.request
    removed = {*rules.dropped, *rules.identity, *model.fixed, "stream", "stream_options"}
    if rules.output_cap is not None:
        removed |= {*rules.output_cap.fields}
    parameters = {name: value for name, value in fields.items() if name not in removed and value is not None}
    parameters |= {**rules.forced, **model.forced}
    if "model" in rules.properties:
        parameters["model"] = model.id
    if rules.output_cap is not None:
        parameters[rules.output_cap.inject] = cap
    if streaming:
        parameters |= endpoint.protocol.streamed(endpoint.rules)
    return parameters


def _digest(facts: list[Any], attached: Attached | None) -> bytes:
    if attached is not None:
        facts = [*facts, [(file.name, file.kind, file.sha256.hex()) for file in attached.files]]
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).digest()
