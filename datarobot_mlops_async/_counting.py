"""What a piece of work sends: counted, announced before it changes anything, or only planned."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from datarobot_mlops_async._retry import IDEMPOTENT_METHODS
from datarobot_mlops_async.errors import APIStatusError, ConnectError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class PlannedError(Exception):
    """A request was not sent, because it is only planned."""


class RequestCounter:
    """Counts what is sent inside of a `counting` block, and inside of the blocks within it.

    Attributes:
        requests: Requests that were sent, retries included.
        changes: Of them, those that may have changed something on the server: a request that the server
            provably did not carry out, or that may be repeated without harm, is taken back when it fails.
        announced: Whether ``before_change`` was awaited.
        levels: This counter and those of the blocks around it, outermost last.
        planner: The argument ``plan``.

    Args:
        before_change: Awaited before the first request that may change something goes out.
        plan: Called with the method, path and body of each request, which is then not sent.
    """

    def __init__(
        self,
        *,
        before_change: Callable[[], Awaitable[None]] | None = None,
        plan: Callable[[str, str, object], None] | None = None,
    ) -> None:
        self.requests = 0
        self.changes = 0
        self.announced = False
        self._before_change = before_change
        self.planner = plan
        outer = _counter.get()
        self.levels: list[RequestCounter] = [self, *(outer.levels if outer else ())]

    def plan(self, method: str, path: str, body: object) -> None:
        """Hand a request to whoever plans only.

        Raises:
            PlannedError: It must not be sent.
        """
        for each in self.levels:
            if each.planner is not None:
                each.planner(method, path, body)
                raise PlannedError

    async def sending(self, method: str) -> None:
        """Count a request that is sent as soon as this returns."""
        changes = method not in _SAFE_METHODS
        if changes:
            for each in reversed(self.levels):
                await each.announce()
        for each in self.levels:
            each.requests += 1
            each.changes += changes

    def failed(self, method: str, error: Exception) -> None:
        """Take back the change that a sent request cannot have made, or may safely make again."""
        if method not in _SAFE_METHODS and (method in IDEMPOTENT_METHODS or _is_refusal(error)):
            for each in self.levels:
                each.changes -= 1

    async def announce(self) -> None:
        """Say that a request which may change something is about to go out, unless that was said."""
        if self._before_change is not None and not self.announced:
            await self._before_change()
        self.announced = True


_counter: ContextVar[RequestCounter | None] = ContextVar("datarobot_mlops_async_counter", default=None)
current_counter = _counter.get


@contextmanager
def counting(counter: RequestCounter) -> Iterator[None]:
    """Count what this task, and those that it starts, send inside of the block."""
    token = _counter.set(counter)
    try:
        yield
    finally:
        _counter.reset(token)


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, APIStatusError):
        # After a crash or a gateway's timeout nobody knows how far the request got.
        return error.status < 500 or (error.status == 503 and error.retry_after is not None)
    return isinstance(error, ConnectError)
