from __future__ import annotations

import gc
import random
import threading
import time
from functools import partial

import anyio
import pytest

from datarobot_mlops_async import AsyncSession, PollPolicy
from datarobot_mlops_async.errors import (
    AuthenticationError,
    DecodeError,
    MLOpsError,
    NotFoundError,
    OperationTimeoutError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    SessionStateError,
)
from datarobot_mlops_async.session import Activity
from tests.blocking import no_call_blocks_the_event_loop  # noqa: F401 - for all tests of this module
from tests.polled import COMPLETED, RUNNING, Statuses, quickly, serve, session_for
from tests.scripted import Answer
from tests.waiting import wait_until

pytestmark = pytest.mark.anyio


def is_idle(session):
    """Tell whether a session does nothing, and intends nothing, any more."""
    return session.activity == Activity()


async def wait_for(session, *status_ids, timeout=30.0):
    """Wait for several operations at a time; return what each gave or raised."""
    results = {}

    async def one(status_id):
        try:
            results[status_id] = await session.operation(f"status/{status_id}/").wait(timeout=timeout)
        except MLOpsError as error:
            results[status_id] = error

    async with anyio.create_task_group() as group:
        for status_id in status_ids:
            group.start_soon(one, status_id)
    return results


async def test_many_waits_share_one_schedule_and_leave_nothing():
    statuses = Statuses(running=3)
    ids = [f"s{number}" for number in range(40)]
    with serve(statuses) as server:
        async with session_for(server) as session:
            tasks = len(anyio.get_running_tasks())
            assert await wait_for(session, *ids) == dict.fromkeys(ids)
            assert is_idle(session)
            assert len(anyio.get_running_tasks()) == tasks
    assert statuses.polls == dict.fromkeys(ids, 4)


async def test_waits_for_one_operation_share_its_polls_but_not_their_updates():
    statuses = Statuses(running=4)
    seen = [[], [], []]
    with serve(statuses) as server:
        async with session_for(server) as session:
            async with anyio.create_task_group() as group:
                for updates in seen:

                    async def wait(updates=updates):
                        await session.operation("status/s/").wait(on_update=updates.append)

                    group.start_soon(wait)
            assert is_idle(session)
    assert statuses.polls == {"s": 5}
    assert [[update.status for update in updates] for updates in seen] == [
        ["RUNNING"] * 4 + ["COMPLETED"]
    ] * 3


async def test_polls_of_one_operation_awaited_twice_read_its_result_once():
    statuses = Statuses()
    statuses.answers["s"] = Answer(status=303, headers={"Location": "/api/v2/deployments/d1/"})
    statuses.answers["d1"] = Answer(body=b'{"id": "d1"}')
    results = []
    with serve(statuses) as server:
        async with session_for(server) as session:
            operation = session.operation("status/s/")

            async def wait():
                results.append(await operation)

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                group.start_soon(wait)
    assert results[0].id == "d1"
    assert results[0] is results[1]
    assert statuses.polls == {"s": 1, "d1": 1}


async def test_cancelled_waits_keep_no_other_waiting():
    statuses = Statuses(running=10)
    with serve(statuses) as server:
        async with session_for(server) as session:
            finished = []

            async def wait(status_id, scope):
                with scope:
                    await session.operation(f"status/{status_id}/").wait()
                    finished.append(status_id)

            scopes = [anyio.CancelScope() for _ in range(6)]
            async with anyio.create_task_group() as group:
                for number, scope in enumerate(scopes):
                    group.start_soon(wait, f"s{number}", scope)
                await anyio.sleep(0.02)
                # One after the other is cancelled, whatever it does, until two are left.
                for scope in scopes[:4]:
                    scope.cancel()
                    await anyio.sleep(0.005)
            assert finished == ["s4", "s5"] or finished == ["s5", "s4"]
            assert is_idle(session)


async def test_cancelled_poll_is_made_again_by_the_next_who_waits_for_the_same():
    asked, held = threading.Event(), threading.Event()

    def hold(_):
        asked.set()
        held.wait(10)
        return RUNNING

    statuses = Statuses()
    statuses.answers["s"] = [hold, COMPLETED]
    with serve(statuses) as server:
        async with session_for(server) as session:
            scope = anyio.CancelScope()
            finished = []

            async def first():
                with scope:
                    await session.operation("status/s/").wait()

            async def second():
                finished.append(await session.operation("status/s/").wait())

            async with anyio.create_task_group() as group:
                group.start_soon(first)
                await anyio.to_thread.run_sync(asked.wait, 10)
                group.start_soon(second)
                await anyio.sleep(0.01)
                assert statuses.polls == {"s": 1}
                scope.cancel()
            held.set()
            assert finished == [None]
            assert statuses.polls == {"s": 2}
            assert is_idle(session)


async def test_deadline_ends_a_wait_whose_poll_hangs_and_no_other():
    statuses = Statuses(running=3)
    statuses.answers["hung"] = Answer(instead="hang")
    with serve(statuses) as server:
        async with session_for(server) as session:
            operation = session.operation("status/hung/")
            with pytest.raises(OperationTimeoutError, match="not over within 0.1 s") as raised:
                await operation.wait(timeout=0.1)
            assert raised.value.operation is operation

            async def once_more():
                with pytest.raises(OperationTimeoutError):
                    await operation.wait(timeout=0.2)

            async with anyio.create_task_group() as group:
                group.start_soon(once_more)
                await session.operation("status/other/").wait(timeout=60)
            assert is_idle(session)


async def test_deadline_of_one_who_waits_leaves_the_others_waiting():
    statuses = Statuses(running=25)
    with serve(statuses) as server:
        async with session_for(server) as session:
            results = {}

            async def wait(timeout):
                try:
                    results[timeout] = await session.operation("status/s/").wait(timeout=timeout)
                except OperationTimeoutError:
                    results[timeout] = "timeout"

            async with anyio.create_task_group() as group:
                for timeout in (0.05, 0.1, None):
                    group.start_soon(wait, timeout)
            assert results == {0.05: "timeout", 0.1: "timeout", None: None}
            assert is_idle(session)


async def test_deadline_passes_while_nothing_is_due():
    def never(elapsed, polls, retry_after, *, remaining):
        return 1000.0

    with serve(Statuses()) as server:
        async with session_for(server, delays=never) as session:
            results = await wait_for(session, "a", "b", timeout=0.02)
            assert all(isinstance(each, OperationTimeoutError) for each in results.values())
            assert is_idle(session)
            # What is waited for no more is not kept until it would have been asked.
            del results
            gc.collect()
            assert not [each for each in gc.get_objects() if type(each).__name__ == "_Watch"]
    assert server.asked == []


async def test_later_wait_with_an_early_deadline_is_not_kept_until_the_next_poll():
    def seldom(elapsed, polls, retry_after, *, remaining):
        return 0.01 if remaining < 100 else 1000.0

    statuses = Statuses(answers={"s": RUNNING})
    with serve(statuses) as server:
        async with session_for(server, delays=seldom) as session:
            async with anyio.create_task_group() as group:
                group.start_soon(session.operation("status/s/").wait)
                await wait_until(lambda: session.activity.operations)
                with pytest.raises(OperationTimeoutError):
                    await session.operation("status/s/").wait(timeout=0.05)
                # Whoever joins has a look of its own, and what it finds is for all who wait.
                statuses.answers["s"] = COMPLETED
                await session.operation("status/s/").wait(timeout=50)
            assert is_idle(session)


async def test_poll_that_was_moved_forward_is_not_made_again_at_its_old_moment():
    def once(elapsed, polls, retry_after, *, remaining):
        return 1000.0 if polls else 0.0 if remaining < 100 else 0.1

    statuses = Statuses(running=10)
    with serve(statuses) as server:
        async with session_for(server, delays=once) as session, anyio.create_task_group() as group:
            group.start_soon(session.operation("status/s/").wait)
            group.start_soon(partial(session.operation("status/s/").wait, timeout=50))
            await wait_until(lambda: statuses.polls)
            await anyio.sleep(0.12)
            assert statuses.polls == {"s": 1}
            group.cancel_scope.cancel()


@pytest.mark.parametrize("timeout", [0, 0.001])
async def test_short_wait_looks_or_gives_up_at_once(timeout):
    with serve(Statuses(running=0)) as server:
        async with session_for(server) as session:
            with pytest.raises(OperationTimeoutError):
                await session.operation("status/s/").wait(timeout=timeout)
            assert is_idle(session)


@pytest.mark.parametrize(
    "blip",
    [
        Answer(status=500),
        Answer(status=502, body=b"<html>Bad gateway</html>"),
        Answer(status=503, headers={"Retry-After": "0"}),
        Answer(status=429),
        Answer(status=429, headers={"Retry-After": "0.01"}),
        Answer(instead="reset"),
        Answer(instead="cut", headers={"Content-Length": "100"}),
        Answer(body=b"<html>Please wait</html>"),
        Answer(status=302, headers={"Location": "https://sign-in.example/"}),
    ],
)
async def test_blip_does_not_lose_the_wait(blip):
    statuses = Statuses()
    statuses.answers["s"] = [blip, RUNNING, blip, blip, COMPLETED]
    with serve(statuses) as server:
        async with session_for(server) as session:
            await session.operation("status/s/").wait()
            assert is_idle(session)
    assert statuses.polls == {"s": 5}


async def test_server_that_cannot_be_reached_any_more_is_survived_until_the_deadline():
    with serve(Statuses(running=10**6)) as server:
        session = session_for(server)
    async with session:
        with pytest.raises(OperationTimeoutError):
            await session.operation("status/s/").wait(timeout=0.1)


async def test_request_timeout_ends_a_poll_and_not_the_wait():
    statuses = Statuses()
    statuses.answers["s"] = [Answer(instead="hang"), COMPLETED]
    with serve(statuses) as server:
        async with session_for(server, timeout=0.05) as session:
            await session.operation("status/s/").wait()


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError), (404, NotFoundError)]
)
async def test_refusal_ends_every_wait_for_the_operation_at_once_and_no_other(status, error):
    statuses = Statuses(running=5)
    statuses.answers["s"] = [RUNNING, Answer(status=status)]
    raised = []
    with serve(statuses) as server:
        async with session_for(server) as session:

            async def wait(status_id):
                try:
                    await session.operation(f"status/{status_id}/").wait()
                except error as caught:
                    raised.append(caught)

            async with anyio.create_task_group() as group:
                for status_id in ("s", "s", "other"):
                    group.start_soon(wait, status_id)
            assert is_idle(session)
    assert [each.status for each in raised] == [status, status]
    # An exception that two tasks raise would carry the traceback of both.
    assert raised[0] is not raised[1]
    assert statuses.polls == {"s": 2, "other": 6}


async def test_status_that_moves_for_ever_keeps_the_wait_running():
    statuses = Statuses()
    statuses.answers["s"] = [Answer(status=307, headers={"Location": "/api/v2/status/s/"})] * 15 + [COMPLETED]
    with serve(statuses) as server:
        async with session_for(server) as session:
            assert (await session.operation("status/s/").status()).status == "MOVED"
            assert statuses.polls == {"s": 10}
            await session.operation("status/s/").wait()


async def test_retry_after_reaches_the_schedule():
    asked = []

    def noting(elapsed, polls, retry_after, *, remaining):
        asked.append((polls, retry_after))
        return 0.001

    statuses = Statuses()
    statuses.answers["s"] = [
        Answer(headers={"Retry-After": "7"}, body=RUNNING.body),
        Answer(status=500, headers={"Retry-After": "8"}),
        RUNNING,
        COMPLETED,
    ]
    with serve(statuses) as server:
        async with session_for(server, delays=noting) as session:
            await session.operation("status/s/").wait()
    assert asked[:4] == [(0, None), (1, 7.0), (2, 8.0), (3, None)]


async def test_polls_wait_for_the_sessions_pause_without_taking_places_in_flight():
    asked = []

    def noting(elapsed, polls, retry_after, *, remaining):
        asked.append(retry_after)
        return quickly(elapsed, polls, retry_after, remaining=remaining)

    statuses = Statuses(running=0, answers={"busy": Answer(status=429, headers={"Retry-After": "0.2"})})
    with serve(statuses) as server:
        async with session_for(server, delays=noting, retry=0) as session:
            with pytest.raises(RateLimitError):
                await session.request("GET", "status/busy/")
            await session.operation("status/s/").wait()
    assert statuses.polls == {"busy": 1, "s": 1}
    assert 0 < asked[1] <= 0.2


async def test_update_that_raises_ends_its_own_wait_only():
    class UpdateError(Exception):
        pass

    def fail(status):
        raise UpdateError

    statuses = Statuses(running=3)
    with serve(statuses) as server:
        async with session_for(server) as session:
            finished = []

            async def good():
                finished.append(await session.operation("status/s/").wait())

            async def bad():
                with pytest.raises(UpdateError):
                    await session.operation("status/s/").wait(on_update=fail)

            async with anyio.create_task_group() as group:
                group.start_soon(bad)
                group.start_soon(good)
            assert finished == [None]
            assert is_idle(session)


async def test_polls_a_second_are_bounded_for_all_waits_together():
    statuses = Statuses(running=3)
    ids = [f"s{number}" for number in range(30)]
    with serve(statuses) as server:
        async with session_for(server, per_second=400.0) as session:
            started = time.monotonic()
            await wait_for(session, *ids)
            elapsed = time.monotonic() - started
    polls = statuses.polls.total()
    assert polls == 120
    # A slow machine polls less; the two ticks that may be caught up are 8 polls here.
    assert polls <= 400.0 * elapsed + 9


async def test_those_who_leave_while_they_wait_for_their_turn_are_passed_over():
    statuses = Statuses(running=0)
    with serve(statuses) as server:
        async with session_for(server, per_second=0.5) as session:
            async with anyio.create_task_group() as group:
                scopes = [anyio.CancelScope() for _ in range(4)]

                async def wait(number):
                    with scopes[number]:
                        await session.operation(f"status/s{number}/").wait()

                for number in range(4):
                    group.start_soon(wait, number)
                    await anyio.wait_all_tasks_blocked()
                # All are due; the first has had its turn, and the next one comes after two seconds.
                await wait_until(lambda: statuses.polls)
                scopes[1].cancel()
                scopes[2].cancel()
            assert is_idle(session)
    assert statuses.polls == {"s0": 1, "s3": 1}


async def test_polls_leave_an_eighth_of_the_places_in_flight_to_other_calls():
    def slow(asked):
        time.sleep(0.01)
        return RUNNING if statuses.polls.total() < 100 else COMPLETED

    statuses = Statuses()
    ids = [f"s{number}" for number in range(30)]
    statuses.answers = dict.fromkeys(ids, slow)
    with serve(statuses) as server:
        async with session_for(server, max_concurrency=8) as session:
            await wait_for(session, *ids)
            assert is_idle(session)
    assert 2 <= statuses.most_at_once <= 7


async def test_single_place_in_flight_is_enough():
    statuses = Statuses(running=2)
    with serve(statuses) as server:
        async with session_for(server, max_concurrency=1) as session:
            assert await wait_for(session, "a", "b", "c") == {"a": None, "b": None, "c": None}
    assert statuses.most_at_once == 1


async def test_closed_session_ends_its_waits():
    with serve(Statuses(running=10**6)) as server:
        session = session_for(server)
        async with session, anyio.create_task_group() as group:

            async def wait():
                with pytest.raises(SessionStateError, match="closed"):
                    await session.operation("status/s/").wait()

            group.start_soon(wait)
            await anyio.sleep(0.02)
            await session.aclose()


def test_wait_on_another_event_loop_is_refused_before_it_touches_the_schedule():
    async def elsewhere(session):
        with pytest.raises(SessionStateError, match="another event loop"):
            await session.operation("status/s/").wait()

    async def here(server):
        async with session_for(server) as session:
            await anyio.to_thread.run_sync(anyio.run, elsewhere, session)
            assert is_idle(session)

    with serve(Statuses()) as server:
        anyio.run(here, server)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(status=302, headers={"Location": "https://elsewhere.example/"}), ProtocolError),
        (Answer(body=b"<html>This is another service</html>"), DecodeError),
    ],
)
async def test_answer_that_is_never_a_status_is_raised(answer, error):
    statuses = Statuses()
    statuses.answers["s"] = answer
    with serve(statuses) as server:
        async with session_for(server) as session:
            with pytest.raises(error):
                await session.operation("status/s/").wait()
            assert is_idle(session)
    assert statuses.polls == {"s": 4}


@pytest.mark.parametrize("seed", range(3))
async def test_waits_that_come_and_go_at_random_lose_nothing(seed):
    draw = random.Random(seed)
    statuses = Statuses(running=12)
    finished, cancelled = [], []

    async def one(session, number):
        await anyio.sleep(draw.random() * 0.1)
        with anyio.CancelScope() as scope:
            if draw.random() < 0.5:
                scope.deadline = anyio.current_time() + draw.random() * 0.1
            await session.operation(f"status/s{number % 20}/").wait()
            finished.append(number)
        if scope.cancelled_caught:
            cancelled.append(number)

    with serve(statuses) as server:
        async with session_for(server) as session:
            async with anyio.create_task_group() as group:
                for number in range(60):
                    group.start_soon(one, session, number)
            assert sorted(finished + cancelled) == list(range(60))
            assert finished
            assert is_idle(session)
    gc.collect()


async def test_thousand_waits_use_no_thread_and_no_task_of_the_sessions_own():
    with serve(Statuses(running=10**6)) as server:

        def never(elapsed, polls, retry_after, *, remaining):
            return 1000.0

        async with session_for(server, delays=never) as session:
            threads, tasks = set(threading.enumerate()), len(anyio.get_running_tasks())
            async with anyio.create_task_group() as group:

                async def wait(number):
                    await session.operation(f"status/s{number}/").wait()

                for number in range(1000):
                    group.start_soon(wait, number)
                await anyio.sleep(0.05)
                assert set(threading.enumerate()) <= threads  # one of another test may end
                assert len(anyio.get_running_tasks()) == tasks + 1000
                assert session.activity == Activity(operations=1000, timers=2000)
                group.cancel_scope.cancel()
            assert is_idle(session)


async def test_rate_of_polls_follows_what_the_session_may_send():
    def count(polls):
        statuses = Statuses(running=0)
        ids = [f"s{number}" for number in range(polls)]
        return statuses, ids

    for places, refusals in ((8, 0), (8, 2)):
        statuses, ids = count(40)
        for each in ids[:refusals]:
            statuses.answers[each] = [Answer(status=503), COMPLETED]
        policy = PollPolicy(delays=quickly, per_place=25.0)
        with serve(statuses) as server:
            async with AsyncSession(server.endpoint, "t", max_concurrency=places, polling=policy) as session:
                started = time.monotonic()
                await wait_for(session, *ids)
                elapsed = time.monotonic() - started
        assert statuses.polls.total() <= 25.0 * places * elapsed + 9


def test_bounds_of_polling_are_checked():
    assert (PollPolicy().per_second, PollPolicy().per_place) == (4000.0, 100.0)
    for bad in ({"per_second": 0}, {"per_place": -1.0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            PollPolicy(**bad)
