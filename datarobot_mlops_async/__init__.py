"""The asyncio client for DataRobot's deployment management API.

::

    async with AsyncSession() as session:
        async for deployment in session.deployments.list(status=["active"]):
            print(deployment.label)

What is where:

- `session`: `AsyncSession`, its settings, retries, bulk work and routes without a method of their own.
- `resources`: the 22 operations of the API page, as methods; `models`: what they return; `errors`: what they raise.
- `pagination`, `operations`, `artifacts`: the lists, the operations to await and the downloads that methods return.
- `bulk`: what became of each of many items, and the journal that a run goes on from.
- `emulator`, `testing`: a DataRobot to try and test against, and its pytest fixtures.

All names are here too, and are loaded when they are first used: importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datarobot_mlops_async import errors, models
    from datarobot_mlops_async._api import RequestInfo, Response, ResponseInfo
    from datarobot_mlops_async._config import Settings
    from datarobot_mlops_async._progress import progress_bar
    from datarobot_mlops_async._retry import RetryPolicy
    from datarobot_mlops_async.artifacts import Artifact, DownloadResult, Progress, VerifiedFile, verify_file
    from datarobot_mlops_async.bulk import (
        BulkStream,
        Journal,
        Outcome,
        OutcomeState,
        PlannedRequest,
        read_journal,
    )
    from datarobot_mlops_async.errors import Hint, MLOpsError
    from datarobot_mlops_async.operations import Operation, OperationStatus, PollPolicy
    from datarobot_mlops_async.pagination import Page, Paginator
    from datarobot_mlops_async.resources import UNSET, Change, RawValue
    from datarobot_mlops_async.session import AsyncSession, SessionView

__version__ = "0.1.0"

__all__ = [
    "UNSET",
    "Artifact",
    "AsyncSession",
    "BulkStream",
    "Change",
    "DownloadResult",
    "Hint",
    "Journal",
    "MLOpsError",
    "Operation",
    "OperationStatus",
    "Outcome",
    "OutcomeState",
    "Page",
    "Paginator",
    "PlannedRequest",
    "PollPolicy",
    "Progress",
    "RawValue",
    "RequestInfo",
    "Response",
    "ResponseInfo",
    "RetryPolicy",
    "SessionView",
    "Settings",
    "VerifiedFile",
    "__version__",
    "errors",
    "models",
    "progress_bar",
    "read_journal",
    "verify_file",
]

_HOMES = {
    name: room
    for room, names in {
        "_api": "RequestInfo Response ResponseInfo",
        "_config": "Settings",
        "_progress": "progress_bar",
        "_retry": "RetryPolicy",
        "artifacts": "Artifact DownloadResult Progress VerifiedFile verify_file",
        "bulk": "BulkStream Journal Outcome OutcomeState PlannedRequest read_journal",
        "errors": "Hint MLOpsError",
        "operations": "Operation OperationStatus PollPolicy",
        "pagination": "Page Paginator",
        "resources": "Change RawValue UNSET",
        "session": "AsyncSession SessionView",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    if name in {"errors", "models"}:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
