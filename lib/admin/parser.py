"""What can be asked of `scripts/admin`, and what a command line means."""

from __future__ import annotations

import argparse
import re
import uuid
from collections.abc import Callable
from pathlib import Path

from lib.core.money import Msat, Sat

PAYMENT_HASH_HEX = re.compile(r"[0-9a-f]{64}")
AMOUNT = re.compile(r"([0-9]{1,16})(sat|msat)")
ACCOUNT = "its id, as `payment` and `request` tell it"
DAYS_MAX_COUNT = 36_500
ROWS_MAX_COUNT = 1_000
DESCRIPTION = """\
Look after the ledger that the environment names, while its servers run: what it owes and earned, what became of a
payment or request, and orders that every server follows. It prints no secret; digests of owners are left out, too."""
EPILOG = "exit status: 0 done, 1 not done, 2 not understood. See docs/admin.md."


def parser() -> argparse.ArgumentParser:
    """Every command."""
    asked = argparse.ArgumentParser(
        description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _or_in_json(asked)
    commands = asked.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, says: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.", epilog=EPILOG)
        _or_in_json(made)
        return made

    _questions(command)
    _orders(command)
    return asked


def _or_in_json(asked: argparse.ArgumentParser) -> None:
    """Before the command or behind it: set if it was asked for, absent otherwise."""
    said = "one JSON document instead of text"
    asked.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=said)


def _questions(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    command("status", "server, ledger, node, and what waits for you")
    owed = command("owed", "what is owed against what the node has, and what is safe to sweep")
    owed.add_argument(
        "--reserve", type=amount, default=Msat.ZERO, metavar="AMOUNT", help="leave so much more: 50000sat"
    )
    earnings = command("earnings", "charges, upstream's cost and margin of calls that ended")
    earnings.add_argument("--days", type=days, default=30, help="so many days by UTC, today included (default 30)")
    earnings.add_argument("--by", choices=("day", "api", "endpoint", "model"), default="day", help="default: day")
    payment = command("payment", "the whole story of a payment")
    payment.add_argument("hash", type=payment_hash, help="its payment hash; never ask a buyer for the preimage")
    request = command("request", "the whole story of a request")
    request.add_argument("id", help="its X-Request-Id, as req_…")
    account = command("account", "an account: owners, payments, history, calls")
    account.add_argument("account", help=ACCOUNT)
    for story in (payment, request, account):
        story.add_argument("--rows", type=rows, default=20, help="so many entries and calls (default 20)")
    command("keys", "what is owed under each root key: one with nothing may be retired")
    command("paused", "what is not sold now")
    command("audit", "recompute every balance; the same as scripts/audit")


def _orders(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    adjust = command("adjust", "add to a balance, or take from it, with a reason")
    adjust.add_argument("account", help=ACCOUNT)
    change = adjust.add_mutually_exclusive_group(required=True)
    change.add_argument("--add", type=amount, metavar="AMOUNT", help="as 21sat or 1500msat")
    change.add_argument("--take", type=amount, metavar="AMOUNT", help="never more than is free")
    freeze = command("freeze", "stop an account; running calls settle")
    freeze.add_argument("account", help=ACCOUNT)
    unfreeze = command("unfreeze", "take that back")
    unfreeze.add_argument("account", help=ACCOUNT)
    revoke = command("revoke", "take the token from an account with nothing on it")
    revoke.add_argument("account", help=ACCOUNT)
    pause = command("pause", "stop selling an API or a model, in every server within five seconds")
    resume = command("resume", "sell it again")
    for stop in (pause, resume):
        stop.add_argument("what", type=sold, metavar="API[/MODEL]", help="by their names in config.yaml: openai/gpt-4o")
    for reasoned in (adjust, freeze, pause):
        reasoned.add_argument("reason", help="for whoever looks later")
    for once in (adjust, revoke):
        once.add_argument("--op-id", default=None, help="of an attempt whose outcome was not told: repeats it safely")
    backup = command("backup", "copy the SQLite ledger while the server runs, and audit the copy")
    backup.add_argument("file", type=Path, help="it must not exist")
    restore = command("restore", "put such a copy in the ledger's place; no server may run")
    restore.add_argument("file", type=Path, help="as `backup` wrote it")


def new_op_id(given: str | None) -> str:
    """The one given, or a new one."""
    return given or f"admin-{uuid.uuid4().hex}"


def amount(text: str) -> Msat:
    """`21sat` or `1500msat`. Raises ArgumentTypeError."""
    found = AMOUNT.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise argparse.ArgumentTypeError("an amount has its unit, as 21sat or 1500msat")
    return Sat(int(found[1])).msat() if found[2] == "sat" else Msat(int(found[1]))


def payment_hash(text: str) -> bytes:
    """64 hex digits. Raises ArgumentTypeError."""
    if not PAYMENT_HASH_HEX.fullmatch(text.lower()):
        raise argparse.ArgumentTypeError("a payment hash has 64 hex digits")
    return bytes.fromhex(text)


def sold(text: str) -> tuple[str, str | None]:
    """`openai` or `openai/gpt-4o-mini`. A model's own name may have slashes."""
    api, _, model = text.partition("/")
    if not api:
        raise argparse.ArgumentTypeError("name an API, or a model as API/MODEL")
    return api, model or None


def days(text: str) -> int:
    """A number of days. Raises ArgumentTypeError."""
    return _whole(text, DAYS_MAX_COUNT)


def rows(text: str) -> int:
    """A number of rows. Raises ArgumentTypeError."""
    return _whole(text, ROWS_MAX_COUNT)


def _whole(text: str, most: int) -> int:
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"a number from 1 to {most:,}")
    return int(text)
