"""What the console does: each order is one operation of the ledger, and tells what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from lib.admin.questions import Shop
from lib.core.money import Msat
from lib.store import backup
from lib.store.data_directory import LEDGER_FILE
from lib.store.ledger import Adjusted, Gone, Owed, Revoked, TooMuch


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order."""

    done: bool
    what: str


async def adjust(shop: Shop, op_id: str, account: str, change: Msat, reason: str) -> Done:
    """Book an operator's entry."""
    match await shop.ledger.adjust(op_id, account, change, reason):
        case Adjusted(balance):
            return Done(done=True, what=f"{change.value:+,} msat booked; the balance is {balance.value:,} msat")
        case TooMuch(balance, held):
            free = balance - held
            return Done(done=False, what=f"only {free.value:,} msat are free, {held.value:,} are held by running calls")
        case Gone():
            return Done(done=False, what="nobody owns this account: what is added to it would be lost")


async def freeze(shop: Shop, account: str, reason: str) -> Done:
    """Stop an account."""
    if await shop.ledger.freeze(account, reason):
        return Done(done=True, what="frozen: running calls settle, nothing new is sold to it")
    return Done(done=True, what="an operator froze it before; that stays, with its reason")


async def unfreeze(shop: Shop, account: str) -> Done:
    """Take an operator's freeze back."""
    ended = await shop.ledger.unfreeze(account)
    found = await shop.ledger.account(account)
    if found is not None and found.frozen:
        return Done(done=False, what="it stays frozen: the node denies one of its payments")
    return Done(done=True, what="thawed" if ended else "no operator froze it")


async def revoke(shop: Shop, op_id: str, account: str) -> Done:
    """Take the token from an account."""
    match await shop.ledger.revoke_account(op_id, account):
        case Revoked():
            return Done(done=True, what="revoked: its token is unknown from now on")
        case Owed(balance, held):
            what = f"{balance.value:,} msat are owed, {held.value:,} of them held: take it first, or freeze the account"
            return Done(done=False, what=what)
        case Gone():
            return Done(done=False, what="no token owns it; who knows a payment's preimage proves it again: freeze it")


async def pause(shop: Shop, what: tuple[str, str | None], reason: str) -> Done:
    """Stop selling it, in every server."""
    api, model = what
    if await shop.ledger.pause(api, model, reason):
        return Done(done=True, what=f"{_name(api, model)} is paused: no server sells it five seconds from now")
    return Done(done=True, what=f"{_name(api, model)} was paused before; that stays, with its reason")


async def resume(shop: Shop, what: tuple[str, str | None]) -> Done:
    """Sell it again."""
    api, model = what
    if await shop.ledger.resume(api, model):
        return Done(done=True, what=f"{_name(api, model)} is sold again five seconds from now")
    return Done(done=False, what=f"there is no pause of exactly {_name(api, model)}: see `paused`")


async def back_up(data_dir: Path, target: Path) -> Done:
    """Copy a SQLite ledger. Raises OSError and LedgerUnavailable."""
    try:
        differences = await asyncio.to_thread(backup.back_up, data_dir / LEDGER_FILE, target)
    except FileExistsError:
        return Done(done=False, what=f"{target} exists: a backup never overwrites")
    size = target.stat().st_size  # noqa: ASYNC240 - of a file that was just written
    found = "; ".join(differences) or "its audit finds no difference"
    return Done(done=not differences, what=f"{target}: {size:,} bytes; {found}")


async def restore(data_dir: Path, copy: Path) -> Done:
    """Put a copy in a SQLite ledger's place. Raises LedgerLocked and LedgerUnavailable."""
    aside = await asyncio.to_thread(backup.put_back, copy, data_dir)
    kept = "" if aside is None else f"; what was there is {aside}"
    then = "now say what becomes of payments of the lost part: scripts/migrate --restored honour|review"
    return Done(done=True, what=f"put back{kept}; {then}")


def _name(api: str, model: str | None) -> str:
    return f"{model} of {api}" if model else f"every model of {api}"
