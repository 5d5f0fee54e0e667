"""Byte ranges and validators (RFC 9110, sections 8.8 and 14). Pure functions."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

# At most 18 digits: that is an exabyte, and int() refuses thousands of digits.
_CONTENT_RANGE = re.compile(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\s*", re.IGNORECASE | re.ASCII)
_UNSATISFIED = re.compile(r"\s*bytes\s+\*/(\d{1,18})\s*", re.IGNORECASE | re.ASCII)
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')


@frozen(kw_only=True)
class ContentRange:
    """What a 206 holds.

    Attributes:
        start: First byte.
        end: The byte behind the last one.
        total: Size of the whole object in bytes; ``None`` when the server does not say.
    """

    start: int
    end: int
    total: int | None


def parse_content_range(value: str) -> ContentRange | None:
    """Return what a ``Content-Range`` says; ``None`` when it makes no sense."""
    match = _CONTENT_RANGE.fullmatch(value)
    if match is None:
        return None
    start, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    if last < start or (total is not None and last >= total):
        return None
    return ContentRange(start=start, end=last + 1, total=total)


def unsatisfied_total(value: str) -> int | None:
    """Return the object's size from the ``Content-Range`` of a 416."""
    match = _UNSATISFIED.fullmatch(value)
    return int(match[1]) if match else None


def range_header(start: int, end: int | None) -> str:
    """Return the ``Range`` for bytes from ``start`` up to, and without, ``end``."""
    return f"bytes={start}-" if end is None else f"bytes={start}-{end - 1}"


@frozen(kw_only=True)
class Validators:
    """What tells one object from another at the same address.

    Attributes:
        etag: A strong ETag; ``None`` without one. A weak one promises nothing about bytes.
        last_modified: ``Last-Modified`` as it came.
        size: Size in bytes; ``None`` if unknown.
    """

    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str], size: int | None) -> Validators:
        """Read the validators of an answer."""
        etag = headers.get("etag", "").strip()
        return cls(
            etag=etag if _STRONG_ETAG.fullmatch(etag) else None,
            last_modified=headers.get("last-modified", "").strip() or None,
            size=size,
        )

    def agree_with(self, other: Validators) -> bool:
        """Tell whether nothing in two answers says that they are of different objects."""
        pairs = [(self.etag, other.etag), (self.size, other.size)]
        # Hosts that serve one object date their copies differently; where there is an ETag it decides.
        if self.etag is None or other.etag is None:
            pairs.append((self.last_modified, other.last_modified))
        if (self.etag is None) != (other.etag is None):
            return False
        return all(mine is None or theirs is None or mine == theirs for mine, theirs in pairs)

    def if_range(self) -> str | None:
        """Return the ``If-Range`` that makes a changed object come whole; ``None`` when nothing is strong."""
        if self.etag is not None:
            return self.etag
        if self.last_modified is None:
            return None
        try:
            parsedate_to_datetime(self.last_modified)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        return self.last_modified

    @property
    def identify(self) -> bool:
        """Whether they can tell a changed object from the same one."""
        return self.if_range() is not None


def is_encoded(headers: Mapping[str, str]) -> bool:
    """Tell whether the server encoded the body though it was asked not to."""
    encoding = headers.get("content-encoding", "").strip().lower()
    return encoding not in {"", "identity"}
