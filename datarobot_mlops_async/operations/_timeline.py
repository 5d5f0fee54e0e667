"""When which operation is asked next, and how fast polls may follow each other. No I/O, no clock of its own."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import field, frozen, validators

from datarobot_mlops_async.operations._status import next_delay

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_TICK = 0.01
_SMALL = 64


@frozen(kw_only=True)
class PollPolicy:
    """How often a session asks for the status of the operations that it waits for.

    Attributes:
        delays: Decides when one operation is asked next; called with the seconds since the wait began, the number
            of polls so far, the server's ``Retry-After`` (or ``None``) and ``remaining=``, the seconds until the
            first of those who wait gives up. By default after a quarter, a half and three quarters of a
            second, then after a twentieth of the time gone by, from 1 s to 10 s.
        per_second: The most polls a second for the whole session, however many operations it waits for.
        per_place: The most polls a second for each of the requests that the session may have in flight;
            a server that refuses some (429, 503) lowers their number, and so the rate. Polls beyond it
            are put off, each in its turn.
    """

    delays: Callable[..., float] = next_delay
    per_second: float = field(default=4000.0, validator=validators.gt(0))
    per_place: float = field(default=100.0, validator=validators.gt(0))


class Entry(Generic[T]):
    """Something that is due at a moment; ``None`` in its place once it came or was dropped."""

    __slots__ = ("item", "when")

    def __init__(self, when: float, item: T | None) -> None:
        self.when = when
        self.item = item


class Timeline(Generic[T]):
    """Things by the moment at which they are due: one timer serves any number of them."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Entry[T]]] = []
        self._order = itertools.count()
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dropped

    def add(self, when: float, item: T) -> Entry[T]:
        """Let an item be due at a moment (monotonic seconds); those of one moment keep their order."""
        entry = Entry(when, item)
        heapq.heappush(self._heap, (when, next(self._order), entry))
        return entry

    def drop(self, entry: Entry[T]) -> None:
        """Forget an entry; harmless when it is gone already."""
        if entry.item is None:
            return
        entry.item = None
        self._dropped += 1
        # Deadlines lie an hour ahead: without this, what was dropped would stay in memory for that long.
        if self._dropped > _SMALL and self._dropped * 2 > len(self._heap):
            self._heap = [each for each in self._heap if each[2].item is not None]
            heapq.heapify(self._heap)
            self._dropped = 0

    def next(self) -> float:
        """Return the moment at which something is due next; infinity when nothing is."""
        while self._heap and self._heap[0][2].item is None:
            heapq.heappop(self._heap)
            self._dropped -= 1
        return self._heap[0][0] if self._heap else math.inf

    def pop_due(self, now: float) -> list[T]:
        """Remove and return what is due, the earliest first."""
        due: list[T] = []
        while self.next() <= now:
            entry = heapq.heappop(self._heap)[2]
            assert entry.item is not None  # next() has just seen it
            due.append(entry.item)
            entry.item = None
        return due


class RateLimiter:
    """Spreads polls evenly: so many a second, and no more than those of two ticks at once.

    Attributes:
        per_second: Polls a second; may change at any time.
    """

    def __init__(self, per_second: float = math.inf) -> None:
        self.per_second = per_second
        self._next = -math.inf

    def pause(self, now: float) -> float:
        """Return the seconds to wait before the next poll; 0 to go now."""
        # Timers much finer than a tick cost more than they spread.
        return 0.0 if self._next <= now else max(self._next - now, _TICK)

    def spend(self, now: float) -> None:
        """Count a poll that goes now."""
        # What a tick was late for is caught up, so that the rate is reached; no more than that is saved up.
        self._next = max(self._next, now - 2 * _TICK) + 1 / self.per_second
