"""What lies in the object storage, and what a store answers to `Range`, `If-Range` and `If-Match`."""

from __future__ import annotations

import re
from email.utils import format_datetime
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from ._http import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ._content import Content
    from ._http import Request

_SINGLE_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)


@frozen(kw_only=True)
class StoredObject:
    """One version of one object: its bytes and the headers that identify them.

    Attributes:
        has_etag: Whether the store tells a validator.
        direct: Whether the API serves it itself, with no redirect.
        location: Makes another address of the signed one that the API redirects to.
        extra_headers: More headers of every answer.
    """

    content: Content
    filename: str
    content_type: str
    modified: datetime
    has_etag: bool = True
    direct: bool = False
    location: Callable[[str], str] | None = None
    extra_headers: Mapping[str, str] = field(factory=dict)

    @property
    def etag(self) -> str:
        """The strong validator, quotes included."""
        return f'"{self.content.etag}"'

    @property
    def last_modified(self) -> str:
        """The time of the last change as an HTTP date."""
        return format_datetime(self.modified.replace(microsecond=0), usegmt=True)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every answer with bytes of the object."""
        return {
            "content-type": self.content_type,
            "content-disposition": f'attachment; filename="{self.filename}"',
            "accept-ranges": "bytes",
            **({"etag": self.etag} if self.has_etag else {}),
            "last-modified": self.last_modified,
            **self.extra_headers,
        }


def answer_range(stored: StoredObject, request: Request) -> Answer:
    """Decide between 200, 206, 412 and 416 (RFC 9110, sections 13 and 14); the last two have no body."""
    fault, size = request.fault, stored.content.size
    whole = Answer(headers=stored.headers, content=stored.content, stop=size)
    if_match = request.headers.get("if-match", "*").strip()
    if if_match != "*" and stored.etag not in [tag.strip() for tag in if_match.split(",")]:
        return Answer(status=412)
    validators = (None, stored.headers.get("etag"), stored.headers["last-modified"])
    holds = request.headers.get("if-range") in validators
    if not holds or (fault is not None and (fault.ignore_range or fault.gzip)):
        return whole
    matched = _SINGLE_RANGE.fullmatch(request.headers.get("range", "").strip())
    span = None if matched is None else _span(*matched.groups(), size=size)
    if span is None:
        return whole  # several ranges or another unit: a server may ignore the header, and S3 does
    start, stop = span
    if not start < stop:
        return Answer(status=416, headers={"content-range": f"bytes */{size}"})
    if fault is not None and fault.shift is not None:
        start = min(start + fault.shift, stop - 1)
    headers = {**stored.headers, "content-range": f"bytes {start}-{stop - 1}/{size}"}
    return evolve(whole, status=206, headers=headers, start=start, stop=stop)


def _span(first: str, last: str, *, size: int) -> tuple[int, int] | None:
    """Return start and stop, exclusive, an empty span where nothing is there; `None`: no valid range."""
    if first == "":
        return None if last == "" else (max(0, size - int(last)), size)
    if last != "" and int(last) < int(first):
        return None
    return int(first), size if last == "" else min(size, int(last) + 1)
