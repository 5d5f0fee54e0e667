"""What an object store answers to `Range`, `If-Range` and `If-Match` (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

_SINGLE_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)


@frozen(kw_only=True)
class RangeAnswer:
    """The status, the bytes to send (`start` to `stop`, exclusive) and the headers that go with them."""

    status: int
    start: int
    stop: int
    headers: dict[str, str] = field(factory=dict)


def answer_range(
    headers: Mapping[str, str], *, size: int, etag: str, last_modified: str, ignore: bool = False
) -> RangeAnswer:
    """Decide between 200, 206, 412 and 416.

    Args:
        headers: The request's headers, names in lower case.
        size: Length of the whole object in bytes.
        etag: Its strong validator, quotes included.
        last_modified: Its HTTP date.
        ignore: Answer as a server that knows nothing of ranges.
    """
    whole = RangeAnswer(status=200, start=0, stop=size)
    if_match = headers.get("if-match")
    if if_match is not None and if_match.strip() != "*" and etag not in _entity_tags(if_match):
        return RangeAnswer(status=412, start=0, stop=0)
    requested = headers.get("range")
    if ignore or requested is None or headers.get("if-range", etag).strip() not in (etag, last_modified):
        return whole
    matched = _SINGLE_RANGE.fullmatch(requested.strip())
    if matched is None or matched.groups() == ("", ""):
        return whole  # several ranges or another unit: a server may ignore the header, and S3 does
    return _single_range(*matched.groups(), size=size) or whole


def _entity_tags(text: str) -> list[str]:
    return [tag.strip() for tag in text.split(",")]


def _single_range(first: str, last: str, *, size: int) -> RangeAnswer | None:
    if first == "":
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), size if last == "" else min(size, int(last) + 1)
        if last != "" and int(last) < start:
            return None
    if start >= size or start >= stop:
        return RangeAnswer(status=416, start=0, stop=0, headers={"content-range": f"bytes */{size}"})
    content_range = {"content-range": f"bytes {start}-{stop - 1}/{size}"}
    return RangeAnswer(status=206, start=start, stop=stop, headers=content_range)
