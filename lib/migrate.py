"""`scripts/migrate`: what an operator does to a ledger — its schema, a restored backup, payments under review."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from lib import config, services
from lib.config import ConfigError
from lib.core.place import InFile, InPostgres, Place
from lib.store import upgrade
from lib.store.ledger import (
    Ledger,
    LedgerNewerThanCode,
    LedgerOlderThanCode,
    LedgerUnavailable,
    Position,
    Restored,
    Review,
)
from lib.store.sqlite import LedgerLocked
from lib.store.sqlite_beside import SqliteBeside
from lib.store.supabase_project import NoDirectAddress
from lib.store.watermark import PositionUnreadable, Watermark

REVIEWS_MAX_COUNT = 1_000
PAYMENT_HASH_HEX = re.compile(r"[0-9a-f]{64}")
MSAT_DIGITS = 3

MEANING = {
    Restored.HONOUR: "Payments quoted before {now} are credited as any other when their credentials come.\n"
    "Nobody loses; what was credited and spent in the lost part can be spent again.",
    Restored.REVIEW: "Payments quoted before {now} are answered 503 ledger_restored when their credentials come,\n"
    "and listed by --reviews. Each is credited once you have said --approve HASH.",
}


def parser() -> argparse.ArgumentParser:
    """What can be asked."""
    asked = argparse.ArgumentParser(
        description="Bring the ledger that the environment names up to date, or look after one that was restored.",
        epilog="exit status: 0 done, 1 not done, 2 not understood. See docs/operations.md.",
    )
    asked.add_argument("--database-url", metavar="URL", help="this PostgreSQL instead of what the environment names")
    what = asked.add_mutually_exclusive_group()
    what.add_argument("--print", action="store_true", help="write the SQL that is missing, for psql or an SQL editor")
    what.add_argument(
        "--restored",
        choices=[choice.value for choice in Restored],
        help="take a restored ledger into service, and say what becomes of payments quoted before now",
    )
    what.add_argument("--reviews", action="store_true", help="list payments that wait, or waited, for your word")
    what.add_argument("--approve", metavar="HASH", type=_payment_hash, help="let the payment of this hash be credited")
    return asked


async def run(root: Path, arguments: list[str]) -> int:
    """Do what is asked and tell it; the exit code."""
    asked = parser().parse_args(arguments)
    try:
        place, data_dir = config.read_ledger(config.process_environment(), root)
        if asked.database_url is not None:
            place = InPostgres(asked.database_url)
        return await _do(asked, place, data_dir)
    except LedgerLocked as error:
        _complain(f"{error}\nStop the server first, then repeat.")
    except (
        ConfigError,
        LedgerNewerThanCode,
        LedgerOlderThanCode,
        LedgerUnavailable,
        NoDirectAddress,
        PositionUnreadable,
    ) as error:
        _complain(str(error))
    return 1


async def _do(asked: argparse.Namespace, place: Place, data_dir: Path) -> int:
    if asked.print:
        return await _print(place, data_dir)
    if asked.restored is not None:
        return await _accept(place, data_dir, Restored(asked.restored))
    if asked.reviews:
        return await _list(place, data_dir)
    if asked.approve is not None:
        return await _approve(place, data_dir, asked.approve)
    return await _upgrade(place, data_dir)


async def _upgrade(place: Place, data_dir: Path) -> int:
    done = 0
    async for name in upgrade.upgraded(place, data_dir):
        _say(f"{name} applied")
        done += 1
    _say(f"the ledger in {_where(place, data_dir)} is up to date{'' if done else ', nothing was missing'}")
    return 0


async def _print(place: Place, data_dir: Path) -> int:
    found = await upgrade.script(place, data_dir)
    _complain(f"{_where(place, data_dir)}: {found.note}")
    _say(found.text or "-- nothing is missing")
    return 0


async def _accept(place: Place, data_dir: Path, choice: Restored) -> int:
    remembered = Watermark(data_dir).mark()
    async with _opened(place, data_dir) as ledger:
        before = await ledger.position()
        if known := remembered.get(before.ledger_id):
            _say(f"last seen  {known}")
        _say(f"before     {_words(before)}")
        after = await ledger.accept_restored(choice)
    _say(f"after      {_words(after)}")
    _say(MEANING[choice].format(now=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")))
    _say("Start the server." if isinstance(place, InFile) else "Running servers take up work within ten seconds.")
    return 0


async def _list(place: Place, data_dir: Path) -> int:
    if isinstance(place, InFile):
        found = await SqliteBeside(data_dir).reviews(REVIEWS_MAX_COUNT)
    else:
        async with _opened(place, data_dir) as ledger:
            found = await ledger.reviews(REVIEWS_MAX_COUNT)
    if not found:
        _say("no payment is under review")
        return 0
    _say(f"{'payment hash':64}  {'sat':>12}  {'first asked':20}  approved")
    for review in found:
        _say(_line(review))
    if len(found) == REVIEWS_MAX_COUNT:
        _complain(f"only the oldest {REVIEWS_MAX_COUNT:,} are shown")
    return 0


async def _approve(place: Place, data_dir: Path, payment_hash: bytes) -> int:
    if isinstance(place, InFile):
        listed = await SqliteBeside(data_dir).approve(payment_hash)
    else:
        async with _opened(place, data_dir) as ledger:
            listed = await ledger.approve(payment_hash)
    if not listed:
        _complain("this payment is not under review: see --reviews")
        return 1
    _say("approved: it is credited when its credential comes again, a top-up by itself once a server runs")
    return 0


@contextlib.asynccontextmanager
async def _opened(place: Place, data_dir: Path) -> AsyncGenerator[Ledger]:
    ledger = await services.ledger_at(place, data_dir)
    try:
        yield ledger
    finally:
        await ledger.aclose()


def _where(place: Place, data_dir: Path) -> str:
    return str(data_dir) if isinstance(place, InFile) else place.kind


def _words(position: Position) -> str:
    return f"generation {position.generation}, entry {position.newest_entry}"


def _line(review: Review) -> str:
    sats = Decimal(review.amount.value).scaleb(-MSAT_DIGITS)
    at = review.asked_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{review.payment_hash.hex()}  {sats:>12f}  {at}  {'yes' if review.approved else 'no'}"


def _payment_hash(text: str) -> bytes:
    if not PAYMENT_HASH_HEX.fullmatch(text.lower()):
        raise argparse.ArgumentTypeError("a payment hash has 64 hex digits")
    return bytes.fromhex(text)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")
