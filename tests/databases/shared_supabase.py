"""Supabase projects of this test process, in a PostgreSQL of their own that is older than what the others run on.

Supabase offers PostgreSQL 15 and 17; the wheel has 16, so nothing newer is used without being noticed.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
from functools import cache

import pytest

from lib.store import postgres_schema
from tests.databases.postgres import Postgres, running
from tests.databases.postgrest import EXECUTABLE, MISSING
from tests.databases.shared import CLOCK
from tests.databases.supabase_api import make_project, run_as_owner

MICROS_PER_SECOND = 1_000_000
VERSION = 16
EMPTY = "empty_project"
MIGRATED = "migrated_project"
CLOCKED = "migrated_and_clocked_project"

_numbers = itertools.count()


def require_postgrest() -> None:
    """Skip the test where there is no PostgREST; under CI that is a failure."""
    if not EXECUTABLE.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)


@cache
def server() -> Postgres:
    """Up, with the templates."""
    require_postgrest()
    stack = contextlib.ExitStack()
    started = stack.enter_context(running(version=VERSION))
    atexit.register(stack.close)
    make_project(started, EMPTY)
    make_project(started, MIGRATED)
    run_as_owner(started, postgres_schema.script(), MIGRATED)
    started.create_database(CLOCKED, MIGRATED)
    run_as_owner(started, CLOCK, CLOCKED)
    return started


def new_project(template: str = CLOCKED) -> str:
    """The name of a fresh copy of a template."""
    name = f"project_{next(_numbers)}"
    server().create_database(name, template)
    return name


def pass_seconds(database: str, seconds: float) -> None:
    """Move a database's clock."""
    moved = round(seconds * MICROS_PER_SECOND)
    server().sql(f"UPDATE public.clock SET now_us = now_us + {moved}", database=database)  # noqa: S608 - a number
