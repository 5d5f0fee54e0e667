"""The session's one limiter: how many requests are in flight, and when the server wants none at all."""

from __future__ import annotations

import math
import time
from collections import OrderedDict

import anyio

from datarobot_mlops_async._telemetry import log_delay


class PausedError(Exception):
    """The server asked for a pause that is longer than the caller will wait."""

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

    Args:
        maximum: The most requests in flight.
        longest_pause: Seconds that one ``Retry-After`` can cost, whatever it says.
    """

    def __init__(self, maximum: int, *, longest_pause: float = math.inf) -> None:
        self.maximum = maximum
        self.bound = float(maximum)
        self.in_flight = 0
        self.paused_until = 0.0
        self._longest_pause = longest_pause
        self._waiting: OrderedDict[Slot, None] = OrderedDict()
        self._halved_at = -math.inf

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
            self._pause(now, min(retry_after, self._longest_pause))

    def _pause(self, now: float, seconds: float) -> None:
        if now + seconds <= self.paused_until:
            return
        if self.paused_until <= now:
            log_delay("all calls pause", seconds)
        self.paused_until = now + seconds
        for slot in [each for each in self._waiting if not each.endures(self.paused_until, now)]:
            del self._waiting[slot]
            slot.woken.set()

    def has_room(self) -> bool:
        """Tell whether the next place is free for whoever comes now."""
        return self.in_flight < int(self.bound) and not self._waiting

    @property
    def queued(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    async def queue(self, slot: Slot) -> None:
        """Wait for a place that is handed over; one whose budget is spent is woken without it."""
        self._waiting[slot] = None
        try:
            await slot.woken.wait()
        except BaseException:
            if slot.holds:
                # Woken and cancelled in the same moment: the place goes to the next in the queue.
                self.give_back()
            self._waiting.pop(slot, None)
            raise

    def give_back(self) -> None:
        """Give a place to the next in the queue."""
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self.in_flight < int(self.bound):
            slot = self._waiting.popitem(last=False)[0]
            self.in_flight += 1
            slot.holds = True
            slot.woken.set()


class Slot:
    """One of the places in flight, held inside of ``async with``; the value is when it was taken.

    `PausedError` raises when a pause is longer than the budget, or became longer while the caller waited.

    Args:
        limiter: Whose place it is.
        budget: Seconds that the caller would wait for pauses to end, counted from the first one on. Waiting for a
            place alone does not count.

    Attributes:
        since: When the caller's budget began to be spent (monotonic seconds): with the first pause, or else when
            the place was taken.
    """

    __slots__ = ("_budget", "_give_up_at", "_limiter", "holds", "since", "woken")

    def __init__(self, limiter: Limiter, *, budget: float) -> None:
        self._limiter = limiter
        self._budget = budget
        self._give_up_at = math.inf
        self.holds = False

    async def __aenter__(self) -> float:
        now = self.since = time.monotonic()
        limiter = self._limiter
        if limiter.paused_until <= now and limiter.has_room():
            limiter.in_flight += 1
            return now
        return await self._wait()

    async def __aexit__(self, *_exc: object) -> None:
        self._limiter.give_back()

    def endures(self, moment: float, now: float) -> bool:
        """Tell whether the caller would wait until then for a pause to end."""
        self._give_up_at = min(self._give_up_at, now + max(0.0, self._budget))
        return moment <= self._give_up_at

    async def _wait(self) -> float:
        limiter = self._limiter
        self._rest()
        if limiter.has_room():
            limiter.in_flight += 1
        else:
            self.woken = anyio.Event()
            await limiter.queue(self)
            if not self.holds:
                raise PausedError(limiter.paused_until - time.monotonic())
        try:
            # The pause may have been made longer meanwhile.
            while (pause := self._rest()) > 0:  # noqa: ASYNC110 - a moment is waited for
                await anyio.sleep(pause)
        except BaseException:
            limiter.give_back()
            raise
        now = time.monotonic()
        self.since = min(self._give_up_at - max(0.0, self._budget), now)
        return now

    def _rest(self) -> float:
        """Return the seconds until the pause ends; 0 or less where there is none."""
        now = time.monotonic()
        until = self._limiter.paused_until
        if until > now and not self.endures(until, now):
            raise PausedError(until - now)
        return until - now
