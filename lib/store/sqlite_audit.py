"""Recompute a SQLite ledger from its entries and holds, trusting no sum that is stored.

It reads one snapshot, needs nothing but the database file and never asks for the clock, so that it can run beside a
live server from another process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

SENTENCES_LIMIT_PER_RULE = 1_000
"""A broken rule is reported; a destroyed file does not fill the memory."""

_RULES: Sequence[tuple[str, str]] = (
    (
        "account {} has a balance of {} msat, but its entries sum up to {} msat",
        """
        SELECT accounts.id, accounts.balance_msat, coalesce(sum(entries.amount_msat), 0) AS summed
        FROM accounts LEFT JOIN entries ON entries.account = accounts.id
        GROUP BY accounts.id HAVING accounts.balance_msat <> summed
        """,
    ),
    (
        "entry {} of account {} says a balance of {} msat, but the entries up to it sum up to {} msat",
        """
        SELECT id, account, balance_msat, summed FROM (
            SELECT id, account, balance_msat, sum(amount_msat) OVER (PARTITION BY account ORDER BY id) AS summed
            FROM entries
        ) WHERE balance_msat <> summed
        """,
    ),
    (
        "account {} has {} msat held, but its running calls hold {} msat",
        """
        SELECT accounts.id, accounts.held_msat, coalesce(sum(holds.ceiling_msat), 0) AS summed
        FROM accounts LEFT JOIN holds ON holds.account = accounts.id AND holds.ended_at_us IS NULL
        GROUP BY accounts.id HAVING accounts.held_msat <> summed
        """,
    ),
    (
        "account {} has a balance of {} msat of which {} msat are held: that is impossible",
        """
        SELECT id, balance_msat, held_msat FROM accounts
        WHERE balance_msat < 0 OR held_msat < 0 OR held_msat > balance_msat
        """,
    ),
    (
        "hold {} was charged {} msat, but its entry says {} msat",
        """
        SELECT holds.id, coalesce(holds.charge_msat, 0) AS charged, coalesce(-entries.amount_msat, 0) AS booked
        FROM holds LEFT JOIN entries ON entries.hold = holds.id WHERE charged <> booked
        """,
    ),
    (
        "hold {} belongs to account {}, but its charge is booked on account {}",
        """
        SELECT holds.id, holds.account, entries.account FROM entries JOIN holds ON holds.id = entries.hold
        WHERE holds.account <> entries.account
        """,
    ),
    (
        "hold {} was charged {} msat, outside of 0 to its ceiling of {} msat",
        "SELECT id, charge_msat, ceiling_msat FROM holds WHERE charge_msat NOT BETWEEN 0 AND ceiling_msat",
    ),
    (
        "hold {} has lapsed and is live",
        "SELECT id FROM holds WHERE lapsed_at_us IS NOT NULL AND ended_at_us IS NULL",
    ),
    (
        "hold {} is live, but its lease {} has ended",
        """
        SELECT holds.id, holds.lease FROM holds JOIN leases ON leases.id = holds.lease
        WHERE holds.ended_at_us IS NULL AND leases.ended_at_us IS NOT NULL
        """,
    ),
    (
        "payment {} was credited with {} msat, but its entries say {} msat",
        """
        SELECT lower(hex(credits.payment_hash)), credits.amount_msat, coalesce(sum(entries.amount_msat), 0) AS booked
        FROM credits LEFT JOIN entries ON entries.payment_hash = credits.payment_hash AND entries.kind = 'credit'
        GROUP BY credits.payment_hash HAVING credits.amount_msat <> booked
        """,
    ),
    (
        "payment {} overpaid by {} msat, but its entries say {} msat",
        """
        SELECT lower(hex(credits.payment_hash)),
            max(0, coalesce(credits.received_msat, 0) - credits.amount_msat) AS excess,
            coalesce(sum(entries.amount_msat), 0) AS booked
        FROM credits LEFT JOIN entries ON entries.payment_hash = credits.payment_hash AND entries.kind = 'over'
        GROUP BY credits.payment_hash HAVING excess <> booked
        """,
    ),
    (
        "payment {} was credited to account {}, but entry {} books it on account {}",
        """
        SELECT lower(hex(credits.payment_hash)), credits.account, entries.id, entries.account
        FROM entries JOIN credits ON credits.payment_hash = entries.payment_hash
        WHERE entries.account <> credits.account
        """,
    ),
    (
        "account {} has a balance of {} msat that nobody owns",
        """
        SELECT id, balance_msat FROM accounts
        WHERE balance_msat > 0 AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.account = accounts.id)
        """,
    ),
    (
        "account {} has a token and {} other owners",
        """
        SELECT account, count(*) - 1 AS others FROM owners
        GROUP BY account HAVING others > 0 AND max(kind = 'token')
        """,
    ),
    (
        "payment {} was credited to account {}, but its credential owns account {}",
        """
        SELECT lower(hex(credits.payment_hash)), credits.account, owners.account
        FROM owners JOIN credits ON credits.payment_hash = owners.payment_hash
        WHERE owners.account <> credits.account
        """,
    ),
    (
        "payment {} is an orphan: account {} was credited with it, but its credential neither owns nor was claimed",
        """
        SELECT lower(hex(payment_hash)), account FROM credits
        WHERE kind <> 'refill' AND claimed_by IS NULL
            AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.payment_hash = credits.payment_hash)
        """,
    ),
    (
        "payment {} is claimed, but its credential still owns account {}",
        """
        SELECT lower(hex(credits.payment_hash)), owners.account
        FROM owners JOIN credits ON credits.payment_hash = owners.payment_hash WHERE claimed_by IS NOT NULL
        """,
    ),
    (
        "payment {} is credited, but its invoice is still open",
        """
        SELECT lower(hex(topups.payment_hash)) FROM topups JOIN credits ON credits.payment_hash = topups.payment_hash
        WHERE topups.closed_at_us IS NULL
        """,
    ),
    (
        "{} entries were written, but {} are there",
        """
        SELECT written, there FROM (
            SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'entries'), 0) AS written,
                (SELECT count(*) FROM entries) AS there
        ) WHERE written <> there
        """,
    ),
    (
        "table {} has a row {} that points to a row of {} that is not there",
        'SELECT "table", rowid, parent FROM pragma_foreign_key_check',
    ),
    (
        "the database file is damaged: {}",
        "SELECT quick_check FROM pragma_quick_check WHERE quick_check <> 'ok'",
    ),
)

_FREEZES_SINCE_SCHEMA = 3
_FROZEN = (
    "account {} is marked frozen={}, but has {} denied payments and {} freezes of an operator",
    """
    SELECT accounts.id, accounts.frozen, count(credits.payment_hash) AS denied,
        (SELECT count(*) FROM freezes WHERE freezes.account = accounts.id AND ended_at_us IS NULL) AS stopped
    FROM accounts LEFT JOIN credits ON credits.account = accounts.id AND credits.denied_at_us IS NOT NULL
    GROUP BY accounts.id HAVING accounts.frozen <> (denied > 0 OR stopped > 0)
    """,
)
_FROZEN_BEFORE_FREEZES = (
    "account {} is marked frozen={}, but has {} denied payments",
    """
    SELECT accounts.id, accounts.frozen, count(credits.payment_hash) AS denied
    FROM accounts LEFT JOIN credits ON credits.account = accounts.id AND credits.denied_at_us IS NOT NULL
    GROUP BY accounts.id HAVING accounts.frozen <> (denied > 0)
    """,
)
"""For a copy that an older release made."""


def differences(db: sqlite3.Connection) -> Sequence[str]:
    """One sentence per difference, none if all is well. Call it inside a transaction: its rules must see one moment."""
    (number,) = db.execute("PRAGMA user_version").fetchone()
    frozen = _FROZEN if number >= _FREEZES_SINCE_SCHEMA else _FROZEN_BEFORE_FREEZES
    return [
        sentence.format(*row)
        for sentence, query in (*_RULES, frozen)
        for row in db.execute(query).fetchmany(SENTENCES_LIMIT_PER_RULE)
    ]
