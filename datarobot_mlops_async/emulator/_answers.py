"""The answers that several routes share: one page of a list, the start of an operation; and their links."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from ._http import Answer, encode, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._http import Request
    from ._operations import Operation
    from ._state import State


def link(state: State, request: Request, path: str) -> str | None:
    """Return the URL of a path below the endpoint as this answer words it; `None`: it leaves it out."""
    match None if request.fault is None else request.fault.links:
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


def answer_page(
    state: State,
    request: Request,
    rows: Sequence[bytes],
    *,
    page: tuple[int, int],
    total: int,
    show_total: bool = True,
    last: str | None = None,
) -> Answer:
    """Answer one page of a list.

    Args:
        state: Its address stands in `next` and `previous`.
        request: Its path and filters are repeated there.
        rows: The page's rows in JSON.
        page: How many rows were skipped, and how many fit on the page.
        total: How many rows there are.
        show_total: Some lists have no `totalCount`.
        last: What `next` and `previous` hold where there is no such page; some routes say `""`.
    """
    offset, limit = page
    ahead, fault = offset + limit, request.fault
    if fault is not None and fault.page is not None:
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


def begin_operation(
    state: State,
    request: Request,
    kind: str,
    *,
    resource: str | None = None,
    then: Callable[[bool], None] | None = None,
) -> Operation:
    """Start an operation that lives as the settings, and a fault of this request, say.

    Args:
        state: Where it lives.
        request: The request that starts it.
        kind: What it is called.
        resource: Path of what it makes, below the endpoint; `None`: it ends without one.
        then: Told at the end whether it succeeded.
    """
    fault = request.fault
    outcome = None if fault is None else fault.outcome
    is_synchronous = fault is not None and fault.links == "none"
    return state.operations.begin(
        kind,
        seconds=0.0 if is_synchronous else state.settings.operation_seconds,
        resource=None if outcome is not None else resource,
        outcome=outcome or "COMPLETED",
        then=then,
    )


def answer_operation(
    state: State,
    request: Request,
    operation: Operation,
    *,
    status: int = 202,
    body: dict[str, str] | None = None,
) -> Answer:
    """Answer with the operation's place in `Location`."""
    headers = location(state, request, f"status/{operation.status_id}/")
    if body is None:
        return Answer(status=status, headers=headers)
    return json_answer(body, status, headers)
