"""Reads a multipart form while it arrives: bytes in, values out. What cannot be read one way only is refused at once.

Nothing of the form's own bytes is sent on: upstream gets another one, written from what was understood here
(`encoded`). So two parsers can never disagree on what was bought.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from lib.core.errors import ApiError, Code

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM: Final = b"multipart/form-data"
FIELD_MAX_BYTES = 262_144
"""The text of one field: prompts have 32,000 characters at most."""
PARTS_MAX_COUNT = 64
BOUNDARY_MAX_BYTES = 70
"""RFC 2046's own limit."""
SHOWN_MAX_CHARS = 80
PLAIN_ENCODINGS = frozenset({b"7bit", b"8bit", b"binary"})
LIST_MARK = "[]"
"""`name[]` is one of several values, as SDKs write lists."""


@dataclass(frozen=True, slots=True)
class FileRule:
    """What a field may hold in files."""

    max_bytes: int
    """Each file's size at most."""
    max_count: int = 1
    """Files of that name at most."""


@dataclass(frozen=True, slots=True)
class FormRules:
    """What a form may hold. Whatever else arrives is refused before more of it is read."""

    texts: frozenset[str]
    """Fields with one text."""
    lists: frozenset[str]
    """Fields with several texts."""
    files: Mapping[str, FileRule]
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    """Fields that are not sold, each with the sentence that the buyer is told."""


@dataclass(frozen=True, slots=True)
class FormFile:
    """One file of a form. All files of a form lie behind each other in one place."""

    name: str
    """Its field's."""
    start: int
    """Where it begins there."""
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it was understood."""

    fields: dict[str, str | list[str]]
    files: list[FormFile]


class FormReader:
    """Takes a form's bytes as they come; what belongs to files is handed back, the rest understood."""

    def __init__(self, content_type: str, rules: FormRules) -> None:
        """Raises ApiError invalid_form if this is no form."""
        self._rules = rules
        self._fields: dict[str, str | list[str]] = {}
        self._files: list[FormFile] = []
        self._counts: Counter[str] = Counter()
        self._spellings: dict[str, str] = {}
        self._part: _Part | None = None
        self._headers: list[tuple[bytes, bytearray]] = []
        self._header_name = bytearray()
        self._file_bytes: list[bytes] = []
        self._written = 0
        self._ended = False
        self._parser = MultipartParser(_boundary(content_type), self._callbacks())

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; the pieces of them that belong to files. Raises ApiError for what is not sold."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _unclear("The body is not the form that its Content-Type announces.") from error
        pieces, self._file_bytes = self._file_bytes, []
        return pieces

    def finish(self) -> Form:
        """The whole form. Raises ApiError if it ended before its closing boundary."""
        if not self._ended:
            raise _unclear("The form ended before its closing boundary.")
        return Form(self._fields, self._files)

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_begin": self._header_name.clear,
            "on_header_field": self._take_header_name,
            "on_header_value": self._take_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open_part,
            "on_part_data": self._take_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._headers.clear()
        self._value = bytearray()

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers.append((bytes(self._header_name).lower(), self._value))
        self._value = bytearray()

    def _open_part(self) -> None:
        name, is_file = _described(self._headers)
        base = name.removesuffix(LIST_MARK)
        rule = self._rules.files.get(base)
        self._require_sold(name, base, is_file=is_file)
        self._counts[base] += 1
        if sum(self._counts.values()) > PARTS_MAX_COUNT:
            raise _unclear(f"A form may have {PARTS_MAX_COUNT} parts at most.")
        several = base in self._rules.lists or (rule is not None and rule.max_count > 1)
        if self._spellings.setdefault(base, name) != name or (self._counts[base] > 1 and not several):
            raise ApiError(Code.INVALID_FIELD_VALUE, f"The field `{base}` occurs twice.", param=base)
        if rule is not None and self._counts[base] > rule.max_count:
            message = f"`{base}` takes {rule.max_count} files at most."
            raise ApiError(Code.INVALID_FIELD_VALUE, message, param=base)
        self._part = _FilePart(base, rule, self._written) if rule is not None else _TextPart(base)

    def _require_sold(self, name: str, base: str, *, is_file: bool) -> None:
        rules, shown = self._rules, base[:SHOWN_MAX_CHARS]
        if base in rules.refused:
            raise ApiError(Code.INVALID_FIELD_VALUE, rules.refused[base], param=shown)
        takes_list = base in rules.lists or base in rules.files
        if not (takes_list or name in rules.texts):
            shown = name[:SHOWN_MAX_CHARS]
            raise ApiError(Code.INVALID_FIELD_VALUE, f"The field `{shown}` is not sold here.", param=shown)
        if base in rules.files and not is_file:
            message = f"`{shown}` must be a file: its part has no filename."
            raise ApiError(Code.INVALID_FIELD_TYPE, message, param=shown)
        if base not in rules.files and is_file:
            raise ApiError(Code.INVALID_FIELD_TYPE, f"`{shown}` must be text, not a file.", param=shown)

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        match self._part:
            case _FilePart() as part:
                part.take(piece)
                self._file_bytes.append(piece)
                self._written += len(piece)
            case _TextPart() as part:
                part.take(piece)
            case None:
                raise _unclear("A part of the form has no name.")

    def _end_part(self) -> None:
        match self._part:
            case _FilePart() as part:
                self._files.append(part.file())
            case _TextPart(name) as part:
                self._put(name, part.text())
            case None:
                raise _unclear("A part of the form has no name.")
        self._part = None

    def _put(self, name: str, text: str) -> None:
        if name not in self._rules.lists:
            self._fields[name] = text
            return
        held = self._fields.setdefault(name, [])
        if isinstance(held, list):
            held.append(text)

    def _end(self) -> None:
        self._ended = True


@dataclass(slots=True)
class _TextPart:
    name: str
    value: bytearray = field(default_factory=bytearray)

    def take(self, piece: bytes) -> None:
        self.value += piece
        if len(self.value) > FIELD_MAX_BYTES:
            raise ApiError(
                Code.REQUEST_TOO_LARGE, f"`{self.name}` may have {FIELD_MAX_BYTES} bytes at most.", param=self.name
            )

    def text(self) -> str:
        try:
            return self.value.decode()
        except UnicodeDecodeError as error:
            raise ApiError(Code.INVALID_FIELD_VALUE, f"`{self.name}` is not UTF-8.", param=self.name) from error


class _FilePart:
    def __init__(self, name: str, rule: FileRule, start: int) -> None:
        self._name, self._rule, self._start, self._size = name, rule, start, 0
        self._digest = hashlib.sha256()

    def take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._rule.max_bytes:
            message = f"`{self._name}` may have {self._rule.max_bytes} bytes at most."
            raise ApiError(Code.REQUEST_TOO_LARGE, message, param=self._name)
        self._digest.update(piece)

    def file(self) -> FormFile:
        if not self._size:
            raise ApiError(Code.INVALID_FIELD_VALUE, f"`{self._name}` is empty.", param=self._name)
        return FormFile(self._name, self._start, self._size, self._digest.digest())


_Part = _TextPart | _FilePart


def _unclear(message: str) -> ApiError:
    return ApiError(Code.INVALID_FORM, message)


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != FORM or not 0 < len(boundary) <= BOUNDARY_MAX_BYTES:
        raise _unclear("Send multipart/form-data with a boundary, as the SDKs do.")
    return boundary


def _described(headers: list[tuple[bytes, bytearray]]) -> tuple[str, bool]:
    """A part's field name, and whether it is a file."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in found:
            raise _unclear("A part of the form has a header twice.")
        found[name] = bytes(value)
    kind, options = parse_options_header(found.get(b"content-disposition", b"").decode("latin-1"))
    if kind != b"form-data" or b"name" not in options:
        raise _unclear("A part of the form has no name.")
    if parse_options_header(found.get(b"content-type", b"").decode("latin-1"))[0].startswith(b"multipart/"):
        raise _unclear("A form within a form is not taken.")
    if found.get(b"content-transfer-encoding", b"binary").strip().lower() not in PLAIN_ENCODINGS:
        raise _unclear("A part that is encoded once more is not taken.")
    try:
        return options[b"name"].decode(), b"filename" in options or b"filename*" in found[b"content-disposition"]
    except UnicodeDecodeError as error:
        raise _unclear("A field's name is not UTF-8.") from error


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file as upstream is sent it: under a name and type of ours, which say what was measured."""

    name: str
    filename: str
    content_type: str
    start: int
    size: int


def encoded(parameters: Mapping[str, Any], files: Sequence[SentFile], boundary: str) -> Iterator[bytes | SentFile]:
    """A form for upstream, piece by piece: our own bytes, and files whose bytes are to be put there."""
    for name, value in parameters.items():
        if isinstance(value, list):
            for item in cast("list[object]", value):
                yield _text_part(name + LIST_MARK, item, boundary)
        else:
            yield _text_part(name, value, boundary)
    counts = Counter(file.name for file in files)
    for file in files:
        name = file.name + LIST_MARK if counts[file.name] > 1 else file.name
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file.filename}"\r\n'
            f"Content-Type: {file.content_type}\r\n\r\n"
        ).encode()
        yield file
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def encoded_size(pieces: Iterable[bytes | SentFile]) -> int:
    """The form's Content-Length."""
    return sum(piece.size if isinstance(piece, SentFile) else len(piece) for piece in pieces)


def _text_part(name: str, value: object, boundary: str) -> bytes:
    """One field, its value as forms spell it."""
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
