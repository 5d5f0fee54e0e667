"""Any answers, any files, cancelled at any point: only our exceptions come out, and the session goes on."""

from __future__ import annotations

import asyncio
import json
import tempfile
import uuid
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async import AsyncSession, Outcome, OutcomeState, RetryPolicy
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import ConfigError, JournalError, MLOpsError
from tests import surface
from tests.conftest import BACKENDS
from tests.fuzzing import ANY_JSON, SEEDS, damage, damaged, fuzzed

pytestmark = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", [BACKENDS["asyncio"]], ids=["asyncio"])


class NoEvidence:
    """Takes what the calls show, and looks at none of it."""

    def show(self, name, value):
        pass

    note = catch = show


def encoded(value):
    return json.dumps(value).encode()


ROW = {"id": "d1", "label": "a", "status": "active", "capabilities": []}
BODIES = st.one_of(
    st.binary(max_size=20),
    ANY_JSON.map(encoded),
    st.fixed_dictionaries(
        {"data": st.lists(st.just(ROW) | ANY_JSON, max_size=3)},
        optional={
            "next": st.sampled_from([None, "", "deployments/?offset=3", "http://h/x", 5]) | ANY_JSON,
            "totalCount": st.sampled_from([3, 0, -1, 10**30]) | ANY_JSON,
            "status": st.sampled_from(["COMPLETED", "ERROR", "RUNNING"]) | ANY_JSON,
            "id": st.just("d1") | ANY_JSON,
        },
    ).map(encoded),
    st.just(encoded(ROW)),
)
ANSWERS = st.tuples(
    st.sampled_from([200, 202, 204, 303, 307, 401, 404, 409, 418, 429, 500, 503, 599]),
    st.fixed_dictionaries(
        {},
        optional={
            "location": st.sampled_from(
                ["status/s/", "/api/v2/status/s/", "", "http://[", "//evil.example/x"]
            ),
            "retry-after": st.sampled_from(["0", "-1", "nan", "1e999", "Wed, 21 Oct 2199 07:28:00 GMT", "x"]),
            "content-encoding": st.sampled_from(["gzip", "br", "identity", "gzip, gzip"]),
            "content-type": st.sampled_from(["text/html", "application/json; charset=utf-7", ""]),
            "deprecation": st.just("true"),
        },
    ),
    BODIES,
)


@on_asyncio
@pytest.mark.filterwarnings("ignore::datarobot_mlops_async.errors.ServerDeprecationWarning")
@fuzzed(80)
@given(name=st.sampled_from(sorted(surface.CALLS)), answers=st.lists(ANSWERS, min_size=1, max_size=4))
async def test_any_answers_to_any_call_give_a_value_or_our_error(name, answers):
    numbers = count()

    def answer(request):
        status, headers, body = answers[next(numbers) % len(answers)]
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

    with tempfile.TemporaryDirectory() as directory:
        session = AsyncSession(
            "https://h.example", "t", retry=RetryPolicy(max_retries=1, initial_backoff=0), timeout=5,
            transport=httpx.MockTransport(answer),
        )  # fmt: skip
        with suppress(MLOpsError):
            async with session:
                with anyio.fail_after(30):
                    await surface.CALLS[name](
                        session, surface.Ids(deletable="d2"), NoEvidence(), Path(directory)
                    )


def journal_text():
    head = {
        "journal": 1,
        "action": "double",
        "endpoint": "https://h/api/v2",
        "created": "2026-01-02T03:04:05+00:00",
    }
    outcomes = [
        Outcome(index=0, item="a", state="succeeded", value=1, attempts=1),
        Outcome(index=1, item="b", state="unknown", attempts=0),
        Outcome(index=2, item="c", state="failed", error=MLOpsError("no"), attempts=2),
        Outcome(index=1, item="b", state="succeeded", attempts=1),
    ]
    return "".join(
        f"{line}\n" for line in [json.dumps(head), *(each.to_json() for each in outcomes)]
    ).encode()


async def double(item):
    return item * 2


@on_asyncio
@fuzzed(100)
@given(content=damaged(journal_text()) | st.binary(max_size=40))
async def test_any_journal_is_resumed_from_or_refused(content):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "journal")
        path.write_bytes(content)
        session = AsyncSession("https://h", "t")
        try:
            outcomes = await session.bulk(double, ["a", "b", "c"], resume_from=path)
        except JournalError:
            assert path.read_bytes() == content
            return
        assert [each.item for each in outcomes[:3]] == ["a", "b", "c"]
        again = await session.bulk(double, ["a", "b", "c"], resume_from=path)
    # What is known now stays known, and nothing that was written before was lost.
    assert [(each.item, each.state) for each in again] == [(each.item, each.state) for each in outcomes]


@on_asyncio
@fuzzed(60)
@given(
    content=damaged(b"endpoint: https://h.example\ntoken: t\nmax_retries: 3\nssl_verify: true\n")
    | st.dictionaries(
        st.sampled_from(["endpoint", "token", "token_type", "connect_timeout", "ssl_verify", "max_retries"]),
        ANY_JSON,
    ).map(encoded)
)
async def test_any_configuration_file_is_read_or_refused(content):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "drconfig.yaml")
        path.write_bytes(content)
        with suppress(ConfigError):
            # With a transport of the caller's no authorities are read, which takes long.
            await AsyncSession(config_file=path, transport=httpx.MockTransport(print)).aclose()


@pytest.fixture
def emulator():
    with Emulator(deployments=30, operation_seconds=0.01, image_size=2**19) as running:
        yield running


@pytest.fixture
async def session(emulator):
    """One session for all examples: what one of them breaks, the next ones meet."""
    async with AsyncSession(emulator.endpoint, emulator.token, max_concurrency=4, timeout=20) as running:
        yield running


async def cut_off(call, steps, *, natively):
    """Await a call, and cancel it after so many turns of the event loop."""
    task = asyncio.current_task() if natively else None

    async def cancel_later():
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        if running:
            task.cancel() if task else scope.cancel()

    running = True
    async with anyio.create_task_group() as group:
        group.start_soon(cancel_later)
        try:
            with anyio.CancelScope() as scope:
                await call
        except asyncio.CancelledError:
            if task is None:
                raise
            task.uncancel()
        finally:
            running = False
            group.cancel_scope.cancel()


async def read_all(session):
    async with session.deployments.list(page_size=5).prefetch(3) as items:
        return [item async for item in items]


@fuzzed(25)
@given(
    call=st.sampled_from(["get", "collect", "prefetch", "wait", "stream"]),
    steps=st.integers(0, 150),
    natively=st.booleans(),
)
async def test_any_call_cancelled_at_any_point_leaves_a_session_that_works(
    session, anyio_backend, call, steps, natively
):
    calls = {
        "get": lambda: session.deployments.get(first.id),
        "collect": lambda: session.deployments.list(page_size=5).collect(),
        "prefetch": lambda: read_all(session),
        "wait": lambda: surface.awaited(
            NoEvidence(), session.custom_model_deployments.begin_prediction_log(custom.id)
        ),
        "stream": lambda: surface.image_stream(session, None, NoEvidence(), None),
    }
    (first,) = await session.deployments.list(limit=1).collect()
    (custom,) = await session.custom_model_deployments.list(limit=1).collect()
    with suppress(MLOpsError):
        await cut_off(calls[call](), steps, natively=natively and anyio_backend[0] == "asyncio")
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(session.deployments.get, first.id)


@fuzzed(12)
@given(steps=st.lists(st.integers(0, 250), min_size=1, max_size=3), natively=st.booleans())
async def test_bulk_cancelled_at_any_points_accounts_for_all_and_sends_nothing_twice(
    session, emulator, anyio_backend, steps, natively
):
    # A request that the example before this one gave up may still arrive.
    word = uuid.uuid4().hex
    ids = [each.id for each in await session.deployments.list(limit=8).collect()]

    async def label(id_):
        return (await session.deployments.update(id_, label=word)).label

    def run():
        return session.bulk(label, ids, resume_from=journal, max_concurrency=3)

    with tempfile.TemporaryDirectory() as directory:
        journal = Path(directory, "journal")
        for each in steps:
            await cut_off(run(), each, natively=natively and anyio_backend[0] == "asyncio")
        outcomes = await run()
    assert [each.item for each in outcomes] == ids
    assert {each.state for each in outcomes} <= {OutcomeState.SUCCEEDED, OutcomeState.UNKNOWN}
    sent = Counter(each.path for each in emulator.requests if word.encode() in each.body)
    assert max(sent.values(), default=0) <= 1
    assert len(sent) >= sum(each.state is OutcomeState.SUCCEEDED for each in outcomes)


@fuzzed(12)
@given(seed=SEEDS, steps=st.integers(20, 400))
async def test_download_cut_off_at_any_point_with_any_leftovers_ends_with_the_right_bytes(
    session, seed, steps
):
    artifact = await session.pps_image.artifact()
    with tempfile.TemporaryDirectory() as directory:
        await cut_off(artifact.download(directory), steps, natively=False)
        for number, leftover in enumerate(sorted(Path(directory).iterdir())):
            if seed >> number & 1:
                leftover.write_bytes(damage(leftover.read_bytes()[:5000], seed))
        with anyio.fail_after(30):
            result = await artifact.download(directory, overwrite=True)
        assert result.sha256 == artifact.sha256
        assert result.path.stat().st_size == artifact.size
