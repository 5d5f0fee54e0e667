"""Spans and metrics by OpenTelemetry's semantic conventions. Only this module imports ``opentelemetry``."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.trace import SpanKind, StatusCode

import datarobot_mlops_async
from datarobot_mlops_async._telemetry import Telemetry
from datarobot_mlops_async.errors import APIStatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from opentelemetry.metrics import Histogram

    from datarobot_mlops_async._telemetry import Fact, Tell, Watch

_SCOPE = "datarobot_mlops_async"
# The conventions' own, for durations of HTTP requests.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_LONG_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_PORTS = {"http": 80, "https": 443}
_PROPAGATED = frozenset({"traceparent", "tracestate", "baggage", "b3"})
_OVERLOADED = frozenset({429, 503})
_NAMES = {
    "status": "http.response.status_code",
    "location": "datarobot_mlops.operation.location",
    "size": "datarobot_mlops.download.size",
    "fetched": "datarobot_mlops.download.fetched",
    "resumed_from": "datarobot_mlops.download.resumed_from",
    "connections": "datarobot_mlops.download.connections",
}


class OpenTelemetry(Telemetry):
    """Tells whoever set up OpenTelemetry in this process, also if that comes later."""

    def __init__(self, endpoint: str) -> None:
        version = datarobot_mlops_async.__version__
        self._tracer = trace.get_tracer(_SCOPE, version, trace.get_tracer_provider())
        meter = metrics.get_meter(_SCOPE, version, metrics.get_meter_provider())
        parts = urlsplit(endpoint)
        self._prefix = parts.path
        self._server: dict[str, str | int] = {
            "server.address": parts.hostname or "",
            "server.port": parts.port or _PORTS[parts.scheme],
        }

        def histogram(name: str, what: str, bounds: Sequence[float] = _SECONDS) -> Histogram:
            return meter.create_histogram(name, "s", what, explicit_bucket_boundaries_advisory=bounds)

        self._requests = histogram("http.client.request.duration", "Duration of HTTP client requests.")
        self._retries = meter.create_counter(
            "datarobot_mlops.request.retries", "{retry}", "Attempts of requests after the first."
        )
        self._refusals = meter.create_counter(
            "datarobot_mlops.request.throttled",
            "{request}",
            "Attempts that the server refused with 429 or 503.",
        )
        self._queue = histogram(
            "datarobot_mlops.request.queue.duration",
            "How long requests waited for their turn, or for a pause that the server asked for.",
        )
        self._operations = histogram(
            "datarobot_mlops.operation.duration", "How long operations were waited for.", _LONG_SECONDS
        )
        self._bytes = meter.create_counter(
            "datarobot_mlops.download.io", "By", "Bytes that downloads received, repeated ones included."
        )

    def request(self, operation: str, *, url: str, attempt: int) -> Watch:
        method, _, route = operation.partition(" ")
        attributes = {"http.request.method": method, "url.template": self._prefix + route, **self._server}
        if attempt > 1:
            self._retries.add(1, attributes)

        def count(seconds: float, outcome: Mapping[str, Fact]) -> None:
            self._requests.record(
                seconds, {**attributes, **_only(outcome, "http.response.status_code", "error.type")}
            )
            if outcome.get("http.response.status_code") in _OVERLOADED:
                self._refusals.add(1, {**attributes, **_only(outcome, "http.response.status_code")})

        more: dict[str, str | int] = {"url.full": url.partition("?")[0]}
        if attempt > 1:
            more["http.request.resend_count"] = attempt - 1
        name = f"{method} {attributes['url.template']}"
        return self._span(name, SpanKind.CLIENT, {**attributes, **more}, count)

    def operation(self) -> Watch:
        def count(seconds: float, outcome: Mapping[str, Fact]) -> None:
            self._operations.record(seconds, {**self._server, **_only(outcome, "error.type")})

        return self._span("wait for operation", SpanKind.INTERNAL, {**self._server}, count)

    def download(self, kind: str) -> Watch:
        attributes = {"datarobot_mlops.download.kind": kind, **self._server}

        def count(_seconds: float, outcome: Mapping[str, Fact]) -> None:
            fetched = int(outcome.get(_NAMES["fetched"]) or 0)
            self._bytes.add(fetched, {**attributes, **_only(outcome, "error.type")})

        # Not the current span: a stream's belongs to the code that reads it, which may end it elsewhere.
        return self._span("download", SpanKind.INTERNAL, attributes, count, current=False)

    def headers(self) -> dict[str, str]:
        """Return the current span's ``traceparent`` and the caller's ``baggage``, as the propagators are set up."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return {name.lower(): value for name, value in carrier.items() if name.lower() in _PROPAGATED}

    def queued(self, seconds: float) -> None:
        self._queue.record(seconds, self._server)

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, str | int],
        count: Callable[[float, Mapping[str, Fact]], None],
        *,
        current: bool = True,
    ) -> Iterator[Tell]:
        """Open a span; ``count`` is called at its end with its seconds and with what was told."""
        outcome: dict[str, str | int | float | bool] = {}

        def tell(**facts: Fact) -> None:
            outcome.update({_NAMES[name]: value for name, value in facts.items() if value is not None})

        span = self._tracer.start_span(name, kind=kind, attributes=attributes)
        token = context.attach(trace.set_span_in_context(span)) if current else None
        started, failed = time.perf_counter(), True
        try:
            yield tell
        except BaseException as error:
            outcome["error.type"] = _error_type(error)
            # Whoever cancels does not think it an error. No description and no event: an exception's message
            # quotes what the server said.
            failed = isinstance(error, Exception)
            raise
        finally:
            seconds, status = time.perf_counter() - started, outcome.get(_NAMES["status"])
            if isinstance(status, int) and status >= 400:
                outcome.setdefault("error.type", str(status))
            span.set_attributes(outcome)
            if failed and "error.type" in outcome:
                span.set_status(StatusCode.ERROR)
            if token is not None:
                context.detach(token)
            span.end()
            count(seconds, outcome)


def _error_type(error: BaseException) -> str:
    if isinstance(error, APIStatusError):
        return str(error.status)
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _only(outcome: Mapping[str, Fact], *names: str) -> dict[str, str | int | float | bool]:
    return {name: value for name in names if (value := outcome.get(name)) is not None}
