"""Long-running operations: start one with a ``begin_*`` method, await it, or resume it elsewhere.

An operation is known by its ``location``, the address of its status. That string can be stored;
``session.operation(location)`` continues with it in another process. Cancelling a wait leaves the
server's work alone.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import anyio

from datarobot_mlops_async._api import readable
from datarobot_mlops_async.errors import OperationError, OperationFailedError, OperationTimeoutError
from datarobot_mlops_async.operations._poller import DeadlineError
from datarobot_mlops_async.operations._poller import Poller as Poller
from datarobot_mlops_async.operations._status import OperationStatus, PollPolicy, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

__all__ = ["DEFAULT_WAIT", "Operation", "OperationStatus", "PollPolicy", "State"]

T = TypeVar("T")
DEFAULT_WAIT = 3600.0
"""Seconds that ``await operation`` waits; `Operation.wait` takes another number, or ``None`` for no end."""

_UNKNOWN: Any = object()


class Operation(Generic[T]):
    """Something the server is doing.

    ``await operation`` polls until it is over and returns its result. It can be awaited by several
    tasks, and again after a timeout or a cancellation; polls are shared.
    """

    def __init__(
        self, poller: Poller | None, locations: tuple[str, ...], resolve: Callable[[str | None], Awaitable[T]]
    ) -> None:
        self._poller = poller
        self.locations = locations
        self._resolve: Callable[[str | None], Awaitable[T]] | None = resolve
        self._over: dict[str, OperationStatus] = {}
        self._result: T = _UNKNOWN
        self._resolving = anyio.Lock()

    @property
    def location(self) -> str | None:
        """The address of the operation's status, to store and to hand to ``session.operation()``.

        An operation that stands for several requests has their addresses with a blank between them.
        ``None`` when the server finished at once and named no address.
        """
        return " ".join(self.locations) or None

    @property
    def done(self) -> bool:
        """Whether the operation is known to be over, well or not. Only `status` and waiting ask the server."""
        return len(self._over) == len(set(self.locations))

    @property
    def result(self) -> T:
        """The result of an operation that was awaited to its end.

        Raises:
            OperationError: It was not, or it failed.
        """
        self._raise_if_failed()
        if self._result is _UNKNOWN:
            raise OperationError("the operation was not awaited to its end: await it first", operation=self)
        return self._result

    async def status(self) -> OperationStatus:
        """Ask the server once.

        Returns:
            The status; for several requests that of the first one which is not over.

        Raises:
            APIStatusError: The server refuses to say.
        """
        poller = self._bound()
        status = OperationStatus(state=State.SUCCEEDED, status="COMPLETED")
        for location in self.locations:
            status = self._over.get(location) or await poller.poll(location)
            if status.state is State.RUNNING:
                return status
            self._over[location] = status
        return next((each for each in self._over.values() if each.state is State.FAILED), status)

    async def wait(
        self,
        *,
        timeout: float | None = DEFAULT_WAIT,
        on_update: Callable[[OperationStatus], object] | None = None,
    ) -> T:
        """Wait until the operation is over.

        Network failures and answers 429 and 5xx to a poll are survived until the deadline; 401, 403 and
        404 are not.

        Args:
            timeout: Seconds to wait, a clock of its own beside request timeouts and retry budgets;
                ``None`` for no end.
            on_update: Called with each poll's status.

        Returns:
            What the method that began the operation documents.

        Raises:
            OperationFailedError: The server reports an error, an abort or an expired status.
            OperationTimeoutError: The time is over. The operation goes on; await it again.
            APIStatusError: The server refuses to tell the status.
            ValueError: ``timeout`` is negative.
        """
        # Not "timeout < 0": that lets NaN through, and a deadline that is no moment never comes.
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout must be at least 0 seconds, not {timeout}")
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        with self._bound().telemetry.operation() as tell:
            tell(location=" ".join(location.partition("?")[0] for location in self.locations) or None)
            try:
                await self._until_over(deadline, on_update)
            except DeadlineError:
                raise OperationTimeoutError(
                    f"the operation at {self.location} was not over within {timeout:g} s; the server goes on with it",
                    operation=self,
                ) from None
            self._raise_if_failed()
            return await self._read_result()

    def __await__(self) -> Generator[Any, None, T]:
        return self.wait().__await__()

    def __repr__(self) -> str:
        state = "over" if self.done else "running"
        return f"<{type(self).__name__} {state} at {self.location}>"

    def __getstate__(self) -> dict[str, Any]:
        # Plain data only: a session stays in its process.
        return {"locations": self.locations, "_over": self._over}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _poller=None, _resolve=None, _result=_UNKNOWN, _resolving=anyio.Lock())

    async def _until_over(
        self, deadline: float, on_update: Callable[[OperationStatus], object] | None
    ) -> None:
        poller = self._bound()
        waiting = [location for location in dict.fromkeys(self.locations) if location not in self._over]
        failures: list[Exception] = []

        async def watch(location: str) -> None:
            self._over[location] = await poller.wait(location, deadline=deadline, on_update=on_update)

        async def watch_beside_others(location: str) -> None:
            try:
                await watch(location)
            except Exception as error:  # noqa: BLE001 - raised below, without the group around it
                failures.append(error)
                group.cancel_scope.cancel()

        if len(waiting) == 1:
            # By far the most: no task besides the caller's own.
            await watch(waiting[0])
            return
        async with anyio.create_task_group() as group:
            for location in waiting:
                group.start_soon(watch_beside_others, location)
        if failures:
            raise failures[0]

    async def _read_result(self) -> T:
        # Several tasks may wait; the result is read once and is the same object for all of them.
        async with self._resolving:
            if self._result is _UNKNOWN:
                resource = next((status.resource for status in self._over.values() if status.resource), None)
                resolve = cast("Callable[[str | None], Awaitable[T]]", self._resolve)
                self._result = await resolve(resource)
            return self._result

    def _bound(self) -> Poller:
        if self._poller is None:
            raise OperationError(
                "the operation was unpickled and knows no session: use session.operation(operation.location)",
                operation=self,
            )
        return self._poller

    def _raise_if_failed(self) -> None:
        for location, status in self._over.items():
            if status.state is State.FAILED:
                reason = readable(status.message or status.description or "") or "no reason given"
                raise OperationFailedError(
                    f"the operation at {location} ended with {status.status}: {reason}",
                    operation=self,
                    status=status.status,
                    code=status.code,
                    description=status.description,
                )
