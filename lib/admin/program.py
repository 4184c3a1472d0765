"""`scripts/admin`: reads the environment, asks, tells."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

from lib import config, services
from lib.admin import orders, questions
from lib.admin.orders import Done
from lib.admin.parser import new_op_id, parser
from lib.admin.questions import Shop
from lib.admin.telling import as_json, as_text, plain
from lib.config import ConfigError
from lib.core import catalog
from lib.core.place import InFile, Place
from lib.lightning.phoenixd import Phoenixd
from lib.store.ledger import AccountUnknown, LedgerNewerThanCode, LedgerOlderThanCode, LedgerUnavailable
from lib.store.operating import OperatorsLedger
from lib.store.sqlite import LedgerLocked
from lib.store.sqlite_beside import SqliteBeside
from lib.store.watermark import PositionUnreadable

NOT_DONE = (
    ConfigError,
    LedgerLocked,
    LedgerNewerThanCode,
    LedgerOlderThanCode,
    LedgerUnavailable,
    OSError,
    PositionUnreadable,
    ValueError,
)


async def run(root: Path, arguments: list[str]) -> int:
    """Do what is asked and tell it; the exit code."""
    asked = parser().parse_args(arguments)
    in_json = "json" in asked
    if hasattr(asked, "op_id"):
        asked.op_id = new_op_id(asked.op_id)
    try:
        told = await _done(asked, root)
    except AccountUnknown as error:
        return _complain(f"there is no account {error}")
    except LedgerUnavailable as error:
        hint = (
            f"\nIf that left the outcome open, repeat it with --op-id {asked.op_id}" if hasattr(asked, "op_id") else ""
        )
        return _complain(f"{error}{hint}")
    except NOT_DONE as error:
        return _complain(str(error))
    if told is None:
        return _complain("nothing is known of it")
    sys.stdout.write(_shown(told, in_json=in_json) + "\n")
    return 1 if isinstance(told, Done) and not told.done else 0


def _shown(told: object, *, in_json: bool) -> str:
    if in_json:
        return as_json(plain(told))
    return told.what if isinstance(told, Done) else as_text(plain(told))


async def _done(asked: argparse.Namespace, root: Path) -> object:
    env = config.process_environment()
    place, data_dir = config.read_ledger(env, root)
    if asked.command in {"backup", "restore"}:
        if not isinstance(place, InFile):
            raise ConfigError(f"the ledger is in {place.kind}: use pg_dump and pg_restore, see docs/operations.md")
        order = orders.back_up if asked.command == "backup" else orders.restore
        return await order(data_dir, asked.file)
    async with _opened(place, data_dir, root) as shop:
        return await (_answer(asked, shop) if asked.command in QUESTIONS else _order(asked, shop, root))


QUESTIONS = frozenset({"status", "owed", "earnings", "payment", "request", "account", "keys", "paused", "audit"})


async def _answer(asked: argparse.Namespace, shop: Shop) -> object:
    match asked.command:
        case "status":
            return await questions.status(shop)
        case "owed":
            return await questions.owed(shop, asked.reserve)
        case "earnings":
            return await questions.earnings(shop, asked.days, asked.by, datetime.now(UTC))
        case "payment":
            return await questions.payment(shop, asked.hash, asked.rows)
        case "request":
            return await questions.request(shop, asked.id, asked.rows)
        case "account":
            return await questions.account(shop, asked.account, asked.rows)
        case "keys":
            return await questions.keys(shop)
        case "paused":
            return await shop.ledger.pauses()
        case _:
            differences = await shop.ledger.audit()
            return Done(done=not differences, what="\n".join(differences) or "no difference")


async def _order(asked: argparse.Namespace, shop: Shop, root: Path) -> Done:
    match asked.command:
        case "adjust":
            change = asked.add if asked.add is not None else -asked.take
            return await orders.adjust(shop, asked.op_id, asked.account, change, asked.reason)
        case "freeze":
            return await orders.freeze(shop, asked.account, asked.reason)
        case "unfreeze":
            return await orders.unfreeze(shop, asked.account)
        case "revoke":
            return await orders.revoke(shop, asked.op_id, asked.account)
        case "pause":
            return await orders.pause(shop, _in_catalog(asked.what, root), asked.reason)
        case _:
            return await orders.resume(shop, asked.what)


def _in_catalog(what: tuple[str, str | None], root: Path) -> tuple[str, str | None]:
    """What was named, if config.yaml has it: a slip would stop nothing and look as if it had. Raises ConfigError."""
    api, model = what
    models = catalog.build(config.read_upstreams(config.process_environment(), root).config).models()
    if api not in (apis := sorted({name for name, _ in models})):
        raise ConfigError(f"config.yaml has no API {api}; it has {', '.join(apis)}")
    if model is not None and what not in models:
        raise ConfigError(f"config.yaml has no model {model} of {api}")
    return what


@contextlib.asynccontextmanager
async def _opened(place: Place, data_dir: Path, root: Path) -> AsyncGenerator[Shop]:
    """Ledger and node, beside whatever runs."""
    env = config.process_environment()
    host, port = config.listen_address(env)
    url, password = config.read_node(env, root)
    async with contextlib.AsyncExitStack() as stack:
        node = Phoenixd(url, password)
        stack.push_async_callback(node.aclose)
        ledger: OperatorsLedger
        if isinstance(place, InFile):
            ledger = SqliteBeside(data_dir)
        else:
            opened = await services.ledger_at(place, data_dir)
            stack.push_async_callback(opened.aclose)
            ledger = opened
        reached = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - read, not bound
        yield Shop(place, questions.where(place, data_dir), ledger, node, f"http://{reached}:{port}")


def _complain(line: str) -> int:
    sys.stderr.write(line + "\n")
    return 1
