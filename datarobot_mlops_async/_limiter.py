"""The session's one limiter: how many requests are in flight, and when the server wants none at all."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class PausedError(Exception):
    """The server asked for a pause that is longer than the caller will wait.

    Attributes:
        remaining: Seconds until the pause is over.
    """

    def __init__(self, remaining: float) -> None:
        super().__init__(remaining)
        self.remaining = remaining


class Limiter:
    """Bound the requests in flight before the connection pool, and adapt the bound to the server.

    The bound starts at ``maximum``. An overload answer (429, 503) halves it, at most once for the requests
    that were in flight together; every success raises it by a share of one, until it is back. A
    ``Retry-After`` pauses everybody: a server that is overloaded gains nothing from one polite
    request among impolite ones. Waiters are served in the order in which they came, and a pause is
    sat out in the places in flight: when it ends, no more than the bound rush in.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.bound = float(maximum)
        self.in_flight = 0
        self._waiting: OrderedDict[anyio.Event, None] = OrderedDict()
        self._paused_until = 0.0
        self._halved_at = -math.inf

    @asynccontextmanager
    async def slot(self, *, patience: float) -> AsyncIterator[float]:
        """Hold one of the places in flight; the value is when it was taken (monotonic seconds).

        Args:
            patience: Seconds that the caller would wait for a pause to end.

        Raises:
            PausedError: The pause is longer.
        """
        self._pause(patience)
        await self._take()
        try:
            # The pause may have been made longer meanwhile.
            while (pause := self._pause(patience)) > 0:  # noqa: ASYNC110 - a moment is waited for
                await anyio.sleep(pause)
            yield time.monotonic()
        finally:
            self.in_flight -= 1
            self._wake()

    def succeeded(self) -> None:
        """Count a normal answer: the bound grows back by one for each round of requests."""
        if self.bound < self.maximum:
            self.bound = min(self.maximum, self.bound + 1 / self.bound)
            self._wake()

    def overloaded(self, *, started: float, retry_after: float | None) -> None:
        """Count an overload answer to a request that was started at ``started`` (monotonic seconds)."""
        now = time.monotonic()
        if started > self._halved_at:
            self.bound = max(1.0, self.bound / 2)
            self._halved_at = now
        if retry_after is not None:
            self._paused_until = max(self._paused_until, now + retry_after)

    def _pause(self, patience: float) -> float:
        remaining = self._paused_until - time.monotonic()
        if remaining > max(0.0, patience):
            raise PausedError(remaining)
        return remaining

    async def _take(self) -> None:
        if self.in_flight < int(self.bound) and not self._waiting:
            self.in_flight += 1
            return
        turn = anyio.Event()
        self._waiting[turn] = None
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                # Woken and cancelled in the same moment: the place goes to the next in the queue.
                self.in_flight -= 1
                self._wake()
            else:
                del self._waiting[turn]
            raise

    def _wake(self) -> None:
        while self._waiting and self.in_flight < int(self.bound):
            self.in_flight += 1
            self._waiting.popitem(last=False)[0].set()
