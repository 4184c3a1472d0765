"""Programs that buy an endpoint's example, as text to copy. Made from config.yaml alone, so every endpoint has them.

`{{origin}}` in the text stands for this server's address and `{{token}}` for a prepaid token: who shows a program knows
them. tests/clients/test_examples.py runs every one of them as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from lib.core.catalog import Api, Endpoint

ORIGIN = "{{origin}}"
TOKEN = "{{token}}"  # noqa: S105 - what stands for one
TIMEOUT_SECONDS = 600
Language = Literal["bash", "python", "javascript"]


@dataclass(frozen=True, slots=True)
class CodeExample:
    """One program. `needs` says what must be installed."""

    id: str
    title: str
    language: Language
    needs: str
    code: str


@dataclass(frozen=True, slots=True)
class Method:
    """How an official SDK calls a path, and how its user gets at the answer, in Python and in JavaScript."""

    name: str
    python: str = "print(answer)"
    javascript: str = "console.log(answer);"
    saved_as: str | None = None
    """The file that a binary answer is written to."""


_TEXT = Method("", "print(answer.text)", "console.log(answer.text);")
_IMAGE = Method("", "print(len(answer.data[0].b64_json))", "console.log(answer.data[0].b64_json.length);")
OPENAI_METHODS = {
    "/v1/chat/completions": Method(
        "chat.completions.create",
        "print(answer.choices[0].message.content)",
        "console.log(answer.choices[0].message.content);",
    ),
    "/v1/responses": Method("responses.create", "print(answer.output_text)", "console.log(answer.output_text);"),
    "/v1/embeddings": Method(
        "embeddings.create", "print(answer.data[0].embedding[:3])", "console.log(answer.data[0].embedding.slice(0, 3));"
    ),
    "/v1/moderations": Method(
        "moderations.create", "print(answer.results[0].flagged)", "console.log(answer.results[0].flagged);"
    ),
    "/v1/images/generations": Method("images.generate", _IMAGE.python, _IMAGE.javascript),
    "/v1/images/edits": Method("images.edit", _IMAGE.python, _IMAGE.javascript),
    "/v1/audio/transcriptions": Method("audio.transcriptions.create", _TEXT.python, _TEXT.javascript),
    "/v1/audio/translations": Method("audio.translations.create", _TEXT.python, _TEXT.javascript),
    "/v1/audio/speech": Method(
        "audio.speech.create",
        'answer.write_to_file("speech.mp3")',
        'await writeFile("speech.mp3", Buffer.from(await answer.arrayBuffer()));',
        saved_as="speech.mp3",
    ),
}
"""An endpoint of OpenAI's shape that is not named here is called over plain HTTP: new ones need no code."""
ANTHROPIC_METHODS = {
    "/v1/messages": Method("messages.create", "print(answer.content[0].text)", "console.log(answer.content[0].text);")
}


def examples_of(api: Api, endpoint: Endpoint) -> list[CodeExample]:
    """All programs for one endpoint, the simplest way to pay first."""
    call = _Call(api, endpoint)
    return [_curl_l402(call), _curl_token(call), _python(call), _javascript(call), _l402_client(call)]


def guides() -> list[CodeExample]:
    """Programs that belong to no endpoint."""
    return [CodeExample("topup", "Top up", "bash", "curl and jq", TOPUP)]


TOPUP = f"""# 1. Ask for an invoice.
OFFER=$(curl -sS {ORIGIN}/topup -H 'Content-Type: application/json' -d '{{"amount_sats": 1000}}')
MACAROON=$(jq -r .macaroon <<<"$OFFER")
jq -r '"Pay \\(.amount_sats) sats: \\(.invoice)"' <<<"$OFFER"

# 2. Pay with any Lightning wallet. It shows the preimage.
printf 'Preimage: ' && read -r PREIMAGE

# 3. Claim the token. It is shown this once.
TOKEN=$(curl -sS {ORIGIN}/topup/claim -H 'Content-Type: application/json' \\
  -d "{{\\"macaroon\\": \\"$MACAROON\\", \\"preimage\\": \\"$PREIMAGE\\"}}" | jq -r .token)
echo "Your token: $TOKEN"

# 4. What is on it.
curl -sS {ORIGIN}/api/balance -H "Authorization: Bearer $TOKEN"
"""


@dataclass(frozen=True, slots=True)
class SampleFile:
    """A file beside the program, in place of the `@name` of an example's multipart field."""

    name: str


@dataclass(frozen=True, slots=True)
class _Call:
    """The example of an endpoint, and the words that differ between endpoints."""

    api: Api
    endpoint: Endpoint

    @property
    def url(self) -> str:
        return f"{ORIGIN}/{self.api.name}{self.endpoint.rules.path}"

    @property
    def fields(self) -> dict[str, Any]:
        """What is sent, whatever it is sent as."""
        example = self.endpoint.rules.example
        if example.body is not None:
            return dict(example.body)
        return {name: _with_files(value) for name, value in (example.fields or {}).items()}

    @property
    def is_multipart(self) -> bool:
        return self.endpoint.rules.example.content_type == "multipart"

    @property
    def method(self) -> Method | None:
        return OPENAI_METHODS.get(self.endpoint.rules.path) or ANTHROPIC_METHODS.get(self.endpoint.rules.path)

    @property
    def is_anthropic(self) -> bool:
        return self.endpoint.rules.path in ANTHROPIC_METHODS

    @property
    def base_url(self) -> str:
        """What an SDK is told. Anthropic's adds `/v1` itself; the default API needs no name."""
        if self.is_anthropic:
            return f"{ORIGIN}/{self.api.name}"
        return f"{ORIGIN}/v1" if self.api.rules.default else f"{ORIGIN}/{self.api.name}/v1"

    @property
    def saved_as(self) -> str | None:
        return self.method.saved_as if self.method else None


def _needs(call: _Call, program: str) -> str:
    """What must be there; of the sample files the site has its own."""
    names = [part.name for _, part in _parts(call.fields) if isinstance(part, SampleFile)]
    return "; ".join([program, *(f"{name}, as /samples/{name}" for name in names)])


# --- curl -------------------------------------------------------------------------------------------------------------


def _curl_l402(call: _Call) -> CodeExample:
    set_up, body = _curl_body(call)
    asks = _curl([f"curl -sS {call.url}", *body])
    paid = _curl([f"curl -sS {call.url}", '-H "Authorization: L402 $MACAROON:$PREIMAGE"', *body, *_output(call)])
    code = f"""{set_up}# 1. Ask. The answer is 402 with an invoice and a macaroon.
OFFER=$({asks})
MACAROON=$(jq -r .macaroon <<<"$OFFER")
jq -r '"Pay \\(.amount_sats) sats: \\(.invoice)"' <<<"$OFFER"

# 2. Pay with any Lightning wallet. It shows the preimage.
printf 'Preimage: ' && read -r PREIMAGE

# 3. The same request, paid. The change stays on this credential for the next call.
{paid}
"""
    return CodeExample("curl-l402", "curl, paid per call", "bash", _needs(call, "curl and jq"), code)


def _curl_token(call: _Call) -> CodeExample:
    set_up, body = _curl_body(call)
    lines = [f"curl -sS {call.url}", f'-H "Authorization: Bearer {TOKEN}"', *body, *_output(call)]
    return CodeExample("curl-token", "curl with a token", "bash", _needs(call, "curl"), f"{set_up}{_curl(lines)}\n")


def _curl_body(call: _Call) -> tuple[str, list[str]]:
    """What stands before the commands, and the arguments that send the body."""
    if call.is_multipart:
        fields = [f"  -F {_shell(f'{name}={_plain(part)}')}\n" for name, part in _parts(call.fields)]
        return f"FIELDS=(\n{''.join(fields)})\n\n", ['"${FIELDS[@]}"']
    lines = ",\n".join(f"  {json.dumps(name)}: {_json(value)}" for name, value in call.fields.items())
    body = _shell("{\n" + lines + "\n}")
    return f"BODY={body}\n\n", ["-H 'Content-Type: application/json'", '-d "$BODY"']


def _parts(fields: dict[str, Any]) -> list[tuple[str, str | SampleFile]]:
    """The parts of a multipart body; a list is a part for each of its items."""
    parts: list[tuple[str, str | SampleFile]] = []
    for name, value in fields.items():
        items = _items(value)
        shown = [item if isinstance(item, str | SampleFile) else _json(item) for item in items]
        parts += [(f"{name}[]" if isinstance(value, list) else name, item) for item in shown]
    return parts


def _output(call: _Call) -> list[str]:
    return [f"--output {call.saved_as}"] if call.saved_as else []


def _curl(words: list[str]) -> str:
    return " \\\n  ".join(words)


def _shell(text: str) -> str:
    """One word of a POSIX shell, whatever it holds."""
    return "'" + text.replace("'", "'\\''") + "'"


# --- Official SDKs ----------------------------------------------------------------------------------------------------


def _python(call: _Call) -> CodeExample:
    if call.method is None:
        code = f"""import httpx

answer = httpx.post(
    "{call.url}",
    headers={{"Authorization": "Bearer {TOKEN}"}},
{_python_body(call)}
    timeout={TIMEOUT_SECONDS},
)
print(answer.text)
"""
        return CodeExample("python", "Python", "python", _needs(call, "pip install httpx"), code)
    module, name = ("anthropic", "Anthropic") if call.is_anthropic else ("openai", "OpenAI")
    arguments = _lines(call.fields, lambda key, value: f"    {key}={_literal(value, _PYTHON)},")
    code = f"""from {module} import {name}

client = {name}(base_url="{call.base_url}", api_key="{TOKEN}")

answer = client.{call.method.name}(
{arguments}
)
{call.method.python}
"""
    return CodeExample("python", f"Python, {name} SDK", "python", _needs(call, f"pip install {module}"), code)


def _javascript(call: _Call) -> CodeExample:
    properties = _lines(call.fields, lambda key, value: f"  {key}: {_literal(value, _JAVASCRIPT)},")
    if call.method is None:
        return _fetch(call)
    package, name = ("@anthropic-ai/sdk", "Anthropic") if call.is_anthropic else ("openai", "OpenAI")
    reads = 'import { createReadStream } from "node:fs";\n' if _has_file(call.fields) else ""
    writes = 'import { writeFile } from "node:fs/promises";\n' if call.saved_as else ""
    code = f"""{reads}{writes}import {name} from "{package}";

const client = new {name}({{ baseURL: "{call.base_url}", apiKey: "{TOKEN}" }});

const answer = await client.{call.method.name}({{
{properties}
}});
{call.method.javascript}
"""
    return CodeExample(
        "javascript", f"JavaScript, {name} SDK", "javascript", _needs(call, f"npm install {package}"), code
    )


def _fetch(call: _Call) -> CodeExample:
    """For what no official SDK has a method."""
    if call.is_multipart:
        appended = [_appended(name, part) for name, part in _parts(call.fields)]
        opened = 'import { openAsBlob } from "node:fs";\n\n' if _has_file(call.fields) else ""
        body = "\n".join([f"{opened}const body = new FormData();", *appended])
        headers = f'{{ Authorization: "Bearer {TOKEN}" }}'
    else:
        properties = _lines(call.fields, lambda key, value: f"  {key}: {_literal(value, _JAVASCRIPT)},")
        body = f"const body = JSON.stringify({{\n{properties}\n}});"
        headers = f'{{ Authorization: "Bearer {TOKEN}", "Content-Type": "application/json" }}'
    code = f"""{body}

const answer = await fetch("{call.url}", {{
  method: "POST",
  headers: {headers},
  body,
}});
console.log(await answer.text());
"""
    return CodeExample("javascript", "JavaScript", "javascript", _needs(call, "Node 20 or newer"), code)


def _appended(name: str, part: str | SampleFile) -> str:
    if isinstance(part, SampleFile):
        return f'body.append("{name}", await openAsBlob({_json(part.name)}), {_json(part.name)});'
    return f'body.append("{name}", {_json(part)});'


# --- A client that pays by itself -------------------------------------------------------------------------------------


def _l402_client(call: _Call) -> CodeExample:
    shown = f'open("{call.saved_as}", "wb").write(answer.content)' if call.saved_as else "print(answer.text)"
    code = f"""import l402_requests

# Pays invoices of up to 1,000 sats from the wallet that NWC_CONNECTION_STRING, or LND_REST_HOST with
# LND_MACAROON_HEX, names, and keeps the change for the next call.
answer = l402_requests.post(
    "{call.url}",
{_python_body(call)}
    timeout={TIMEOUT_SECONDS},
)
{shown}
"""
    needs = _needs(call, "pip install 'l402-requests[nwc]'")
    return CodeExample("l402-client", "Python, pays by itself", "python", needs, code)


def _python_body(call: _Call) -> str:
    """The body's arguments of httpx and of what is built on it."""
    if not call.is_multipart:
        properties = _lines(call.fields, lambda key, value: f'        "{key}": {_literal(value, _PYTHON)},')
        return f"    json={{\n{properties}\n    }},"
    parts = [f"        ({_json(name)}, {_httpx_part(part)}),\n" for name, part in _parts(call.fields)]
    return f"    files=[\n{''.join(parts)}    ],"


def _httpx_part(part: str | SampleFile) -> str:
    """httpx sends a pair without a file's name as an ordinary field."""
    return _literal(part, _PYTHON) if isinstance(part, SampleFile) else f"(None, {_json(part)})"


# --- Values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Words:
    """How a language writes what JSON has no common word for."""

    true: str
    false: str
    null: str
    key: Callable[[str], str]
    file: Callable[[str], str]


_PYTHON = _Words("True", "False", "None", json.dumps, lambda name: f'open({json.dumps(name)}, "rb")')
_JAVASCRIPT = _Words(
    "true",
    "false",
    "null",
    lambda key: key if key.isidentifier() else json.dumps(key),
    lambda name: f"createReadStream({json.dumps(name)})",
)


def _lines(fields: dict[str, Any], line: Callable[[str, Any], str]) -> str:
    return "\n".join(line(name, value) for name, value in fields.items())


def _literal(value: Any, words: _Words) -> str:
    """A value as the language writes it, in one line; a sample file is opened."""
    match value:
        case bool():
            return words.true if value else words.false
        case None:
            return words.null
        case SampleFile():
            return words.file(value.name)
        case list():
            return f"[{', '.join(_literal(item, words) for item in _items(value))}]"
        case dict():
            members = cast("dict[str, Any]", value)
            inner = ", ".join(f"{words.key(key)}: {_literal(item, words)}" for key, item in members.items())
            return f"{{ {inner} }}" if words is _JAVASCRIPT else f"{{{inner}}}"
        case _:
            return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _plain(part: str | SampleFile) -> str:
    """A form field as curl takes it."""
    return f"@{part.name}" if isinstance(part, SampleFile) else part


def _with_files(value: Any) -> Any:
    """`@name` as the file that it stands for, also within a list."""
    if isinstance(value, list):
        return [_with_files(item) for item in _items(value)]
    return SampleFile(value[1:]) if isinstance(value, str) and value.startswith("@") else value


def _items(value: Any) -> list[Any]:
    """The list's own, or the one value that is none."""
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _has_file(fields: dict[str, Any]) -> bool:
    return any(isinstance(part, SampleFile) for _, part in _parts(fields))
