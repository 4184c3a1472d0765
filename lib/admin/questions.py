"""What the console answers: values, to be told as text or JSON. Nothing here changes anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import httpx

from lib.core.money import Msat, UsdPicos
from lib.core.place import InFile, Place
from lib.lightning.node import LightningNode, NodeUnavailable
from lib.store.ledger import Entry
from lib.store.operating import CallStory, Earned, OperatorsLedger

HEALTH_SECONDS = 3.0
LISTED_MAX_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class Shop:
    """What the console looks at."""

    place: Place
    where: str
    ledger: OperatorsLedger
    node: LightningNode
    server_url: str


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """What the node said, or why it said nothing."""

    ok: bool
    detail: str
    balance: Msat | None = None


async def status(shop: Shop) -> Mapping[str, object]:
    """Server, ledger, node, and what waits for the operator."""
    totals, doubts = await shop.ledger.totals(), await shop.ledger.in_doubt(LISTED_MAX_COUNT)
    reviews = [review for review in await shop.ledger.reviews(LISTED_MAX_COUNT) if not review.approved]
    return {
        "server": await _health(shop.server_url),
        "ledger": {
            "where": shop.where,
            "position": (await shop.ledger.position()).newest_entry,
            **{field.name: getattr(totals, field.name) for field in dataclasses.fields(totals)},
        },
        "node": await _node(shop.node),
        "waits_for_you": {
            "payments_under_review": len(reviews),
            "payments_denied_by_the_node": sum(doubt.denied for doubt in doubts),
            "payments_not_confirmed": sum(not doubt.denied for doubt in doubts),
        },
        "paused": await shop.ledger.pauses(),
    }


async def owed(shop: Shop, reserve: Msat) -> Mapping[str, object]:
    """Liabilities against the node's balance. What is safe to sweep is known only while the node answers."""
    totals, debts, node = await shop.ledger.totals(), await shop.ledger.debts(), await _node(shop.node)
    invoices = sum((debt.open_invoices for debt in debts), Msat.ZERO)
    told: dict[str, object] = {
        "owed": totals.balance,
        "held_by_calls": totals.held,
        "open_invoices": invoices,
        "reserve": reserve,
        "node": node,
    }
    if node.balance is not None:
        rest = node.balance - totals.balance - invoices - reserve
        told["safe_to_sweep"] = max(rest, Msat.ZERO).sat_rounded_down()
        told["missing"] = max(-rest, Msat.ZERO)
    note = "Payments for calls whose credential never came are not in the ledger: they are owed as well."
    return {**told, "note": note}


async def earnings(shop: Shop, days: int, by: str, now: datetime) -> Mapping[str, object]:
    """Of the last so many days by UTC, summed up by what was asked, and in all."""
    since = datetime.combine(now.date() - timedelta(days=days - 1), time.min, UTC)
    found = await shop.ledger.earned(since, now + timedelta(days=1))
    groups: dict[tuple[str, ...], list[Earned]] = {}
    for row in found:
        groups.setdefault(_group(row, by), []).append(row)
    names = {"day": ("day",), "api": ("api",), "endpoint": ("api", "path"), "model": ("api", "model")}[by]
    return {
        "since": since,
        "rows": [{**dict(zip(names, group, strict=True)), **_sum(rows)} for group, rows in sorted(groups.items())],
        "in_all": _sum(found),
        "note": "Dollars: each charge at the bitcoin price of its call; upstream at its own prices.",
    }


def _group(row: Earned, by: str) -> tuple[str, ...]:
    match by:
        case "day":
            return (row.day.isoformat(),)
        case "api":
            return (row.api,)
        case "endpoint":
            return row.api, row.path
        case _:
            return row.api, row.model


def _sum(rows: Sequence[Earned]) -> dict[str, object]:
    charged_usd = sum((row.charged_usd for row in rows), UsdPicos.ZERO)
    upstream = sum((row.upstream_cost for row in rows), UsdPicos.ZERO)
    return {
        "calls": sum(row.calls for row in rows),
        "charged": sum((row.charged for row in rows), Msat.ZERO),
        "charged_usd": charged_usd,
        "upstream": upstream,
        "margin": charged_usd - upstream,
        "lost": sum((row.loss for row in rows), UsdPicos.ZERO),
        "clamped": sum((row.clamped for row in rows), Msat.ZERO),
        "shortfall": sum((row.shortfall for row in rows), Msat.ZERO),
        "cost_unknown": sum(row.unpriced for row in rows),
    }


async def payment(shop: Shop, payment_hash: bytes, rows: int) -> Mapping[str, object] | None:
    """What ledger and node know of it, and its account; None if neither knows anything."""
    told = await shop.ledger.payment(payment_hash)
    node = await _at_node(shop.node, payment_hash)
    if told.credited is None and told.invoiced is None and told.review is None and node.get("state") == "unknown":
        return None
    story: dict[str, object] = {"payment": told, "node": node}
    if told.credited is not None:
        account = told.credited.account
        story["account"] = await shop.ledger.account(account)
        story["entries"] = _told(await shop.ledger.entries(account, before=None, limit=rows))
        calls = await shop.ledger.calls_of(account, rows)
        story["calls"] = [_brief(call) for call in calls]
    return story


async def request(shop: Shop, request_id: str, rows: int) -> Mapping[str, object] | None:
    """Its call from hold to end, the entries it made, and its account; None if it was no paid call."""
    calls = await shop.ledger.calls(request_id)
    if not calls:
        return None
    account = calls[0].account
    entries = await shop.ledger.entries(account, before=None, limit=LISTED_MAX_COUNT)
    mine = [entry for entry in entries if entry.call is not None and entry.call.request_id == request_id]
    return {
        "call": _outcome(calls[0]),
        "other_calls": [_brief(call) for call in calls[1:]],
        "entries": _told(mine[:rows]),
        "account": await shop.ledger.account(account),
    }


async def account(shop: Shop, name: str, rows: int) -> Mapping[str, object] | None:
    """Owners, payments, history and calls; None if there is none of this id."""
    found = await shop.ledger.account(name)
    if found is None:
        return None
    entries = await shop.ledger.entries(name, before=None, limit=rows)
    calls = [_brief(call) for call in await shop.ledger.calls_of(name, rows)]
    return {"account": found, "entries": _told(entries), "calls": calls}


async def keys(shop: Shop) -> Sequence[object]:
    """What is owed under each root key."""
    return await shop.ledger.debts()


def _told(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Flat, for a table."""
    return [
        {
            "id": entry.id,
            "at": entry.at,
            "type": entry.kind,
            "amount": entry.amount,
            "balance": entry.balance,
            "request_id": entry.call.request_id if entry.call else None,
            "model": entry.call.model if entry.call else None,
            "ending": entry.ending,
            "payment_hash": entry.payment_hash,
            "reason": entry.reason,
        }
        for entry in entries
    ]


def _brief(call: CallStory) -> dict[str, object]:
    """One line of a list; `request` tells the rest."""
    return {
        "opened_at": call.opened_at,
        "request_id": call.request_id,
        "by": call.owner,
        "payment_hash": call.payment_hash,
        "model": call.model,
        "ceiling": call.ceiling,
        "charge": call.charge,
        "ending": call.ending or "runs",
        "left_at": call.left_at,
        "kept_until": call.kept_until,
    }


def _outcome(call: CallStory) -> dict[str, object]:
    """A call in words first."""
    if call.ended_at is None:
        words = "it runs"
    elif call.kept_until is not None:
        words = "charged, and its answer is kept: the same request gets it free"
    elif call.charge:
        words = "charged"
    else:
        words = "not charged"
    return {"in_short": words, **{field.name: getattr(call, field.name) for field in dataclasses.fields(call)}}


async def _node(node: LightningNode) -> NodeSeen:
    try:
        info, balance = await node.info(), await node.balance()
    except NodeUnavailable as error:
        return NodeSeen(ok=False, detail=str(error))
    return NodeSeen(info.ready, info.detail, balance.msat())


async def _at_node(node: LightningNode, payment_hash: bytes) -> Mapping[str, object]:
    try:
        known = await node.incoming(payment_hash)
    except NodeUnavailable as error:
        return {"detail": str(error)}
    return {"state": known.state.value, "received": known.received}


async def _health(url: str) -> Mapping[str, Any]:
    """As the server that listens where HOST and PORT say tells it."""
    try:
        async with httpx.AsyncClient(timeout=HEALTH_SECONDS, trust_env=False) as client:
            told: dict[str, Any] = (await client.get(f"{url}/api/health")).json()
    except (httpx.HTTPError, ValueError) as error:
        return {"url": url, "status": f"no answer ({type(error).__name__})"}
    return {"url": url, "status": told["status"], "parts": told["parts"], "alarms": told["alarms"]}


def where(place: Place, directory: object) -> str:
    """In words."""
    return f"sqlite in {directory}" if isinstance(place, InFile) else place.kind
