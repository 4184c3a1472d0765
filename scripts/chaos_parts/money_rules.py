"""Rules of money: what was paid is what was charged and what is left, payment by payment and in all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from chaos_parts.evidence import Evidence


def differences(found: Evidence) -> Iterator[str]:
    """One sentence for each."""
    yield from (f"the ledger's own audit: {sentence}" for sentence in found.books.differences)
    yield from _payments(found)
    yield from _balances(found)
    yield from _holds(found)


def _payments(found: Evidence) -> Iterator[str]:
    """Each payment that the node received is booked once, with all that arrived, and nothing else is booked."""
    booked: dict[str, int] = defaultdict(int)
    for entry in found.books.entries:
        if entry.payment_hash is not None:
            booked[entry.payment_hash] += entry.amount_msat
    for name in sorted(booked.keys() | found.received_msat.keys()):
        at_node, in_ledger = found.received_msat.get(name, 0), booked.get(name, 0)
        if at_node != in_ledger:
            yield f"payment {name}: the node received {at_node} msat, the ledger booked {in_ledger} msat"
    credited = {credit.payment_hash for credit in found.books.credits}
    if credited != booked.keys():
        yield f"{len(credited ^ booked.keys())} credits have no entry, or entries no credit"
    doubtful = [credit for credit in found.books.credits if not credit.confirmed]
    if doubtful:
        yield f"{len(doubtful)} credits were never confirmed by the node"


def _balances(found: Evidence) -> Iterator[str]:
    """Paid = charged + balances, and each balance is the sum of its account's entries."""
    paid, charged, balances = totals(found)
    if paid != charged + balances:
        yield f"paid {paid} msat, but charged {charged} and balances {balances} make {charged + balances} msat"
    sums: dict[str, int] = defaultdict(int)
    for entry in found.books.entries:
        sums[entry.account] += entry.amount_msat
    for account in found.books.accounts:
        if account.balance_msat != sums[account.id]:
            yield f"account {account.id} has {account.balance_msat} msat, its entries sum up to {sums[account.id]}"
        if account.held_msat:
            yield f"account {account.id} still holds {account.held_msat} msat"


def totals(found: Evidence) -> tuple[int, int, int]:
    """Msat paid at the node, charged, and left as balances."""
    charged = -sum(entry.amount_msat for entry in found.books.entries if entry.kind == "charge")
    balances = sum(account.balance_msat for account in found.books.accounts)
    return sum(found.received_msat.values()), charged, balances


def _holds(found: Evidence) -> Iterator[str]:
    """No hold lives, and each was charged what its entry says, once, and never above its ceiling."""
    entries: dict[str, list[int]] = defaultdict(list)
    for entry in found.books.entries:
        if entry.hold is not None:
            entries[entry.hold].append(-entry.amount_msat)
    for hold in found.books.holds:
        if hold.ended_at is None:
            yield f"hold {hold.id} is still live"
        if entries.get(hold.id, []) != ([hold.charge_msat] if hold.charge_msat else []):
            yield f"hold {hold.id} was charged {hold.charge_msat} msat, its entries say {entries.get(hold.id, [])}"
        if hold.due_msat > hold.ceiling_msat:
            yield f"hold {hold.id} owed {hold.due_msat} msat, above its ceiling of {hold.ceiling_msat}"
    if unknown := entries.keys() - found.holds.keys():
        yield f"{len(unknown)} charges are for calls that nobody made"
