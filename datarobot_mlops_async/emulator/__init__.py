"""A stateful emulator of DataRobot's deployment management API, for tests, demonstrations and benchmarks.

::

    with Emulator(deployments=50, operation_seconds=0.2) as emulator:
        ...  # emulator.endpoint, emulator.token

It is written from the published page and from what clients have seen of the real service, and shares
nothing with the client in this package: an emulator that shares the client's models shares its mistakes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._emulator import Emulator
from ._faults import Fault, describe_vocabulary, parse_seconds, parse_size
from ._fleet import FleetChange
from ._http import RequestRecord

if TYPE_CHECKING:
    from ._command import command, environment, serve

__all__ = [
    "Emulator",
    "Fault",
    "FleetChange",
    "RequestRecord",
    "command",
    "describe_vocabulary",
    "environment",
    "parse_seconds",
    "parse_size",
    "serve",
]


def __getattr__(name: str) -> Any:
    if name not in ("command", "environment", "serve"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _command  # the command line alone needs click

    return getattr(_command, name)
