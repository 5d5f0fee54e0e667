"""What answers say of an object: byte ranges and validators (RFC 9110, sections 8.8 and 14), and the first answer.

The first ranged GET is the probe; a HEAD would be refused by addresses that are signed for GET. A 206 starts the
other connections; a 200 is read on as the one stream it is, and nothing of either is wasted.
"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from datarobot_mlops_async._download._expectation import offered_digests
from datarobot_mlops_async.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datarobot_mlops_async._download._remote import MirroredObject, RemoteObject
    from datarobot_mlops_async._streaming import StreamingResponse

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


class ChangedError(Exception):
    """The object is not the one that was begun."""


@frozen(kw_only=True)
class Probe:
    """The first answer and what it says.

    Attributes:
        response: The answer, its body unread.
        start: Offset of the body's first byte.
        end: Offset behind its last byte; ``None`` if only the end of the body tells.
        total: Size of the object; ``None`` if unknown.
        ranged: Whether the rest can be fetched in ranges.
        resumable: Whether a range may be asked for when this one breaks.
        validators: What tells this object from another.
        latency: Seconds until it began, connecting and redirects included.
    """

    response: StreamingResponse
    start: int = 0
    end: int | None
    total: int | None
    ranged: bool = False
    resumable: bool = False
    validators: Validators
    latency: float = 0.0


async def open_object(
    remote: RemoteObject | MirroredObject,
    *,
    start: int,
    length: int,
    validators: Validators,
    digest_known: bool,
) -> Probe:
    """Ask for a first range and learn about the object from the answer.

    An object that neither a digest nor validators identify comes in one stream: its pieces might be of two.

    Args:
        remote: Where the object is.
        start: Bytes that are here already, from an earlier download.
        length: How many bytes to ask for.
        validators: Of the object those bytes belong to.
        digest_known: Whether metadata or caller name a digest.
    """
    headers = {"Range": range_header(start, start + length)}
    condition = validators.if_range()
    if start and condition:
        headers["If-Range"] = condition
    asked = time.monotonic()
    response = await remote.get(headers)
    probe = _read(response, start, start + length, validators, digest_known=digest_known)
    if probe is not None:
        return evolve(probe, latency=time.monotonic() - asked)
    await response.aclose()
    if start:
        return await open_object(
            remote, start=0, length=length, validators=Validators(), digest_known=digest_known
        )
    return await _open_whole(remote, digest_known=digest_known)


async def _open_whole(remote: RemoteObject | MirroredObject, *, digest_known: bool) -> Probe:
    """Open an object whose ranges cannot be used."""
    response = await remote.get({})
    if response.status != 200:
        await response.aclose()
        raise ProtocolError(f"GET {remote.url}: answered {response.status} to a request without a range")
    return _whole(response, digest_known=digest_known)


def _read(
    response: StreamingResponse, start: int, end: int, validators: Validators, *, digest_known: bool
) -> Probe | None:
    """Read an answer to a ranged request; ``None`` when it is of no use."""
    if response.status == 200:
        return _whole(response, digest_known=digest_known)
    content_range = response.headers.get("content-range", "")
    if response.status == 416:
        is_empty = start == 0 and unsatisfied_total(content_range) == 0
        return Probe(response=response, end=0, total=0, validators=Validators(size=0)) if is_empty else None
    found = parse_content_range(content_range)
    if found is None or found.total is None or is_encoded(response.headers):
        return None
    total = found.total
    fresh = Validators.of(response.headers, total)
    is_elsewhere = (found.start, found.end) != (start, min(end, total))
    is_other = start and not fresh.agree_with(validators)
    is_any = found.end < total and not _is_identified(response, fresh, digest_known=digest_known)
    if is_elsewhere or is_other or is_any:
        return None
    return Probe(
        response=response,
        start=start,
        end=found.end,
        total=total,
        ranged=True,
        resumable=True,
        validators=fresh,
    )


def _is_identified(response: StreamingResponse, validators: Validators, *, digest_known: bool) -> bool:
    offered = offered_digests(response.headers, whole=response.status == 200)
    return digest_known or validators.identify or bool(offered)


def _whole(response: StreamingResponse, *, digest_known: bool) -> Probe:
    length = response.headers.get("content-length")
    framed = "transfer-encoding" in response.headers
    total = int(length) if length is not None and length.isdecimal() and not framed else None
    validators = Validators.of(response.headers, total)
    resumable = (
        total is not None
        and not is_encoded(response.headers)
        and response.headers.get("accept-ranges", "").strip().lower() == "bytes"
        and _is_identified(response, validators, digest_known=digest_known)
    )
    return Probe(response=response, end=total, total=total, resumable=resumable, validators=validators)


def read_piece(response: StreamingResponse, start: int, end: int, validators: Validators) -> bool:
    """Check an answer to a request for a further piece.

    Returns:
        Whether it holds just that range; ``False`` for the whole object.

    Raises:
        ChangedError: It is of another object, or of none.
    """
    if response.status == 200:
        total = Validators.of(response.headers, None)
        if not total.agree_with(validators):
            raise ChangedError
        return False
    found = parse_content_range(response.headers.get("content-range", ""))
    if response.status != 206 or found is None or is_encoded(response.headers):
        raise ChangedError
    fresh = Validators.of(response.headers, found.total)
    same = fresh.size == validators.size and fresh.agree_with(validators)
    if (found.start, found.end) != (start, end) or not same:
        raise ChangedError
    return True
