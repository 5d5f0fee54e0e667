"""Blocking work in a worker thread that a cancelled task never leaves behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio
import anyio.lowlevel
from anyio import CapacityLimiter, to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def run_interruptible(
    function: Callable[[], T],
    *,
    interrupt: Callable[[], None] = lambda: None,
    limiter: CapacityLimiter | None = None,
) -> T:
    """Run a blocking function in a worker thread and return its result.

    The function has ended when this returns or raises, however it was cancelled: what the thread used
    (files, sockets) can be closed afterwards.

    Args:
        function: The blocking function. It should return or raise soon after ``interrupt`` was called.
        interrupt: Called in the event loop when the task is cancelled meanwhile; nothing when left out.
        limiter: Bounds the threads in use; anyio's default when ``None``.
    """
    context = _Call(function)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_interrupt_when_cancelled, context, interrupt)
            await to_thread.run_sync(context.run, limiter=limiter)
            group.cancel_scope.cancel()
    finally:
        # asyncio's own Task.cancel() breaks through the shield that anyio puts around a thread.
        if context.is_running_after_withdrawal():
            interrupt()
            await _outlast(context)
    # The error of an interrupted function must not hide why it was interrupted.
    await anyio.lowlevel.checkpoint_if_cancelled()
    return context.outcome()


async def _interrupt_when_cancelled(context: _Call[T], interrupt: Callable[[], None]) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        if not context.ended:
            interrupt()


async def _outlast(context: _Call[T]) -> None:
    while not context.ended:
        try:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.002)
        except anyio.get_cancelled_exc_class():
            continue


class _Call(Generic[T]):
    """One call and what came of it. Errors are carried, not raised, so that no group wraps them."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._withdrawn = False
        self._started = False
        self._result: T | None = None
        self._error: BaseException | None = None
        self.ended = False

    def run(self) -> None:
        with self._lock:
            if self._withdrawn:
                return
            self._started = True
        try:
            self._result = self._function()
        except BaseException as error:  # noqa: BLE001 - raised again by outcome()
            self._error = error
        finally:
            self.ended = True

    def is_running_after_withdrawal(self) -> bool:
        """Keep the function from starting if it has not yet; tell whether it runs."""
        with self._lock:
            self._withdrawn = True
            return self._started and not self.ended

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return cast("T", self._result)
