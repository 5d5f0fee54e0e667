"""One item's work: call the function, wait for the operation that it begins, judge what came of it."""

from __future__ import annotations

import inspect
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from attrs import evolve

from datarobot_mlops_async._limiter import Tally, counted
from datarobot_mlops_async.bulk._outcome import Outcome, OutcomeState, judge, location_in
from datarobot_mlops_async.errors import OperationFailedError
from datarobot_mlops_async.operations import Operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async.bulk._record import Journal

I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T")


class Work(Generic[I, T]):
    """One item on its way to its outcome.

    Args:
        index: The item's position.
        item: The item.
        earlier: What an earlier run found out about it.
        journal: Where to write what is about to be done.
    """

    def __init__(
        self, index: int, item: I, *, earlier: Outcome[Any, Any] | None, journal: Journal | None
    ) -> None:
        self._item = item
        self._index = index
        self._earlier_attempts = earlier.attempts if earlier else 0
        self._location = earlier.location if earlier and earlier.state is OutcomeState.UNKNOWN else None
        self._journal = journal
        self._tally = Tally(None if journal is None else self._announce)
        self._started = time.monotonic()

    async def run(
        self,
        function: Callable[[I], Any],
        open_operation: Callable[[str], Operation[Any]],
        *,
        operation_timeout: float | None,
    ) -> Outcome[I, T]:
        """Return the outcome; nothing but cancellation is raised."""
        try:
            value = open_operation(self._location) if self._location else await self._call(function)
            if isinstance(value, Operation):
                value = await self._finish(value, operation_timeout)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this item's alone
            outcome = self._failed(error)
        else:
            outcome = self._outcome(OutcomeState.SUCCEEDED, value=cast("T", value))
        if self._journal is not None and self._journal.failure is None:
            # The journal remembers its failure, and the run stops for it; this outcome counts all the same.
            with suppress(OSError):
                await self._journal.write(outcome)
        return outcome

    def cancelled(self) -> Outcome[I, T] | None:
        """Return what is known of the item if it is cancelled now; ``None`` if nothing happened to it."""
        if self._location is None and not self._tally.changes:
            return None
        return self._outcome(OutcomeState.UNKNOWN)

    async def _call(self, function: Callable[[I], Any]) -> Any:
        with counted(self._tally):
            value = function(self._item)
            # An operation is awaitable too, but not here: its location is worth keeping first.
            while inspect.isawaitable(value) and not isinstance(value, Operation):
                value = await value
        return value

    async def _finish(self, operation: Operation[Any], timeout: float | None) -> Any:
        if self._location is None and operation.location is not None:
            self._location = operation.location
            if self._journal is not None:
                await self._announce()
        return await operation.wait(timeout=timeout)

    async def _announce(self) -> None:
        assert self._journal is not None  # noqa: S101 - its callers have seen it: for the type checker
        await self._journal.write(self._outcome(OutcomeState.UNKNOWN))

    def _failed(self, error: Exception) -> Outcome[I, T]:
        self._location = self._location or location_in(error)
        if self._location is None:
            state = judge(error, changes=self._tally.changes)
        elif isinstance(error, OperationFailedError):
            state = OutcomeState.FAILED
        else:
            # It was begun; only the server knows what became of it, and it can be asked again.
            state = OutcomeState.UNKNOWN
        return self._outcome(state, error=error)

    def _outcome(
        self, state: OutcomeState, *, value: T | None = None, error: Exception | None = None
    ) -> Outcome[I, T]:
        return Outcome(
            index=self._index,
            item=self._item,
            state=state,
            value=value,
            error=error,
            attempts=self._earlier_attempts + self._tally.requests,
            duration=time.monotonic() - self._started,
            location=self._location,
        )


def at_position(earlier: Outcome[Any, Any], index: int, item: I) -> Outcome[I, Any]:
    """Return an earlier outcome as that of the item at this run's position."""
    return evolve(earlier, index=index, item=item)
