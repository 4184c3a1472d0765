"""docs/compatibility.md, from what was observed."""

from __future__ import annotations

from collections.abc import Iterable

from tests.clients import javascript_clients, python_clients
from tests.clients.observed import Kind, Observed, Seen
from tests.world import ROOT

PAGE = ROOT / "docs" / "compatibility.md"
FULL_PRICE = "pays 7 sat"
"""What the dear call of the scenarios costs without the change of the first."""

INTRO = """<!-- Made by scripts/compatibility, which runs all of this: change tests/clients, not this file. -->

# Compatibility

Real clients, unchanged, against this server. Each row is a run: the statuses that the server answered, in order, and
what was paid between them. *Shown* means that the buyer's own program got that answer. Paths without a payment spend
the change of an earlier one.

- **first call**: `gpt-4o-mini` says hello, for at most 2 sat; the stream is bought by another, fresh buyer
- **next call**: the same again
- **held**: the same while another call of the same credential holds its balance (`409 payment_in_progress`)
- **dear call**: one that may cost 7 sat, where the change is worth a little under 2
- **no provider**: this server cannot buy from its provider (`503 upstream_unavailable`); nothing is charged and the
  credential stays good

## Clients that pay
"""
HEAD_PAYS = (
    "| client | version | from | first call | stream | next call | held | dear call | no provider |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)
GIVEN = """
## Clients you hand a credential

Their user asks once, pays the invoice with any wallet, and gives the client the credential. Behind *unpaid* stands what
the client lets its user read of the 402; where that is not all of it, ask with `curl`.
"""
HEAD_GIVEN = (
    "| client | version | credential as | unpaid | first call | stream | next call | held | dear call | no provider |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)
OUTRO = """
## Change left behind

A client that forgets a credential leaves its change there. It does not expire: whoever kept the credential can spend it
at any endpoint, and see it with `GET /api/balance`.

## Not run, because they cannot be installed here

| client | what it sends | here |
| --- | --- | --- |
| lnget (Go) | asks twice before it pays, appends a `preimage=` caveat to the macaroon, keeps one token per host | \
works; replayed in tests/clients/test_vectors.py |
| lnget, dear call | drops its token, asks anew and pays in full | works; its change is left behind |
| L402-python, LangChainBitcoin, small MCP servers | find macaroon and invoice with regular expressions | \
works; their expressions are in tests/clients/test_vectors.py |
| Aperture's client (Loop, Pool, tapd) | over HTTP, `LSAT` and `L402` lines with the same credential | works; replayed |
| Aperture's client over gRPC | metadata `Macaroon: <hex>` with the preimage as a caveat | \
not supported: answered 402 as unpaid |

`macaroon`, on which lsat-js depends, is taken from npm: the package itself names a git repository for it.
"""


def kinds() -> list[Kind]:
    """Every client, in the order of the page."""
    everything = [*javascript_clients.kinds(), *python_clients.kinds()]
    return sorted(everything, key=lambda kind: not kind.pays)


def row(seen: Observed) -> str:
    """One line of one of the two tables."""
    unpaid = [] if seen.unpaid is None else [_readable(seen.unpaid)]
    cells = [
        seen.name,
        seen.version,
        seen.used,
        *unpaid,
        seen.json.words,
        seen.stream.words,
        seen.next.words,
        "never sends one twice" if seen.busy is None else seen.busy.words,
        _dear(seen.small),
        seen.refused.words,
    ]
    return f"| {' | '.join(cells)} |"


def _readable(unpaid: Seen) -> str:
    """What an error of the client has in it."""
    answer = unpaid.answer
    parts = ["status", *(["code"] if answer.code else []), *(["challenge"] if answer.challenge else [])]
    return f"{unpaid.words}: {', '.join(parts)}"


def _dear(small: Seen) -> str:
    if FULL_PRICE in small.events:
        return f"{small.words}: in full, the change is left behind"
    if "pays" in small.words:
        return f"{small.words}: the difference"
    return small.words


def page(paying: Iterable[str], given: Iterable[str]) -> str:
    """The whole page around the rows of its two tables."""
    parts = [INTRO, HEAD_PAYS, *paying, GIVEN, HEAD_GIVEN, *given, OUTRO]
    return "\n".join(parts).rstrip("\n") + "\n"


def page_of(seen: Iterable[Observed]) -> str:
    """The page of a run."""
    rows = list(seen)
    return page([row(one) for one in rows if one.pays], [row(one) for one in rows if not one.pays])


def rows_of(text: str) -> tuple[list[str], list[str]]:
    """The rows of the two tables of a page."""
    paying = text.partition(HEAD_PAYS + "\n")[2].partition("\n\n")[0]
    given = text.partition(HEAD_GIVEN + "\n")[2].partition("\n\n")[0]
    return paying.splitlines(), given.splitlines()
