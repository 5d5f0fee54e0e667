"""Whether a failed request is tried again, and after how long: one decision for the whole library."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

import anyio
import tenacity
from attrs import field, frozen, validators

from datarobot_mlops_async._hints import Hint
from datarobot_mlops_async.errors import (
    APIStatusError,
    CertificateError,
    ConnectError,
    MLOpsError,
    ReadError,
    TimeoutError,  # noqa: A004 - ours
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
logger = logging.getLogger("datarobot_mlops_async")
_TRANSIENT_STATUSES = frozenset({429, 502, 503, 504})
_REFUSED_STATUSES = frozenset({429, 503})
LONGEST_PAUSE = 300.0
"""Seconds that one ``Retry-After`` can cost at most, whatever it says; then the server is asked again."""
_SCHEME_HINTS = frozenset({Hint.USE_HTTP, Hint.USE_HTTPS})
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


@frozen(kw_only=True)
class RetryPolicy:
    """How patient a session is with one request.

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
        error: What the attempt raised.
        policy: The caller's patience.
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


async def call_with_retries(
    call: Callable[[int, float], Awaitable[T]], policy: RetryPolicy, *, idempotent: bool
) -> T:
    """Await ``call(attempt, elapsed)`` until it returns or `retry_delay` gives up; then its last error raises."""
    started = time.monotonic()
    delay = 0.0

    def worth_another(state: tenacity.RetryCallState) -> bool:
        nonlocal delay
        error = state.outcome.exception() if state.outcome else None
        # Nothing but our own errors: cancellation is never retried.
        if not isinstance(error, MLOpsError):
            return False
        decision = retry_delay(
            error,
            policy,
            attempt=state.attempt_number,
            elapsed=time.monotonic() - started,
            idempotent=idempotent,
        )
        delay = decision or 0.0
        if decision is not None:
            _log(error, decision)
        return decision is not None

    retrying = tenacity.AsyncRetrying(
        retry=worth_another, wait=lambda _: delay, sleep=anyio.sleep, stop=tenacity.stop_never, reraise=True
    )
    async for attempt in retrying:
        with attempt:
            number = attempt.retry_state.attempt_number
            return await call(number, time.monotonic() - started)
    raise AssertionError("unreachable: tenacity re-raises the last error")  # pragma: no cover - see the line


def _log(error: MLOpsError, delay: float) -> None:
    """Log that a request waits before it is tried again, with ``delay`` and ``reason`` for whoever shows it."""
    if getattr(error, "retry_after", None) is not None:
        reason = f"the server asks to wait {delay:.0f} s"
    else:
        request = f"{getattr(error, 'method', '')} {getattr(error, 'url', '')}: "
        reason = f"retrying in {delay:.1f} s: {error.message.removeprefix(request)}"
    logger.info("%s; %s", error.summary, reason, extra={"delay": delay, "reason": reason})
