"""A run over many items: bounded on both sides, and nothing of it outlives its ``async with``."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import anyio
from attrs import frozen

from datarobot_mlops_async.bulk._outcome import Outcome, OutcomeState, identity
from datarobot_mlops_async.bulk._record import History, Journal
from datarobot_mlops_async.bulk._work import Work, at_position
from datarobot_mlops_async.operations import DEFAULT_WAIT

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from types import TracebackType

    from anyio.abc import TaskGroup

    from datarobot_mlops_async.operations import Operation

I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T")
DEFAULT_CONCURRENCY = 16
_END: Any = object()


@frozen(kw_only=True)
class Plan(Generic[I]):
    """What to do with how much patience; see `BulkCalls.bulk`."""

    function: Callable[[I], Any]
    items: Iterable[I] | AsyncIterable[I]
    open_operation: Callable[[str], Operation[Any]]
    max_concurrency: int = DEFAULT_CONCURRENCY
    on_outcome: Callable[[Outcome[I, Any]], object] | None = None
    stop_on_error: bool = False
    resume_from: str | os.PathLike[str] | Iterable[Outcome[Any, Any] | str] | None = None
    repeat_unknown: bool = False
    journal: str | os.PathLike[str] | None = None
    operation_timeout: float | None = DEFAULT_WAIT

    def __attrs_post_init__(self) -> None:
        if self.max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {self.max_concurrency}")
        if self.operation_timeout is not None and not self.operation_timeout >= 0:
            raise ValueError(f"operation_timeout must be at least 0 seconds, not {self.operation_timeout}")
        if isinstance(self.items, (str, bytes)):
            raise TypeError("items must be an iterable of items, not one string")
        if not isinstance(self.items, (Iterable, AsyncIterable)):
            raise TypeError(f"items must be iterable, not {type(self.items).__name__}")


class BulkStream(AsyncIterator[Outcome[I, T]]):
    """Outcomes as they come: ``async with session.bulk_stream(...) as outcomes: async for outcome in outcomes``.

    The input is read only as far as there is room: at most ``max_concurrency`` items are on their way
    and as many outcomes wait for the reader. Leaving the ``async with``, by ``break``, an exception or
    cancellation, cancels what is on its way and waits for it to end.

    Attributes:
        counts: How many outcomes there were so far, by state.
    """

    def __init__(self, plan: Plan[I]) -> None:
        self._plan = plan
        self._history = History()
        self._journal = None if plan.journal is None else Journal(plan.journal)
        self._finished: deque[Outcome[I, T]] = deque()
        self._in_progress = 0
        self._feeding = True
        self._failure: Exception | None = None
        self._group: TaskGroup | None = None
        self._stopped = False
        self.counts: Counter[OutcomeState] = Counter()

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise RuntimeError("a bulk run can be entered once: call bulk_stream() again")
        if self._plan.resume_from is not None:
            self._history = await History.read(self._plan.resume_from)
        if self._journal is not None:
            await self._journal.open()
        self._feed_scope = anyio.CancelScope()
        self._changed = anyio.Event()
        self._group = group = await anyio.create_task_group().__aenter__()
        group.start_soon(self._feed, group)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._group is not None  # noqa: S101 - entered: for the type checker
        self._group.cancel_scope.cancel()
        try:
            # The body's exception goes on by itself: handed to the group it would come out wrapped in one.
            await self._group.__aexit__(None, None, None)
        finally:
            if self._journal is not None:
                await self._journal.aclose()
        if exc is None and self._failure is not None:
            raise self._failure

    async def __anext__(self) -> Outcome[I, T]:
        if self._group is None:
            raise RuntimeError("bulk_stream() is an async context manager: 'async with ... as outcomes'")
        while not self._finished:
            if not self._feeding and not self._in_progress:
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure
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
    def rest(self) -> list[Outcome[I, T]]:
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
        async with aclosing(_Source(self._plan.items)) as source:
            index = 0
            while not self._stopped:
                item = await anext(source, _END)
                if item is _END:
                    break
                self._begin(index, item, group)
                index += 1
                await self._room()

    def _begin(self, index: int, item: I, group: TaskGroup) -> None:
        if self._journal is not None:
            identity(item)
        earlier = self._history.of(item)
        if earlier is not None and self._is_settled(earlier):
            self._deliver(at_position(earlier, index, item))
            return
        self._in_progress += 1
        group.start_soon(self._work_on, Work[I, T](index, item, earlier=earlier, journal=self._journal))

    def _is_settled(self, earlier: Outcome[Any, Any]) -> bool:
        if earlier.state is OutcomeState.UNKNOWN:
            return earlier.location is None and not self._plan.repeat_unknown
        return earlier.state is OutcomeState.SUCCEEDED

    async def _work_on(self, work: Work[I, T]) -> None:
        plan = self._plan
        outcome: Outcome[I, T] | None = None
        try:
            outcome = await work.run(
                plan.function, plan.open_operation, operation_timeout=plan.operation_timeout
            )
        except BaseException:
            outcome = work.cancelled()
            raise
        finally:
            self._in_progress -= 1
            if outcome is not None:
                self._report(outcome)
            self._notify()

    def _report(self, outcome: Outcome[I, T]) -> None:
        self._deliver(outcome)
        try:
            if self._plan.on_outcome is not None:
                self._plan.on_outcome(outcome)
        except Exception as error:  # noqa: BLE001 - raised to the reader, when all that was begun is over
            self._fail(error)
        if self._journal is not None and self._journal.failure is not None:
            self._fail(self._journal.failure)
        if self._plan.stop_on_error and outcome.state is not OutcomeState.SUCCEEDED:
            self.stop()

    def _deliver(self, outcome: Outcome[I, T]) -> None:
        self.counts[outcome.state] += 1
        self._finished.append(outcome)
        self._notify()

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self.stop()

    async def _room(self) -> None:
        limit = self._plan.max_concurrency
        while self._in_progress >= limit or len(self._finished) >= limit:
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class _Source(AsyncIterator[I]):
    """The items, whatever kind of iterable they come from."""

    def __init__(self, items: Iterable[I] | AsyncIterable[I]) -> None:
        self._items = aiter(items) if isinstance(items, AsyncIterable) else iter(items)

    async def __anext__(self) -> I:
        if isinstance(self._items, AsyncIterator):
            return await anext(self._items)
        # StopIteration cannot leave a coroutine.
        for item in self._items:
            return item
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let an asynchronous generator clean up here, and not when the garbage collector finds it."""
        aclose = getattr(self._items, "aclose", None)
        if aclose is not None:
            with anyio.CancelScope(shield=True):
                await aclose()
