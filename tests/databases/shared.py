"""The PostgreSQL of this test process: started when first asked for, stopped when the process ends.

Each test has a database of its own, copied from one that is migrated and whose clock stands still until it is moved.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
from functools import cache

from lib.store import postgres_schema
from tests.databases.postgres import Postgres, running

MICROS_PER_SECOND = 1_000_000
TEMPLATE = "migrated"
CLOCKED_TEMPLATE = "migrated_and_clocked"
CLOCK = """
CREATE TABLE public.clock AS SELECT 1800000000000000 AS now_us;
CREATE OR REPLACE FUNCTION alittlebitofmoney.now_us() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT now_us FROM public.clock';
"""

_numbers = itertools.count()


@cache
def server() -> Postgres:
    """Up, with the templates."""
    stack = contextlib.ExitStack()
    started = stack.enter_context(running())
    atexit.register(stack.close)
    started.create_database(TEMPLATE)
    started.run_script(postgres_schema.script(), TEMPLATE)
    started.create_database(CLOCKED_TEMPLATE, TEMPLATE)
    started.run_script(CLOCK, CLOCKED_TEMPLATE)
    return started


def new_database(template: str = CLOCKED_TEMPLATE) -> str:
    """The name of a fresh copy of a template."""
    name = f"test_{next(_numbers)}"
    server().create_database(name, template)
    return name


def pass_seconds(database: str, seconds: float) -> None:
    """Move a database's clock."""
    moved = round(seconds * MICROS_PER_SECOND)
    server().sql(f"UPDATE public.clock SET now_us = now_us + {moved}", database=database)  # noqa: S608 - a number
