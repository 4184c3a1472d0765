"""What a site can be in that its pages must show."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.canned_site import CannedSite, models_of

State = Callable[[CannedSite], None]


def open_for_business(site: CannedSite) -> None:
    """The sample as it is."""


def refuse(site: CannedSite) -> None:
    """The server answers every request for the catalog with an error."""
    site.catalog = None


def close_shop(site: CannedSite) -> None:
    """The one API cannot be bought."""
    assert site.catalog is not None
    site.catalog["apis"][0] |= {"available": False, "unavailable_reason": "The server has no key for it."}


def pause_a_model(site: CannedSite) -> None:
    """`gpt-4o` is not sold for a while."""
    assert site.catalog is not None
    for model in models_of(site.catalog):
        model["paused"] = model["id"] == "gpt-4o"


def empty_shop(site: CannedSite) -> None:
    """Nothing is listed."""
    assert site.catalog is not None
    site.catalog["apis"] = []


def old_price(site: CannedSite) -> None:
    """A bitcoin price of an hour ago."""
    assert site.catalog is not None
    site.catalog["btc_price"]["age_seconds"] = 3_600


def as_demo(site: CannedSite) -> None:
    """The server plays."""
    assert site.catalog is not None
    site.catalog["demo"] = True


def node_down(site: CannedSite) -> None:
    """No invoice can be made."""
    site.health["status"] = "not_ready"
    site.health["parts"]["node"] = {"ok": False, "detail": "it does not answer", "since": "2026-11-23T13:02:00Z"}
