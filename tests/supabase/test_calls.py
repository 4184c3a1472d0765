"""Calls through Supabase's API: what arrives, what is repeated, and what the operator is told."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from aiohttp import web

from lib.store.ledger import LedgerUnavailable, LedgerWentBack
from lib.store.supabase_calls import Patience, SupabaseCalls
from lib.store.supabase_connections import CONNECTIONS_MAX_COUNT
from lib.store.supabase_errors import SupabaseRefused
from lib.store.watermark import Watermark
from tests.databases.postgres import Postgres
from tests.databases.supabase_api import SupabaseApi
from tests.databases.supabase_gateway import Forward, Interference, key_of
from tests.supabase.conftest import SHORT

pytestmark = pytest.mark.slow

BEYOND_FLOATS = 2**53 + 1
HASTY = Patience(attempt_seconds=0.3, pauses_seconds=(0.1,))
WRONG_SECRET = "signs-nothing-that-anybody-would-believe"
PASSING = ("08006", "40P01", "53300", "53100", "55P03", "57014", "57P01", "58030")
HOPELESS = ("22P02", "23514", "P0001", "XX000")


def _function(request: web.Request) -> str:
    return request.path.rpartition("/")[2]


async def test_whole_numbers_survive_both_ways(calls: SupabaseCalls):
    """No amount passes through a floating-point number, which would round it from 2**53 on."""
    answer = await calls.call("echo", p_number=BEYOND_FLOATS, p_document={"msat": [-BEYOND_FLOATS]}, p_bytes=None)

    assert answer == {"number": BEYOND_FLOATS, "document": {"msat": [-BEYOND_FLOATS]}, "bytes": None}


async def test_bytes_arrive_as_bytes(calls: SupabaseCalls):
    """A digest is a bytea there, whatever is in it."""
    answer = await calls.call("echo", p_number=0, p_document=[], p_bytes=bytes(range(256)))

    assert bytes.fromhex(answer["bytes"]) == bytes(range(256))


async def test_both_kinds_of_secret_key_are_good(api: SupabaseApi, watermark: Watermark):
    """A project's new key and its older service_role key do the same."""
    for key in (api.secret_key, key_of("service_role")):
        calls = await SupabaseCalls.open(api.url, key, watermark, SHORT)
        assert await calls.call("once", p_op_id="a", p_ms=0) == {"done": 1}
        await calls.aclose()


@pytest.mark.parametrize(
    "key",
    [
        "sb_secret_that_was_revoked",
        key_of("service_role", secret=WRONG_SECRET),
        key_of("service_role", lives_seconds=-60),
        key_of("anon"),
        key_of("authenticated"),
    ],
    ids=["unknown", "forged", "expired", "anon", "authenticated"],
)
async def test_a_refused_key_is_told_and_not_shown(
    api: SupabaseApi, watermark: Watermark, key: str, caplog: pytest.LogCaptureFixture
):
    """The operator reads which variable is wrong, once and without delay; the key itself is written nowhere."""
    caplog.set_level(logging.DEBUG)
    calls = await SupabaseCalls.open(api.url, key, watermark, SHORT)

    with pytest.raises(LedgerUnavailable, match="ALITTLEBITOFMONEY_SUPABASE_SECRET_KEY") as refused:
        await calls.call("echo", p_number=1, p_document={}, p_bytes=b"")

    assert api.gateway.asked.total() == 1
    assert key not in repr(refused.value) + str(refused.value.__cause__) + caplog.text
    await calls.aclose()


async def test_no_secret_is_logged(calls: SupabaseCalls, api: SupabaseApi, caplog: pytest.LogCaptureFixture):
    """Not even where everything is logged."""
    caplog.set_level(logging.DEBUG)
    await calls.call("echo", p_number=1, p_document={"prompt": "a buyer's"}, p_bytes=b"")

    assert "rpc/echo" in caplog.text
    assert api.secret_key not in caplog.text and "a buyer's" not in caplog.text


async def test_missing_functions_ask_for_a_migration(calls: SupabaseCalls, api: SupabaseApi):
    """An empty project, or one of an older release: the operator reads what to run."""
    with pytest.raises(LedgerUnavailable, match="run scripts/migrate"):
        await calls.call("alb_never_made", p_lease="x")
    with pytest.raises(LedgerUnavailable, match="run scripts/migrate"):
        await calls.call("echo", p_number=1, p_another_parameter=2)

    assert api.gateway.asked["alb_never_made"] == api.gateway.asked["echo"] == 1


@pytest.mark.parametrize("sqlstate", PASSING)
async def test_what_passes_is_repeated(calls: SupabaseCalls, sqlstate: str):
    """A conflict, a full pool, a time limit, a restart: the same call is made again until it is done."""
    assert await calls.call("fails", p_sqlstate=sqlstate, p_times=2) == {"tries": 3}


async def test_what_does_not_pass_is_given_up(calls: SupabaseCalls, api: SupabaseApi):
    """After a few attempts the caller is told that the outcome is unknown."""
    with pytest.raises(LedgerUnavailable, match="fails: 503, 53300"):
        await calls.call("fails", p_sqlstate="53300", p_times=100)

    assert api.gateway.asked["fails"] == 1 + len(SHORT.pauses_seconds)


@pytest.mark.parametrize("sqlstate", HOPELESS)
async def test_a_mistake_is_not_repeated(calls: SupabaseCalls, api: SupabaseApi, sqlstate: str):
    """What fails by itself fails again: it comes out as an error, not as an outage."""
    with pytest.raises(SupabaseRefused, match=f"{sqlstate}: on purpose"):
        await calls.call("fails", p_sqlstate=sqlstate, p_times=1)

    assert api.gateway.asked["fails"] == 1


async def test_a_database_that_only_reads_is_told(calls: SupabaseCalls):
    """A project whose disk is full refuses writes; the operator reads that, and buyers are asked to come again."""
    with pytest.raises(LedgerUnavailable, match="accepts no writes"):
        await calls.call("fails", p_sqlstate="25006", p_times=1)


async def test_a_lost_answer_is_asked_for_again(calls: SupabaseCalls, api: SupabaseApi):
    """The database did it and the connection died: the call is repeated, and done once."""
    lost: list[int] = []

    async def lose_the_first(request: web.Request, forward: Forward) -> web.StreamResponse:
        answer = await forward()
        if _function(request) == "once" and not lost:
            lost.append(answer.status)
            assert request.transport is not None
            request.transport.abort()
        return answer

    api.interfere(lose_the_first)

    assert await calls.call("once", p_op_id="a", p_ms=0) == {"done": 1}
    assert lost == [200]
    assert api.gateway.asked["once"] == 2


async def test_an_answer_cut_in_two_is_asked_for_again(calls: SupabaseCalls, api: SupabaseApi):
    """Half an answer is none, whatever it looks like."""

    async def cut_the_first(request: web.Request, forward: Forward) -> web.StreamResponse:
        answer = await forward()
        if _function(request) != "once" or api.gateway.asked["once"] > 1:
            return answer
        cut = web.StreamResponse(headers={"Content-Type": "application/json"})
        cut.enable_chunked_encoding()
        await cut.prepare(request)
        await cut.write(b"[]")
        assert request.transport is not None
        request.transport.close()
        return cut

    api.interfere(cut_the_first)

    assert await calls.call("once", p_op_id="a", p_ms=0) == {"done": 1}
    assert api.gateway.asked["once"] == 2


async def test_a_late_answer_is_asked_for_again(api: SupabaseApi, watermark: Watermark, server: Postgres):
    """An attempt that takes too long is left, and repeated while it may still run: done once all the same."""
    calls = await SupabaseCalls.open(api.url, api.secret_key, watermark, HASTY)

    with pytest.raises(LedgerUnavailable, match="nothing within"):
        await calls.call("once", p_op_id="a", p_ms=600)

    assert await calls.call("once", p_op_id="a", p_ms=0) == {"done": 1}
    assert int(server.sql("SELECT last_value FROM tries", database=api.database)) == 3
    await calls.aclose()


async def test_postgrest_may_be_killed_in_the_middle(calls: SupabaseCalls, api: SupabaseApi):
    """Calls that ran when it died are repeated on the next one."""
    running = [asyncio.create_task(calls.call("once", p_op_id=str(number), p_ms=500)) for number in range(8)]
    while api.gateway.asked["once"] < len(running):
        await asyncio.sleep(0.01)
    api.postgrest.kill()
    await asyncio.to_thread(api.postgrest.start)
    await asyncio.gather(*running)

    assert await calls.call("once", p_op_id="0", p_ms=0) == {"done": len(running)}
    assert api.gateway.asked["once"] > len(running) + 1


async def test_nobody_waits_for_ever_for_an_api_that_is_away(calls: SupabaseCalls, api: SupabaseApi):
    """PostgREST down, then what stands before it: LedgerUnavailable in seconds; both back, calls go on."""
    begin = time.monotonic()
    api.postgrest.stop()
    with pytest.raises(LedgerUnavailable, match="502"):
        await calls.call("once", p_op_id="a", p_ms=0)
    await api.gateway.stop()
    with pytest.raises(LedgerUnavailable, match="ConnectError"):
        await calls.call("once", p_op_id="a", p_ms=0)
    assert time.monotonic() - begin < 2 * (sum(SHORT.pauses_seconds) + 1)

    await asyncio.to_thread(api.postgrest.start)
    await api.gateway.start()
    assert await calls.call("once", p_op_id="a", p_ms=0) == {"done": 1}


def _instead(status: int, headers: dict[str, str] | None = None) -> Interference:
    async def answered(request: web.Request, forward: Forward) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return answered


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=200, text="<html>Sign in to the hotel's network</html>", content_type="text/html"),
        web.Response(status=204),
        web.Response(status=200, content_type="application/json"),
        web.Response(status=429, text="slow down"),
        web.Response(status=503, text="<html>Service Unavailable</html>", content_type="text/html"),
        web.Response(status=522, text="error code: 522"),
        web.Response(status=400, text='{"code":"","message":"","details":null,"hint":null}'),
    ],
    ids=["page", "no content", "empty", "too many", "unavailable", "timed out", "database gone in the middle"],
)
async def test_what_is_no_answer_of_the_database_is_not_taken_for_one(
    calls: SupabaseCalls, api: SupabaseApi, answer: web.Response
):
    """Whatever stands in between may say anything; only the database says what was done."""

    async def once_that(request: web.Request, forward: Forward) -> web.StreamResponse:
        return answer if _function(request) == "once" and api.gateway.asked["once"] == 1 else await forward()

    api.interfere(once_that)

    assert await calls.call("once", p_op_id="a", p_ms=0) == {"done": 1}


async def test_nothing_is_an_answer_as_well(calls: SupabaseCalls):
    """A function that finds nothing answers NULL, which is told from an empty reply."""
    assert await calls.call("nothing") is None


async def test_a_redirect_is_not_followed(calls: SupabaseCalls, api: SupabaseApi):
    """The key goes to the project and nowhere else."""
    api.interfere(_instead(308, {"Location": f"{api.url}/elsewhere"}))

    with pytest.raises(LedgerUnavailable, match="ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL"):
        await calls.call("once", p_op_id="a", p_ms=0)
    assert api.gateway.asked.total() == 1


async def test_another_address_is_told(api: SupabaseApi, watermark: Watermark):
    """The URL of something else than a project."""
    calls = await SupabaseCalls.open(f"{api.url}/dashboard", api.secret_key, watermark, SHORT)

    with pytest.raises(LedgerUnavailable, match="ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL"):
        await calls.call("once", p_op_id="a", p_ms=0)
    await calls.aclose()


async def test_closing_waits_for_what_runs(api: SupabaseApi, watermark: Watermark):
    """What was begun is answered; what comes afterwards is refused."""
    calls = await SupabaseCalls.open(api.url, api.secret_key, watermark, SHORT)
    running = asyncio.create_task(calls.call("once", p_op_id="a", p_ms=300))
    while api.gateway.asked["once"] < 1:
        await asyncio.sleep(0.01)

    await calls.aclose()

    assert running.done() and running.result() == {"done": 1}
    with pytest.raises(LedgerUnavailable):
        await calls.call("once", p_op_id="b", p_ms=0)
    await calls.aclose()


async def test_who_waits_too_long_for_a_connection_is_told(api: SupabaseApi, watermark: Watermark):
    """More calls than the API can do: the last of them are refused, and do not wait for ever."""
    hasty = Patience(call_seconds=0.5, attempt_seconds=5, pauses_seconds=())
    calls = await SupabaseCalls.open(api.url, api.secret_key, watermark, hasty)
    await calls.call("alb_position")

    outcomes = await asyncio.gather(
        *(calls.call("once", p_op_id=str(number), p_ms=1_000) for number in range(CONNECTIONS_MAX_COUNT + 5)),
        return_exceptions=True,
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, LedgerUnavailable)]
    assert [str(outcome) for outcome in refused] == ["more calls wait for Supabase's API than it can do"] * 5
    await calls.aclose()


async def test_a_function_may_ask_for_more_time_than_the_api_gives(
    calls: SupabaseCalls, api: SupabaseApi, server: Postgres
):
    """The API's time limit ends a statement; a function that says how long it may take is given that."""
    server.sql(f'ALTER ROLE authenticator IN DATABASE "{api.database}" SET statement_timeout = 200')
    api.postgrest.stop()
    await asyncio.to_thread(api.postgrest.start)

    assert await calls.call("scans") == {"slept": ""}
    with pytest.raises(LedgerUnavailable, match="57014"):
        await calls.call("sleeps")


async def test_a_cancelled_caller_undoes_nothing(calls: SupabaseCalls, api: SupabaseApi, watermark: Watermark):
    """Whoever stops waiting for a call has made it all the same."""
    caller = asyncio.create_task(calls.call("once", p_op_id="a", p_ms=300))
    while api.gateway.asked["once"] < 1:
        await asyncio.sleep(0.01)

    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await calls.aclose()

    again = await SupabaseCalls.open(api.url, api.secret_key, watermark, SHORT)
    assert await again.call("once", p_op_id="a", p_ms=0) == {"done": 1}
    assert api.gateway.asked["once"] == 2
    await again.aclose()


async def test_many_calls_at_once_share_few_connections(calls: SupabaseCalls, api: SupabaseApi):
    """Two hundred calls at once are all answered, and the API never sees more of them than there are connections."""
    there: list[int] = [0, 0]

    async def counted(request: web.Request, forward: Forward) -> web.StreamResponse:
        there[:] = there[0] + 1, max(there[0] + 1, there[1])
        answer = await forward()
        there[0] -= 1
        return answer

    api.interfere(counted)
    await asyncio.gather(*(calls.call("once", p_op_id=str(number), p_ms=0) for number in range(200)))

    assert await calls.call("once", p_op_id="0", p_ms=0) == {"done": 200}
    assert there == [0, CONNECTIONS_MAX_COUNT]


MOVE = "UPDATE place SET newest_entry = "


async def test_a_restored_database_is_noticed_after_an_outage(calls: SupabaseCalls, api: SupabaseApi, server: Postgres):
    """What came back older than it was is not written to; what changes nothing goes on."""
    await calls.call("once", p_op_id="a", p_ms=0)
    api.postgrest.stop()
    with pytest.raises(LedgerUnavailable):
        await calls.call("once", p_op_id="b", p_ms=0)
    server.sql(f"{MOVE} 6", database=api.database)
    await asyncio.to_thread(api.postgrest.start)

    with pytest.raises(LedgerWentBack):
        await calls.call("once", p_op_id="b", p_ms=0)

    assert await calls.call("alb_position") == {"ledger_id": "00", "generation": 0, "newest_entry": 6}
    assert server.sql("SELECT op_id FROM done", database=api.database).split() == ["a"]


async def test_it_is_noticed_in_the_middle_of_one_call(calls: SupabaseCalls, api: SupabaseApi, server: Postgres):
    """A call that is repeated looks first where the ledger is: its second attempt reaches no other past."""
    await calls.call("once", p_op_id="a", p_ms=0)

    async def restore_meanwhile(request: web.Request, forward: Forward) -> web.StreamResponse:
        if api.gateway.asked["once"] > 2 or _function(request) != "once":
            return await forward()
        await asyncio.to_thread(server.sql, f"{MOVE} 6", database=api.database)
        return web.Response(status=503)

    api.interfere(restore_meanwhile)
    with pytest.raises(LedgerWentBack):
        await calls.call("once", p_op_id="b", p_ms=0)

    assert api.gateway.asked["once"] == 2


async def test_an_operators_word_ends_it_without_a_restart(calls: SupabaseCalls, api: SupabaseApi, server: Postgres):
    """`scripts/migrate --restored` is another process: this one sees the new generation and takes up work."""
    await test_it_is_noticed_in_the_middle_of_one_call(calls, api, server)
    server.sql("UPDATE place SET generation = 1", database=api.database)

    assert await calls.call("once", p_op_id="b", p_ms=0) == {"done": 2}


async def test_another_database_at_the_same_address_is_refused(
    calls: SupabaseCalls, api: SupabaseApi, server: Postgres
):
    """A ledger keeps its id: with another one, what was sold here is not known there."""
    await calls.call("once", p_op_id="a", p_ms=0)
    api.interfere(_instead(503))
    with pytest.raises(LedgerUnavailable):
        await calls.call("once", p_op_id="b", p_ms=0)
    api.interfere(None)
    server.sql("UPDATE place SET ledger_id = '01'", database=api.database)

    with pytest.raises(LedgerUnavailable, match="another ledger"):
        await calls.call("once", p_op_id="b", p_ms=0)
