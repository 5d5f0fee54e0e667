"""Blocking work in a worker thread that a cancelled task never leaves behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_POLL = 0.002


async def run_interruptible(
    function: Callable[[], T],
    *,
    interrupt: Callable[[], None] = lambda: None,
    limiter: CapacityLimiter | None = None,
) -> T:
    """Run a blocking function in a worker thread and return its result.

    The function has ended when this returns or raises, however it was cancelled: what the thread used
    (files, sockets) can be closed afterwards. It takes none of the 40 threads that all users of a process share by
    default: whoever blocks for long would starve them.

    Args:
        function: The blocking function. It should return or raise soon after ``interrupt`` was called.
        interrupt: Called in the event loop when the task is cancelled meanwhile; nothing when left out.
        limiter: Bounds the threads in use; ``None`` for a thread in any case.
    """
    call = _Call(function)
    try:
        return await to_thread.run_sync(
            call.run, limiter=limiter or CapacityLimiter(1), abandon_on_cancel=True
        )
    finally:
        if call.is_running_after_withdrawal():
            interrupt()
            await _outlast(call)


async def _outlast(call: _Call[T]) -> None:
    while not call.ended:
        try:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(_POLL)
        except anyio.get_cancelled_exc_class():
            # asyncio's own Task.cancel() breaks through the shield; the first cancellation is raised already.
            continue


class _Call(Generic[T]):
    """One call that starts only while somebody waits for it."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._withdrawn = False
        self._started = False
        self.ended = False

    def run(self) -> T:
        with self._lock:
            if self._withdrawn:  # pragma: no cover - cancelled between the queue and the thread
                raise AssertionError("withdrawn before it began: nobody sees this")
            self._started = True
        try:
            return self._function()
        finally:
            self.ended = True

    def is_running_after_withdrawal(self) -> bool:
        """Keep the function from starting if it has not yet; tell whether it runs."""
        with self._lock:
            self._withdrawn = True
            return self._started and not self.ended
