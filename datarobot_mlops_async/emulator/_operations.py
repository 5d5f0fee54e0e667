"""Long-running operations: their lives are computed from the clock, so ten thousand cost no timer."""

from __future__ import annotations

import heapq
import itertools
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FAILURES = ("ERROR", "ABORTED", "EXPIRED")
# The part of an operation's life in which it waits to be taken up.
_QUEUED_SHARE = 0.2


@define(kw_only=True, eq=False)
class Operation:
    """One entry of `status/`.

    Attributes:
        resource: Path of the finished resource below the endpoint; `None`: it ends without one.
        outcome: The status it will end with.
    """

    status_id: str
    kind: str
    created: datetime
    started: float
    ends: float
    resource: str | None
    outcome: str

    def status(self, now: float) -> str:
        """Return the status at `now`, a time of `time.monotonic()`."""
        if now >= self.ends:
            return self.outcome
        queued_until = self.started + (self.ends - self.started) * _QUEUED_SHARE
        return "INITIALIZED" if now < queued_until else "RUNNING"

    def describe(self, now: float) -> dict[str, object]:
        """Return the body that `status/{statusId}/` answers at `now`."""
        status = self.status(now)
        failed = status in _FAILURES
        return {
            "statusId": self.status_id,
            "status": status,
            "message": f"{self.kind} did not complete." if failed else "",
            "code": 1 if failed else 0,
            "description": self.kind,
            "statusType": self.kind.replace(" ", ""),
            "created": self.created.isoformat().replace("+00:00", "Z"),
        }


class Operations:
    """Every operation ever started, and whatever else is due at a later time."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._by_id: dict[str, Operation] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._counter = itertools.count()

    def begin(
        self,
        kind: str,
        *,
        seconds: float,
        resource: str | None = None,
        outcome: str = "COMPLETED",
        then: Callable[[bool], None] | None = None,
    ) -> Operation:
        """Start an operation that ends after `seconds`; `then` is told whether it succeeded."""
        now = time.monotonic()
        operation = Operation(
            status_id=self._new_id(),
            kind=kind,
            created=datetime.now(UTC),
            started=now,
            ends=now + seconds,
            resource=resource,
            outcome=outcome,
        )
        self._by_id[operation.status_id] = operation
        if then is not None:
            self._push(operation.ends, partial(then, outcome == "COMPLETED"))
        return operation

    def after(self, seconds: float, effect: Callable[[], None]) -> None:
        """Let something happen later, in its order among the ends of operations."""
        self._push(time.monotonic() + seconds, effect)

    def __iter__(self) -> Iterator[Operation]:
        return reversed(self._by_id.values())

    def get(self, status_id: str) -> Operation | None:
        """Return the operation, `None` where there is none of that id."""
        return self._by_id.get(status_id)

    def settle(self) -> None:
        """Apply the effects of everything that is due by now."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()

    def _push(self, when: float, effect: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._counter), effect))
