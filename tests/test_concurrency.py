from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread
from blockbuster import BlockingError

from datarobot_mlops_async import AsyncSession, OutcomeState, PollPolicy, read_journal
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import NotFoundError, OperationTimeoutError
from tests.blocking import no_call_blocks_the_event_loop  # noqa: F401 - for all tests of this module
from tests.conftest import BACKENDS
from tests.polled import COMPLETED, RUNNING, Statuses, quickly, serve
from tests.polled import session_for as polled_session
from tests.servers.odd import OddServer, says

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio
# Task.cancel() and asyncio.timeout() are asyncio's own; what they do is not what a cancel scope does.
on_asyncio = pytest.mark.parametrize(
    "anyio_backend", [BACKENDS["asyncio"], BACKENDS["uvloop"]], ids=["asyncio", "uvloop"]
)


@pytest.fixture
def emulator():
    with Emulator(deployments=120, operation_seconds=0.05, latency=0.002, image_size=None) as running:
        yield running


@pytest.fixture(autouse=True)
async def _no_task_is_left():
    tasks = len(anyio.get_running_tasks())
    yield
    assert len(anyio.get_running_tasks()) == tasks


def session_for(emulator, **options):
    return AsyncSession(emulator.endpoint, emulator.token, polling=PollPolicy(delays=quickly), **options)


async def toggle(session, deployment):
    status = "inactive" if deployment.status == "active" else "active"
    return await session.deployments.begin_set_status(deployment.id, status)


async def some(session, number):
    """Return deployments whose status can be changed."""
    return [each async for each in session.deployments.list() if each.status in {"active", "inactive"}][
        :number
    ]


async def test_everything_at_a_time_stays_within_the_sessions_bound(emulator):
    emulator.fault("* /** status=503 retry-after=0.01 probability=0.03")
    async with session_for(emulator, max_concurrency=4, retry=20) as session:
        deployments = await some(session, 20)
        emulator.clear_requests()
        outcomes = []

        async def change():
            outcomes.extend(await session.bulk(lambda each: toggle(session, each), deployments))

        async def read():
            async with session.deployments.list(page_size=5).prefetch(6) as items:
                assert len([item async for item in items]) == 120

        async with anyio.create_task_group() as group:
            group.start_soon(change)
            group.start_soon(read)
            for each in deployments:
                group.start_soon(session.deployments.get, each.id)
    assert Counter(each.state for each in outcomes) == {OutcomeState.SUCCEEDED: 20}
    spans = [(each.started_at, each.answered_at) for each in emulator.requests]
    assert max(sum(start <= at < end for start, end in spans) for at, _ in spans) <= 4


async def test_session_may_be_entered_and_left_in_different_tasks(emulator):
    # As pytest-asyncio does with the two halves of a fixture.
    session = session_for(emulator)

    async def enter():
        await session.__aenter__()

    async def leave():
        await session.__aexit__(None, None, None)

    async with anyio.create_task_group() as group:
        group.start_soon(enter)
    deployments = await some(session, 3)
    async with anyio.create_task_group() as group:
        for each in deployments:
            operation = await toggle(session, each)
            group.start_soon(operation.wait)
    async with anyio.create_task_group() as group:
        group.start_soon(leave)


async def test_waits_in_tasks_that_come_and_go_are_not_tied_to_any_of_them(emulator):
    async with session_for(emulator) as session:
        operations = [await toggle(session, each) for each in await some(session, 8)]

        async def impatient(operation):
            with pytest.raises(OperationTimeoutError):
                await operation.wait(timeout=0.001)

        # Each of them drives for a moment, and is gone.
        for operation in operations:
            async with anyio.create_task_group() as group:
                group.start_soon(impatient, operation)
        async with anyio.create_task_group() as group:
            for operation in operations:
                group.start_soon(operation.wait)
        assert all(operation.done for operation in operations)


@on_asyncio
async def test_task_that_is_cancelled_natively_leaves_the_others_waiting():
    over = threading.Event()
    statuses = Statuses(running=10**6)
    with serve(statuses) as server:
        async with polled_session(server) as session:
            for number in range(3, 6):
                statuses.answers[f"s{number}"] = lambda _: COMPLETED if over.is_set() else RUNNING
            tasks = [asyncio.create_task(session.operation(f"status/s{n}/").wait()) for n in range(6)]
            while len(statuses.polls) < 6:  # noqa: ASYNC110 - the server is in another thread
                await asyncio.sleep(0.002)
            for task in tasks[:3]:
                task.cancel()
                await asyncio.sleep(0)
            over.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in results[:3]] == [asyncio.CancelledError] * 3
    assert results[3:] == [None] * 3


@on_asyncio
@pytest.mark.parametrize("way", ["cancel", "timeout", "wait_for"])
async def test_bulk_that_is_cancelled_natively_reports_and_ends(emulator, way):
    emulator.fault("PATCH /deployments/*/status/ latency=30s")
    seen = []
    async with session_for(emulator) as session:
        deployments = await some(session, 5)

        async def run():
            await session.bulk(
                lambda each: toggle(session, each), deployments, on_outcome=seen.append, max_concurrency=2
            )

        if way == "cancel":
            task = asyncio.create_task(run())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif way == "timeout":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await run()
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(run(), 0.1)
        assert asyncio.current_task().cancelling() == 0
        assert [each.state for each in seen] == [OutcomeState.UNKNOWN] * 2
        emulator.clear_faults()
        assert (await session.deployments.get(deployments[0].id)).id == deployments[0].id


@on_asyncio
async def test_readings_that_are_cancelled_natively_end(emulator):
    emulator.fault("GET /deployments/ latency=30s after=1")

    async def prefetch(paginator):
        async with paginator.prefetch(3) as items:
            return [item async for item in items]

    async with session_for(emulator) as session:
        for read in (prefetch, lambda paginator: paginator.collect()):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await read(session.deployments.list(page_size=10))
            emulator.clear_faults()
            emulator.fault("GET /deployments/ latency=30s after=1")
        assert session.activity.requests == 0


@on_asyncio
async def test_gather_with_failures_leaves_nothing_behind(emulator):
    async with session_for(emulator) as session:
        ids = [each.id for each in await some(session, 5)]
        results = await asyncio.gather(
            *(session.deployments.get(id_) for id_ in [*ids, "absent"]), return_exceptions=True
        )
    assert [type(each).__name__ for each in results] == ["Deployment"] * 5 + [NotFoundError.__name__]


async def test_threads_that_others_hold_keep_nobody_waiting(tls, tmp_path, monkeypatch, anyio_backend_name):
    """As when all synchronous endpoints of a service wait in their threads for what a session does."""
    default = to_thread.current_default_thread_limiter()
    others = [object() for _ in range(int(default.available_tokens))]
    over = threading.Event()
    for each in others:
        default.acquire_on_behalf_of_nowait(each)
    if anyio_backend_name == "asyncio":
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="asyncio_"))
        loop.run_in_executor(None, over.wait)
    # httpcore, which trio has, resolves names in trio's own way.
    host = "localhost" if anyio_backend_name == "asyncio" else "127.0.0.1"
    token = tmp_path / "token"
    token.write_text("secret-token")
    answer = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", then="keep")
    try:
        with OddServer(answer, tls=tls.server_context()) as server, anyio.fail_after(10):
            monkeypatch.setenv("DATAROBOT_ENDPOINT", f"https://{host}:{server.port}")
            monkeypatch.setenv("DATAROBOT_API_TOKEN_FILE", str(token))
            async with AsyncSession(verify=str(tls.ca_file)) as session:
                assert await session.request("GET", "version/") == {}
                for destination in (tmp_path, io.BytesIO()):
                    assert (await session.artifact("files/x").download(destination)).size == 2
    finally:
        over.set()
        for each in others:
            default.release_on_behalf_of(each)


async def test_no_thread_is_used_while_operations_are_awaited(emulator):
    async with session_for(emulator) as session:
        operations = [await toggle(session, each) for each in await some(session, 10)]
        threads = threading.active_count()
        most = 0

        def note(status):
            nonlocal most
            most = max(most, threading.active_count())

        async with anyio.create_task_group() as group:
            for operation in operations:
                group.start_soon(lambda operation: operation.wait(on_update=note), operation)
    assert 0 < most <= threads


FIRST_CALLS = """
import asyncio, sys, threading
from datarobot_mlops_async import AsyncSession

async def main():
    async with AsyncSession(sys.argv[1], "emulator-token") as session:
        threads = threading.active_count()
        await asyncio.gather(*(session.request("GET", "version/") for _ in range(30)))
        print(threading.active_count() - threads)

asyncio.run(main())
"""


@pytest.mark.parametrize("transport", ["", "httpx"])
@pytest.mark.parametrize("anyio_backend", [BACKENDS["asyncio"]], ids=["asyncio"])
async def test_first_calls_that_come_together_load_the_transport_once(transport, emulator):
    # In a process of its own: here it is loaded already.
    child = await anyio.run_process(
        [sys.executable, "-c", FIRST_CALLS, emulator.endpoint],
        env={**os.environ, "DATAROBOT_MLOPS_TRANSPORT": transport},
    )
    assert child.stdout == b"0\n"


@on_asyncio
async def test_blocking_calls_of_the_library_would_be_noticed(tmp_path):
    journal = tmp_path / "journal"
    async with AsyncSession("https://h", "token") as session:
        assert await session.bulk(int, ["1"], journal=journal)
        with pytest.raises(BlockingError):
            read_journal(journal)
        # Where a run reads it, nothing blocks.
        assert await session.bulk(int, ["1"], resume_from=journal)
