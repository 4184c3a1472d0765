"""A project's database, as its URL and password tell it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest

from lib.store.supabase_project import NoDirectAddress, direct_database_url


@pytest.mark.parametrize(
    "project_url", ["https://abcdefghijklmnopqrst.supabase.co", "https://abcdefghijklmnopqrst.supabase.co/"]
)
def test_a_hosted_project_tells_where_its_database_is(project_url: str):
    """The host that Supabase gives each project, its owner, and TLS."""
    assert (
        direct_database_url(project_url, "correct-horse")
        == "postgresql://postgres:correct-horse@db.abcdefghijklmnopqrst.supabase.co:5432/postgres?sslmode=require"
    )


@pytest.mark.parametrize("password", ["a/b?c#d@e:f", "100% sure", "ümläut", "$[]&=+;,'\""])
def test_any_password_may_stand_in_the_address(password: str):
    """What means something in an address is quoted, so that the host stays the host."""
    address = urlsplit(direct_database_url("https://abc.supabase.co", password))

    assert (address.hostname, address.port, address.path) == ("db.abc.supabase.co", 5432, "/postgres")
    assert unquote(address.password or "") == password


@pytest.mark.parametrize(
    "project_url",
    [
        "http://127.0.0.1:54321",
        "https://supabase.example.org",
        "https://supabase.co",
        "https://abc.supabase.co.example.org",
        "https://api.abc.supabase.co",
    ],
)
def test_any_other_project_asks_for_the_address(project_url: str):
    """Self-hosted, or behind a name of its own: the operator reads which setting to use; the password goes nowhere."""
    with pytest.raises(NoDirectAddress, match=r"DATABASE_URL.*--database-url") as refused:
        direct_database_url(project_url, "secret")

    assert "secret" not in str(refused.value)
