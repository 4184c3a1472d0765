"""What a buyer's own program gets to see of a call."""

from __future__ import annotations

import json
from dataclasses import dataclass

OK = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 200 when the model's words came; `code` is that of an error."""

    status: int
    code: str | None = None
    text: str = ""
    challenge: str | None = None

    @staticmethod
    def of_json(status: int, body: str, challenge: str | None = None) -> Answer:
        """From a whole answer: JSON, an event stream, or an error of ours."""
        if status != OK:
            return Answer(status, json.loads(body)["error"]["code"], challenge=challenge)
        if not body.startswith("data: "):
            return Answer(status, text=json.loads(body)["choices"][0]["message"]["content"])
        *events, end = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
        assert end == "[DONE]"
        chunks = [json.loads(event)["choices"] for event in events]
        return Answer(status, text="".join(found[0]["delta"].get("content") or "" for found in chunks if found))
