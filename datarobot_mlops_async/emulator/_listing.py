"""The envelope that every list comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from ._fleet import encode
from ._links import links_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from ._faults import Fault


def answer_page(
    request: Request,
    rows: Sequence[bytes],
    *,
    offset: int,
    limit: int,
    total: int,
    show_total: bool = True,
    last: str | None = None,
) -> Response:
    """Answer one page.

    Args:
        request: Its path and filters are repeated in `next` and `previous`.
        rows: The page's rows in JSON.
        offset: How many rows were skipped.
        limit: How many rows fit on the page.
        total: How many rows there are.
        show_total: Some lists have no `totalCount`.
        last: What `next` and `previous` hold where there is no such page; some routes say `""`.
    """
    fault: Fault | None = request.scope["emulator.fault"]
    ahead = offset + limit
    if fault is not None and fault.page is not None:
        ahead, total = offset, max(total, offset + 1)
        rows = [] if fault.page == "empty" else rows
    tail: dict[str, object] = {
        "next": last if ahead >= total else _page_link(request, ahead, limit),
        "previous": last if offset == 0 else _page_link(request, max(0, offset - limit), limit),
    }
    if show_total:
        tail["totalCount"] = total
    head = b'{"count":%d,"data":[' % len(rows)
    body = b"".join((head, b",".join(rows), b"],", encode(tail)[1:]))
    return Response(body, media_type="application/json")


def _page_link(request: Request, offset: int, limit: int) -> str | None:
    links = links_of(request)
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = [(name, value) for name, value in query if name not in ("offset", "limit")]
    path = request.scope["path"].removeprefix(f"{links.root}/")
    return links.to(f"{path}?{urlencode([('offset', offset), ('limit', limit), *kept])}")
