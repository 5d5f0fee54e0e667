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
    next_offset = offset + limit if offset + limit < total else None
    previous_offset = max(0, offset - limit) if offset > 0 else None
    links = {
        "next": last if next_offset is None else _page_link(request, next_offset, limit),
        "previous": last if previous_offset is None else _page_link(request, previous_offset, limit),
    }
    if show_total:
        links["totalCount"] = total  # type: ignore[assignment] # one mapping for the whole tail of the object
    head = b'{"count":%d,"data":[' % len(rows)
    body = b"".join((head, b",".join(rows), b"],", encode(links)[1:]))
    return Response(body, media_type="application/json")


def _page_link(request: Request, offset: int, limit: int) -> str:
    kept = [
        (name, value)
        for name, value in parse_qsl(request.url.query, keep_blank_values=True)
        if name not in ("offset", "limit")
    ]
    query = urlencode([("offset", str(offset)), ("limit", str(limit)), *kept])
    return links_of(request).absolute(f"{request.scope['path']}?{query}")
