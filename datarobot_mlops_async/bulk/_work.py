"""One item's work: call the function, wait for the operation that it begins, judge what came of it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from datarobot_mlops_async._counting import RequestCounter, counting
from datarobot_mlops_async.bulk._journal import location_of
from datarobot_mlops_async.bulk._outcome import Outcome, OutcomeState
from datarobot_mlops_async.errors import (
    JournalFileError,
    NotFoundError,
    OperationFailedError,
    OperationTimeoutError,
)
from datarobot_mlops_async.operations import Operation

if TYPE_CHECKING:
    from datarobot_mlops_async.bulk._journal_writer import JournalWriter
    from datarobot_mlops_async.bulk._run import Run

Item = TypeVar("Item")
T = TypeVar("T")


class Work(Generic[Item, T]):
    """One item on its way to its outcome. If it was not asked for, what was begun is only followed."""

    def __init__(
        self,
        run: Run[Item],
        index: int,
        item: Item,
        *,
        earlier: Outcome[Any, Any] | None,
        writer: JournalWriter | None,
        asked_for: bool,
    ) -> None:
        self._run = run
        self._item = item
        self._index = index
        self._earlier_attempts = earlier.attempts if earlier else 0
        self._location = location_of(earlier)
        self._writer = writer
        self._may_begin_again = asked_for and run.options.get("repeat_unknown", False)
        self._counter = RequestCounter(before_change=None if writer is None else self._announce)
        self._started = time.monotonic()

    async def outcome(self) -> Outcome[Item, T]:
        """Do it and return the outcome; nothing but cancellation is raised."""
        try:
            value = await (self._call() if self._location is None else self._go_on())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this item's alone
            outcome = self._failed(error)
        else:
            outcome = self._outcome(OutcomeState.SUCCEEDED, value=cast("T", value))
        await self._note(outcome)
        return outcome

    async def cancelled(self) -> Outcome[Item, T] | None:
        """Return what is known of the item if it is cancelled now; ``None`` if nothing happened to it."""
        if self._location is None and not self._counter.changes:
            if self._counter.announced:
                await self._note(self._outcome(OutcomeState.FAILED))
            return None
        outcome = self._outcome(OutcomeState.UNKNOWN)
        await self._note(outcome)
        return outcome

    async def _go_on(self) -> Any:
        operation = self._run.open_operation(cast("str", self._location))
        try:
            return await operation.wait(timeout=self._run.operation_timeout)
        except NotFoundError:
            # The server forgets operations after a while, and then nobody can tell.
            if operation.done or not self._may_begin_again:
                raise
        self._location = None
        return await self._call()

    async def _call(self) -> Any:
        with counting(self._counter):
            value = await self._run.call(self._item)
        if not isinstance(value, Operation):
            return value
        # Its location is worth keeping before it is waited for.
        self._location = value.location
        if self._writer is not None and self._location is not None:
            await self._writer.write(self._outcome(OutcomeState.UNKNOWN))
        return await value.wait(timeout=self._run.operation_timeout)

    async def _announce(self) -> None:
        assert self._writer is not None  # else nobody calls it
        await self._writer.write(self._outcome(OutcomeState.UNKNOWN), durable=True)

    async def _note(self, outcome: Outcome[Item, T]) -> None:
        if self._writer is not None:
            # The writer remembers its failure, and the run stops for it; this outcome counts all the same.
            with suppress(JournalFileError):
                await self._writer.write(outcome)

    def _failed(self, error: Exception) -> Outcome[Item, T]:
        if self._location is None and isinstance(error, OperationTimeoutError):
            self._location = error.operation.location
        # A failed operation is the end of the requests that began it, which have a location each.
        over = isinstance(error, OperationFailedError) and len((self._location or "?").split())
        if self._counter.changes <= over and (over or self._location is None):
            state = OutcomeState.FAILED
        else:
            # It was begun, or may have been; with a location the server can be asked what became of it.
            state = OutcomeState.UNKNOWN
        return self._outcome(state, error=error)

    def _outcome(
        self, state: OutcomeState, *, value: T | None = None, error: Exception | None = None
    ) -> Outcome[Item, T]:
        return Outcome(
            index=self._index,
            item=self._item,
            state=state,
            value=value,
            error=error,
            attempts=self._earlier_attempts + self._counter.requests,
            duration=time.monotonic() - self._started,
            location=self._location,
        )
