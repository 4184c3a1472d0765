"""A form as it reached a double, read by another parser than the server's own."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

FILE_MAX_BYTES = 268_435_456


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file of a form."""

    name: str
    filename: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SentForm:
    """All of a form."""

    fields: dict[str, Any]
    """Texts; a list where a name ends in `[]`."""
    files: list[ReceivedFile]

    def as_json(self) -> dict[str, Any]:
        """For the journal: of a file its size and digest."""
        files = [
            {
                "name": file.name,
                "filename": file.filename,
                "content_type": file.content_type,
                "bytes": len(file.data),
                "sha256": hashlib.sha256(file.data).hexdigest(),
            }
            for file in self.files
        ]
        return {"fields": self.fields, "files": files}


async def form_of(content_type: str, body: bytes) -> SentForm:
    """Read a form. Raises ValueError."""

    async def once() -> AsyncGenerator[bytes]:
        yield body

    try:
        parser = MultiPartParser(Headers({"content-type": content_type}), once(), max_part_size=FILE_MAX_BYTES)
        parsed = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise ValueError("not a form") from error
    fields: dict[str, Any] = {}
    files: list[ReceivedFile] = []
    for name, value in parsed.multi_items():
        if isinstance(value, UploadFile):
            data = await value.read()
            files.append(ReceivedFile(name, value.filename or "", value.content_type or "", data))
        elif name.endswith("[]"):
            fields.setdefault(name, []).append(value)
        else:
            fields[name] = value
    await parsed.close()
    return SentForm(fields, files)
