"""All of a session's polling: one schedule and one timer for any number of waits.

The session owns no task of its own, so one of the waiting tasks drives: it holds the timer and hands
out turns. Whose turn it is polls in its own task. A driver that leaves, is cancelled or has a turn of its
own passes the role on at once, and a turn that was not taken goes to the next who waits for the same
location: whoever leaves, nothing is lost and no poll of another's is cut short.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import deque
from contextlib import nullcontext
from copy import copy
from typing import TYPE_CHECKING

import anyio
from attrs import evolve

from datarobot_mlops_async._api import retry_after
from datarobot_mlops_async._retry import RetryPolicy
from datarobot_mlops_async.errors import MLOpsError
from datarobot_mlops_async.operations._status import (
    OperationStatus,
    PollPolicy,
    RateLimiter,
    State,
    is_blip,
    is_odd,
    read_status,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async._api import Api
    from datarobot_mlops_async._telemetry import Telemetry

    OnUpdate = Callable[[OperationStatus], object] | None

_SHARE = 7 / 8
_MOST_MOVES = 10


class DeadlineError(Exception):
    """The caller's deadline passed."""


class _Watch:
    """A location that somebody waits for; all who wait for it share its polls."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.started = time.monotonic()
        self.polls = 0
        self.odd_answers = 0
        self.asked: float | None = None
        self.due = math.inf
        self.waits: dict[_Wait, None] = {}
        self.turn: _Wait | None = None
        self.outcome: OperationStatus | None = None
        self.failure: MLOpsError | None = None

    @property
    def over(self) -> bool:
        return self.outcome is not None or self.failure is not None

    def saw(self, status: OperationStatus) -> None:
        self.polls += 1
        self.odd_answers = 0
        self.asked = status.retry_after
        if status.state is not State.RUNNING:
            self.outcome = status
        for wait in self.waits:
            if wait.on_update is not None:
                wait.news.append(status)
                wait.wake()

    def failed(self, error: MLOpsError) -> None:
        self.polls += 1
        self.asked = getattr(error, "retry_after", None)
        if not is_blip(error, self.odd_answers):
            self.failure = error
        self.odd_answers = self.odd_answers + 1 if is_odd(error) else 0

    def remaining(self, now: float) -> float:
        """Return the seconds until the first of those who wait gives up."""
        return min((wait.deadline for wait in self.waits if wait.deadline > now), default=math.inf) - now


class _Wait:
    """One call of `Poller.wait`."""

    def __init__(self, watch: _Watch, deadline: float, on_update: OnUpdate) -> None:
        self.watch = watch
        self.deadline = deadline
        self.on_update = on_update
        self.news: deque[OperationStatus] = deque()
        self._event = anyio.Event()

    def wake(self) -> None:
        self._event.set()

    async def rest(self, seconds: float) -> None:
        """Wait to be woken, at most so many seconds."""
        with anyio.move_on_after(seconds) if seconds < math.inf else nullcontext():
            await self._event.wait()
        self._event = anyio.Event()

    def report(self) -> None:
        """Tell the caller what was seen since the last time."""
        while self.news and self.on_update is not None:
            self.on_update(self.news.popleft())


class Poller:
    """All of a session's polling."""

    def __init__(self, api: Api, policy: PollPolicy) -> None:
        self._api = api
        self._policy = policy
        # A failed poll is followed by the next one, so it is not retried besides, and it
        # does not queue for a pause to end: it is due again when that is over.
        self._once = api.with_options(evolve(api.options, retry=RetryPolicy(max_retries=0, budget=0.0)))
        self._rate = RateLimiter()
        self._watches: dict[str, _Watch] = {}
        # By the moment, and those of one moment in their order; what was scheduled anew since is passed over.
        self._due: list[tuple[float, int, _Watch]] = []
        self._order = itertools.count()
        self._ready: deque[_Watch] = deque()
        self._in_flight = 0
        self._places_taken = False
        self._driver: _Wait | None = None
        self._driver_rests_until = math.inf
        self._resting: dict[_Wait, None] = {}

    @property
    def telemetry(self) -> Telemetry:
        """What the session tells of itself."""
        return self._api.telemetry

    @property
    def watched(self) -> int:
        """How many operations are waited for."""
        return len(self._watches)

    @property
    def timers(self) -> int:
        """How many polls and deadlines are yet to come."""
        waits = [wait for watch in self._watches.values() for wait in watch.waits]
        return len(self._watches) + sum(wait.deadline < math.inf for wait in waits)

    async def poll(self, location: str) -> OperationStatus:
        """Ask once, with the session's retries, following the server when it moves the status elsewhere."""
        return await _look(self._api, location)

    async def wait(self, location: str, *, deadline: float, on_update: OnUpdate) -> OperationStatus:
        """Poll until the operation is over or the deadline (monotonic seconds) has passed.

        ``on_update`` is called with each poll's status, in the task that waits.

        Raises:
            DeadlineError: The operation is not over at the deadline.
            MLOpsError: The server refuses to say.
        """
        self._api.lifetime.check()
        wait = self._enter(location, deadline, on_update)
        watch = wait.watch
        try:
            with anyio.move_on_after(deadline - time.monotonic()):
                while not watch.over:
                    await (self._take_turn(wait) if watch.turn is wait else self._rest(wait))
                    wait.report()
            wait.report()
            if watch.failure is not None:
                raise copy(watch.failure)
            if watch.outcome is None:
                raise DeadlineError
            return watch.outcome
        finally:
            self._leave(wait)

    def _enter(self, location: str, deadline: float, on_update: OnUpdate) -> _Wait:
        watch = self._watches.setdefault(location, _Watch(location))
        wait = _Wait(watch, deadline, on_update)
        watch.waits[wait] = None
        now = time.monotonic()
        first_look = now + self._policy.delays(0.0, 0, watch.asked, remaining=deadline - now)
        # Whoever joins a long wait gets an early look of their own.
        if first_look < watch.due:
            self._schedule(watch, first_look)
        return wait

    def _leave(self, wait: _Wait) -> None:
        watch = wait.watch
        del watch.waits[wait]
        if watch.turn is wait:
            self._end_turn(watch, next_in=0.0)
        if not watch.waits:
            self._forget(watch)
        if self._driver is wait:
            self._pass_on()

    def _forget(self, watch: _Watch) -> None:
        watch.due = -math.inf
        if self._watches.get(watch.location) is watch:
            del self._watches[watch.location]
        if not self._watches:
            # A server may have asked to be left alone for an hour.
            self._due.clear()

    def _schedule(self, watch: _Watch, when: float) -> None:
        watch.due = when
        heapq.heappush(self._due, (when, next(self._order), watch))
        if when < self._driver_rests_until:
            self._wake_driver()

    async def _rest(self, wait: _Wait) -> None:
        """Rest until woken; the one who drives also for the next thing to do."""
        if self._driver is None:
            self._driver = wait
        seconds = self._drive() if self._driver is wait else math.inf
        self._resting[wait] = None
        try:
            await wait.rest(seconds)
        finally:
            del self._resting[wait]

    def _drive(self) -> float:
        """Do what is due; return the seconds until there is more to do."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            when, _, watch = heapq.heappop(self._due)
            if watch.due == when:
                watch.due = -math.inf
                self._ready.append(watch)
        next_due = self._due[0][0] if self._due else math.inf
        self._driver_rests_until = min(now + self._hand_out_turns(now), next_due)
        return self._driver_rests_until - now

    def _hand_out_turns(self, now: float) -> float:
        """Give turns to those who are ready; return the seconds until more can be given."""
        # The rest of the places stays free for calls that nobody wants to wait for polls.
        places = self._api.limiter.bound
        most = max(1, int(places * _SHARE))
        self._rate.per_second = min(self._policy.per_second, self._policy.per_place * places)
        while self._ready:
            self._places_taken = self._in_flight >= most
            if self._places_taken:
                break
            if pause := self._rate.pause(now):
                return pause
            watch = self._ready.popleft()
            if not watch.waits:
                continue
            self._rate.spend(now)
            self._in_flight += 1
            # The driver polls only for itself: its own turn means passing the role on.
            watch.turn = next((wait for wait in watch.waits if wait is not self._driver), self._driver)
            assert watch.turn is not None  # it has waits
            watch.turn.wake()
        return math.inf

    def _wake_driver(self) -> None:
        if self._driver is not None:
            self._driver.wake()

    def _pass_on(self) -> None:
        # The one who began to rest last has the longest time until its own turn.
        self._driver = next(reversed(self._resting), None)
        self._driver_rests_until = -math.inf
        self._wake_driver()

    async def _take_turn(self, wait: _Wait) -> None:
        watch = wait.watch
        if self._driver is wait:
            self._pass_on()
        next_in = 0.0
        try:
            await self._ask(watch)
            now = time.monotonic()
            next_in = self._policy.delays(
                now - watch.started, watch.polls, watch.asked, remaining=watch.remaining(now)
            )
        finally:
            # Cut short, it is at once the turn of the next who waits for this location.
            self._end_turn(watch, next_in=next_in)

    async def _ask(self, watch: _Watch) -> None:
        try:
            watch.saw(await _look(self._once, watch.location))
        except MLOpsError as error:
            watch.failed(error)
            if watch.failure is not None:
                raise

    def _end_turn(self, watch: _Watch, *, next_in: float) -> None:
        watch.turn = None
        self._in_flight -= 1
        if watch.over:
            self._forget(watch)
            for wait in watch.waits:
                wait.wake()
        else:
            self._schedule(watch, time.monotonic() + next_in)
        if self._places_taken:
            self._wake_driver()


async def _look(api: Api, location: str) -> OperationStatus:
    for move in itertools.count(1):
        response = await api.follow(location)
        status = read_status(
            response, api.decoder, retry_after=retry_after(response.headers), redactor=api.redactor
        )
        if status.moved_to is None or move == _MOST_MOVES:
            return status
        location = status.moved_to
    raise AssertionError("unreachable: the count has no end")  # pragma: no cover - see the line
