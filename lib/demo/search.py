"""A DOUBLE of a search API that asks a price per call: one JSON object in, one out, no tokens. Nothing is searched."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from lib.demo.exchange import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.demo.exchange import Exchange

DEFAULT_RESULTS = 5
MAX_RESULTS = 20


class Refused(Refusal):
    """The request is answered with this status and the API's error body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, {"detail": {"error": message}})


class Search:
    """`POST /search`, shaped as Tavily's."""

    prefix = "/tavily"

    def __init__(self, key: str) -> None:
        self._key = key

    def check_key(self, headers: Mapping[str, str]) -> None:
        """Bearer."""
        if headers.get("authorization") != f"Bearer {self._key}":
            raise Refused(401, "Unauthorized: missing or invalid API key.")

    def headers(self, milliseconds: int) -> dict[str, str]:
        """Of the kind that must not reach a buyer, too."""
        return {"x-request-id": f"search-{milliseconds}", "set-cookie": "session=1; path=/; HttpOnly"}

    def error(self, status: int, error: Any) -> dict[str, Any]:
        """`{"detail": …}`."""
        return {"detail": error if error is not None else {"error": f"The request failed with {status}."}}

    async def answer(self, exchange: Exchange, path: str) -> None:
        """Reply as the API does."""
        match exchange.entry.method, path:
            case "POST", "/search":
                await exchange.json(200, _found(_checked(exchange)))
            case "GET", "/usage":
                await exchange.json(200, {"key": {"usage": 0, "limit": None}})
            case _:
                raise Refused(404, "Not found.")


def _checked(exchange: Exchange) -> dict[str, Any]:
    try:
        body = exchange.body()
    except ValueError:
        raise Refused(400, "The body is not JSON.") from None
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    if not isinstance(fields.get("query"), str) or not fields["query"]:
        raise Refused(400, "Query is missing.")
    many = fields.get("max_results", DEFAULT_RESULTS)
    if not isinstance(many, int) or isinstance(many, bool) or not 0 <= many <= MAX_RESULTS:
        raise Refused(400, f"max_results must be between 0 and {MAX_RESULTS}.")
    return fields


def _found(fields: dict[str, Any]) -> dict[str, Any]:
    """The same results for the same query, in all of which nothing is true."""
    query = fields["query"]
    name = hashlib.sha256(query.encode()).hexdigest()[:8]
    results = [
        {
            "title": f"Canned result {number} of the demo",
            "url": f"https://example.com/{name}/{number}",
            "content": f"Nothing was searched for: {query}",
            "score": round(1 - number / 100, 2),
            "raw_content": None,
        }
        for number in range(1, fields.get("max_results", DEFAULT_RESULTS) + 1)
    ]
    answer = "Nothing was searched." if fields.get("include_answer") else None
    return {"query": query, "answer": answer, "images": [], "results": results, "response_time": 0.0}
