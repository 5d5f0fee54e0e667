from __future__ import annotations

import subprocess
import sys

import anyio
import pytest
from opentelemetry import baggage, context, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from datarobot_mlops_async import AsyncSession, RetryPolicy
from datarobot_mlops_async._api._addresses import route_of
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import (
    ConnectError,
    IntegrityError,
    OperationFailedError,
    OperationTimeoutError,
)
from tests.canaries import CONTENT, NOWHERE, SIGNATURE, TOKEN, Evidence
from tests.scripted import Answer, ScriptedServer
from tests.surface import call_everything, find_ids

pytestmark = pytest.mark.anyio
FAST = RetryPolicy(max_retries=2, initial_backoff=0.001, max_backoff=0.001)


class Told:
    """What a process with OpenTelemetry's SDK would export."""

    def __init__(self):
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])

    def spans(self, kind=None):
        return [span for span in self._exporter.get_finished_spans() if kind in {None, span.kind}]

    def metrics(self):
        """Return the data points of each metric by its name."""
        data = self._reader.get_metrics_data()
        scopes = (
            [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        )
        assert all(scope.scope.name == "datarobot_mlops_async" for scope in scopes)
        return {each.name: list(each.data.data_points) for scope in scopes for each in scope.metrics}

    def close(self):
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture
def told(monkeypatch):
    """Set OpenTelemetry up, which a process can do only once, for one test."""
    told = Told()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: told.tracers)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: told.meters)
    yield told
    told.close()


@pytest.fixture
def emulator():
    with Emulator(deployments=60, image_size=2**20, operation_seconds=0.05, token=TOKEN) as running:
        yield running


async def test_each_attempt_of_a_request_is_a_span(told):
    answers = [Answer(status=503), Answer(instead="reset"), Answer(body=b'{"id": "d1"}')]
    with ScriptedServer(*answers) as server:
        async with AsyncSession(server.endpoint, TOKEN, retry=FAST) as session:
            await session.deployments.get("d1")
    spans = told.spans()
    common = {
        "http.request.method": "GET",
        "url.template": "/api/v2/deployments/{deployment_id}/",
        "url.full": f"{server.endpoint}/deployments/d1/",
        "server.address": "127.0.0.1",
        "server.port": server.port,
    }
    assert [dict(span.attributes) for span in spans] == [
        {**common, "http.response.status_code": 503, "error.type": "503"},
        {**common, "http.request.resend_count": 1, "error.type": "datarobot_mlops_async.errors.ReadError"},
        {**common, "http.request.resend_count": 2, "http.response.status_code": 200},
    ]
    for span in spans:
        assert span.name == "GET /api/v2/deployments/{deployment_id}/"
        assert span.kind is SpanKind.CLIENT
        assert (span.status.status_code is StatusCode.ERROR) == ("error.type" in span.attributes)
        assert span.status.description is None
        assert not span.events
        assert span.instrumentation_scope.name == "datarobot_mlops_async"


async def test_durations_retries_and_refusals_are_counted(told):
    answers = [Answer(status=503), Answer(status=429), Answer(body=b'{"id": "d1"}')]
    with ScriptedServer(*answers) as server:
        async with AsyncSession(server.endpoint, TOKEN, retry=FAST) as session:
            await session.deployments.get("d1")
    measured = told.metrics()
    common = {
        "http.request.method": "GET",
        "url.template": "/api/v2/deployments/{deployment_id}/",
        "server.address": "127.0.0.1",
        "server.port": server.port,
    }
    durations = measured["http.client.request.duration"]
    assert [dict(point.attributes) for point in durations] == [
        {**common, "http.response.status_code": 503, "error.type": "503"},
        {**common, "http.response.status_code": 429, "error.type": "429"},
        {**common, "http.response.status_code": 200},
    ]
    assert {point.explicit_bounds[0] for point in durations} == {0.005}
    assert [
        (point.value, dict(point.attributes)) for point in measured["datarobot_mlops.request.retries"]
    ] == [(2, common)]
    refusals = {
        point.attributes["http.response.status_code"]: point.value
        for point in measured["datarobot_mlops.request.throttled"]
    }
    assert refusals == {503: 1, 429: 1}


async def test_waiting_for_a_turn_is_counted(told):
    with ScriptedServer(Answer(body=b'{"id": "d1"}')) as server:
        async with (
            AsyncSession(server.endpoint, TOKEN, max_concurrency=1) as session,
            anyio.create_task_group() as group,
        ):
            for _ in range(3):
                group.start_soon(session.deployments.get, "d1")
    (queue,) = told.metrics()["datarobot_mlops.request.queue.duration"]
    assert queue.count == 3
    assert queue.min < queue.max


async def test_request_that_reached_nobody_names_its_error(told):
    with ScriptedServer(Answer()) as server:
        endpoint = server.endpoint
    async with AsyncSession(endpoint, TOKEN, retry=0) as session:
        with pytest.raises(ConnectError):
            await session.deployments.get("d1")
    (span,) = told.spans()
    assert span.attributes["error.type"] == "datarobot_mlops_async.errors.ConnectError"
    assert "http.response.status_code" not in span.attributes


async def test_cancelled_request_is_no_error(told):
    with ScriptedServer(Answer(instead="hang")) as server:
        async with AsyncSession(server.endpoint, TOKEN) as session:
            with anyio.move_on_after(0.05):
                await session.deployments.get("d1")
    (span,) = told.spans()
    assert "Cancelled" in span.attributes["error.type"]
    assert span.status.status_code is StatusCode.UNSET


async def test_requests_belong_to_what_the_caller_does(told):
    tracer = told.tracers.get_tracer("theirs")
    with ScriptedServer(Answer(body=b'{"id": "d1"}')) as server:
        async with AsyncSession(server.endpoint, TOKEN) as session:
            with tracer.start_as_current_span("job") as job:
                await session.deployments.get("d1")
                assert trace.get_current_span() is job
    request, _ = told.spans()
    assert request.parent.span_id == job.get_span_context().span_id


async def test_our_own_origin_is_told_of_the_trace_and_no_other(told, tmp_path):
    body = Answer(body=b"bytes", headers={"ETag": '"x"'})
    with ScriptedServer(body) as store, ScriptedServer(Answer()) as server:
        server.script.answers = [Answer(), Answer(status=302, headers={"Location": f"{store.origin}/x"})]
        token = context.attach(baggage.set_baggage("tenant", "blue"))
        try:
            async with AsyncSession(server.endpoint, "token-of-the-test") as session:
                await session.request("GET", "version/")
                await session.artifact("files/", filename="f").download(tmp_path)
        finally:
            context.detach(token)
    span = next(each for each in told.spans() if each.name.startswith("GET "))
    for asked in server.asked:
        assert asked.headers["baggage"] == "tenant=blue"
    assert f"{span.context.span_id:016x}" in server.asked[0].headers["traceparent"]
    assert not any({"traceparent", "baggage"} & asked.headers.keys() for asked in store.asked)


async def test_wait_for_an_operation_is_a_span_above_its_polls(told, emulator):
    async with AsyncSession(emulator.endpoint, TOKEN) as session:
        (active,) = await session.deployments.list(status=["active"], limit=1).collect()
        operation = await session.deployments.begin_deactivate(active.id)
        await operation
    wait = next(span for span in told.spans() if span.name == "wait for operation")
    assert wait.kind is SpanKind.INTERNAL
    assert dict(wait.attributes) == {
        "server.address": "127.0.0.1",
        "server.port": emulator.port,
        "datarobot_mlops.operation.location": operation.location,
    }
    below = [span for span in told.spans() if span.parent and span.parent.span_id == wait.context.span_id]
    names = [span.name for span in below]
    assert names[0] == "GET /api/v2/status/{status_id}/"
    assert names[-1] == "GET /api/v2/deployments/{deployment_id}/"
    (waited,) = told.metrics()["datarobot_mlops.operation.duration"]
    assert waited.count == 1
    assert waited.sum > 0.05


@pytest.mark.parametrize(
    ("body", "timeout", "error"),
    [
        (b'{"status": "ERROR"}', 60, OperationFailedError),
        (b'{"status": "RUNNING"}', 0.1, OperationTimeoutError),
    ],
    ids=["failed", "too long"],
)
async def test_wait_that_failed_names_its_error(told, body, timeout, error):
    moved = Answer(status=202, headers={"Location": f"status/s1/?X-Amz-Signature={SIGNATURE}"}, body=b"")
    with ScriptedServer(moved, Answer(body=body)) as server:
        async with AsyncSession(server.endpoint, TOKEN) as session:
            operation = await session.deployments.begin_deactivate("d1")
            with pytest.raises(error):
                await operation.wait(timeout=timeout)
    wait = next(span for span in told.spans() if span.name == "wait for operation")
    assert wait.attributes["error.type"] == f"datarobot_mlops_async.errors.{error.__name__}"
    assert wait.attributes["datarobot_mlops.operation.location"] == "status/s1/"
    assert wait.status.status_code is StatusCode.ERROR


async def test_download_is_a_span_with_its_sizes(told, emulator, tmp_path):
    async with AsyncSession(emulator.endpoint, TOKEN) as session:
        artifact = await session.pps_image.artifact()
        await artifact.download(tmp_path / "image")
        await artifact.download(tmp_path / "image")
        async with artifact.stream() as chunks:
            received = sum([len(chunk) async for chunk in chunks])
    downloaded, again, streamed = (span for span in told.spans() if span.name == "download")
    common = {
        "datarobot_mlops.download.kind": "image",
        "server.address": "127.0.0.1",
        "server.port": emulator.port,
    }
    sizes = {
        "datarobot_mlops.download.size": 2**20,
        "datarobot_mlops.download.fetched": 2**20,
        "datarobot_mlops.download.resumed_from": 0,
        "datarobot_mlops.download.connections": 1,
    }
    assert dict(downloaded.attributes) == dict(streamed.attributes) == {**common, **sizes}
    assert dict(again.attributes) == {**common, "datarobot_mlops.download.fetched": 0}
    assert received == 2**20
    (count,) = told.metrics()["datarobot_mlops.download.io"]
    assert (count.value, dict(count.attributes)) == (2 * 2**20, common)


async def test_failed_download_names_its_error_and_counts_its_bytes(told, emulator, tmp_path):
    emulator.fault("GET storage corrupt=10")
    async with AsyncSession(emulator.endpoint, TOKEN) as session:
        artifact = await session.pps_image.artifact()
        with pytest.raises(IntegrityError):
            await artifact.download(tmp_path)
    (span,) = (span for span in told.spans() if span.name == "download")
    assert span.attributes["error.type"] == "datarobot_mlops_async.errors.IntegrityError"
    (count,) = told.metrics()["datarobot_mlops.download.io"]
    assert count.value == span.attributes["datarobot_mlops.download.fetched"] == 2**20
    assert count.attributes["error.type"] == "datarobot_mlops_async.errors.IntegrityError"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "fault", ["GET /status/none/ status=400", "* ** status=422 body=" + CONTENT, "* ** reset"]
)
async def test_neither_secrets_nor_contents_are_told(told, emulator, tmp_path, fault):
    async with AsyncSession(emulator.endpoint, TOKEN, retry=FAST) as session:
        ids = await find_ids(session)
        emulator.fault(fault)
        await call_everything(session, ids, Evidence(), tmp_path)
        await session.deployments.list(search=CONTENT).collect() if "none" in fault else None
    everything = repr([span.to_json() for span in told.spans()]) + repr(told.metrics())
    assert "datarobot_mlops.download" in everything
    assert not NOWHERE.search(everything)
    assert CONTENT not in everything
    assert "?" not in everything


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("status/6b04/?a=b", "status/{status_id}/"),
        ("deployments/d/", "deployments/{deployment_id}/"),
        ("deployments/d/scoringCode/", "deployments/{deployment_id}/scoringCode/"),
        ("customModelDeployments/x/logs/y/", "customModelDeployments/{deployment_id}/logs/{log_id}/"),
        ("something/new/5f1a2b3c4d5e6f7a8b9c0d1e/", "something/new/{id}/"),
        ("deployments/", "deployments/"),
    ],
)
def test_route_has_names_in_the_place_of_ids(path, route):
    assert route_of(path) == route


SILENT = """
import sys
sys.modules["opentelemetry"] = None
from datarobot_mlops_async._telemetry import Telemetry, telemetry_for
telemetry = telemetry_for("https://h/api/v2")
assert type(telemetry) is Telemetry
with telemetry.request("GET /x/", url="u", attempt=1) as tell:
    tell(status=200)
with telemetry.operation() as tell_of_operation, telemetry.download("image") as tell_of_download:
    assert tell_of_operation is tell_of_download is tell
telemetry.queued(1.0)
"""
HALF = """
import sys
sys.modules["opentelemetry.trace"] = None
from datarobot_mlops_async._telemetry import Telemetry, telemetry_for
assert type(telemetry_for("https://h/api/v2")) is Telemetry
"""
LAZY = """
import sys
from datarobot_mlops_async import AsyncSession
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
AsyncSession("https://h", "t")
assert "opentelemetry.sdk" not in sys.modules
"""


@pytest.mark.parametrize(
    "code", [SILENT, HALF, LAZY], ids=["absent", "only a part of it", "not before a session"]
)
def test_nobody_is_told_where_opentelemetry_is(code):
    subprocess.run([sys.executable, "-c", code], check=True)
