"""`scripts/release` on a machine: real servers, a real ledger, the units read by our supervisor in systemd's place."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lib.config import read_config
from lib.demo.parts import demo_parts
from lib.store.sqlite import SqliteLedger
from tests.deploy.callers import Calls, calling
from tests.deploy.machine import Machine, machine_at
from tests.paid.raw_client import RawCall, raw_call
from tests.world import CHAT, ROOT, STREAM

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FIRST = b'"content":'
SLOW = {"chunks": 60, "chunk_delay_ms": 50}
"""Three seconds."""
APART_SECONDS = 1.0
"""At any moment one of three such streams has two seconds to go."""
FAILS_AS_A_SERVICE = "import os, sys\nif os.environ.get('LISTEN_FDS'):\n    sys.exit('broken as a service')\n"
DONE, NOTHING_CHANGED, ROLLED_BACK, LOOK_NOW = 0, 1, 3, 4


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncGenerator[Machine]:
    async with demo_parts() as parts, machine_at(tmp_path / "site", parts) as machine:
        yield machine


@pytest.fixture
async def serving(machine: Machine) -> Machine:
    """A machine on which release `1` serves."""
    machine.release("1")
    done = await machine.switch("1")
    assert done.code == DONE, done.said + done.complained
    return machine


@asynccontextmanager
async def bystanders(machine: Machine) -> AsyncGenerator[tuple[Calls, Calls]]:
    """Callers without money, and streams of three seconds, for as long as the block lasts.

    Afterwards: nobody was refused or cut, and each stream was charged once.
    """
    machine.parts.scenario(**SLOW)
    token = await machine.token(10_000)
    paid_for = await machine.balance_msat(token)
    await machine.client.post(CHAT, json=STREAM, headers={"Authorization": token})
    price = paid_for - await machine.balance_msat(token)
    async with (
        calling(machine.world.url) as calls,
        calling(machine.world.url, STREAM, authorization=token, apart_seconds=APART_SECONDS) as streams,
    ):
        yield calls, streams

    assert calls.failures == [] and set(calls.statuses) == {"402"}
    assert streams.failures == [] and set(streams.statuses) == {"200"}
    assert streams.whole_streams == len(streams.statuses) > 0
    assert paid_for - await machine.balance_msat(token) == price * (1 + streams.whole_streams)


async def audit(machine: Machine) -> list[str]:
    """Once nothing runs any more: the ledger's differences."""
    await machine.supervise("shutdown")
    ledger = await SqliteLedger.open(machine.path / "data")
    try:
        return [str(difference) for difference in await ledger.audit()]
    finally:
        await ledger.aclose()


async def test_a_switch_cuts_no_stream_and_refuses_nobody(serving: Machine):
    """Streams that run arrive whole and are charged once each; every other caller is answered meanwhile."""
    serving.release("2")
    async with bystanders(serving) as (calls, _):
        done = await serving.switch("2")
    print(f"slowest first byte: {calls.slowest_seconds:.2f} s of {len(calls.statuses)} calls")  # noqa: T201

    assert done.code == DONE, done.said + done.complained
    assert serving.current == "2" and (serving.path / "previous").readlink().name == "1"
    assert "Waiting for connections to close" in serving.log()  # streams were running when it was told to stop
    assert await audit(serving) == []


async def test_what_does_not_start_touches_nothing(serving: Machine):
    """A release that fails in its rehearsal changes nothing: the same process serves, its stream runs on."""
    serving.release("2", server="raise SystemExit('no such luck')\n")
    serving.parts.scenario(**SLOW)
    paid = await serving.world.buy(STREAM)
    started = serving.log().count("Started server process")
    async with raw_call(serving.world, STREAM, paid) as stream:
        await stream.until(FIRST)
        done = await serving.switch("2")
        await to_the_end(stream)

    assert done.code == NOTHING_CHANGED
    assert "no such luck" in done.complained and "Nothing was changed." in done.complained
    assert serving.current == "1"
    assert serving.log().count("Started server process") == started


async def test_what_is_not_ready_after_the_switch_is_rolled_back(serving: Machine):
    """Only as a service it fails: the release before serves again; streams ended whole, callers waited."""
    serving.release("2", server=FAILS_AS_A_SERVICE)
    async with bystanders(serving):
        done = await serving.switch("2")

    assert done.code == ROLLED_BACK, done.said + done.complained
    assert "1 serves again" in done.said and serving.current == "1"
    assert "Waiting for connections to close" in serving.log()
    assert await audit(serving) == []


async def test_a_release_must_be_no_worse_than_the_one_that_serves(serving: Machine):
    """A node that the running server reaches and the new one does not stops the deploy; it names the part."""
    serving.secrets(PHOENIX_PASSWORD="not-the-node's")
    serving.release("2")
    done = await serving.switch("2", "--ready-seconds", "20")

    assert done.code == NOTHING_CHANGED
    assert "it lacks node" in done.complained
    assert serving.current == "1"


async def test_what_is_missing_is_told_and_does_not_stop_a_deploy(machine: Machine):
    """The first release of a machine without an upstream key serves, and deploy says what it cannot sell."""
    machine.secrets(**{api.api_key_env: "" for api in read_config(ROOT / "config.yaml").apis.values()})
    machine.release("1")
    done = await machine.switch("1")

    assert done.code == DONE, done.complained
    assert "not ready: upstream openai: this server is not set up to sell it" in done.said
    assert (await machine.health())["parts"]["node"]["ok"]


async def test_going_back_is_a_switch(serving: Machine):
    """`--back` serves the release before, after a rehearsal, and can be taken back."""
    serving.release("2")
    assert (await serving.switch("2")).code == DONE
    back = await serving.switch("2", "--back")
    assert back.code == DONE and serving.current == "1"
    again = await serving.switch("1", "--back")
    assert again.code == DONE and serving.current == "2"


async def test_nothing_served_before_the_first(serving: Machine):
    """There is nothing to go back to, and it says so."""
    done = await serving.switch("1", "--back")

    assert done.code == NOTHING_CHANGED and "No release served before this one." in done.complained


async def test_a_new_schema_is_not_rolled_back(serving: Machine):
    """The release before could not read the ledger: the new one stays, and the ledger as it was is kept beside."""
    release = serving.release("2", server=FAILS_AS_A_SERVICE)
    migrations = release / "lib" / "store" / "migrations" / "sqlite"
    newest = max(migrations.glob("*.sql"))
    number = int(newest.name[:4]) + 1
    (migrations / f"{number:04}_more.sql").write_text("CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT;\n")

    done = await serving.switch("2")

    assert done.code == LOOK_NOW, done.said + done.complained
    assert "1 cannot read the ledger any more" in done.said and serving.current == "2"
    assert (serving.path / "data" / "before-2.sqlite").stat().st_mode & 0o777 == 0o600


async def test_open_secrets_are_refused(machine: Machine):
    """A file that others may read stops the deploy with the command that puts it right."""
    machine.release("1")
    (machine.path / "shared" / ".env.secrets").chmod(0o640)
    done = await machine.switch("1")

    assert done.code == NOTHING_CHANGED and "chmod 600" in done.complained
    assert not (machine.path / "current").exists()


async def test_data_inside_of_a_release_is_refused(machine: Machine):
    """Data that a later deploy would remove is refused before it exists."""
    machine.release("1")
    machine.secrets(ALITTLEBITOFMONEY_DATA_DIR=str(machine.path / "releases" / "1" / "data"))
    done = await machine.switch("1")

    assert done.code == NOTHING_CHANGED and "ALITTLEBITOFMONEY_DATA_DIR" in done.complained


async def test_two_deploys_do_not_mix(machine: Machine):
    """While one runs another is refused."""
    machine.release("1")
    with (machine.path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = await machine.switch("1")

    assert done.code == NOTHING_CHANGED and "Another deploy runs" in done.complained


async def test_old_releases_are_removed(serving: Machine):
    """Five stay, and those that serve or served whatever their age."""
    for name in ("0", "00", "01", "02", "03"):
        shutil.copytree(serving.path / "releases" / "1" / "deploy", serving.path / "releases" / name)
    serving.release("2")
    done = await serving.switch("2")

    assert done.code == DONE, done.complained
    assert serving.releases == ["01", "02", "03", "1", "2"]
    assert "removed 0\n" in done.said and "removed 00\n" in done.said


async def test_a_changed_socket_is_taken_over(serving: Machine):
    """Where the socket's unit is another, the service stops, the socket is opened anew, and it serves."""
    socket = serving.release("2") / "deploy" / "alittlebitofmoney.socket"
    socket.write_text(socket.read_text().replace("Backlog=4096", "Backlog=1024"))
    done = await serving.switch("2")

    assert done.code == DONE, done.complained
    assert "Backlog=1024" in (serving.path / "units" / "alittlebitofmoney.socket").read_text()
    assert (await serving.world.ask()).status_code == 402


async def test_a_service_that_dies_is_started_again(serving: Machine):
    """Our supervisor does what systemd would: a killed server is replaced, and who calls meanwhile waits for it."""
    started = "Started server process ["
    pid = int(serving.log().rsplit(started, 1)[1].split("]")[0])
    os.kill(pid, signal.SIGKILL)
    answer = await serving.world.ask()

    assert answer.status_code == 402
    assert serving.log().count(started) == 2


async def to_the_end(stream: RawCall) -> None:
    """Read a stream piece by piece up to its last one."""
    while b"data: [DONE]" not in await stream.until(b"\n\n"):
        pass
