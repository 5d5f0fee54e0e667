"""A stateful emulator of DataRobot's deployment management API.

It is written from the published page and from what clients have seen of the real service, and shares
nothing with the client in this package: an emulator that shares the client's models shares its mistakes.
"""

from __future__ import annotations

from ._emulator import Emulator
from ._log import RequestRecord

__all__ = ["Emulator", "RequestRecord"]
