"""What an answer of the status route means, when to ask again, and how fast polls may follow each other. No I/O."""

from __future__ import annotations

import math
import random
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import field, fields, frozen, validators

from datarobot_mlops_async._api import rebase
from datarobot_mlops_async._retry import LONGEST_PAUSE, is_transient
from datarobot_mlops_async.errors import (
    APIStatusError,
    DecodeError,
    MLOpsError,
    ProtocolError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async._api import Response
    from datarobot_mlops_async._decoding import Decoder
    from datarobot_mlops_async._redaction import Redactor

_FAILED = frozenset({"ERROR", "ABORTED", "EXPIRED"})
_EARLY = (0.25, 0.5, 0.75)
_MIN_DELAY, _MAX_DELAY = 1.0, 10.0
_GROWTH = 20.0
_MOST_ODD_ANSWERS = 3
_TICK = 0.01


class State(Enum):
    """What the client knows of an operation."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@frozen(kw_only=True)
class OperationStatus:
    """One look at a long-running operation.

    Attributes:
        state: What it means: running, succeeded or failed.
        status: The server's word, such as ``INITIALIZED`` or ``RUNNING``, in upper case; a word this
            library does not know means that the operation is still running.
        message: The server's message; ``None`` if it sent none.
        code: The server's code; ``None`` if it sent none.
        description: The server's description; ``None`` if it sent none.
        resource: Path of the finished resource, relative to the API's root; ``None`` if the server named none.
        moved_to: Where to ask from now on; ``None`` to ask at the same place.
        retry_after: Seconds that the server asks to wait before the next look; ``None`` if it does not say.
    """

    state: State
    status: str
    message: str | None = None
    code: object = None
    description: str | None = None
    # Not shown: servers redirect to signed URLs.
    resource: str | None = field(default=None, repr=False)
    moved_to: str | None = field(default=None, repr=False)
    retry_after: float | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle outlives the session: it gets what may be shown, and no address.
        shown = {each.name: getattr(self, each.name) for each in fields(OperationStatus) if each.repr}
        return partial(OperationStatus, **shown), ()


@frozen(kw_only=True, weakref_slot=False)
class _StatusDocument:
    """The body of ``GET /status/{statusId}/``; the page names the route but not its schema."""

    status: str | None = None
    message: Any = None
    code: Any = None
    description: Any = None


def read_status(
    response: Response, decoder: Decoder, *, retry_after: float | None, redactor: Redactor
) -> OperationStatus:
    """Tell what an answer of the status route means; ``redactor`` takes secrets out of what it says.

    Raises:
        DecodeError: The body is no status document.
        ProtocolError: A redirect that names nothing of this API.
    """
    location = response.headers.get("location")
    if response.status == 303:
        return OperationStatus(
            state=State.SUCCEEDED, status="COMPLETED", resource=rebase(location) if location else None
        )
    if 300 <= response.status < 400:
        if not location:
            raise ProtocolError(
                f"the status route answered {response.status} without a Location", method="GET"
            )
        return OperationStatus(
            state=State.RUNNING, status="MOVED", moved_to=rebase(location), retry_after=0.0
        )
    if not response.content.strip():
        return OperationStatus(state=State.SUCCEEDED, status="COMPLETED")
    document = decoder.decode(response.content, _StatusDocument, operation="GET /status/{status_id}/")
    word = redactor.text(document.status or "").strip().upper()
    return OperationStatus(
        state=State.FAILED if word in _FAILED else State.SUCCEEDED if word == "COMPLETED" else State.RUNNING,
        status=word,
        message=_text(document.message, redactor),
        code=redactor.data(document.code),
        description=_text(document.description, redactor),
        resource=rebase(location) if location and word == "COMPLETED" else None,
        retry_after=retry_after,
    )


def next_delay(
    elapsed: float,
    polls: int,
    retry_after: float | None,
    *,
    remaining: float = math.inf,
    draw: Callable[[], float] = random.random,
) -> float:
    """Return the seconds until the next poll.

    The first polls come early, for operations that take no time: after a quarter, one half and three quarters
    of a second. Then the wait is a twentieth of the time gone by, from 1 s to 10 s as is customary, spread by
    a tenth so that operations that were started together are not polled together. A longer
    ``Retry-After`` counts, up to 300 s. Whoever stops waiting before the next poll gets a last one, a second
    before.

    Args:
        elapsed: Seconds since the wait began.
        polls: Polls made so far.
        retry_after: What the server asked for.
        remaining: Seconds until the first of those who wait gives up.
        draw: Source of jitter, uniform over 0 to 1.
    """
    delay = _EARLY[polls] if polls < len(_EARLY) else min(_MAX_DELAY, max(_MIN_DELAY, elapsed / _GROWTH))
    delay *= 0.95 + 0.1 * draw()
    delay = max(delay, min(retry_after or 0.0, LONGEST_PAUSE))
    last_look = remaining - min(1.0, remaining / 2)
    # Without the second condition the last looks would follow each other ever faster.
    return min(delay, last_look) if polls == 0 or last_look >= _MIN_DELAY else delay


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


class RateLimiter:
    """Spreads polls evenly: so many a second (which may change), and no more than those of two ticks at once."""

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


def is_blip(error: MLOpsError, odd_answers: int = 0) -> bool:
    """Tell whether a failed poll says nothing about the operation, so that polling goes on.

    Args:
        error: What the poll raised.
        odd_answers: How many polls before it, without another one between them, were answered by something
            that is no status, such as a gateway's page. A few of them pass; after that the address is wrong.
    """
    if isinstance(error, APIStatusError):
        return error.status >= 500 or error.status == 429
    if is_odd(error):
        return odd_answers < _MOST_ODD_ANSWERS
    return isinstance(error, TransportError) and is_transient(error, idempotent=True)


def is_odd(error: MLOpsError) -> bool:
    """Tell whether an answer came that is no status at all."""
    return isinstance(error, (DecodeError, ProtocolError))


def _text(value: object, redactor: Redactor) -> str | None:
    return None if value is None or value == "" else str(redactor.data(value))
