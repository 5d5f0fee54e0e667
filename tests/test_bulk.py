from __future__ import annotations

import math
import threading
from collections import Counter
from functools import partial
from itertools import count

import anyio
import anyio.lowlevel
import pytest

from datarobot_mlops_async import AsyncSession, Outcome, OutcomeState, PollPolicy, RetryPolicy
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import (
    ConflictError,
    NotFoundError,
    OperationFailedError,
    OperationTimeoutError,
    PermissionDeniedError,
    ReadError,
)
from tests.blocking import no_call_blocks_the_event_loop  # noqa: F401 - for all tests of this module
from tests.polled import (
    COMPLETED,
    RUNNING,
    Statuses,
    operations_server,
    patched,
    quickly,
    serve,
    session_for,
)
from tests.scripted import Answer, ScriptedServer
from tests.waiting import cancelled_when

pytestmark = pytest.mark.anyio
SUCCEEDED, FAILED, UNKNOWN = OutcomeState
FAST = RetryPolicy(initial_backoff=0.001, max_backoff=0.001)


class ItemError(Exception):
    pass


def offline():
    """Return a session for functions that send nothing."""
    return AsyncSession("https://h", "token-of-the-test")


async def double(item):
    await anyio.lowlevel.checkpoint()
    return item * 2


async def fail_on_odd(item):
    if item % 2:
        raise ItemError(item)
    return item


def outcomes_of(**states):
    """Return outcomes of an earlier run, by item."""
    return [
        Outcome(index=index, item=item, attempts=1, **({"state": what} if isinstance(what, str) else what))
        for index, (item, what) in enumerate(states.items())
    ]


@pytest.fixture(autouse=True)
async def _no_task_outlives_its_run():
    tasks = len(anyio.get_running_tasks())
    yield
    assert len(anyio.get_running_tasks()) == tasks


async def test_outcomes_come_in_the_inputs_order_whatever_finishes_first():
    async def slower_first(item):
        await anyio.sleep((5 - item) * 0.005)
        return item * 2

    outcomes = await offline().bulk(slower_first, range(5))
    assert [(each.index, each.item, each.value, each.state) for each in outcomes] == [
        (item, item, item * 2, SUCCEEDED) for item in range(5)
    ]
    assert all(each.error is None and each.location is None for each in outcomes)
    assert outcomes[0].duration > outcomes[4].duration > 0


async def test_failure_of_one_item_is_its_own():
    outcomes = await offline().bulk(fail_on_odd, range(6))
    assert [each.state for each in outcomes] == [SUCCEEDED, FAILED] * 3
    assert [str(each.error) for each in outcomes if each.error] == ["1", "3", "5"]


async def test_items_come_from_any_iterable_and_functions_need_not_be_coroutines():
    async def generate():
        for item in range(3):
            yield item

    for items in ([0, 1, 2], iter(range(3)), {0: "a", 1: "b", 2: "c"}, generate()):
        outcomes = await offline().bulk(double, items)
        assert [each.value for each in outcomes] == [0, 2, 4]
    assert [each.value for each in await offline().bulk(lambda item: item + 1, [1, 2])] == [2, 3]
    assert await offline().bulk(double, []) == []
    outcomes = await offline().bulk(partial(anyio.sleep), [0])
    assert outcomes[0].state is SUCCEEDED


async def test_concurrency_is_reached_and_never_exceeded():
    at_once = most = 0

    async def work(item):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await anyio.sleep(0.002)
        at_once -= 1

    await offline().bulk(work, range(50), max_concurrency=7)
    assert most == 7


async def test_endless_input_is_read_only_as_far_as_the_reader_has_room():
    pulled = count()
    seen = []
    async with offline().bulk_stream(double, pulled, max_concurrency=4) as outcomes:
        async for outcome in outcomes:
            seen.append(outcome)
            await anyio.sleep(0.001)
            if len(seen) == 10:
                break
    # Ten were read, four may wait to be read, four may be on their way.
    assert next(pulled) <= 10 + 4 + 4 + 1
    assert len(outcomes.rest) <= 8
    assert all(each.state is SUCCEEDED for each in outcomes.rest)
    assert outcomes.counts[SUCCEEDED] == 10 + len(outcomes.rest)


async def test_break_closes_an_asynchronous_generator_at_once():
    closed = []

    async def generate():
        try:
            for item in count():
                yield item
        finally:
            await anyio.lowlevel.checkpoint()
            closed.append(True)

    async with offline().bulk_stream(double, generate(), max_concurrency=2) as outcomes:
        async for _ in outcomes:
            break
    assert closed == [True]


@pytest.mark.parametrize("way", ["stop", "break", "cancel"])
@pytest.mark.parametrize("where", ["between items", "looking for one"])
async def test_input_cleans_up_undisturbed_however_the_run_ends(way, where):
    steps = []

    async def generate():
        try:
            yield 1
            if where == "looking for one":
                await anyio.sleep(math.inf)
            for item in count():
                yield item
        finally:
            for _ in range(3):
                await anyio.sleep(0.001)
                steps.append("cleaned up")

    with anyio.CancelScope() as scope:
        async with offline().bulk_stream(double, generate(), max_concurrency=2) as outcomes:
            async for _ in outcomes:
                # The input is where it waits.
                await anyio.wait_all_tasks_blocked()
                if way == "break":
                    break
                (outcomes.stop if way == "stop" else scope.cancel)()
    assert steps == ["cleaned up"] * 3


async def test_input_may_be_an_iterator_of_the_barest_kind():
    class Asynchronous:
        left = 3

        async def __anext__(self):
            await anyio.lowlevel.checkpoint()
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    class Sequence:
        def __getitem__(self, index):
            return [2, 1, 0][index]

    for items in (Asynchronous(), Sequence()):
        assert [each.value for each in await offline().bulk(double, items)] == [4, 2, 0]


async def test_dry_run_tells_what_would_be_sent_and_sends_nothing(tmp_path):
    async def look_first(item):
        await session.deployments.get(item)
        raise AssertionError("nothing was answered")

    async def two_at_a_time(item):
        async with anyio.create_task_group() as group:
            group.start_soon(session.deployments.delete, f"{item}1")
            group.start_soon(session.deployments.delete, f"{item}2")

    async def bulk_inside(item):
        return await session.bulk(session.deployments.begin_activate, [f"{item}1", f"{item}2"])

    async def fetch_log(item):
        return await session.custom_model_deployments.deployment_log(item).download(tmp_path / "logs")

    def planned(each):
        return each.item, each.method, each.path, each.body

    with ScriptedServer(Answer()) as server:
        async with session_for(server) as session:
            plan = await session.bulk(
                session.deployments.begin_deactivate,
                ["done", "refused", "new"],
                resume_from=EARLIER,
                dry_run=True,
            )
            assert [(each.index, *planned(each)) for each in plan] == [
                (1, "refused", "PATCH", "deployments/refused/status/", {"status": "inactive"}),
                (2, "new", "PATCH", "deployments/new/status/", {"status": "inactive"}),
                (3, "begun", "GET", "status/begun/", None),
            ]
            (look,) = await session.bulk(look_first, ["d"], dry_run=True)
            assert planned(look) == ("d", "GET", "deployments/d/", None)
            for function, method in ((two_at_a_time, "DELETE"), (bulk_inside, "PATCH")):
                both = await session.bulk(function, ["d"], dry_run=True)
                assert sorted((each.method, each.path.split("/")[1]) for each in both) == [
                    (method, "d1"),
                    (method, "d2"),
                ]
            (operation,) = await session.bulk(session.operation, ["status/s/"], dry_run=True)
            assert planned(operation) == ("status/s/", "GET", "status/s/", None)
            (download,) = await session.bulk(fetch_log, ["d"], dry_run=True)
            assert planned(download) == ("d", "GET", "customModelDeployments/d/logs/", None)
            (wrong,) = await session.bulk(
                lambda item: session.deployments.begin_set_status(item, 5), ["d"], dry_run=True
            )
            assert planned(wrong) == ("d", None, None, None)
            assert isinstance(wrong.error, (TypeError, ValueError))
            assert await session.bulk(double, [1], dry_run=True) == []
            assert await session.deployments.begin_activate("d")
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


async def test_dry_run_writes_no_journal(tmp_path):
    assert (
        await offline().bulk(double, [1], journal=tmp_path / "a", resume_from=tmp_path / "b", dry_run=True)
        == []
    )
    assert list(tmp_path.iterdir()) == []


async def test_exception_in_the_body_comes_out_as_it_is():
    with pytest.raises(ItemError, match="mine"):
        async with offline().bulk_stream(double, range(100)) as outcomes:
            async for _ in outcomes:
                raise ItemError("mine")


async def test_failure_of_the_input_is_raised_plainly_after_what_was_begun_is_over():
    def items():
        yield from range(3)
        raise ItemError("no more")

    seen = []
    with pytest.raises(ItemError, match="no more"):
        await offline().bulk(double, items(), on_outcome=seen.append)
    assert sorted(each.value for each in seen) == [0, 2, 4]


async def test_failure_of_the_inputs_cleanup_is_raised_plainly():
    async def generate():
        try:
            for item in count():
                yield item
        finally:
            raise ItemError("while closing")

    with pytest.raises(ItemError, match="while closing"):
        await offline().bulk(fail_on_odd, generate(), stop_on_error=True)


async def test_failure_of_on_outcome_ends_the_run_plainly_and_loses_no_outcome():
    seen, read = [], []

    def note(outcome):
        seen.append(outcome)
        if len(seen) == 2:
            raise ItemError("disk full")

    with pytest.raises(ItemError, match="disk full"):
        async with offline().bulk_stream(double, count(), max_concurrency=3, on_outcome=note) as outcomes:
            async for outcome in outcomes:
                read += [outcome]
    assert len(seen) < 20
    assert read == seen
    assert not outcomes.rest


async def test_failure_that_the_reader_did_not_stay_for_is_raised_on_leaving():
    def items():
        yield 1
        raise ItemError("unseen")

    with pytest.raises(ItemError, match="unseen"):
        async with offline().bulk_stream(double, items()) as outcomes:
            await anyio.sleep(0.01)
    assert [each.value for each in outcomes.rest] == [2]


async def test_stop_on_error_begins_nothing_new_and_finishes_what_was_begun():
    begun = []

    async def work(item):
        begun.append(item)
        if item == 3:
            raise ItemError
        await anyio.sleep(0.01)

    outcomes = await offline().bulk(work, count(), max_concurrency=2, stop_on_error=True)
    assert [each.item for each in outcomes] == sorted(begun)
    assert len(begun) <= 6
    assert Counter(each.state for each in outcomes)[FAILED] == 1


async def test_stop_does_not_wait_for_an_input_that_has_nothing():
    async def generate():
        yield 1
        await anyio.sleep(math.inf)

    async with offline().bulk_stream(double, generate()) as outcomes:
        async for outcome in outcomes:
            assert outcome.value == 2
            outcomes.stop()


async def test_run_that_is_stopped_before_it_begins_does_nothing():
    stream = offline().bulk_stream(double, count())
    stream.stop()
    async with stream as outcomes:
        assert [outcome async for outcome in outcomes] == []


async def test_run_is_used_inside_of_its_own_async_with_and_once():
    stream = offline().bulk_stream(double, [1])
    with pytest.raises(RuntimeError, match="async context manager"):
        await anext(stream)
    async with stream:
        assert (await anext(stream)).value == 2
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    with pytest.raises(RuntimeError, match="entered once"):
        await stream.__aenter__()


async def test_operations_that_calls_begin_are_awaited():
    statuses = Statuses(running=2)
    statuses.answers["bad"] = Answer(body=b'{"status": "ERROR"}')
    statuses.answers["secret"] = Answer(status=403)
    accept = {
        "refused": Answer(status=409),
        "cut": Answer(instead="reset"),
        "odd": Answer(status=202, body=b""),
    }
    with operations_server(statuses, accept=accept) as server:
        async with session_for(server, retry=FAST) as session:
            ids = ["good", "bad", "secret", "refused", "cut", "odd"]
            outcomes = await session.bulk(session.deployments.begin_deactivate, ids)
    by_item = {each.item: each for each in outcomes}
    assert (by_item["good"].state, by_item["good"].location) == (SUCCEEDED, "status/good/")
    assert by_item["good"].value.id == "d"
    assert (by_item["bad"].state, by_item["bad"].location) == (FAILED, "status/bad/")
    assert isinstance(by_item["bad"].error, OperationFailedError)
    # It was begun; that nobody may look does not undo it.
    assert (by_item["secret"].state, by_item["secret"].location) == (UNKNOWN, "status/secret/")
    assert isinstance(by_item["secret"].error, PermissionDeniedError)
    assert (by_item["refused"].state, by_item["refused"].location) == (FAILED, None)
    assert isinstance(by_item["refused"].error, ConflictError)
    assert (by_item["cut"].state, by_item["cut"].location) == (UNKNOWN, None)
    assert isinstance(by_item["cut"].error, ReadError)
    # Done at once, without a location.
    assert (by_item["odd"].state, by_item["odd"].location) == (SUCCEEDED, None)
    assert {each.attempts for each in outcomes} == {1}
    assert patched(server) == dict.fromkeys(ids, 1)


async def test_attempts_count_retries_and_no_polls():
    busy = Answer(status=429, headers={"Retry-After": "0"})
    answers = [busy, busy, Answer(status=202, headers={"Location": "status/s/"}), RUNNING, COMPLETED]
    with ScriptedServer(*answers, Answer(body=b'{"id": "d"}')) as server:
        async with session_for(server, retry=FAST) as session:
            (outcome,) = await session.bulk(session.deployments.begin_activate, ["d"])
    assert outcome.attempts == 3
    assert len(server.asked) == 6


async def test_operation_that_is_not_over_in_time_is_unknown_and_can_be_asked_later():
    with operations_server(Statuses(running=10**6)) as server:
        async with session_for(server) as session:
            (outcome,) = await session.bulk(
                session.deployments.begin_deactivate, ["d"], operation_timeout=0.03
            )
            assert (outcome.state, outcome.location) == (UNKNOWN, "status/d/")
            assert isinstance(outcome.error, OperationTimeoutError)

            async def impatient(deployment_id):
                operation = await session.deployments.begin_deactivate(deployment_id)
                return await operation.wait(timeout=0.01)

            (outcome,) = await session.bulk(impatient, ["e"])
            assert (outcome.state, outcome.location) == (UNKNOWN, "status/e/")


async def test_locations_are_awaited_in_bulk():
    with serve(Statuses()) as server:
        async with session_for(server) as session:
            locations = [f"status/s{number}/" for number in range(5)]
            outcomes = await session.bulk(session.operation, locations)
            assert [each.state for each in outcomes] == [SUCCEEDED] * 5
            assert [each.location for each in outcomes] == locations


async def test_cancelled_run_says_what_finished_and_what_nobody_knows():
    statuses = Statuses(running=0)
    statuses.answers["endless"] = RUNNING
    seen = []
    with operations_server(statuses, accept={"hung": Answer(instead="hang")}) as server:
        async with session_for(server) as session:
            ids = ["good", "hung", "endless"]
            async with cancelled_when(
                lambda: bool(seen) and "hung" in patched(server) and statuses.polls["endless"]
            ) as scope:
                await session.bulk(
                    session.deployments.begin_deactivate, ids, on_outcome=seen.append, max_concurrency=3
                )
            assert scope.cancelled_caught
    assert [(each.item, each.state, each.location) for each in sorted(seen, key=lambda each: each.index)] == [
        ("good", SUCCEEDED, "status/good/"),
        ("hung", UNKNOWN, None),
        ("endless", UNKNOWN, "status/endless/"),
    ]
    assert [each.error for each in seen] == [None, None, None]


async def test_cancelled_stream_keeps_what_was_not_read():
    statuses = Statuses(running=10**6)
    with operations_server(statuses) as server:
        async with session_for(server) as session:
            async with (
                cancelled_when(lambda: len(patched(server)) == 3),
                session.bulk_stream(
                    session.deployments.begin_deactivate,
                    (f"d{number}" for number in count()),
                    max_concurrency=3,
                ) as outcomes,
            ):
                async for _ in outcomes:
                    raise AssertionError("nothing is over")
            assert {each.item for each in outcomes.rest} == {"d0", "d1", "d2"}
            assert {each.state for each in outcomes.rest} == {UNKNOWN}
            assert outcomes.counts == {UNKNOWN: 3}
    assert patched(server) == {"d0": 1, "d1": 1, "d2": 1}


async def test_items_that_never_got_to_send_anything_have_no_outcome():
    hang = Answer(instead="hang")
    with operations_server(Statuses(), accept={"d0": hang, "d1": hang, "d2": hang}) as server:
        async with session_for(server, max_concurrency=1) as session:
            async with (
                cancelled_when(lambda: patched(server)),
                session.bulk_stream(
                    session.deployments.begin_deactivate, ["d0", "d1", "d2"], max_concurrency=3
                ) as outcomes,
            ):
                async for _ in outcomes:
                    raise AssertionError("nothing is over")
            # The others stood in the session's queue.
            assert {each.item for each in outcomes.rest} == set(patched(server))
            assert len(outcomes.rest) == 1


async def test_items_that_only_read_are_never_of_unknown_state():
    def answer(asked):
        return Answer(status=404) if "gone" in asked.target else Answer(instead="hang")

    with ScriptedServer(answer) as server:
        async with session_for(server, retry=FAST) as session:
            outcomes = session.bulk_stream(session.deployments.get, ["gone", "slow"])
            async with cancelled_when(lambda: len(server.asked) == 2 and outcomes.counts[FAILED]), outcomes:
                async for outcome in outcomes:
                    assert (outcome.item, outcome.state, outcome.attempts) == ("gone", FAILED, 1)
    assert outcomes.rest == []
    assert outcomes.counts == {FAILED: 1}


EARLIER = outcomes_of(
    done={"state": SUCCEEDED, "value": 7},
    refused={"state": FAILED, "error": ItemError("earlier")},
    begun={"state": UNKNOWN, "location": "status/begun/"},
    lost={"state": UNKNOWN},
)


async def test_resumed_run_repeats_what_failed_and_nothing_that_may_have_been_done():
    new = []
    with operations_server(Statuses(running=1)) as server:
        async with session_for(server) as session:
            outcomes = await session.bulk(
                session.deployments.begin_deactivate,
                ["new", "lost", "begun", "done", "refused"],
                resume_from=EARLIER,
                on_outcome=new.append,
            )
    assert [(each.index, each.item, each.state) for each in outcomes] == [
        (0, "new", SUCCEEDED),
        (1, "lost", UNKNOWN),
        (2, "begun", SUCCEEDED),
        (3, "done", SUCCEEDED),
        (4, "refused", SUCCEEDED),
    ]
    assert patched(server) == {"new": 1, "refused": 1}
    assert [each.attempts for each in outcomes] == [1, 1, 1, 1, 2]
    assert outcomes[3].value == 7
    # What was known before is no news.
    assert sorted(each.item for each in new) == ["begun", "new", "refused"]


async def test_unknown_items_are_repeated_on_request_only():
    with operations_server(Statuses()) as server:
        async with session_for(server) as session:
            outcomes = await session.bulk(
                session.deployments.begin_deactivate, ["lost"], resume_from=EARLIER, repeat_unknown=True
            )
    # What was begun is followed besides, named or not.
    assert [(each.item, each.state) for each in outcomes] == [("lost", SUCCEEDED), ("begun", SUCCEEDED)]
    assert patched(server) == {"lost": 1}


@pytest.mark.parametrize("repeat", [False, True])
async def test_operation_that_the_server_forgot_is_begun_again_on_request_only(repeat):
    statuses = Statuses(running=0)
    statuses.answers["begun"] = [Answer(status=404), COMPLETED]
    begun = [each for each in EARLIER if each.item == "begun"]
    with operations_server(statuses) as server:
        async with session_for(server) as session:
            (outcome,) = await session.bulk(
                session.deployments.begin_deactivate, ["begun"], resume_from=begun, repeat_unknown=repeat
            )
    if repeat:
        assert (outcome.state, outcome.attempts, outcome.location) == (SUCCEEDED, 2, "status/begun/")
        assert patched(server) == {"begun": 1}
    else:
        assert (outcome.state, outcome.location) == (UNKNOWN, "status/begun/")
        assert isinstance(outcome.error, NotFoundError)
        assert patched(server) == {}


async def test_operation_that_failed_meanwhile_is_begun_anew_by_the_run_after_next():
    statuses = Statuses()
    statuses.answers["begun"] = [Answer(body=b'{"status": "ABORTED"}'), COMPLETED]
    with operations_server(statuses) as server:
        async with session_for(server) as session:
            begin = session.deployments.begin_deactivate
            first = await session.bulk(begin, ["begun"], resume_from=EARLIER)
            assert [each.state for each in first] == [FAILED]
            assert patched(server) == {}
            second = await session.bulk(begin, ["begun"], resume_from=[each.to_json() for each in first])
            assert [each.state for each in second] == [SUCCEEDED]
            assert patched(server) == {"begun": 1}


async def test_last_word_about_an_item_counts_unless_it_succeeded_before():
    lines = [*outcomes_of(a=FAILED, b=SUCCEEDED, c=UNKNOWN), *outcomes_of(a=SUCCEEDED, b=FAILED, c=FAILED)]
    called = []

    async def work(item):
        called.append(item)

    outcomes = await offline().bulk(work, ["a", "b", "c", "c"], resume_from=lines)
    assert [each.state for each in outcomes] == [SUCCEEDED] * 4
    assert called == ["c", "c"]


async def test_stop_on_error_is_about_this_run_only():
    called = []

    async def work(item):
        called.append(item)

    await offline().bulk(work, ["lost", "new"], resume_from=EARLIER, stop_on_error=True)
    assert called == ["new"]


async def test_items_that_cannot_be_compared_with_a_record_are_refused(tmp_path):
    with pytest.raises(TypeError, match="cannot be written down"):
        await offline().bulk(double, [object()], resume_from=EARLIER)
    with pytest.raises(TypeError, match="cannot be written down"):
        await offline().bulk(double, [object()], journal=tmp_path / "journal")


async def test_overload_loses_nothing_and_repeats_nothing():
    with Emulator(deployments=60, operation_seconds=0.05, image_size=None) as emulator:
        emulator.fault("PATCH /deployments/*/status/ status=429 retry-after=0.01 probability=0.2")
        emulator.fault("* /** status=503 retry-after=0.01 probability=0.05")
        polling = PollPolicy(delays=quickly)
        async with AsyncSession(emulator.endpoint, emulator.token, retry=20, polling=polling) as session:
            ids = [each.id for each in await session.deployments.list(status="active").collect()]
            outcomes = await session.bulk(session.deployments.begin_deactivate, ids, max_concurrency=12)
            assert [each.item for each in outcomes] == ids
            assert {each.state for each in outcomes} == {SUCCEEDED}
            assert {each.value.status for each in outcomes} == {"inactive"}
        accepted = Counter(
            each.path for each in emulator.requests if each.method == "PATCH" and each.status == 202
        )
        assert set(accepted.values()) == {1}
        assert len(accepted) == len(ids)
        refused = sum(each.status in {429, 503} for each in emulator.requests if each.method == "PATCH")
        assert sum(each.attempts for each in outcomes) == len(ids) + refused


async def test_run_works_on_what_another_list_gives():
    with Emulator(deployments=30, image_size=None) as emulator:
        async with AsyncSession(emulator.endpoint, emulator.token) as session:
            outcomes = await session.bulk(
                lambda deployment: session.deployments.capabilities(deployment.id),
                session.deployments.list(limit=20, page_size=7),
                max_concurrency=4,
            )
            assert len(outcomes) == 20
            assert all(each.value for each in outcomes)
            assert Outcome.from_json(outcomes[0].to_json()).item == outcomes[0].item.id
    assert threading.active_count() < 50
