"""Forms as they arrive, and as they are sent on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as some

from lib.core.errors import ApiError, Code
from lib.core.form import (
    FIELD_MAX_BYTES,
    FileRule,
    Form,
    FormFile,
    FormReader,
    FormRules,
    SentFile,
    encoded,
    encoded_size,
)
from lib.core.form_values import lists, typed

RULES = FormRules(
    texts=frozenset({"model", "prompt", "stream"}),
    lists=frozenset({"include"}),
    files={"file": FileRule(max_bytes=1_000), "image": FileRule(max_bytes=1_000, max_count=3)},
    refused={"user": "Nobody asks who you are."},
)
BOUNDARY = "frontier"
ANNOUNCED = f"multipart/form-data; boundary={BOUNDARY}"
SOUND = ("file", ("speech.mp3", b"sound", "audio/mpeg"))


def part(head: str, value: bytes = b"x") -> bytes:
    """One part, written by hand."""
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + value + b"\r\n"


def named(name: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{more}'


END = f"--{BOUNDARY}--\r\n".encode()
FILE = part(named("file", '; filename="a.mp3"'), b"sound")


def read(pieces: Iterable[bytes], announced: str = ANNOUNCED, rules: FormRules = RULES) -> tuple[Form, bytes]:
    """The form, and what of it belongs to files."""
    reader = FormReader(announced, rules)
    files = b"".join(b"".join(reader.feed(piece)) for piece in pieces)
    return reader.finish(), files


def refused(pieces: Iterable[bytes], announced: str = ANNOUNCED) -> tuple[Code, str | None]:
    """The code, and the field it names."""
    with pytest.raises(ApiError) as caught:
        read(pieces, announced)
    return caught.value.code, caught.value.param


@pytest.mark.parametrize("piece_bytes", [1, 7, 100_000])
def test_a_real_client_s_form_is_understood(piece_bytes: int):
    """What httpx, and so the official SDK, sends: whatever way the bytes were cut on the wire."""
    sent = httpx.Request(
        "POST",
        "http://shop/",
        data={"model": "gpt-transcribe", "prompt": "Grüße\r\n--frontier", "include[]": ["logprobs", "more"]},
        files=[SOUND, ("image[]", ("1.png", b"one", "image/png")), ("image[]", ("2.png", b"second", "image/png"))],
    )
    body = sent.read()

    form, files = read(
        (body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes)), sent.headers["content-type"]
    )

    assert form.fields == {"model": "gpt-transcribe", "prompt": "Grüße\r\n--frontier", "include": ["logprobs", "more"]}
    assert files == b"soundonesecond"
    assert form.files == [
        FormFile("file", 0, 5, hashlib.sha256(b"sound").digest()),
        FormFile("image", 5, 3, hashlib.sha256(b"one").digest()),
        FormFile("image", 8, 6, hashlib.sha256(b"second").digest()),
    ]


@pytest.mark.parametrize(
    ("pieces", "code", "param"),
    [
        ([FILE, FILE, END], Code.INVALID_FIELD_VALUE, "file"),
        ([part(named("model")), part(named("model"), b"y"), END], Code.INVALID_FIELD_VALUE, "model"),
        ([part(named("include")), part(named("include[]")), END], Code.INVALID_FIELD_VALUE, "include"),
        ([part(named("model[]")), END], Code.INVALID_FIELD_VALUE, "model[]"),
        ([part(named("image", '; filename="a"'))] * 4, Code.INVALID_FIELD_VALUE, "image"),
        ([part(named("colour")), END], Code.INVALID_FIELD_VALUE, "colour"),
        ([part(named("user")), END], Code.INVALID_FIELD_VALUE, "user"),
        ([part(named("file")), END], Code.INVALID_FIELD_TYPE, "file"),
        ([part(named("model", '; filename="a"')), END], Code.INVALID_FIELD_TYPE, "model"),
        ([part(named("file", '; filename="a"'), b""), END], Code.INVALID_FIELD_VALUE, "file"),
        ([part(named("model"), b"\xff"), END], Code.INVALID_FIELD_VALUE, "model"),
        ([part(named("file", '; filename="a"'), b"x" * 1_001), END], Code.REQUEST_TOO_LARGE, "file"),
        ([part(named("prompt"), b"x" * (FIELD_MAX_BYTES + 1)), END], Code.REQUEST_TOO_LARGE, "prompt"),
        ([part(named("model") + "\r\nContent-Type: multipart/mixed; boundary=b"), END], Code.INVALID_FORM, None),
        ([part(named("model") + "\r\nContent-Transfer-Encoding: base64"), END], Code.INVALID_FORM, None),
        ([part(named("model") + "\r\n" + named("prompt")), END], Code.INVALID_FORM, None),
        ([part("Content-Disposition: form-data"), END], Code.INVALID_FORM, None),
        ([part("Content-Disposition: attachment; name=file"), END], Code.INVALID_FORM, None),
        ([part("Content-Type: text/plain"), END], Code.INVALID_FORM, None),
        ([b"--other\r\n", FILE, END], Code.INVALID_FORM, None),
        ([b"No form at all."], Code.INVALID_FORM, None),
        ([FILE], Code.INVALID_FORM, None),
        ([], Code.INVALID_FORM, None),
        ([part(named("image", '; filename="a"')) + f"--{BOUNDARY}\r\n: no name\r\n".encode()], Code.INVALID_FORM, None),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(pieces: list[bytes], code: Code, param: str | None):
    """Duplicates, unknown fields, texts that pose as files, forms in forms, torsos: nothing is guessed."""
    assert refused(pieces) == (code, param)


@pytest.mark.parametrize(
    "announced",
    ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=b",
     "multipart/form-data; boundary=" + "b" * 71],
)  # fmt: skip
def test_what_does_not_announce_a_form_is_none(announced: str):
    """Without a boundary there is nothing to find parts by."""
    assert refused([], announced) == (Code.INVALID_FORM, None)


def test_an_oversized_file_is_refused_while_it_arrives():
    """Not one byte beyond the piece that was too much is read."""
    reader = FormReader(ANNOUNCED, RULES)
    reader.feed(FILE.removesuffix(b"\r\n") + b"x" * 994)

    with pytest.raises(ApiError) as caught:
        reader.feed(b"x" * 2)

    assert caught.value.code is Code.REQUEST_TOO_LARGE


def test_a_form_has_so_many_parts_and_no_more():
    """A list may be long, but not endless."""
    assert refused([part(named("include[]"))] * 65) == (Code.INVALID_FORM, None)


@given(
    some.dictionaries(some.sampled_from(["model", "prompt", "stream"]), some.text()),
    some.lists(some.text(), min_size=2, max_size=3),
    some.lists(some.binary(min_size=1, max_size=50), max_size=3),
)
def test_what_is_sent_on_is_what_was_understood(texts: dict[str, str], several: list[str], images: list[bytes]):
    """Reading our own form again gives the same values and the same files, and its size is known beforehand."""
    sent = [SentFile("image", f"{n}.png", "image/png", n, len(image)) for n, image in enumerate(images)]
    pieces = list(encoded({**texts, "include": several}, sent, BOUNDARY))
    body = b"".join(images[piece.start] if isinstance(piece, SentFile) else piece for piece in pieces)
    hostile = any(f"\r\n--{BOUNDARY}" in text for text in [*texts.values(), *several])
    if hostile or any(f"\r\n--{BOUNDARY}".encode() in image for image in images):
        return

    form, files = read([body])

    assert len(body) == encoded_size(pieces)
    assert (form.fields, files) == ({**texts, "include": several}, b"".join(images))
    assert [file.sha256 for file in form.files] == [hashlib.sha256(image).digest() for image in images]


PROPERTIES = {
    "model": {"type": "string"},
    "stream": {"type": "boolean"},
    "n": {"type": "integer"},
    "temperature": {"type": ["number", "null"]},
    "kind": {"enum": ["json", "text"]},
    "include": {"type": "array", "items": {"type": "string"}},
}


def test_texts_become_what_their_schema_says():
    """As if the same had come as JSON."""
    assert typed(
        {"model": "1", "stream": "true", "n": "2", "temperature": "0.5", "kind": "json", "include": ["a"]}, PROPERTIES
    ) == {"model": "1", "stream": True, "n": 2, "temperature": 0.5, "kind": "json", "include": ["a"]}
    assert lists(PROPERTIES) == {"include"}


@pytest.mark.parametrize(
    ("name", "text"),
    [("stream", "True"), ("stream", "1"), ("stream", ""), ("n", "2.0"), ("n", "02"), ("n", "٣"), ("n", " 2"),
     ("n", "9" * 19), ("temperature", "1e999"), ("temperature", "nan"), ("temperature", ".5"), ("temperature", "null")],
)  # fmt: skip
def test_a_value_has_one_spelling(name: str, text: str):
    """Another parser might read it differently, so it is refused, and its field named."""
    with pytest.raises(ApiError) as caught:
        typed({name: text}, PROPERTIES)

    assert (caught.value.code, caught.value.param) == (Code.INVALID_FIELD_TYPE, name)
