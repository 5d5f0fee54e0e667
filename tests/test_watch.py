"""A fleet in motion: what is told of it is what happened, once, whatever happens to the server meanwhile."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections import Counter

import anyio
import anyio.lowlevel
import pytest
from attrs import define, evolve, field

from datarobot_mlops_async import AsyncSession, Change, RetryPolicy
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import AuthenticationError, ServerError, SessionStateError
from datarobot_mlops_async.models import Deployment
from tests.blocking import no_call_blocks_the_event_loop  # noqa: F401 - for all tests of this module
from tests.conftest import BACKENDS
from tests.scripted import Answer, ScriptedServer
from tests.waiting import cancelled_when

pytestmark = pytest.mark.anyio
OFTEN = 0.005
IMPATIENT = RetryPolicy(max_retries=0)


@pytest.fixture(params=["asyncio"])
def anyio_backend(request):
    """Loops differ in how they cancel and sleep; what a watch tells does not depend on them."""
    return request.param


ON_ALL_LOOPS = pytest.mark.parametrize("anyio_backend", BACKENDS.values(), ids=BACKENDS)


@pytest.fixture
def emulator():
    with Emulator(deployments=230, image_size=None) as running:
        yield running


def session_for(server, token="token-of-the-test"):
    return AsyncSession(server.endpoint, getattr(server, "token", token), retry=IMPATIENT)


async def told(watch, count):
    """Return the next changes, which there must be."""
    with anyio.fail_after(30):
        return [await anext(watch) for _ in range(count)]


def snake(name):
    return re.sub("([A-Z])", lambda found: "_" + found[1].lower(), name)


def net(log):
    """Return what a log of changes comes to for each deployment: its kind and what differs."""
    found = {}
    for each in log:
        first, last = found.setdefault(each.deployment_id, ({}, {}))
        for name in {*each.before, *each.after}:
            first.setdefault(name, each.before.get(name))
            last[name] = each.after.get(name)
    kinds = {}
    for id_, (first, last) in found.items():
        fields = {snake(name) for name in first if first[name] != last[name]}
        was, is_ = first.get("id", id_), last.get("id", id_)
        if was and is_ and fields:
            kinds[id_] = ("changed", frozenset(fields))
        elif (was is None) is not (is_ is None):
            kinds[id_] = ("removed" if was else "added", frozenset())
    return kinds


def as_net(changes):
    assert max(Counter(each.deployment.id for each in changes).values(), default=1) == 1
    return {each.deployment.id: (each.kind, frozenset(each.fields)) for each in changes}


async def test_large_fleet_that_drifts_fails_and_restarts_is_told_exactly(caplog):
    with Emulator(deployments=3000, image_size=None) as emulator:
        async with session_for(emulator) as session:
            watch = session.deployments.watch(interval=OFTEN)
            assert len(await watch.snapshot()) == 3000
            seen = 0
            for number in range(3):
                emulator.drift(40)
                log = emulator.changes[seen:]
                seen += len(log)
                if number == 1:
                    emulator.fault("GET /deployments/ status=503 times=3")
                if number == 2:
                    emulator.stop()
                    # Nobody listens: the watch has to find that out and go on.
                    async with cancelled_when(lambda: "next try" in caplog.text):
                        await anext(watch)
                    emulator.start()
                    caplog.clear()
                expected = net(log)
                assert as_net(await told(watch, len(expected))) == expected
            assert [each async for each in session.deployments.list()] == sorted(
                await watch.snapshot(), key=lambda each: each.created_at
            )


@ON_ALL_LOOPS
async def test_every_change_follows_from_what_was_told_before(emulator):
    async with session_for(emulator) as session:
        watch = session.deployments.watch(interval=OFTEN)
        known = {each.id: each for each in await watch.snapshot()}
        emulator.drift_rate = 400.0
        for change in await told(watch, 150):
            assert change.before == known.pop(change.deployment.id, None)
            if change.kind == "changed":
                assert change.fields
                assert all(
                    getattr(change.before, name) != getattr(change.deployment, name) for name in change.fields
                )
            if change.kind != "removed":
                known[change.deployment.id] = change.deployment
        assert known == {each.id: each for each in await watch.snapshot()}
        emulator.drift_rate = 0.0
        left = {each.id: each async for each in session.deployments.list()}
        while known != left:
            (change,) = await told(watch, 1)
            known.pop(change.deployment.id, None)
            if change.kind != "removed":
                known[change.deployment.id] = change.deployment


async def test_snapshot_is_told_by_nobody_and_no_reading_comes_early(emulator):
    async with session_for(emulator) as session:
        watch = session.deployments.watch(interval=3600)
        assert len(await watch.snapshot()) == 230
        emulator.drift(20)
        with anyio.move_on_after(0.05) as scope:
            await anext(watch)
        assert scope.cancelled_caught
    assert len(emulator.requests) == 3
    assert (
        repr(watch) == f"<Watch of {emulator.endpoint}/deployments/?orderBy=createdAtTimestamp every 3600 s>"
    )


async def test_slow_reader_is_told_of_several_changes_at_once(emulator):
    async with session_for(emulator) as session:
        watch = session.deployments.watch(interval=OFTEN)
        snapshot = {each.id: each for each in await watch.snapshot()}
        one, other = list(snapshot)[5:7]
        await session.deployments.update(one, label="first")
        await session.deployments.update(other, label="first")
        started = anyio.current_time()
        (first,) = await told(watch, 1)
        reading_took_at_most = anyio.current_time() - started
        assert (first.deployment.id, first.fields) == (one, ("label",))
        # The other one is known to have changed when it changes again, and the first one too.
        await session.deployments.update(other, label="second", importance="CRITICAL")
        await session.deployments.update(one, label="second")
        await anyio.sleep(OFTEN + reading_took_at_most)
        changes = {each.deployment.id: each for each in await told(watch, 2)}
        assert (changes[one].before.label, changes[one].deployment.label) == ("first", "second")
        assert (changes[other].before, changes[other].deployment.label) == (snapshot[other], "second")
        assert changes[other].fields == ("label", "importance")
        # What is as it was told of last is no change.
        await session.deployments.update(one, label="third")
        await session.deployments.update(one, label="second")
        await session.deployments.update(other, label="third")
        assert [each.deployment.id for each in await told(watch, 1)] == [other]


async def test_deployments_come_and_go_with_the_filters(emulator):
    async with session_for(emulator) as session:
        watch = session.deployments.watch(interval=OFTEN, status="active", importance=["HIGH"])
        high = (await watch.snapshot())[0]
        low = (await session.deployments.list(status="active", importance="LOW").first_page()).items[0]
        await session.deployments.update(high.id, importance="LOW")
        await session.deployments.update(low.id, importance="HIGH")
        changes = {each.kind: each for each in await told(watch, 2)}
        # One that was not deleted is told as it is now, which says why it has left.
        assert changes["removed"].deployment == evolve(high, importance="LOW")
        assert changes["removed"].before == high
        assert changes["added"].deployment == evolve(low, importance="HIGH")
        assert (changes["added"].before, changes["added"].fields) == (None, ())
        assert low.id in {each.id for each in await watch.snapshot()}


async def test_only_the_fields_asked_for_are_compared(emulator):
    async with session_for(emulator) as session:
        watch = session.deployments.watch(interval=OFTEN, fields=["importance", "label"])
        one, other, *_ = await watch.snapshot()
        await session.deployments.update(one.id, description="other")
        await session.deployments.update(other.id, description="other", label="new")
        (change,) = await told(watch, 1)
        assert (change.deployment.id, change.fields) == (other.id, ("label",))
        assert change.deployment.description == "other"


# Outages.


@ON_ALL_LOOPS
async def test_outage_is_survived_and_its_length_is_told(emulator, caplog):
    async with session_for(emulator) as session:
        errors = []
        watch = session.deployments.watch(interval=OFTEN, on_outage=errors.append)
        assert watch.stale_for is None
        chosen = (await watch.snapshot())[0]
        assert watch.stale_for < 10
        fault = emulator.fault("GET /deployments/ status=502 times=4")
        await session.deployments.update(chosen.id, label="during the outage")
        (change,) = await told(watch, 1)
        assert change.fields == ("label",)
        assert emulator.fault_count(fault) == len(errors) == 4
        assert {each.status for each in errors} == {502}
        delays = [each.delay for each in caplog.records if hasattr(each, "delay") and "last seen" in each.msg]
        assert delays == [OFTEN, 2 * OFTEN, 4 * OFTEN, 8 * OFTEN]
        assert re.search(r"/deployments/\?\S+ was last seen 0 s ago, next try in 0 s: GET .*502", caplog.text)
        assert watch.stale_for < 10


@pytest.mark.parametrize(
    "blip",
    [
        Answer(status=500),
        Answer(status=429),
        Answer(status=302, headers={"Location": "https://elsewhere/"}),
        Answer(body=b"<html>We are back soon</html>"),
        Answer(body=b'{"data": 3}'),
        Answer(instead="reset"),
        Answer(instead="cut", body=b'{"data": []}'),
    ],
)
async def test_whatever_an_outage_looks_like_nothing_is_removed_by_it(blip):
    page = {"data": [{"id": "d1", "label": "a"}], "next": None, "totalCount": 1}
    after = {**page, "data": [{"id": "d1", "label": "b"}]}
    answers = [Answer(body=json.dumps(page).encode()), blip, blip, Answer(body=json.dumps(after).encode())]
    with ScriptedServer(*answers) as server:
        async with session_for(server) as session:
            watch = session.deployments.watch(interval=OFTEN)
            await watch.snapshot()
            (change,) = await told(watch, 1)
    assert (change.kind, change.fields) == ("changed", ("label",))


async def test_first_reading_and_refusals_fail_as_any_call_does(emulator):
    async with session_for(emulator) as session:
        watch = session.deployments.watch(interval=OFTEN)
        emulator.fault("GET /deployments/ status=503 times=1")
        with pytest.raises(ServerError):
            await anext(watch)
        assert len(await watch.snapshot()) == 230
        emulator.fault("GET /deployments/ status=401 times=1")
        with pytest.raises(AuthenticationError):
            await told(watch, 1)
        # Nothing is lost by that: whoever has mended it may go on.
        await session.deployments.update((await watch.snapshot())[0].id, label="new")
        assert len(await told(watch, 1)) == 1
    with pytest.raises(SessionStateError):
        await anext(watch)


# Rows that are missing from a list and not gone.


@define
class Fleet:
    """A list whose rows a test changes while it is read."""

    rows: dict = field(factory=dict)
    hidden: set = field(factory=set)
    before: object = None
    asked: list = field(factory=list)
    lock: threading.Lock = field(factory=threading.Lock)

    @classmethod
    def of(cls, size):
        return cls({f"d{number:03}": {"id": f"d{number:03}", "label": "a"} for number in range(size)})

    def __call__(self, asked):
        with self.lock:
            path, _, query = asked.target.removeprefix("/api/v2/deployments/").partition("?")
            self.asked.append(path or query)
            if path:
                row = self.rows.get(path.strip("/"))
                return Answer(status=200 if row else 404, body=json.dumps(row or {}).encode())
            offset = int(re.search(r"offset=(\d+)", query)[1])
            if self.before is not None:
                self.before(offset)
            rows = [row for id_, row in self.rows.items() if id_ not in self.hidden]
            behind = offset + 100
            next_ = f"?offset={behind}&limit=100" if behind < len(rows) else None
            body = {"data": rows[offset:behind], "next": next_, "totalCount": len(rows)}
            return Answer(body=json.dumps(body).encode())


async def test_row_that_slips_past_the_reader_is_not_told_as_removed():
    fleet = Fleet.of(250)

    def delete_one_and_add_one(offset):
        if offset == 100:
            fleet.before = None
            del fleet.rows["d000"]
            fleet.rows["new"] = {"id": "new", "label": "a"}

    with ScriptedServer(fleet) as server:
        async with session_for(server) as session:
            watch = session.deployments.watch(interval=OFTEN)
            await watch.snapshot()
            fleet.before = delete_one_and_add_one
            changes = await told(watch, 2)
            fleet.rows["d001"] = {"id": "d001", "label": "b"}
            changes += await told(watch, 1)
    # The row that stood at 100 stands before it now, where the page had been read.
    assert sorted((each.kind, each.deployment.id) for each in changes) == [
        ("added", "new"),
        ("changed", "d001"),
        ("removed", "d000"),
    ]
    assert "d100/" in fleet.asked


async def test_row_that_only_the_list_lacks_is_removed_with_the_second_reading():
    fleet = Fleet.of(50)
    with ScriptedServer(fleet) as server:
        async with session_for(server) as session:
            watch = session.deployments.watch(interval=OFTEN)
            await watch.snapshot()
            fleet.rows["d007"]["label"] = "b"
            fleet.hidden |= {"d007", "d008"}
            changes = await told(watch, 3)
    assert [(each.kind, each.deployment.id) for each in changes[:1]] == [("changed", "d007")]
    assert {(each.kind, each.deployment.label) for each in changes[1:]} == {
        ("removed", "a"),
        ("removed", "b"),
    }
    assert Counter(fleet.asked)["d007/"] == 1


async def test_many_deployments_that_go_at_once_are_not_all_asked_for():
    fleet = Fleet.of(150)
    with ScriptedServer(fleet) as server:
        async with session_for(server) as session:
            watch = session.deployments.watch(interval=OFTEN)
            await watch.snapshot()
            for number in range(100):
                del fleet.rows[f"d{number:03}"]
            changes = await told(watch, 100)
    assert {each.kind for each in changes} == {"removed"}
    assert len({each.deployment.id for each in changes}) == 100
    assert sum("/" in each for each in fleet.asked) <= 20


async def test_failure_while_a_missing_row_is_asked_for_is_an_outage():
    fleet = Fleet.of(3)
    fails = [Answer(status=500)]

    def answer(asked):
        return fails.pop() if "d001/" in asked.target and fails else fleet(asked)

    with ScriptedServer(answer) as server:
        async with session_for(server) as session:
            watch = session.deployments.watch(interval=OFTEN)
            await watch.snapshot()
            del fleet.rows["d001"]
            assert [each.kind for each in await told(watch, 1)] == ["removed"]
    assert fails == []


async def test_rows_without_an_id_are_passed_over():
    fleet = Fleet({"": {"label": "nameless"}, "d1": {"id": "d1", "label": "a"}})
    with ScriptedServer(fleet) as server:
        async with session_for(server) as session:
            assert len(await session.deployments.watch().snapshot()) == 1


# Readers.


@ON_ALL_LOOPS
async def test_deadline_around_anext_loses_nothing(emulator):
    async with session_for(emulator) as session:
        watch = session.deployments.watch(interval=OFTEN)
        await watch.snapshot()
        emulator.drift(60)
        expected, changes = net(emulator.changes), []
        emulator.latency = 0.004
        with anyio.fail_after(30):
            patience = 0.001
            while len(changes) < len(expected):
                # In the middle of a reading, then further on, until one can be finished.
                patience *= 1.5
                with anyio.move_on_after(patience):
                    changes.append(await anext(watch))
        assert as_net(changes) == expected


@ON_ALL_LOOPS
async def test_two_readers_share_the_changes(emulator):
    async with session_for(emulator) as session:
        watch = session.deployments.watch(interval=OFTEN)
        await watch.snapshot()
        emulator.drift(60)
        expected, changes = net(emulator.changes), []

        async def read():
            async for change in watch:
                changes.append(change)
                if len(changes) >= len(expected):
                    group.cancel_scope.cancel()
                await anyio.lowlevel.checkpoint()

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(read)
        assert as_net(changes) == expected


# Saved states.


async def test_saved_state_goes_on_in_another_session_where_the_reader_was(emulator):
    async with session_for(emulator) as session:
        watch = session.deployments.watch(interval=OFTEN)
        await watch.snapshot()
        emulator.drift(60)
        expected = net(emulator.changes)
        changes = await told(watch, 10)
        state = watch.state
        # Nobody has saved what is told after that.
        await told(watch, 5)
    assert state.isascii()
    emulator.stop()
    async with session_for(emulator) as session:
        watch = session.deployments.watch(interval=OFTEN, state=state)
        assert 0 <= watch.stale_for < 30
        assert len(await watch.snapshot()) > 200
        # Down when the new process starts: an outage like any other.
        with anyio.move_on_after(0.05) as scope:
            await anext(watch)
        assert scope.cancelled_caught
        emulator.start()
        changes += await told(watch, len(expected) - 10)
    assert as_net(changes) == expected


def test_state_holds_all_that_is_known_of_a_deployment(emulator):
    code = (
        "import anyio, sys; from datarobot_mlops_async import AsyncSession\n"
        "async def main():\n"
        "    async with AsyncSession(sys.argv[1], sys.argv[2]) as session:\n"
        "        watch = session.deployments.watch(search='a', state=sys.stdin.read())\n"
        "        await watch.snapshot(); print(watch.state, end='')\n"
        "anyio.run(main)\n"
    )

    async def save():
        async with session_for(emulator) as session:
            watch = session.deployments.watch(search="a")
            await watch.snapshot()
            return watch.state

    state = anyio.run(save)
    assert state.count("\n") > 20
    command = [sys.executable, "-c", code, emulator.endpoint, emulator.token]
    assert subprocess.run(command, input=state, capture_output=True, check=True, text=True).stdout == state


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("", "not the saved state"),
        ("null\n", "not the saved state"),
        ("[" * 100_000, "not the saved state"),
        ('{"watch": 1, "list": "x", "listed_at": null}\n', "not the saved state"),
        (
            '{"watch": 1, "list": "https://h/api/v2/deployments/?orderBy=createdAtTimestamp", "listed_at": 0}\n{"id": 3}\n',
            "not the saved state",
        ),
        ('{"watch": 2, "list": "x", "listed_at": 0}\n{"id": 3}\n', "of version 2"),
        (
            '{"watch": 1, "list": "x", "listed_at": 0}\n',
            "of another list: x, not https://h/api/v2/deployments/",
        ),
    ],
)
def test_state_that_is_none_or_anothers_is_refused(state, words):
    with pytest.raises(ValueError, match=words):
        AsyncSession("https://h", "token-of-the-test").deployments.watch(state=state)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interval": 0}, "interval must be"),
        ({"interval": float("nan")}, "interval must be"),
        ({"interval": float("inf")}, "interval must be"),
        ({"fields": ["colour"]}, "a deployment has no colour"),
        ({"fields": []}, "fields must not be empty"),
        ({"status": "activ"}, "did you mean 'active'"),
    ],
)
def test_watch_refuses_what_makes_no_sense(options, words):
    with pytest.raises(ValueError, match=words):
        AsyncSession("https://h", "token-of-the-test").deployments.watch(**options)


def test_change_prints_in_one_line():
    deployment = Deployment(id="d1", label="Churn", status="active")
    change = Change(kind="changed", deployment=deployment, before=deployment, fields=("label", "status"))
    assert repr(change) == "<Change changed <Deployment 'Churn' d1 active> label status>"
