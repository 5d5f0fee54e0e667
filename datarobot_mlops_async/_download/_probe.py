"""The first answer, which says what the object is: its size, its validators, whether ranges work.

The first ranged GET is the probe; a HEAD would be refused by addresses that are signed for GET. A 206 starts the
other connections; a 200 is read on as the one stream it is, and nothing of either is wasted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from datarobot_mlops_async._download._digests import offered_digests
from datarobot_mlops_async._download._ranges import (
    Validators,
    is_encoded,
    parse_content_range,
    range_header,
    unsatisfied_total,
)
from datarobot_mlops_async.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datarobot_mlops_async._download._mirrors import MirroredObject
    from datarobot_mlops_async._download._remote import RemoteObject
    from datarobot_mlops_async._streaming import StreamingResponse


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
        headers: The answer's header fields.
        latency: Seconds until it began, connecting and redirects included.
    """

    response: StreamingResponse
    start: int
    end: int | None
    total: int | None
    ranged: bool
    resumable: bool
    validators: Validators
    headers: Mapping[str, str]
    latency: float = 0.0

    @property
    def is_encoded(self) -> bool:
        """Whether the server encoded the body though it was asked not to."""
        return is_encoded(self.headers)


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
        return _empty(response) if start == 0 and unsatisfied_total(content_range) == 0 else None
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
        headers=response.headers,
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
    return Probe(
        response=response,
        start=0,
        end=total,
        total=total,
        ranged=False,
        resumable=resumable,
        validators=validators,
        headers=response.headers,
    )


def _empty(response: StreamingResponse) -> Probe:
    return Probe(
        response=response,
        start=0,
        end=0,
        total=0,
        ranged=False,
        resumable=False,
        validators=Validators(size=0),
        headers=response.headers,
    )


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
