"""How fast is fast enough, and how many connections help. Pure decisions; the clock is the caller's."""

from __future__ import annotations

import threading
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

K = TypeVar("K")


@frozen(kw_only=True)
class LowSpeedLimit:
    """When a connection counts as too slow.

    Attributes:
        window: Seconds over which a connection's rate is taken.
        fraction: Share of its peers' median rate below which a connection is dropped.
        floor: Bytes a second below which a connection is dropped whatever its peers do.
        floor_window: Seconds over which the floor applies.
    """

    window: float = 5.0
    fraction: float = 0.15
    floor: float = 1024.0
    floor_window: float = 30.0


class RateLimit:
    """How many bytes a second may come, over all connections of all downloads that share it.

    Args:
        rate: Bytes a second.

    Raises:
        ValueError: It is not a positive number.
    """

    def __init__(self, rate: float) -> None:
        self._lock = threading.Lock()
        self._free_at = 0.0
        self.rate = rate

    @property
    def rate(self) -> float:
        """Bytes a second; may be changed at any time, in any thread."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if not rate > 0:
            raise ValueError(f"a rate must be more than 0 bytes a second, not {rate!r}")
        self._rate = float(rate)

    @property
    def portion(self) -> int:
        """How many bytes to read at a time, so that nobody waits for long."""
        return max(1, int(min(self._rate * _PORTION, 2**31)))

    def spend(self, count: int, now: float) -> float:
        """Account for bytes that came, and return the seconds to wait before more may come."""
        with self._lock:
            # Who slept too long may catch up, a little.
            self._free_at = max(self._free_at, now - 2 * _PORTION) + count / self._rate
            return max(0.0, self._free_at - now)


_PORTION = 0.05


class RateMeter:
    """Bytes over time for one connection."""

    def __init__(self, now: float, received: int = 0) -> None:
        self._samples: list[tuple[float, int]] = [(now, received)]

    def sample(self, now: float, received: int, keep: float) -> None:
        """Note how many bytes the connection has received in all, and forget what is older than ``keep``."""
        self._samples.append((now, received))
        while len(self._samples) > 2 and self._samples[1][0] <= now - keep:
            del self._samples[0]

    def rate(self, window: float) -> float | None:
        """Return bytes a second over the last ``window`` seconds; ``None`` before that much has passed."""
        now, received = self._samples[-1]
        for then, before in reversed(self._samples):
            if now - then >= window:
                return (received - before) / (now - then)
        return None

    def rate_so_far(self) -> float:
        """Return bytes a second over all that is kept; 0 at the start."""
        (then, before), (now, received) = self._samples[0], self._samples[-1]
        return (received - before) / (now - then) if now > then else 0.0


def too_slow(
    meters: Mapping[K, RateMeter], limit: LowSpeedLimit, reference: float | None
) -> tuple[set[K], set[K]]:
    """Judge connections by their rates.

    Args:
        meters: One for each connection that is receiving now.
        limit: The measure.
        reference: What one connection reached earlier in this download, bytes a second; it stands in for
            peers when there are none left (the last piece). ``None`` if unknown.

    Returns:
        Two sets of keys: slow against their peers (a fresh connection will likely do better), and
        below the floor (as good as stalled).
    """
    stalled = {
        key
        for key, meter in meters.items()
        if (rate := meter.rate(limit.floor_window)) is not None and rate < limit.floor
    }
    rates = {key: rate for key, meter in meters.items() if (rate := meter.rate(limit.window)) is not None}
    slow = set()
    for key, rate in rates.items():
        peers = [other for peer, other in rates.items() if peer != key]
        norm = median(peers) if len(peers) >= 2 else reference
        if norm is not None and rate < limit.fraction * norm:
            slow.add(key)
    return slow - stalled, stalled


class ConcurrencyController:
    """How many connections to use: as many as help.

    One connection to a fast server feeds the hash, and more of them only compete with it for processor
    time; object stores limit each connection, and there eight bring eight times as much. So while the hash
    waits for bytes more of them are tried, and stay only where that paid: all that are allowed at once where this
    process all but sleeps, else twice as many. What a busy process reaches before it is warm is no measure: against
    that, more of them would seem to pay.

    Args:
        most: The caller's limit.
        trial: Seconds after which a number is judged, at least.
        hold: Seconds after which a number that did not pay is tried again.
        processors: How many the machine has.
    """

    def __init__(
        self, most: int, *, now: float, trial: float = 0.1, hold: float = 5.0, processors: int = 1
    ) -> None:
        self._most = most
        self._processors = processors
        self._trial = trial
        self._hold = hold
        self._judge_at = now
        self._grow_at = now
        self._warm = False
        self._mark = (now, 0)
        self._before: tuple[int, float] | None = None
        self.workers = 1

    def decide(self, now: float, *, received: int, starved: float, busy: float, latency: float = 0.0) -> int:
        """Return how many connections should fetch from now on.

        Args:
            now: Seconds.
            received: Bytes received so far, by all of them.
            starved: Share of the last interval in which the hash waited for bytes, 0 to 1.
            busy: Processor seconds that this process spent in a second.
            latency: How long a new connection takes to bring its first bytes, seconds.
        """
        if now < self._judge_at:
            return self.workers
        then, before = self._mark
        rate = (received - before) / (now - then) if now > then else 0.0
        self._mark = (now, received)
        asleep = busy < _IDLE and rate < _FAST
        warm, self._warm = self._warm or asleep, True
        self._judge_at = now + max(self._trial, _WARM_UP * latency if warm else 0.0)
        if self._before is not None:
            self._settle(now, rate)
        worth_trying = starved > (_STARVED if busy < self._processors / 2 else 0.5)
        if warm and self.workers < self._most and now >= self._grow_at and worth_trying:
            self._before = (self.workers, rate)
            self.workers = self._most if asleep else min(self._most, self.workers * 2)
        return self.workers

    def _settle(self, now: float, rate: float) -> None:
        workers, rate_before = self._before or (1, 0.0)
        self._before = None
        if rate < _WORTHWHILE * rate_before:
            self.workers = workers
            self._grow_at = now + self._hold


# A hash that waits this share of its time could go four tenths faster: worth a trial where processors are to spare, as
# one connection under TLS keeps it busy for most of its time.
_STARVED = 0.3
# More connections that bring less than this cost more than they bring.
_WORTHWHILE = 1.2
_IDLE = 0.5
# Who receives this much a second, in bytes, and sleeps nevertheless waits for processors that others have.
_FAST = 200e6
_WARM_UP = 2


def piece_length(
    rate: float, *, latency: float, left: int, workers: int, span: int, shortest: int, longest: int
) -> int:
    """Return the length of the next piece in bytes.

    Long enough that waiting for it to begin costs little against receiving it, short enough that the hash finds it in
    memory, that all connections end together and that a broken one costs little.

    Args:
        rate: What one connection reaches, bytes a second; 0 if unknown.
        latency: How long an answer takes to begin, seconds.
        left: Bytes that no connection fetches yet.
        workers: Connections that share them.
        span: Bytes that memory holds until they are hashed.
        shortest: Lower bound, but for the last piece.
        longest: Upper bound.
    """
    in_memory = min(rate * _SECONDS, span / (workers + 1))
    length = min(int(max(rate * latency * _WORTH_A_REQUEST, in_memory)), longest, left // max(1, workers))
    length = max(length, shortest)
    # Whole multiples keep pieces aligned with blocks.
    length -= length % shortest
    return left if left < length + shortest // 2 else min(left, length)


# How much longer than its latency a piece takes, and how many seconds where memory holds that much.
_WORTH_A_REQUEST = 25
_SECONDS = 0.1
