"""Where a Supabase project's database is reached directly: migrations define functions, which its API cannot."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

HOSTED = re.compile(r"([a-z0-9]+)\.supabase\.co")


class NoDirectAddress(ValueError):
    """The project is not hosted by Supabase, so its address does not tell where its database is. The text says more."""


def direct_database_url(project_url: str, password: str) -> str:
    """The project's own PostgreSQL, with TLS; the address holds the password. Raises NoDirectAddress.

    Its host has an IPv6 address alone. A machine without IPv6 takes the address of the project's session pooler.
    """
    hosted = HOSTED.fullmatch(urlsplit(project_url).hostname or "")
    if hosted is None:
        raise NoDirectAddress(
            "the project's URL is none of https://<ref>.supabase.co, so it does not tell where the database is: "
            "set DATABASE_URL, or give --database-url"
        )
    return f"postgresql://postgres:{quote(password, safe='')}@db.{hosted[1]}.supabase.co:5432/postgres?sslmode=require"
