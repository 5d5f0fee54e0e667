from __future__ import annotations

import math
import random
import time
from collections import Counter

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async import AsyncSession, RetryPolicy
from datarobot_mlops_async._limiter import Limiter, PausedError, Slot
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import RateLimitError
from tests.blocking import no_call_blocks_the_event_loop  # noqa: F401 - for all tests of this module
from tests.scripted import Answer, ScriptedServer

pytestmark = pytest.mark.anyio
DEPLOYMENT = Answer(body=b'{"id": "d1"}')


async def hold(limiter, seconds=0.0, *, order=None, name=None, budget=math.inf):
    async with Slot(limiter, budget=budget):
        if order is not None:
            order.append(name)
        await anyio.sleep(seconds)


async def settle():
    """Let every task run until it waits."""
    await anyio.wait_all_tasks_blocked()


async def test_places_are_never_exceeded_and_all_are_used():
    limiter = Limiter(3)
    most = 0

    async def work():
        nonlocal most
        async with Slot(limiter, budget=0.0):
            most = max(most, limiter.in_flight)
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(work)
    assert most == 3
    assert limiter.in_flight == 0


async def test_waiters_are_served_in_the_order_in_which_they_came():
    limiter = Limiter(1)
    order = []
    async with anyio.create_task_group() as group, Slot(limiter, budget=0.0):
        for name in range(10):
            group.start_soon(lambda name: hold(limiter, order=order, name=name), name)
            await settle()
    assert order == list(range(10))


async def test_newcomer_does_not_overtake_those_who_wait():
    limiter = Limiter(1)
    order = []
    async with anyio.create_task_group() as group:
        async with Slot(limiter, budget=0.0):
            group.start_soon(lambda: hold(limiter, 0.01, order=order, name="waiting"))
            await settle()
        # The place was handed over, not freed.
        await hold(limiter, order=order, name="newcomer")
    assert order == ["waiting", "newcomer"]


async def test_cancelled_waiters_leave_the_queue_and_lose_no_place():
    limiter = Limiter(1)
    order = []
    scopes = [anyio.CancelScope() for _ in range(5)]

    async def wait(number):
        with scopes[number]:
            await hold(limiter, order=order, name=number)

    async with anyio.create_task_group() as group:
        async with Slot(limiter, budget=0.0):
            for number in range(5):
                group.start_soon(wait, number)
                await settle()
            scopes[1].cancel()
            scopes[3].cancel()
            await settle()
        # The place has just been given to the first of them, which has not run yet: it may still take it.
        scopes[0].cancel()
    assert order in ([2, 4], [0, 2, 4])
    assert limiter.in_flight == 0
    assert limiter.has_room()


@pytest.mark.parametrize("seed", range(3))
async def test_any_mix_of_holding_cancelling_and_overload_gives_every_place_back(seed):
    draw = random.Random(seed)
    limiter = Limiter(4)
    most = 0

    async def work():
        nonlocal most
        await anyio.sleep(draw.random() * 0.02)
        with anyio.move_on_after(draw.random() * 0.03):
            async with Slot(limiter, budget=math.inf) as started:
                most = max(most, limiter.in_flight)
                await anyio.sleep(draw.random() * 0.005)
                if draw.random() < 0.2:
                    limiter.overloaded(started=started, retry_after=draw.choice([None, 0.002]))
                else:
                    limiter.succeeded()

    async with anyio.create_task_group() as group:
        for _ in range(150):
            group.start_soon(work)
    assert most <= 4
    assert limiter.in_flight == 0
    assert limiter.has_room()
    await hold(limiter)


async def test_overload_halves_the_bound_once_for_requests_that_were_in_flight_together():
    limiter = Limiter(32)
    async with anyio.create_task_group() as group:
        starts = []

        async def refused():
            async with Slot(limiter, budget=0.0) as started:
                starts.append(started)
                await settle()
                limiter.overloaded(started=started, retry_after=None)

        for _ in range(8):
            group.start_soon(refused)
    assert limiter.bound == 16.0
    limiter.overloaded(started=time.monotonic() + 1, retry_after=None)
    assert limiter.bound == 8.0


@given(st.integers(1, 64), st.lists(st.booleans(), max_size=300))
def test_bound_stays_between_one_and_the_maximum(maximum, answers):
    limiter = Limiter(maximum)
    for number, good in enumerate(answers):
        if good:
            limiter.succeeded()
        else:
            limiter.overloaded(started=time.monotonic() + number, retry_after=None)
        assert 1.0 <= limiter.bound <= maximum


def test_bound_grows_back_by_one_for_each_round_of_requests():
    limiter = Limiter(32)
    limiter.overloaded(started=time.monotonic(), retry_after=None)
    before = limiter.bound
    for _ in range(16):
        limiter.succeeded()
    assert before + 0.9 < limiter.bound <= before + 1
    for _ in range(1000):
        limiter.succeeded()
    assert limiter.bound == 32


async def test_success_wakes_those_for_whom_there_is_room_again():
    limiter = Limiter(2)
    limiter.overloaded(started=time.monotonic(), retry_after=None)
    order = []
    async with anyio.create_task_group() as group, Slot(limiter, budget=0.0):
        group.start_soon(lambda: hold(limiter, order=order, name="second"))
        await settle()
        assert order == []
        limiter.succeeded()
        await settle()
        assert order == ["second"]


async def test_pause_holds_everybody_up_and_may_be_made_longer():
    limiter = Limiter(4)
    limiter.overloaded(started=time.monotonic(), retry_after=0.03)
    order = []
    async with anyio.create_task_group() as group:
        for name in range(8):
            group.start_soon(lambda name: hold(limiter, order=order, name=name), name)
        await anyio.sleep(0.01)
        assert order == []
        until = time.monotonic() + 0.05
        limiter.overloaded(started=time.monotonic(), retry_after=0.05)
        # A shorter one does not make it shorter.
        limiter.overloaded(started=time.monotonic(), retry_after=0.0)
        await hold(limiter)
        assert time.monotonic() >= until
    assert len(order) == 8


async def test_no_more_than_the_bound_rush_in_when_a_pause_ends():
    limiter = Limiter(4)
    limiter.overloaded(started=time.monotonic(), retry_after=0.02)
    most = 0

    async def work():
        nonlocal most
        async with Slot(limiter, budget=math.inf):
            most = max(most, limiter.in_flight)
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(work)
    assert most == 2


async def test_pause_beyond_the_callers_budget_is_refused_at_once_and_takes_no_place():
    limiter = Limiter(1)
    limiter.overloaded(started=time.monotonic(), retry_after=100.0)
    for budget in (50.0, 0.0, -1.0):
        with pytest.raises(PausedError) as raised:
            await hold(limiter, budget=budget)
        assert 99.0 < raised.value.remaining <= 100.0
    assert limiter.in_flight == 0


async def test_pause_that_begins_while_one_waits_is_refused_too():
    limiter = Limiter(1)
    async with anyio.create_task_group() as group:

        async def impatient():
            with pytest.raises(PausedError):
                await hold(limiter, budget=1.0)

        async with Slot(limiter, budget=0.0) as started:
            group.start_soon(impatient)
            await settle()
            limiter.overloaded(started=started, retry_after=100.0)
    assert limiter.in_flight == 0


async def test_pause_ends_the_wait_of_those_in_the_queue_that_it_is_too_long_for():
    limiter = Limiter(1)
    order, refused = [], []

    async def wait(name, budget):
        try:
            await hold(limiter, order=order, name=name, budget=budget)
        except PausedError:
            refused.append(name)

    async with anyio.create_task_group() as group, Slot(limiter, budget=0.0) as started:
        for name, budget in (
            ("patient", 10.0),
            ("impatient", 1.0),
            ("gone", 0.0),
            ("endless", math.inf),
        ):
            group.start_soon(wait, name, budget)
            await settle()
        limiter.overloaded(started=started, retry_after=0.02)
        await settle()
        assert refused == ["gone"]
        limiter.overloaded(started=started, retry_after=5.0)
        await settle()
        # At once, while the place is still taken.
        assert refused == ["gone", "impatient"]
        limiter.overloaded(started=started, retry_after=11.0)
        await settle()
        assert refused == ["gone", "impatient", "patient"]
        group.cancel_scope.cancel()
    assert order == []
    assert limiter.in_flight == 0


async def test_pauses_that_follow_each_other_cost_no_more_than_ones_budget():
    limiter = Limiter(1)
    limiter.overloaded(started=time.monotonic(), retry_after=0.02)
    async with anyio.create_task_group() as group:

        async def impatient():
            with pytest.raises(PausedError):
                await hold(limiter, budget=1.0)

        group.start_soon(impatient)
        await settle()
        # Each alone is short enough.
        limiter.overloaded(started=time.monotonic(), retry_after=0.999)
        limiter.overloaded(started=time.monotonic() + 1, retry_after=1.01)
    assert limiter.in_flight == 0


async def test_waiting_for_a_place_alone_costs_no_budget():
    limiter = Limiter(1)
    async with anyio.create_task_group() as group, Slot(limiter, budget=0.0):
        group.start_soon(lambda: hold(limiter, budget=0.0))
        await settle()
        await anyio.sleep(0.01)
    assert limiter.in_flight == 0


async def test_one_retry_after_costs_no_more_than_the_longest_pause():
    limiter = Limiter(4, longest_pause=0.01)
    limiter.overloaded(started=time.monotonic(), retry_after=5e9)
    await hold(limiter, budget=1.0)


async def test_pause_that_is_over_asks_for_no_budget():
    limiter = Limiter(1)
    limiter.overloaded(started=time.monotonic(), retry_after=0.0)
    await hold(limiter, budget=-1.0)


async def test_sessions_requests_never_exceed_its_bound():
    with Emulator(deployments=5, latency=0.01, image_size=None) as emulator:
        async with AsyncSession(emulator.endpoint, emulator.token, max_concurrency=3) as session:
            ids = [each.id async for each in session.deployments.list()]
            emulator.clear_requests()
            async with anyio.create_task_group() as group:
                for number in range(30):
                    group.start_soon(session.deployments.get, ids[number % 5])
        spans = [(each.started_at, each.answered_at) for each in emulator.requests]
    assert len(spans) == 30
    assert max(sum(start <= at < end for start, end in spans) for at, _ in spans) <= 3


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_pauses_the_whole_session(status):
    with Emulator(deployments=5, image_size=None) as emulator:
        async with AsyncSession(emulator.endpoint, emulator.token) as session:
            ids = [each.id async for each in session.deployments.list()]
            emulator.clear_requests()
            emulator.fault(f"GET /deployments/{ids[0]}/ status={status} retry-after=0.2 times=1")
            async with anyio.create_task_group() as group:
                group.start_soon(session.deployments.get, ids[0])
                while not emulator.requests:  # noqa: ASYNC110 - it happens in another thread
                    await anyio.sleep(0.001)
                await anyio.sleep(0.02)
                for id_ in ids[1:]:
                    group.start_soon(session.deployments.get, id_)
        refused, *others = emulator.requests
    assert refused.status == status
    assert Counter(each.status for each in others) == {200: 5}
    # The clock starts when the answer arrives, which is later than when it was sent.
    assert min(each.started_at for each in others) - refused.answered_at >= 0.2


async def test_pause_beyond_the_retry_budget_fails_every_call_at_once_without_sending_it():
    with ScriptedServer(Answer(status=429, headers={"Retry-After": "3600"}), DEPLOYMENT) as server:
        policy = RetryPolicy(budget=5.0)
        async with AsyncSession(server.endpoint, "token-of-the-test", retry=policy) as session:
            with pytest.raises(RateLimitError) as refused:
                await session.deployments.get("d1")
            assert refused.value.retry_after == 3600.0
            with pytest.raises(RateLimitError, match="not sent: the server asked this session to wait"):
                await session.deployments.get("d2")
            patient = session.with_options(retry=RetryPolicy(budget=5000.0))
            with anyio.move_on_after(0.02) as scope:
                await patient.deployments.get("d3")
            assert scope.cancelled_caught
    assert len(server.asked) == 1


async def test_gather_of_many_calls_needs_no_more_connections_than_the_bound():
    with ScriptedServer(DEPLOYMENT) as server:
        async with AsyncSession(server.endpoint, "token-of-the-test", max_concurrency=2) as session:
            for _ in range(3):
                with anyio.move_on_after(0.01):
                    async with anyio.create_task_group() as group:
                        for number in range(200):
                            group.start_soon(session.deployments.get, f"d{number}")
            # Cancelled or not, nothing is stuck in the queue or in the pool.
            assert (await session.deployments.get("d1")).id == "d1"
