"""Compression on the wire: what a client can read, and free answers made smaller."""

from __future__ import annotations

import gzip

from starlette.requests import Request
from starlette.responses import Response

GZIP_LEVEL = 5


def accepted_codings(header: str) -> set[str]:
    """The content codings that an Accept-Encoding names and does not forbid with `q=0`."""
    found: set[str] = set()
    for part in header.lower().split(","):
        name, _, parameter = part.partition(";")
        weight = parameter.strip().removeprefix("q=").strip()
        if weight.rstrip("0") not in {"0.", "."} and weight != "0":
            found.add(name.strip())
    return found


def packed(request: Request, response: Response) -> Response:
    """The answer, compressed for who can read that. For free answers that hold no secret and are large."""
    response.headers["Vary"] = "Accept-Encoding"
    if "gzip" in accepted_codings(request.headers.get("accept-encoding", "")):
        response.body = gzip.compress(bytes(response.body), GZIP_LEVEL, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))
    return response
