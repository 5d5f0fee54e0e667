"""What a run writes down, who may read and write it, and what the next run makes of it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from datarobot_mlops_async import (
    AsyncSession,
    Journal,
    MLOpsError,
    Outcome,
    OutcomeState,
    RetryPolicy,
    read_journal,
)
from datarobot_mlops_async.bulk._journal_writer import JournalWriter
from datarobot_mlops_async.errors import JournalError, JournalFileError, JournalFormatError
from tests.blocking import no_call_blocks_the_event_loop  # noqa: F401 - for all tests of this module
from tests.conftest import BACKENDS
from tests.polled import COMPLETED, RUNNING, Statuses, operations_server, patched, session_for
from tests.scripted import Answer, ScriptedServer
from tests.waiting import cancelled_when, wait_until

pytestmark = pytest.mark.anyio
SUCCEEDED, FAILED, UNKNOWN = OutcomeState
FAST = RetryPolicy(initial_backoff=0.001, max_backoff=0.001)
ENDPOINT = "https://h/api/v2"
on_asyncio = pytest.mark.parametrize("anyio_backend", [BACKENDS["asyncio"]], ids=["asyncio"])


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Journals are written in threads, which uvloop starts as asyncio does."""
    return BACKENDS[request.param]


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal.jsonl"


def offline():
    """Return a session for functions that send nothing."""
    return AsyncSession("https://h", "token-of-the-test")


async def double(item):
    await anyio.lowlevel.checkpoint()
    return item * 2


async def never(item):
    raise AssertionError("called")


def lines_of(path):
    return [json.loads(line) for line in path.read_text("ascii").split("\n") if line]


def write(path, *lines, action="double", endpoint=ENDPOINT):
    """Write a journal of an earlier run: outcomes, or lines as they are."""
    head = {"journal": 1, "action": action, "endpoint": endpoint, "created": "2026-01-02T03:04:05+00:00"}
    texts = [each if isinstance(each, str) else each.to_json() for each in lines]
    path.write_text("".join(f"{line}\n" for line in [json.dumps(head), *texts]))


def found(item, state, **more):
    return Outcome(index=0, item=item, state=state, attempts=1, **more)


# What is written


async def test_journal_says_what_it_is_and_beforehand_what_is_about_to_be_done(journal):
    before_request = []

    def answer(asked):
        if asked.method == "PATCH":
            before_request.extend(lines_of(journal))
            return Answer(status=202, headers={"Location": "/api/v2/status/d/"})
        return COMPLETED if "/status/" in asked.target else Answer(body=b'{"id": "d"}')

    with ScriptedServer(answer) as server:
        async with session_for(server) as session:
            await session.bulk(session.deployments.begin_deactivate, ["d"], journal=journal)
            endpoint = session.settings.endpoint
    head, *outcomes = lines_of(journal)
    assert (head["journal"], head["action"]) == (1, "Deployments.begin_deactivate")
    assert head["endpoint"] == endpoint
    assert [(each["state"], each["location"], each["attempts"]) for each in outcomes] == [
        ("unknown", None, 0),
        ("unknown", "status/d/", 1),
        ("succeeded", "status/d/", 1),
    ]
    assert before_request == [head, outcomes[0]]


class Custom:
    class Routes:
        async def get(self, item):
            return item


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (lambda session: session.deployments.get, "Deployments.get"),
        (lambda session: session.deployments.begin_create_from_learning_model,
         "Deployments.begin_create_from_learning_model"),
        (lambda session: session.resource_bundles.get, "ResourceBundles.get"),
        (lambda session: session.operation, "SessionView.operation"),
        (lambda session: partial(session.with_options().request, "GET"), "SessionView.request('GET')"),
        (lambda session: Custom.Routes().get, "Custom.Routes.get"),
    ],
)  # fmt: skip
async def test_action_is_named_as_earlier_releases_named_it(journal, method, name):
    session = offline()
    write(journal, action=name)
    assert await session.bulk(method(session), [], resume_from=journal) == []
    journal.unlink()
    await session.bulk(method(session), [], journal=journal)
    assert lines_of(journal)[0]["action"] == name


@on_asyncio
@pytest.mark.parametrize(
    ("function", "options", "name"),
    [
        (double, {}, "double"),
        (lambda item: item, {}, "<lambda>"),
        (lambda item: item, {"action": "retire"}, "retire"),
        (partial(pow, 2, mod=None), {}, "pow(2, mod=None)"),
        (partial(dict, a="x", b=object), {}, "dict(a='x', b=type)"),
        (str.upper, {}, "str.upper"),
        (partial(offline().request, "PATCH"), {}, "SessionView.request('PATCH')"),
        (offline().deployments.begin_report, {}, "Deployments.begin_report"),
        (offline().deployments.watch, {}, "Deployments.watch"),
    ],
)
async def test_action_is_named_as_the_function_or_as_told(journal, function, options, name):
    await offline().bulk(function, [], journal=journal, **options)
    assert read_there(journal).action == name


def read_there(path):
    """Read a journal outside of the watch for what blocks the event loop."""
    with anyio.from_thread.start_blocking_portal() as portal:
        return portal.call(lambda: anyio.to_thread.run_sync(read_journal, path))


@on_asyncio
@pytest.mark.parametrize("text", ["\ud800", "a\u2028b\x85c", "\n", "é"])
async def test_any_text_is_written_and_resumed(journal, text):
    async def fail(item):
        raise MLOpsError(text)

    (outcome,) = await offline().bulk(fail, [text], journal=journal, action="x")
    assert (outcome.state, str(outcome.error)) == (FAILED, text)
    (again,) = await offline().bulk(double, [text], resume_from=journal, action="x")
    assert (again.item, again.value) == (text, text * 2)


async def test_reading_is_not_announced_and_is_read_again_after_a_kill(journal):
    with ScriptedServer(Answer(status=404), Answer(instead="hang")) as server:
        async with session_for(server, retry=FAST) as session, cancelled_when(lambda: len(server.asked) == 2):
            await session.bulk(session.deployments.get, ["gone", "hung"], journal=journal, max_concurrency=1)
    _, *outcomes = lines_of(journal)
    assert [(each["item"], each["state"]) for each in outcomes] == [("gone", "failed")]


async def test_what_was_cut_off_before_it_changed_anything_is_left_as_not_done(journal):
    busy = Answer(status=429, headers={"Retry-After": "30"})
    answered = []
    with ScriptedServer(busy) as server:
        async with session_for(server, on_response=answered.append) as session:
            outcomes = session.bulk_stream(session.deployments.begin_deactivate, ["d"], journal=journal)
            async with cancelled_when(lambda: answered), outcomes:
                await anext(outcomes)
    assert outcomes.rest == []
    assert [each["state"] for each in lines_of(journal)[1:]] == ["unknown", "failed"]


async def test_state_is_that_of_the_last_change_and_not_of_the_last_request():
    def answer(asked):
        if asked.method == "PATCH":
            return Answer(status=409 if "refused" in asked.target else 200)
        return Answer(status=404 if "lost" in asked.target else 200, body=b'{"id": "d"}')

    async def change_and_look(item):
        await session.deployments.get("there")
        await session.deployments.update(item, label="x")
        return await session.deployments.get(item)

    with ScriptedServer(answer) as server:
        async with session_for(server, retry=FAST) as session:
            outcomes = await session.bulk(change_and_look, ["refused", "lost", "good"])
    assert [(each.state, each.attempts) for each in outcomes] == [(FAILED, 2), (UNKNOWN, 3), (SUCCEEDED, 3)]


async def test_changes_of_a_run_inside_of_a_run_count_for_both(journal):
    announced = []

    def answer(asked):
        if asked.method == "PATCH":
            announced.append(read_journal(journal).counts)
            return Answer()
        return Answer(status=404)

    async def change_all(team):
        outcomes = await session.bulk(lambda each: session.deployments.update(each, label="x"), ["a", "b"])
        assert {each.state for each in outcomes} == {UNKNOWN}
        return await session.deployments.get("gone")

    with ScriptedServer(answer) as server:
        async with session_for(server, retry=FAST) as session:
            (outcome,) = await session.bulk(change_all, ["team"], journal=journal)
    # The update reads what it changed, and that fails here.
    assert (outcome.state, outcome.attempts) == (UNKNOWN, len(server.asked))
    assert announced == [{UNKNOWN: 1}] * 2


@on_asyncio
@pytest.mark.parametrize("rounds", range(12))
async def test_run_that_is_cut_off_natively_while_it_ends_leaves_its_journal(journal, rounds):
    """By `Task.cancel()`, in each of the event loop's rounds in which a run ends."""
    left = asyncio.Event()

    async def run():
        async with session.bulk_stream(session.deployments.get, ["d"], journal=journal):
            left.set()

    with ScriptedServer(Answer(body=b'{"id": "d"}')) as server:
        async with session_for(server) as session:
            task = asyncio.create_task(run())
            await left.wait()
            for _ in range(rounds):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            (outcome,) = await session.bulk(session.deployments.get, ["d"], resume_from=journal)
    assert outcome.state == SUCCEEDED


@on_asyncio
async def test_announcement_that_is_cut_off_natively_disturbs_nobody(journal):
    async def impatient(item):
        with suppress(TimeoutError):
            await asyncio.wait_for(session.deployments.begin_deactivate(item), 0.0001 * int(item[1:]))
        return await session.deployments.begin_deactivate(item)

    with operations_server(Statuses(running=0)) as server:
        async with session_for(server, retry=FAST) as session:
            outcomes = await session.bulk(impatient, [f"d{number}" for number in range(24)], journal=journal)
    assert {each.state for each in outcomes} == {SUCCEEDED}
    assert read_there(journal).counts == {SUCCEEDED: 24}


# Who may write


async def test_second_run_on_the_same_journal_is_refused_at_once(journal):
    async with offline().bulk_stream(double, count(), journal=journal) as outcomes:
        await anext(outcomes)
        with pytest.raises(
            JournalFileError, match=r"journal\.jsonl cannot be used: another run is writing it"
        ):
            await offline().bulk(double, [1], resume_from=journal, journal=journal)
        child = await anyio.run_process([sys.executable, "-c", CHILD, str(journal)], check=False)
        assert b"another run is writing it" in child.stderr
        assert child.returncode == 3
    assert await offline().bulk(double, [1], resume_from=journal)


CHILD = """
import sys, anyio
from datarobot_mlops_async import AsyncSession
from datarobot_mlops_async.errors import JournalFileError

async def double(item):
    return item * 2

try:
    anyio.run(lambda: AsyncSession("https://h", "t").bulk(double, [1], journal=sys.argv[1]))
except JournalFileError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
"""


@on_asyncio
@pytest.mark.parametrize(
    ("action", "endpoint", "message"),
    [
        ("erase", ENDPOINT, "is the journal of another action, erase, not of double"),
        (
            "double",
            "https://other/api/v2",
            "of another endpoint, https://other/api/v2, not of https://h/api/v2",
        ),
    ],
)
@pytest.mark.parametrize("argument", ["journal", "resume_from"])
async def test_journal_of_something_else_is_refused(journal, action, endpoint, message, argument):
    write(journal, found(1, FAILED), action=action, endpoint=endpoint)
    before = journal.read_bytes()
    with pytest.raises(JournalFormatError, match=message) as caught:
        await offline().bulk(double, [1], **{argument: journal})
    assert caught.value.path == journal
    assert journal.read_bytes() == before


@on_asyncio
async def test_record_without_a_header_is_taken_on_trust_and_gets_one(journal, caplog):
    journal.write_text(found(1, SUCCEEDED).to_json() + "\n")
    (outcome,) = await offline().bulk(never, [1], resume_from=journal)
    assert outcome.state is SUCCEEDED
    assert "names neither action nor endpoint" in caplog.text
    assert read_there(journal).action == "never"


@on_asyncio
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"journal": 2, "action": "double"}', "line 2: written by a newer release, in format 2"),
        ('{"journal": "x"}', "line 2: not the header of a journal"),
        ('{"journal": 1, "action": 5, "endpoint": ""}', "line 2: not the header of a journal"),
        ('{"journal": 1, "action": "a", "endpoint": "e"}', "line 2: not the header of a journal"),
        ('{"journal": 1, "action": "a", "endpoint": "e", "created": "then"}', "line 2: "),
        ('{"id": 1}', "line 2: not an outcome"),
        ("[" * 100_000, "line 2: nested too deeply"),
        ("[" * 500 + "]" * 500, "line 2: not an outcome"),
        ('{"index": %s}' % ("9" * 5000), "line 2: "),
        ("[]", "line 2: not an outcome"),
    ],
    ids=str.__len__,
)
async def test_line_that_is_no_outcome_is_refused(journal, line, message):
    write(journal, line)
    with pytest.raises(JournalFormatError, match=message):
        await offline().bulk(never, [1], resume_from=journal)


@on_asyncio
async def test_lines_that_were_cut_short_are_not_counted(journal, caplog):
    whole = found("a", SUCCEEDED).to_json()
    write(journal, whole[:20], "\x00" * 40, "", whole)
    with journal.open("ab") as file:
        file.write(b'{"index": 2, "item": "\xff')
    outcomes = await offline().bulk(double, ["a", "b"], resume_from=journal)
    assert [each.attempts for each in outcomes] == [1, 0]
    assert caplog.text.count("cut short") == 3
    # What comes next stands on a line of its own.
    assert read_there(journal).counts == {SUCCEEDED: 2}


@on_asyncio
async def test_files_that_cannot_be_used_are_refused_before_anything_is_called(tmp_path):
    text = tmp_path / "text"
    text.write_text("what is this\n")
    with pytest.raises(JournalFormatError, match="holds no outcomes") as caught:
        await offline().bulk(never, [1], resume_from=text)
    assert isinstance(caught.value, ValueError)
    for path in (tmp_path, tmp_path / "none" / "x", Path(text, "x")):
        for argument in ("journal", "resume_from"):
            with pytest.raises(JournalFileError, match="cannot be") as caught:
                await offline().bulk(never, [1], **{argument: path})
            assert isinstance(caught.value, OSError)
            assert caught.value.errno
            assert str(path) in str(caught.value)
    with pytest.raises(JournalFileError, match="cannot be read: Is a directory"):
        await offline().bulk(never, [1], resume_from=tmp_path, journal=tmp_path / "other")


@on_asyncio
async def test_resuming_from_lines_takes_those_of_a_journal(journal):
    write(journal, found(1, SUCCEEDED))
    (outcome,) = await offline().bulk(never, [1], resume_from=journal.read_text().splitlines())
    assert outcome.state is SUCCEEDED
    with pytest.raises(JournalFormatError, match="resume_from, line 1: not an outcome"):
        await offline().bulk(never, [1], resume_from=["{}"])


@on_asyncio
async def test_one_argument_is_enough_for_the_first_run_and_all_others(journal):
    calls = []

    async def work(item):
        calls.append(item)
        if calls.count("b") == 1 and item == "b":
            raise MLOpsError("the first time")

    for _ in range(3):
        outcomes = await offline().bulk(work, ["a", "b"], resume_from=str(journal))
    assert sorted(calls) == ["a", "b", "b"]
    assert {each.state for each in outcomes} == {SUCCEEDED}
    other = journal.with_name("other")
    outcomes = await offline().bulk(never, ["a", "b"], resume_from=journal, journal=other, action="work")
    assert len(outcomes) == 2
    assert len(lines_of(other)) == 1


async def test_record_that_is_not_there_yet_may_stand_beside_another_journal(journal):
    record = journal.with_name("record")
    planned = await offline().bulk(int, ["1"], resume_from=record, journal=journal, dry_run=True)
    assert planned == []
    assert not journal.exists()
    (outcome,) = await offline().bulk(int, ["1"], resume_from=record, journal=journal)
    assert outcome.value == 1
    assert not record.exists()
    assert len(lines_of(journal)) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full: Linux")
async def test_journal_that_cannot_be_written_ends_the_run_before_anything_is_sent():
    with operations_server(Statuses()) as server:
        async with session_for(server) as session:
            with pytest.raises(JournalFileError, match="No space left"):
                await session.bulk(session.deployments.begin_deactivate, ["d"], journal="/dev/full")
    assert server.asked == []


async def test_journal_may_be_a_device_that_keeps_nothing():
    with operations_server(Statuses(running=0)) as server:
        async with session_for(server) as session:
            (outcome,) = await session.bulk(session.deployments.begin_deactivate, ["d"], journal=os.devnull)
    assert outcome.state is SUCCEEDED


@on_asyncio
async def test_line_that_comes_after_the_end_is_refused(journal):
    writer = JournalWriter(journal)
    await anyio.to_thread.run_sync(partial(writer.open, action="x", endpoint="y"))
    await anyio.to_thread.run_sync(writer.close)
    with pytest.raises(JournalFileError, match="it is closed"):
        await writer.write(found(1, SUCCEEDED))


FULL = """
import resource, sys, anyio
from datarobot_mlops_async import AsyncSession, read_journal
from datarobot_mlops_async.errors import JournalFileError

async def main(endpoint, journal):
    async with AsyncSession(endpoint, "token") as session:
        begin = session.deployments.begin_deactivate
        ids = [f"d{number}" for number in range(12)]
        # The system cuts a write that goes beyond it, as a full disk does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
        seen = []
        try:
            await session.bulk(begin, ids, journal=journal, max_concurrency=2, on_outcome=seen.append)
        except JournalFileError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        outcomes = await session.bulk(begin, ids, resume_from=journal)
        assert [each.item for each in outcomes] == ids
        print(*(each.state.value for each in outcomes))

anyio.run(main, *sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_full_disk_stops_new_work_and_leaves_whole_lines(journal):
    with operations_server(Statuses(running=0)) as server:
        child = subprocess.run(
            [sys.executable, "-c", FULL, server.endpoint, str(journal)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert child.returncode == 0, child.stderr
        message, states = child.stdout.splitlines()
        sent = patched(server)
    assert "cannot be used: File too large" in message
    # Every item is accounted for, and none was sent twice. Unknown are at most those that were on their way when
    # the disk was full: one's announcement stands alone, whether or not there was room for its outcome.
    assert max(sent.values()) == 1
    states = Counter(states.split())
    assert states["succeeded"] + states["unknown"] == 12
    assert states["unknown"] <= 2
    assert 12 - states["unknown"] <= len(sent) <= 12
    # The half line, nearly always there, has spoilt no other.
    assert sum(not line.endswith("}") for line in journal.read_text().splitlines()) <= 1


# Going on


def begun(item, **more):
    return found(item, UNKNOWN, location=f"status/{item}/", **more)


async def test_what_a_run_has_begun_is_finished_though_the_input_no_longer_names_it(journal):
    # A filter that finds what is active does not find what was deactivated before the process was killed.
    write(
        journal,
        begun("d1"), found("d2", SUCCEEDED), found("d3", UNKNOWN), found("d4", FAILED), begun("d5"),
        action="Deployments.begin_deactivate",
        endpoint="",
    )  # fmt: skip
    with operations_server(Statuses(running=1)) as server:
        write_endpoint(journal, server.endpoint)
        async with session_for(server) as session:
            outcomes = await session.bulk(
                session.deployments.begin_deactivate, ["d6", "d5"], resume_from=journal, repeat_unknown=True
            )
    assert [(each.index, each.item, each.state) for each in outcomes] == [
        (0, "d6", SUCCEEDED),
        (1, "d5", SUCCEEDED),
        (2, "d1", SUCCEEDED),
        (3, "d2", SUCCEEDED),
        (4, "d3", UNKNOWN),
        (5, "d4", FAILED),
    ]
    assert patched(server) == {"d6": 1}


def write_endpoint(path, endpoint):
    path.write_text(path.read_text().replace('"endpoint": ""', f'"endpoint": "{endpoint}"'))


async def test_item_that_is_not_asked_for_is_never_begun(journal):
    statuses = Statuses()
    statuses.answers["d1"] = Answer(status=404)
    statuses.answers["d2"] = Answer(body=b'{"status": "ERROR"}')
    with operations_server(statuses) as server:
        write(journal, begun("d1"), begun("d2"), action="x", endpoint=server.endpoint)
        async with session_for(server, retry=FAST) as session:
            for _ in range(2):
                outcomes = await session.bulk(
                    session.deployments.begin_deactivate,
                    [],
                    resume_from=journal,
                    action="x",
                    repeat_unknown=True,
                )
    assert [(each.item, each.state) for each in outcomes] == [("d1", UNKNOWN), ("d2", FAILED)]
    assert patched(server) == {}


async def test_stopped_run_follows_nothing_more(journal):
    statuses = Statuses()
    statuses.answers["d1"] = RUNNING
    with operations_server(statuses) as server:
        write(journal, begun("d1"), action="x", endpoint=server.endpoint)
        async with session_for(server) as session:
            seen = await session.bulk(
                never, ["a", "b"], resume_from=journal, action="x", stop_on_error=True, max_concurrency=1
            )
    assert [(each.item, each.state) for each in seen] == [("a", FAILED)]
    assert server.asked == []


@on_asyncio
async def test_dry_run_reads_the_journal_and_leaves_it_alone(journal):
    write(journal, begun("d1"), begun("d2"), found("d3", FAILED), found("d4", SUCCEEDED))
    before = journal.read_bytes()
    plan = await offline().bulk(double, ["d4", "d2"], resume_from=journal, dry_run=True)
    assert [(each.index, each.item, each.method, each.path) for each in plan] == [
        (1, "d2", "GET", "status/d2/"),
        (2, "d1", "GET", "status/d1/"),
    ]
    assert journal.read_bytes() == before
    with pytest.raises(JournalFormatError, match="another action"):
        await offline().bulk(never, [], resume_from=journal, dry_run=True)


async def test_journal_is_read_while_its_run_goes_on(journal):
    statuses = Statuses(running=0)
    statuses.answers["d1"] = RUNNING
    with operations_server(statuses, accept={"d2": Answer(status=409)}) as server:
        async with (
            session_for(server, retry=FAST) as session,
            session.bulk_stream(
                session.deployments.begin_deactivate, ["d0", "d1", "d2"], journal=journal
            ) as outcomes,
        ):
            await anext(outcomes)
            await anext(outcomes)
            # What is polled has been written down before.
            await wait_until(lambda: statuses.polls.get("d1"))
            seen = await anyio.to_thread.run_sync(read_journal, journal)
    assert isinstance(seen, Journal)
    assert (seen.path, seen.action, seen.endpoint, seen.version) == (
        journal, "Deployments.begin_deactivate", server.endpoint, 1,
    )  # fmt: skip
    assert seen.created.tzinfo
    assert seen.counts == {SUCCEEDED: 1, FAILED: 1, UNKNOWN: 1}
    assert [
        (each.item, each.state, each.location) for each in sorted(seen.left, key=lambda each: each.item)
    ] == [
        ("d1", UNKNOWN, "status/d1/"),
        ("d2", FAILED, None),
    ]


def test_journal_that_is_not_there_cannot_be_read(journal):
    with pytest.raises(JournalFileError, match=r"journal\.jsonl cannot be read: No such file") as caught:
        read_journal(journal)
    assert isinstance(caught.value, JournalError)
    journal.touch()
    assert read_journal(journal) == Journal(path=journal)
