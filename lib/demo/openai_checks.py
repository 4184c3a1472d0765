"""OpenAI's refusals: the shape of its errors and the mistakes the double notices, with OpenAI's own words."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from lib.demo.exchange import Refusal

if TYPE_CHECKING:
    from lib.demo.exchange import Exchange
    from lib.demo.forms import SentForm

MAX_CHOICES = 128
MIN_RESPONSE_TOKENS = 16
MAX_QUESTIONS = 400
IMAGE_SIZE = re.compile(r"^(auto|[1-9][0-9]{1,3}x[1-9][0-9]{1,3})$")
KNOWN_MODELS = re.compile(r"^(gpt-|chatgpt-|o[0-9]|text-embedding-|omni-moderation-|tts-|whisper-)")
RESPONSE_PARAMETERS = frozenset(
    [
        "background",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    ]
)
MODERATION_PARAMETERS = frozenset({"input", "model"})
DECISION_PARAMETERS = frozenset(
    {"input", "model", "prompt_cache_key", "prompt_cache_options", "questions", "safety_identifier"}
)
DECISION_MODELS = frozenset({"gpt-6-luna"})
QUESTIONS = frozenset({"predicate", "choice", "score"})


class Refused(Refusal):
    """The request is answered with this status and OpenAI error body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})


def check_key(authorization: str | None, key: str) -> None:
    """Raises Refused (401) unless the header is the Bearer key."""
    scheme, _, given = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise Refused(
            401, "You didn't provide an API key. You need to provide your API key in an Authorization header."
        )
    if given != key:
        raise Refused(401, f"Incorrect API key provided: {given[:3]}****.", code="invalid_api_key")


def json_of(exchange: Exchange) -> Any:
    """The body. Raises Refused (400)."""
    try:
        return exchange.body()
    except ValueError:
        raise Refused(400, "We could not parse the JSON body of your request.") from None


def check_chat(body: Any, models: re.Pattern[str] = KNOWN_MODELS) -> dict[str, Any]:
    """The body of a chat completion, validated as far as the double reads it. Raises Refused (400, 404)."""
    fields = _object(body)
    _model(fields, models)
    messages = _present(fields, "messages")
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array of objects", messages)
    if not messages:
        text = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        raise Refused(400, text, param="messages", code="empty_array")
    for name, low, high in (("n", 1, MAX_CHOICES), ("max_tokens", 1, None), ("max_completion_tokens", 1, None)):
        _integer(fields, name, low, high)
    if fields.get("max_tokens") is not None and fields.get("max_completion_tokens") is not None:
        text = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise Refused(400, text, param="max_tokens", code="invalid_parameter_combination")
    _stream(fields)
    return fields


def check_embeddings(body: Any, models: re.Pattern[str] = KNOWN_MODELS) -> dict[str, Any]:
    """The body of an embeddings call. Raises Refused (400, 404)."""
    fields = _object(body)
    _model(fields, models)
    given = _present(fields, "input")
    if not isinstance(given, (str, list)):
        raise _wrong_type("input", "a string or an array", given)
    if not given:
        raise Refused(400, "'$.input' is invalid.", param="input")
    _integer(fields, "dimensions", 1, 3_072)
    if fields.get("encoding_format") not in (None, "float", "base64"):
        raise Refused(400, "Invalid 'encoding_format': expected 'float' or 'base64'.", param="encoding_format")
    return fields


def check_responses(body: Any) -> dict[str, Any]:
    """The body of a response, validated as far as the double reads it. Raises Refused (400, 404)."""
    fields = _object(body)
    _known(fields, RESPONSE_PARAMETERS)
    _model(fields)
    _input(fields)
    _integer(fields, "max_output_tokens", MIN_RESPONSE_TOKENS, None)
    _stream(fields)
    _known(fields.get("stream_options") or {}, frozenset({"include_obfuscation"}), "stream_options.")
    earlier = fields.get("previous_response_id")
    if earlier is not None:
        text = f"Previous response with id '{earlier}' not found."
        raise Refused(400, text, param="previous_response_id", code="previous_response_not_found")
    return fields


def check_moderations(body: Any) -> dict[str, Any]:
    """The body of a moderation. Raises Refused (400, 404)."""
    fields = _object(body)
    _known(fields, MODERATION_PARAMETERS)
    if fields.get("model") is not None:
        _model(fields)
    _input(fields)
    return fields


async def form_of(exchange: Exchange) -> SentForm:
    """The form. Raises Refused (400)."""
    try:
        return await exchange.form()
    except ValueError:
        raise Refused(400, "Could not parse multipart form") from None


def check_speech(body: Any) -> dict[str, Any]:
    """The body of a call for speech. Raises Refused (400, 404)."""
    fields = _object(body)
    _model(fields)
    for name in ("input", "voice"):
        if not isinstance(_present(fields, name), str):
            raise _wrong_type(name, "a string", fields[name])
    if fields.get("stream_format") == "sse" and str(fields["model"]).startswith("tts-"):
        raise Refused(400, "stream_format 'sse' is not supported with this model.", param="stream_format")
    return fields


def check_recording(form: SentForm) -> SentForm:
    """A form with one recording. Raises Refused (400, 404)."""
    _model(form.fields)
    if [file.name for file in form.files] != ["file"]:
        raise Refused(400, "Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
    if not form.files[0].filename.rpartition(".")[2]:
        raise Refused(400, "Unrecognized file format.", param="file")
    return form


def check_drawing(body: Any) -> dict[str, Any]:
    """The fields of a call for pictures. Raises Refused (400, 404)."""
    fields = _object(body)
    _model(fields)
    _present(fields, "prompt")
    if not IMAGE_SIZE.match(str(fields.get("size") or "auto")):
        raise Refused(400, f"Invalid size '{fields['size']}'.", param="size")
    return fields


def check_decisions(body: Any) -> dict[str, Any]:
    """The body of a decision. Raises Refused (400, 404)."""
    fields = _object(body)
    _known(fields, DECISION_PARAMETERS)
    _model(fields)
    if fields["model"] not in DECISION_MODELS:
        text = f"The model `{fields['model']}` is not supported with the decisions endpoint."
        raise Refused(400, text, param="model", code="unsupported_model")
    _input(fields)
    questions = _present(fields, "questions")
    if not isinstance(questions, list) or not 1 <= len(cast("list[Any]", questions)) <= MAX_QUESTIONS:
        raise _wrong_type("questions", f"an array of 1 to {MAX_QUESTIONS} objects", questions)
    for at, question in enumerate(cast("list[Any]", questions)):
        _question(question, f"questions[{at}]")
    return fields


def default_error(status: int) -> dict[str, Any]:
    """What OpenAI says with this status, when a scenario asks for the status only."""
    kind, code, message = {
        401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
        403: ("invalid_request_error", "unsupported_country_region_territory", "Country not supported."),
        404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
        429: ("rate_limit_error", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
        503: ("service_unavailable_error", "server_is_overloaded", "The engine is currently overloaded."),
    }.get(status, _by_class(status))
    return {"message": message, "type": kind, "param": None, "code": code}


def _by_class(status: int) -> tuple[str, str | None, str]:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error", None, "The server had an error while processing your request. Sorry about that!"
    return "invalid_request_error", None, "The request was refused."


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Refused(400, "We could not parse the JSON body of your request.")
    return cast("dict[str, Any]", body)


def _known(fields: dict[str, Any], names: frozenset[str], where: str = "") -> None:
    for name in fields:
        if name not in names:
            raise Refused(400, f"Unknown parameter: '{where}{name}'.", param=f"{where}{name}", code="unknown_parameter")


def _input(fields: dict[str, Any]) -> None:
    given = _present(fields, "input")
    if not isinstance(given, (str, list)):
        raise _wrong_type("input", "a string or an array", given)
    if not given:
        raise Refused(400, "Invalid 'input': empty.", param="input", code="invalid_value")


def _question(question: Any, where: str) -> None:
    fields = cast("dict[str, Any]", question) if isinstance(question, dict) else {}
    kind = fields.get("type")
    if kind not in QUESTIONS:
        raise Refused(400, f"Invalid value: '{kind}'.", param=f"{where}.type", code="invalid_value")
    needed = {"choice": "choices", "score": "levels"}.get(str(kind))
    for name in ("instructions", *([needed] if needed else [])):
        if not fields.get(name):
            text = f"Missing required parameter: '{where}.{name}'."
            raise Refused(400, text, param=f"{where}.{name}", code="missing_required_parameter")


def _present(fields: dict[str, Any], name: str) -> Any:
    if fields.get(name) is None:
        raise Refused(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    return fields[name]


def _model(fields: dict[str, Any], models: re.Pattern[str] = KNOWN_MODELS) -> None:
    model = fields.get("model")
    if model is None:
        raise Refused(400, "you must provide a model parameter")
    if not isinstance(model, str):
        raise _wrong_type("model", "a string", model)
    if not models.match(model):
        text = f"The model `{model}` does not exist or you do not have access to it."
        raise Refused(404, text, code="model_not_found")


def _integer(fields: dict[str, Any], name: str, low: int, high: int | None) -> None:
    value = fields.get(name)
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(name, "an integer", value)
    if value < low:
        text = f"Invalid '{name}': integer below minimum value. Expected a value >= {low}, but got {value} instead."
        raise Refused(400, text, param=name, code="integer_below_min_value")
    if high is not None and value > high:
        text = f"Invalid '{name}': integer above maximum value. Expected a value <= {high}, but got {value} instead."
        raise Refused(400, text, param=name, code="integer_above_max_value")


def _stream(fields: dict[str, Any]) -> None:
    stream, options = fields.get("stream"), fields.get("stream_options")
    if stream is not None and not isinstance(stream, bool):
        raise _wrong_type("stream", "a boolean", stream)
    if options is not None and not stream:
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(400, text, param="stream_options")
    if options is not None and not isinstance(options, dict):
        raise _wrong_type("stream_options", "an object", options)


def _wrong_type(name: str, wanted: str, got: Any) -> Refused:
    names = {"dict": "an object", "list": "an array", "str": "a string", "bool": "a boolean", "int": "an integer"}
    found = names.get(type(got).__name__, "a decimal")
    text = f"Invalid type for '{name}': expected {wanted}, but got {found} instead."
    return Refused(400, text, param=name, code="invalid_type")
