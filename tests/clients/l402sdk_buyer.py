"""`python -m tests.clients.l402sdk_buyer URL NODE`: the package l402sdk, one question per line, as js/buyer.mjs.

A process of its own, because its calls block the whole interpreter: in the shop's process neither could go on.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import l402

from tests.clients.answer import Answer


def main(url: str, node: str) -> None:
    """Until the input ends."""
    client = l402.L402Client.with_cln_rest(node, "rune")
    for line in sys.stdin:
        answer = client.post(url, json.dumps(json.loads(line)["body"]))
        sys.stdout.write(json.dumps(asdict(Answer.of_json(answer.status, answer.text()))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
