from __future__ import annotations

import json
import pickle
from contextlib import suppress

import anyio
import pytest

from datarobot_mlops_async import AsyncSession, Operation, RetryPolicy, Settings
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import (
    DecodeError,
    MLOpsError,
    OperationError,
    ServerError,
    TimeoutError,
)
from datarobot_mlops_async.models import DeploymentStatus, extra
from datarobot_mlops_async.session import Activity
from tests.scripted import Answer, ScriptedServer
from tests.waiting import wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture
def emulator():
    with Emulator(deployments=60, operation_seconds=0.1) as running:
        yield running


@pytest.fixture
async def session(emulator):
    async with AsyncSession(emulator.endpoint, emulator.token) as opened:
        yield opened


async def test_main_job_end_to_end(session, tmp_path):
    everything = await session.deployments.list().collect()
    assert len(everything) >= 50
    active = await session.deployments.list(status=["active"], limit=1).collect()
    operation = await session.deployments.begin_set_status(active[0].id, "inactive")
    deployment = await operation
    assert (deployment.id, deployment.status) == (active[0].id, DeploymentStatus.INACTIVE)
    assert operation.done
    assert operation.result == deployment
    artifact = await session.pps_image.artifact()
    result = await artifact.download(tmp_path)
    assert (result.size, result.sha256) == (artifact.size, artifact.sha256)
    assert result.path.stat().st_size == artifact.size


async def test_operation_is_resumed_by_another_session_from_its_location(emulator, session):
    (active,) = await session.deployments.list(status=["active"], limit=1).collect()
    operation = await session.deployments.begin_deactivate(active.id)
    travelled = pickle.loads(pickle.dumps(operation))
    assert travelled.location == operation.location
    with pytest.raises(OperationError, match=r"session\.operation"):
        await travelled
    async with AsyncSession(emulator.endpoint, emulator.token) as other:
        resumed = other.operation(travelled.location)
        assert isinstance(resumed, Operation)
        assert (await resumed).id == active.id
        with pytest.raises(OperationError, match="await it first"):
            _ = operation.result
    assert (await operation).status == "inactive"


async def test_strict_session_finds_nothing_to_complain_of_in_an_installation_that_follows_the_page(emulator):
    async with AsyncSession(emulator.endpoint, emulator.token, strict=True) as session:
        for deployment in await session.deployments.list().collect():
            assert not extra(deployment)
        await session.pps_image.metadata()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"label": None}, "$.label"),
        ({"status": "hibernating"}, "$.status"),
        ({"creator": {}}, "$.creator"),
    ],
)
async def test_strict_session_refuses_what_is_tolerated_by_default(session, change, path):
    deployment = (await session.deployments.list(limit=1).collect())[0]
    raw = await session.request("GET", f"deployments/{deployment.id}/")
    body = json.dumps({**raw, **change}).encode()
    with ScriptedServer(Answer(body=body)) as server:
        async with AsyncSession(server.endpoint, "t") as tolerant:
            assert (await tolerant.deployments.get(deployment.id)).id == deployment.id
        async with AsyncSession(server.endpoint, "t", strict=True) as strict:
            with pytest.raises(DecodeError) as caught:
                await strict.deployments.get(deployment.id)
    assert caught.value.path == path


def refusing():
    return ScriptedServer(Answer(status=503))


async def attempts(session):
    """Return how often a call is tried that always fails."""
    with pytest.raises(ServerError) as caught:
        await session.request("GET", "x/")
    return caught.value.attempts


async def test_options_hold_for_the_view_only():
    policy = RetryPolicy(max_retries=1, initial_backoff=0.001)
    with refusing() as server:
        async with AsyncSession(server.endpoint, "t", retry=policy) as session:
            assert await attempts(session.with_options(retry=0)) == 1
            # Just a number keeps the rest of the policy.
            assert await attempts(session.with_options(retry=3)) == 4
            assert await attempts(session.with_options(timeout=5)) == 2
            assert await attempts(session) == 2
            assert session.with_options(retry=0).settings == session.settings
    with ScriptedServer(Answer(instead="hang")) as server:
        async with AsyncSession(server.endpoint, "t", retry=0) as session:
            with pytest.raises(TimeoutError, match="within 0.05 s"):
                await session.with_options(timeout=0.05).request("GET", "x/")


async def test_session_tells_what_it_is_doing():
    with ScriptedServer(Answer(instead="hang")) as server:
        async with AsyncSession(server.endpoint, "t", max_concurrency=1) as session:
            async with anyio.create_task_group() as group:
                for number in range(3):
                    group.start_soon(session.request, "GET", f"x{number}/")
                await wait_until(lambda: session.activity == Activity(requests=1, queued=2))
                group.cancel_scope.cancel()
            assert session.activity == session.with_options(timeout=1).activity == Activity()


async def test_retries_of_the_configuration_hold_unless_the_caller_says_otherwise(monkeypatch):
    monkeypatch.setenv("DATAROBOT_MAX_RETRIES", "0")
    with refusing() as server:
        async with AsyncSession(server.endpoint, "t") as session:
            assert await attempts(session) == 1
        async with AsyncSession(
            server.endpoint, "t", retry=RetryPolicy(max_retries=2, initial_backoff=0.0)
        ) as session:
            assert await attempts(session) == 3


def test_settings_that_are_whole_take_no_other_beside_them():
    settings = Settings.load("https://h", "t")
    assert AsyncSession(settings).settings == settings
    with pytest.raises(TypeError, match="settings are whole"):
        AsyncSession(settings, verify=False)


async def test_session_from_settings_works_like_its_original(emulator, session):
    async with AsyncSession.from_settings(session.settings) as other:
        assert (
            await other.deployments.list(limit=3).collect()
            == await session.deployments.list(limit=3).collect()
        )


@pytest.mark.anyio
async def test_path_that_looks_like_a_url_stays_on_our_own_endpoint():
    # As a whole address, whose path below the API's root is another server's address.
    with ScriptedServer(Answer()) as thief:
        stolen = f"{thief.origin}/steal/"

        def answer(asked):
            if asked.method == "PATCH":
                return Answer(status=202, headers={"Location": f"{home.endpoint}/{stolen}"})
            rows = f'{{"data": [{{"id": "d1"}}], "next": "{home.endpoint}/{stolen}?offset=1"}}'
            return Answer(body=rows.encode() if asked.target.startswith("/api/v2/deployments/?") else b"{}")

        with ScriptedServer(answer) as home:
            async with AsyncSession(home.endpoint, "stay-at-home", retry=0) as session:
                with suppress(MLOpsError):
                    await (await session.deployments.begin_activate("d1")).status()
                with suppress(MLOpsError):
                    await session.operation(stolen).status()
                with suppress(MLOpsError):
                    await session.deployments.list().collect()
                with suppress(MLOpsError, ValueError):
                    await session.request("GET", f"/{stolen}")
            assert any("/api/v2/http://127.0.0.1" in each.target for each in home.asked)
        assert thief.asked == []
