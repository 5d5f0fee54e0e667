"""Watching a session: spans and metrics through OpenTelemetry's API, and nothing where that is not installed.

Spans: one for each attempt of a request (kind client, ``GET /api/v2/deployments/{deployment_id}/``), ``wait for
operation`` above the polls, ``download``. Metrics:

==========================================  ================================================================
``http.client.request.duration``            s, each attempt of a request
``datarobot_mlops.request.retries``         attempts after the first
``datarobot_mlops.request.throttled``       attempts that the server refused with 429 or 503
``datarobot_mlops.request.queue.duration``  s, waiting for a turn or for a pause that the server asked for
``datarobot_mlops.operation.duration``      s, waiting for long-running operations
``datarobot_mlops.download.io``             bytes that downloads received
==========================================  ================================================================

Told are methods, routes, addresses without queries, statuses, sizes and classes of errors: no token, no query,
no header, no body, and no message, because those quote what servers said.

The log (``datarobot_mlops_async``) has a line for each attempt at DEBUG, and at INFO one for each wait.
"""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from datarobot_mlops_async.errors import ConfigError

__all__ = ["Telemetry", "log_as_told", "log_delay", "logger", "telemetry_for"]

logger = logging.getLogger("datarobot_mlops_async")
Fact = str | int | float | bool | None


class Tell(Protocol):
    """Takes what becomes known while something is watched; ``None`` is unknown still."""

    def __call__(self, **facts: Fact) -> None: ...


def _tell_nobody(**_facts: Fact) -> None:
    pass


Watch = AbstractContextManager[Tell]
_BLIND: Watch = nullcontext(_tell_nobody)


class Telemetry:
    """What a session tells of itself. This one tells nobody."""

    def request(self, operation: str, *, url: str, attempt: int) -> Watch:  # noqa: ARG002 - for those who tell
        """Watch one attempt of a request; tell it ``status``.

        Args:
            operation: Method and route, with names in the place of ids.
            url: Where it goes. Its query is not told.
            attempt: Number of the attempt, from 1.
        """
        return _BLIND

    def operation(self) -> Watch:
        """Watch a wait for a long-running operation; tell it ``location``."""
        return _BLIND

    def download(self, kind: str) -> Watch:  # noqa: ARG002 - for those who tell
        """Watch a download; tell it ``size``, ``fetched``, ``resumed_from``, ``connections``."""
        return _BLIND

    def headers(self) -> dict[str, str]:
        """Return header fields that tie what the server does to what is watched; only for our own origin."""
        return {}

    def queued(self, seconds: float) -> None:
        """Count how long a request waited for its turn."""


_SILENT = Telemetry()


def log_as_told() -> None:
    """Log to standard error if ``DATAROBOT_MLOPS_LOG`` names a level, such as ``debug``; for scripts.

    Raises:
        ConfigError: It is no level.
    """
    level = os.environ.get("DATAROBOT_MLOPS_LOG", "").upper()
    if not level or logger.handlers:
        return
    if level not in logging.getLevelNamesMapping():
        raise ConfigError("DATAROBOT_MLOPS_LOG must be debug, info, warning or error")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level)


def log_delay(what: str, seconds: float, reason: str | None = None) -> None:
    """Log, at INFO, that something waits; the record has ``delay`` (seconds) and ``reason`` for whoever shows it.

    Args:
        what: What waits.
        seconds: How long.
        reason: What went wrong before; ``None`` if the server asked for the wait.
    """
    words = f"retrying in {seconds:.1f} s: {reason}" if reason else f"the server asks to wait {seconds:.3g} s"
    logger.info("%s: %s", what, words, extra={"delay": seconds, "reason": words})


def telemetry_for(endpoint: str) -> Telemetry:
    """Return what tells of a session with an endpoint: OpenTelemetry's API if it is installed."""
    if find_spec("opentelemetry") is None:
        return _SILENT
    try:
        module = import_module("datarobot_mlops_async._telemetry._opentelemetry")
    except ImportError:
        # Another distribution's part of the namespace package, or one too old.
        return _SILENT
    telemetry: Telemetry = module.OpenTelemetry(endpoint)
    return telemetry
