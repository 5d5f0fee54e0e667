"""Long-running operations: their lives are computed from the clock, so ten thousand cost no timer."""

from __future__ import annotations

import heapq
import itertools
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from attrs import define

from ._http import Answer, encode, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ._http import Request
    from ._samples import Json
    from ._state import State


OUTCOMES = ("COMPLETED", "ERROR", "ABORTED", "EXPIRED")
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
        failed = status in OUTCOMES[1:]
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
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._counter = itertools.count()

    def begin(
        self,
        kind: str,
        *,
        seconds: float,
        resource: str | None = None,
        outcome: str = "COMPLETED",
        effect: Callable[[], object] | None = None,
    ) -> Operation:
        """Start an operation that ends after `seconds`, with an effect."""
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
        if effect is not None:
            self.at(operation.ends, effect)
        return operation

    def at(self, moment: float, effect: Callable[[], object]) -> None:
        """Let something happen at a time of `time.monotonic()`, in its order among the ends of operations."""
        heapq.heappush(self._due, (moment, next(self._counter), effect))

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


def link(state: State, request: Request, path: str) -> str | None:
    """Return the URL of a path below the endpoint as this answer words it; `None`: it leaves it out."""
    match request.fault.links:
        case None:
            return f"{state.api_origin}{state.api_root}/{path}"
        case "none":
            return None
        case "relative":
            return path
        case "path":
            return f"{state.api_root}/{path}"
        case origin:
            return f"{origin}{state.api_root}/{path}"


def location(state: State, request: Request, path: str) -> dict[str, str]:
    """Return the `Location` header for a path, or nothing."""
    url = link(state, request, path)
    return {} if url is None else {"location": url}


def answer_list(
    state: State,
    request: Request,
    found: Sequence[Any],
    page: tuple[int, int],
    *,
    encoded: Callable[[Any], bytes] = encode,
    last: str | None = None,
    show_total: bool = True,
) -> Answer:
    """Answer the page of a list that begins at an offset and has a limit; `last` is what a link to nowhere says."""
    offset, limit = page
    ahead, total, fault = offset + limit, len(found), request.fault
    rows = [encoded(each) for each in found[offset:ahead]]
    if fault.page is not None:
        ahead, total = offset, max(total, offset + 1)
        rows = [] if fault.page == "empty" else rows

    def page_link(offset: int) -> str | None:
        query = parse_qsl(request.query, keep_blank_values=True)
        kept = [pair for pair in query if pair[0] not in ("offset", "limit")]
        path = request.path.removeprefix(f"{state.api_root}/")
        return link(state, request, f"{path}?{urlencode([('offset', offset), ('limit', limit), *kept])}")

    tail: dict[str, object] = {
        "next": last if ahead >= total else page_link(ahead),
        "previous": last if offset == 0 else page_link(max(0, offset - limit)),
    }
    if show_total:
        tail["totalCount"] = total
    head = b'{"count":%d,"data":[' % len(rows)
    return json_answer(b"".join((head, b",".join(rows), b"],", encode(tail)[1:])))


def answer_operation(
    state: State,
    request: Request,
    kind: str,
    *,
    resource: str | None = None,
    done: Callable[[], object] | None = None,
    failed: Callable[[], object] | None = None,
    status: int = 202,
    body: Callable[[Operation], Json] | None = None,
) -> Answer:
    """Start an operation and answer with its place in `Location`.

    It lives as the settings, and a fault of this request, say. At its end `done` is called when it
    succeeds, `failed` otherwise.
    """
    outcome = request.fault.outcome
    is_synchronous = request.fault.links == "none"
    operation = state.operations.begin(
        kind,
        seconds=0.0 if is_synchronous else state.settings.operation_seconds,
        resource=None if outcome is not None else resource,
        outcome=outcome or "COMPLETED",
        effect=done if outcome in (None, "COMPLETED") else failed,
    )
    headers = location(state, request, f"status/{operation.status_id}/")
    if body is None:
        return Answer(status=status, headers=headers)
    return json_answer(body(operation), status, headers)
