"""Asks the server about operations."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

from datarobot_mlops_async._api import retry_after
from datarobot_mlops_async.errors import MLOpsError
from datarobot_mlops_async.operations._status import OperationStatus, State, is_blip, next_delay, read_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async._api import Api


class DeadlineError(Exception):
    """The caller's deadline passed."""


class Poller:
    """All of a session's polling."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def poll(self, location: str) -> OperationStatus:
        """Ask once, following the server when it moves the status elsewhere."""
        for _ in range(10):
            response = await self._api.follow(location)
            status = read_status(response, self._api.decoder, retry_after=retry_after(response.headers))
            if status.moved_to is None:
                return status
            location = status.moved_to
        return status

    async def wait(
        self, location: str, *, deadline: float, on_update: Callable[[OperationStatus], object] | None
    ) -> OperationStatus:
        """Poll until the operation is over.

        Args:
            location: The address of its status.
            deadline: When to give up (monotonic seconds).
            on_update: Called with each poll's status.

        Raises:
            DeadlineError: The operation is not over at the deadline.
        """
        started = time.monotonic()
        polls = 0
        asked: float | None = None
        while True:
            now = time.monotonic()
            if now >= deadline:
                raise DeadlineError
            delay = next_delay(now - started, polls, asked)
            await anyio.sleep(min(delay, deadline - now))
            polls += 1
            try:
                status = await self.poll(location)
            except MLOpsError as error:
                if not is_blip(error):
                    raise
                asked = getattr(error, "retry_after", None)
                continue
            asked = status.retry_after
            if on_update is not None:
                on_update(status)
            if status.state is not State.RUNNING:
                return status
