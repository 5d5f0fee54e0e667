"""A run over many items: bounded on both sides, and nothing of it outlives its ``async with``. And one item's work."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import anyio
import anyio.lowlevel
from attrs import define, evolve, field

from datarobot_mlops_async._counting import RequestCounter, counting
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async.bulk._journal import Earlier, is_settled, location_of
from datarobot_mlops_async.bulk._journal_writer import JournalWriter
from datarobot_mlops_async.bulk._outcome import Outcome, OutcomeState, identity
from datarobot_mlops_async.bulk._run import Run, Source
from datarobot_mlops_async.errors import (
    JournalFileError,
    NotFoundError,
    OperationFailedError,
    OperationTimeoutError,
)
from datarobot_mlops_async.operations import Operation

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

Item = TypeVar("Item")
T = TypeVar("T")
_END: Any = object()


class BulkStream(AsyncIterator[Outcome[Item, T]]):
    """Outcomes as they come: ``async with session.bulk_stream(...) as outcomes: async for outcome in outcomes``.

    The input is read only as far as there is room: at most ``max_concurrency`` items are on their way
    and as many outcomes wait for the reader. Leaving the ``async with``, by ``break``, an exception or
    cancellation, cancels what is on its way and waits for it to end.

    Attributes:
        counts: How many outcomes there were so far, by state.
    """

    def __init__(self, run: Run[Item]) -> None:
        self._run = run
        self._earlier = Earlier()
        self._writer: JournalWriter | None = None
        self._finished: deque[Outcome[Item, T]] = deque()
        self._in_progress = 0
        self._feeding = True
        self._failure: Exception | None = None
        self._group: TaskGroup | None = None
        self._stopped = False
        self.counts: Counter[OutcomeState] = Counter()

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise RuntimeError("a bulk run can be entered once: call bulk_stream() again")
        if (path := self._run.journal_path) is not None:
            self._writer = JournalWriter(path)
        try:
            self._earlier = await Earlier.read(self._run, self._writer)
        except BaseException:
            if self._writer is not None:
                self._writer.close()
            raise
        self._feed_scope = anyio.CancelScope()
        self._changed = anyio.Event()
        self._group = group = await anyio.create_task_group().__aenter__()
        group.start_soon(self._feed, group)
        return self

    async def __aexit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        assert self._group is not None  # entered
        self._group.cancel_scope.cancel()
        try:
            # The body's exception goes on by itself: handed to the group it would come out wrapped in one.
            await self._group.__aexit__(None, None, None)
        finally:
            if self._writer is not None:
                try:
                    with anyio.CancelScope(shield=True):
                        await run_interruptible(self._writer.close)
                finally:
                    # asyncio's own Task.cancel() breaks through the shield, also before the thread has begun.
                    self._writer.close()
        if exc is None and self._failure is not None:
            raise self._failure

    async def __anext__(self) -> Outcome[Item, T]:
        if self._group is None:
            raise RuntimeError("bulk_stream() is an async context manager: 'async with ... as outcomes'")
        while not self._finished:
            if not self._feeding and not self._in_progress:
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure
                # Cancelled, the items may all have ended before the reader hears of it: that is no end of the run.
                await anyio.lowlevel.checkpoint_if_cancelled()
                raise StopAsyncIteration
            await self._changed.wait()
        outcome = self._finished.popleft()
        self._notify()
        return outcome

    def stop(self) -> None:
        """Begin no further item; those on their way are finished, and the iteration ends with them."""
        self._stopped = True
        if self._group is not None:
            self._feed_scope.cancel()

    @property
    def rest(self) -> list[Outcome[Item, T]]:
        """The outcomes that were not iterated over.

        Read it after the ``async with``, also after a cancellation: it has what had finished and,
        in state ``unknown``, what was cut off where the server may have acted. Items without
        an outcome were not begun, or changed nothing.
        """
        return list(self._finished)

    async def _feed(self, group: TaskGroup) -> None:
        try:
            with self._feed_scope:
                await self._begin_all(group)
        except Exception as error:  # noqa: BLE001 - raised to the reader, when all that was begun is over
            self._fail(error)
        finally:
            self._feeding = False
            self._notify()

    async def _begin_all(self, group: TaskGroup) -> None:
        index = 0
        async with aclosing(Source(self._run.items)) as source:
            while not self._stopped:
                item = await anext(source, _END)
                if item is _END:
                    break
                if self._writer is not None:
                    identity(item)
                self._begin(index, item, self._earlier.of(item), group, asked_for=True)
                index += 1
                await self._room()
        for earlier in self._earlier.unnamed():
            if self._stopped:
                break
            self._begin(index, earlier.item, earlier, group, asked_for=False)
            index += 1
            await self._room()

    def _begin(
        self, index: int, item: Item, earlier: Outcome[Any, Any] | None, group: TaskGroup, *, asked_for: bool
    ) -> None:
        if earlier is not None and is_settled(self._run, earlier, asked_for=asked_for):
            self._deliver(evolve(earlier, index=index, item=item))
            return
        work = _Work[Item, T](self._run, index, item, earlier, self._writer, asked_for)
        self._in_progress += 1
        group.start_soon(self._work_on, work)

    async def _work_on(self, work: _Work[Item, T]) -> None:
        outcome: Outcome[Item, T] | None = None
        try:
            outcome = await work.outcome()
        except BaseException:
            outcome = await work.cancelled()
            raise
        finally:
            self._in_progress -= 1
            if outcome is not None:
                self._report(outcome)
            self._notify()

    def _report(self, outcome: Outcome[Item, T]) -> None:
        self._deliver(outcome)
        try:
            if (on_outcome := self._run.options.get("on_outcome")) is not None:
                on_outcome(outcome)
        except Exception as error:  # noqa: BLE001 - raised to the reader, when all that was begun is over
            self._fail(error)
        if self._writer is not None and self._writer.failure is not None:
            self._fail(self._writer.failure)
        if self._run.options.get("stop_on_error") and outcome.state is not OutcomeState.SUCCEEDED:
            self.stop()

    def _deliver(self, outcome: Outcome[Item, T]) -> None:
        self.counts[outcome.state] += 1
        self._finished.append(outcome)
        self._notify()

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self.stop()

    async def _room(self) -> None:
        limit = self._run.max_concurrency
        while self._in_progress >= limit or len(self._finished) >= limit:
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@define(eq=False)
class _Work(Generic[Item, T]):
    """One item on its way to its outcome. If it was not asked for, what was begun is only followed."""

    _run: Run[Item]
    _index: int
    _item: Item
    _earlier: Outcome[Any, Any] | None
    _writer: JournalWriter | None
    _asked_for: bool
    _started: float = field(factory=time.monotonic, init=False)
    _location: str | None = field(init=False)
    _counter: RequestCounter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._location = location_of(self._earlier)
        self._counter = RequestCounter(before_change=None if self._writer is None else self._announce)

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
            if operation.done or not (self._asked_for and self._run.options.get("repeat_unknown")):
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
            attempts=(self._earlier.attempts if self._earlier else 0) + self._counter.requests,
            duration=time.monotonic() - self._started,
            location=self._location,
        )
