"""Bulk work: one call for each of many items, a bounded number at a time.

One item's failure never takes down the others. What became of each is an `Outcome`, which can be written
to a file as a line of JSON; a run that was interrupted, or killed, goes on from such a file:

- What succeeded is not done again. What failed is.
- An operation that was begun is asked, at its location, and not begun again.
- Where the server may have done something without saying so, nobody knows: such an item is reported as
  ``unknown`` and not repeated, unless the caller says that repeating is harmless.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, overload

from datarobot_mlops_async.bulk._outcome import Outcome, OutcomeState
from datarobot_mlops_async.bulk._stream import DEFAULT_CONCURRENCY, BulkStream, Plan
from datarobot_mlops_async.operations import DEFAULT_WAIT, Operation

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable

__all__ = ["BulkCalls", "BulkStream", "Outcome", "OutcomeState"]

I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T")


class BulkOptions(TypedDict, total=False):
    """Options of `BulkCalls.bulk`, for the overloads."""

    max_concurrency: int
    on_outcome: Callable[[Outcome[Any, Any]], object] | None
    stop_on_error: bool
    resume_from: str | os.PathLike[str] | Iterable[Outcome[Any, Any] | str] | None
    repeat_unknown: bool
    journal: str | os.PathLike[str] | None
    operation_timeout: float | None


class BulkCalls:
    """What a session offers for many items."""

    @abstractmethod
    def operation(self, location: str) -> Operation[Any]:
        """Return the operation at a stored location."""

    @overload
    async def bulk(
        self,
        function: Callable[[I], Awaitable[Operation[T]] | Operation[T]],
        items: Iterable[I] | AsyncIterable[I],
        **options: Unpack[BulkOptions],
    ) -> list[Outcome[I, T]]: ...

    @overload
    async def bulk(
        self,
        function: Callable[[I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        **options: Unpack[BulkOptions],
    ) -> list[Outcome[I, T]]: ...

    async def bulk(
        self,
        function: Callable[[I], Any],
        items: Iterable[I] | AsyncIterable[I],
        *,
        max_concurrency: int = DEFAULT_CONCURRENCY,
        on_outcome: Callable[[Outcome[I, Any]], object] | None = None,
        stop_on_error: bool = False,
        resume_from: str | os.PathLike[str] | Iterable[Outcome[Any, Any] | str] | None = None,
        repeat_unknown: bool = False,
        journal: str | os.PathLike[str] | None = None,
        operation_timeout: float | None = DEFAULT_WAIT,
    ) -> list[Outcome[I, Any]]:
        """Call a function for each of many items and wait for the operations that the calls begin.

        ::

            outcomes = await session.bulk(session.deployments.begin_deactivate, ids)
            outcomes = await session.bulk(lambda d: session.deployments.get(d.id), session.deployments.list())

        When it is cancelled nothing new is begun. Its result is lost then, but not what it found out:
        ``on_outcome`` has been called for every item that finished and is called, with the state
        ``unknown``, for those that were cut off where the server may have acted; and the journal has both.

        Args:
            function: Called with one item; any method of the session, or a lambda or ``functools.partial`` for
                more arguments. It should send at most one request that changes something: a call that is
                cut off after its first such request is of unknown state as a whole.
            items: Any iterable or asynchronous iterable, read only as fast as there is room. A plain one is
                read in the event loop and should not block.
            max_concurrency: Items on their way at a time, their operations included. The session's own limits
                hold besides.
            on_outcome: Called with each outcome of this run when it is there. It must not block; what it
                raises ends the run as soon as what was begun is over.
            stop_on_error: Begin nothing new after the first item that did not succeed.
            resume_from: Outcomes of earlier runs: objects, lines, or the path of a file of lines, for example
                a journal. Items are known by their value (their JSON text, or that of their ``id``).
            repeat_unknown: Call the function again also for items that are ``unknown`` and have no location.
                Only for what is harmless when done twice.
            journal: A file to append to, before a request that changes something is sent, when an operation's
                location is known, and for each outcome: with ``resume_from`` set to the same path a run goes
                on even after the process was killed. Items must be JSON data or have an ``id``.
            operation_timeout: Seconds to wait for each operation, a clock of its own beside request timeouts
                and retry budgets; ``None`` for no end.

        Returns:
            The outcomes in the input's order, those of ``resume_from`` among them. Items that were not begun
            because the run was stopped have none.

        Raises:
            OSError: The file of ``resume_from`` or ``journal`` cannot be used.
            ValueError: ``resume_from`` holds no outcomes, or an argument is out of bounds. Nothing was called.
        """
        stream: BulkStream[I, Any] = self.bulk_stream(
            function,
            items,
            max_concurrency=max_concurrency,
            on_outcome=on_outcome,
            stop_on_error=stop_on_error,
            resume_from=resume_from,
            repeat_unknown=repeat_unknown,
            journal=journal,
            operation_timeout=operation_timeout,
        )
        async with stream:
            outcomes = [outcome async for outcome in stream]
        return sorted(outcomes, key=lambda outcome: outcome.index)

    @overload
    def bulk_stream(
        self,
        function: Callable[[I], Awaitable[Operation[T]] | Operation[T]],
        items: Iterable[I] | AsyncIterable[I],
        **options: Unpack[BulkOptions],
    ) -> BulkStream[I, T]: ...

    @overload
    def bulk_stream(
        self,
        function: Callable[[I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        **options: Unpack[BulkOptions],
    ) -> BulkStream[I, T]: ...

    def bulk_stream(
        self,
        function: Callable[[I], Any],
        items: Iterable[I] | AsyncIterable[I],
        **options: Unpack[BulkOptions],
    ) -> BulkStream[I, Any]:
        """Do what `bulk` does and give the outcomes as they come, in no order.

        ::

            async with session.bulk_stream(session.deployments.begin_deactivate, ids) as outcomes:
                async for outcome in outcomes:
                    print(outcome.item, outcome.state)

        Outcomes are not kept: neither many items nor many outcomes fill the memory. What was not iterated
        over, when the ``async with`` was left early, is in `BulkStream.rest`.

        Args:
            function: See `bulk`.
            items: See `bulk`.
            options: Those of `bulk`.
        """
        return BulkStream(Plan(function=function, items=items, open_operation=self.operation, **options))
