"""`python -m tests.clients.llm_buyer URL`: the `llm` command, one question per line, as js/buyer.mjs.

The command line is parsed and run by llm itself, once per question, in one process: starting it anew takes seconds.
LLM_USER_PATH is its folder, where it is given one more OpenAI-compatible model; its errors are a line of text.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner
from llm.cli import cli

from tests.clients.answer import Answer

UNPAID_KEY = "l402"


def main(url: str) -> None:
    """Until the input ends."""
    # Without a name for its key, llm would send the word DUMMY_KEY and ignore --key.
    model = {"model_id": "shop", "model_name": "gpt-4o-mini", "api_key_name": "shop", "api_base": url}
    path = Path(os.environ["LLM_USER_PATH"]) / "extra-openai-models.yaml"
    path.write_text(yaml.safe_dump([model]), encoding="utf-8")
    for line in sys.stdin:
        question = json.loads(line)
        answer = asked(question["body"], question["credential"] or UNPAID_KEY)
        sys.stdout.write(json.dumps(asdict(answer)) + "\n")
        sys.stdout.flush()


def asked(body: dict[str, Any], key: str) -> Answer:
    """One command: `llm -m shop --key … Hello`."""
    mode = [] if body.get("stream") else ["--no-stream"]
    cap = ["-o", "max_tokens", str(body["max_completion_tokens"])] if "max_completion_tokens" in body else []
    command = ["-m", "shop", "--key", key, "--no-log", *mode, *cap, body["messages"][0]["content"]]
    done = CliRunner().invoke(cli, command)
    if done.exit_code == 0:
        return Answer(200, text=done.stdout.strip())
    found = re.match(r"Error: Error code: (\d+) - ", done.stderr)
    if found is None:
        raise RuntimeError(done.stderr)
    return Answer(int(found[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
