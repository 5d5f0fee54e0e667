"""How long to go on trying for one piece. A pure decision over `_retry`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from datarobot_mlops_async._retry import retry_delay
from datarobot_mlops_async.errors import (
    APIStatusError,
    StalledError,
    TimeoutError,  # noqa: A004 - ours
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async._retry import RetryPolicy


class RetryState:
    """The retry budget of one piece; every bit of progress renews it.

    Args:
        policy: The caller's patience with one request.
        clock: Seconds, monotonic.
    """

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._attempts = 0
        self._since = clock()

    def delay_after(self, error: TransportError | APIStatusError, *, progressed: bool) -> float:
        """Return the seconds to wait before the next attempt.

        Raises:
            StalledError: The budget is used up, and silence or a trickle did it.
            TransportError: The budget is used up, or trying again cannot help.
            APIStatusError: The same.
        """
        if progressed:
            self._attempts = 0
        if not self._attempts:
            self._since = self._clock()
        self._attempts += 1
        elapsed = self._clock() - self._since
        delay = retry_delay(error, self._policy, attempt=self._attempts, elapsed=elapsed)
        if delay is not None:
            return delay
        if isinstance(error, TimeoutError):
            raise StalledError(f"{error.message} (on each of {self._attempts} connections)") from error
        error.attempts = self._attempts
        raise error
