"""docs/compatibility.md around its rows; the rows are tested with the clients that they are about."""

from __future__ import annotations

from tests.clients import table


def test_the_page_is_the_one_that_the_script_writes():
    """Nothing in docs/compatibility.md was written by hand, and no client is missing."""
    text = table.PAGE.read_text(encoding="utf-8")
    paying, given = table.rows_of(text)

    assert table.page(paying, given) == text
    assert len(paying) == sum(kind.pays for kind in table.kinds())
    assert len(given) == sum(not kind.pays for kind in table.kinds())
