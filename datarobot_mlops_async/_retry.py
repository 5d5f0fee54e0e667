"""Whether a failed request is tried again, and after how long: one decision for the whole library."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

import anyio
from attrs import define, field, frozen, validators

from datarobot_mlops_async._telemetry import log_delay
from datarobot_mlops_async.errors import (
    APIStatusError,
    CertificateError,
    ConnectError,
    Hint,
    MLOpsError,
    ReadError,
    TimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
_TRANSIENT_STATUSES = frozenset({429, 502, 503, 504})
_REFUSED_STATUSES = frozenset({429, 503})
LONGEST_PAUSE = 300.0
"""Seconds that one ``Retry-After`` can cost at most, whatever it says; then the server is asked again."""
_SCHEME_HINTS = frozenset({Hint.USE_HTTP, Hint.USE_HTTPS})
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


@frozen(kw_only=True)
class RetryPolicy:
    """How often, and for how long, one request is tried again.

    Idempotent requests (GET, DELETE) are tried again after connection errors, broken answers, request
    timeouts and 429, 502, 503, 504. POST and PATCH only when the server provably did not act: it was never
    reached, or refused with 429 or 503 and said in ``Retry-After`` when to come back. Between attempts
    passes what ``Retry-After`` asks for (at most 300 s), else a random share of an exponentially growing wait
    (full jitter).

    The budget is a clock of its own: request timeouts bound one attempt, an operation's ``timeout``
    bounds its polling.

    Attributes:
        max_retries: Attempts after the first; 0 turns retries off.
        budget: Seconds from the first attempt after which no other one starts. A ``Retry-After`` beyond it
            raises at once instead of sleeping.
        initial_backoff: Seconds, the ceiling of the first wait; it doubles with each attempt.
        max_backoff: Seconds, the highest ceiling.
    """

    max_retries: int = field(default=5, validator=validators.ge(0))
    budget: float = field(default=60.0, validator=validators.ge(0))
    initial_backoff: float = field(default=0.5, validator=validators.ge(0))
    max_backoff: float = field(default=10.0, validator=validators.ge(0))


def is_transient(error: BaseException, *, idempotent: bool) -> bool:
    """Tell whether another attempt can help, and cannot do anything twice."""
    if isinstance(error, ConnectError):
        return not isinstance(error, CertificateError) and error.hint not in _SCHEME_HINTS
    if isinstance(error, APIStatusError):
        if error.status in _REFUSED_STATUSES and error.retry_after is not None:
            return True
        return idempotent and error.status in _TRANSIENT_STATUSES
    return idempotent and isinstance(error, (ReadError, TimeoutError))


def retry_delay(
    error: BaseException,
    policy: RetryPolicy,
    *,
    attempt: int,
    elapsed: float = 0.0,
    idempotent: bool = True,
    draw: Callable[[], float] = random.random,
) -> float | None:
    """Decide on another attempt.

    Args:
        attempt: Number of the failed attempt, from 1.
        elapsed: Seconds since the first attempt began.
        idempotent: Whether the request may reach the server twice.
        draw: Source of jitter, uniform over 0 to 1.

    Returns:
        Seconds to wait before the next attempt; ``None`` to give up now.
    """
    if attempt > policy.max_retries or not is_transient(error, idempotent=idempotent):
        return None
    asked: float | None = getattr(error, "retry_after", None)
    # min() before the power: 2 ** 2000 does not fit a float.
    ceiling = min(policy.max_backoff, policy.initial_backoff * 2 ** min(attempt - 1, 60))
    delay = draw() * ceiling if asked is None else asked
    return min(delay, LONGEST_PAUSE) if elapsed + delay <= policy.budget else None


@define(eq=False)
class Retries:
    """The retries of one request, or of one piece of a download: how many there were, and since when."""

    _what: str
    _policy: RetryPolicy
    idempotent: bool = True
    _delay: float = field(default=0.0, init=False)
    _reason: str | None = field(default=None, init=False)
    failures: int = field(default=0, init=False)
    since: float | None = field(default=None, init=False)

    @property
    def elapsed(self) -> float:
        """Seconds since the budget's clock was started."""
        return 0.0 if self.since is None else time.monotonic() - self.since

    @property
    def budget_left(self) -> float:
        """Seconds that are left of the budget."""
        return self._policy.budget - self.elapsed

    def begin(self, since: float) -> None:
        """Start the budget's clock, unless it runs already."""
        if self.since is None:
            self.since = since

    def renew(self) -> None:
        """Give the whole budget again: there was progress."""
        self.failures, self.since = 0, None

    def delay_after(self, error: BaseException) -> float | None:
        """Count a failed attempt; return the seconds until the next one, ``None`` to give up."""
        self.begin(time.monotonic())
        self.failures += 1
        return retry_delay(
            error, self._policy, attempt=self.failures, elapsed=self.elapsed, idempotent=self.idempotent
        )

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Await ``attempt()`` until it returns or the budget is spent; then its last error raises."""
        try:
            return await attempt()
        except MLOpsError as error:
            if not self._is_worth_another(error):
                raise
        import tenacity  # costs 30 ms, and most processes repeat nothing

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(self._is_worth_another),
            wait=lambda _: self._delay,
            sleep=self._wait,
            reraise=True,
        )
        await self._wait(self._delay)
        return await retrying(attempt)

    def _is_worth_another(self, error: BaseException) -> bool:
        # Nothing but our own errors: cancellation is never retried.
        delay = self.delay_after(error) if isinstance(error, MLOpsError) else None
        if isinstance(error, MLOpsError) and delay is not None:
            # The error itself would hold its frames, and these the error.
            self._delay, self._reason = delay, _reason(error)
        return delay is not None

    async def _wait(self, seconds: float) -> None:
        log_delay(self._what, seconds, self._reason)
        await anyio.sleep(seconds)


def _reason(error: MLOpsError) -> str | None:
    """Return what went wrong in a few words; ``None`` if the server said how long to wait."""
    if getattr(error, "retry_after", None) is not None:
        return None
    return error.message.removeprefix(f"{getattr(error, 'method', '')} {getattr(error, 'url', '')}: ")
