"""Blocking work in a worker thread that a cancelled task never leaves behind."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

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
    call: Future[None] = Future()

    def run() -> T:
        if not call.set_running_or_notify_cancel():  # pragma: no cover - cancelled before the thread began
            raise AssertionError("withdrawn before it began: nobody sees this")
        try:
            return function()
        finally:
            call.set_result(None)

    try:
        return await to_thread.run_sync(run, limiter=limiter or CapacityLimiter(1), abandon_on_cancel=True)
    finally:
        # What has not begun will not begin.
        if not call.cancel() and not call.done():
            interrupt()
            while not call.done():
                # asyncio's own Task.cancel() breaks through the shield; the first cancellation is raised already.
                with suppress(anyio.get_cancelled_exc_class()), anyio.CancelScope(shield=True):
                    await anyio.sleep(_POLL)
