"""The object storage: bytes drawn from a seed, any offset at once, or somebody's own, behind signed URLs.

It is a second origin, and as strict as S3.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import random
import re
import secrets
import threading
import time
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from attrs import evolve, field, frozen

from ._http import Answer, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from ._http import Buffer, Request
    from ._state import State

_SLICE = 1 << 20
# A prime, so that no two pieces of a download that start at multiples of one piece size are alike:
# a client that swaps two of them gets another digest, as it would with a real image.
_PERIOD = 4_194_301
_SINGLE_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_SIGNATURE = "&X-Amz-Signature="
_WEEK = 604_800  # S3 signs for no longer

# A length, and the block that fills it by beginning again after a period.
Part = tuple[int, memoryview, int]


class Content:
    """An immutable run of bytes with a strong validator and a digest, made of parts that need not be in memory."""

    def __init__(self, size: int, etag: str, parts: Callable[[], Iterable[Part]], image_id: str = "") -> None:
        self.size = size
        self.etag = etag
        self._parts = parts
        self._image_id = image_id
        self._digest = ""
        self._lock = threading.Lock()

    def slices(self, start: int, stop: int) -> Iterator[Buffer]:
        """Yield the bytes from `start` to `stop` (exclusive) in views of at most 1 MiB, copying nothing."""
        before = 0
        for length, block, period in self._parts():
            at, end = max(start - before, 0), min(stop - before, length)
            while at < end:
                view = block[at % period :][: min(_SLICE, end - at)]
                yield view
                at += len(view)
            before += length

    def sha256(self, stopping: threading.Event | None = None) -> str:
        """Compute the hexadecimal SHA-256 once and keep it. It takes seconds a GiB: call it in a thread.

        Raises:
            InterruptedError: The emulator is stopping.
        """
        with self._lock:
            if not self._digest:
                digest = hashlib.sha256()
                for view in self.slices(0, self.size):
                    if stopping is not None and stopping.is_set():
                        raise InterruptedError
                    digest.update(view)
                self._digest = digest.hexdigest()
            return self._digest

    def image_id(self) -> str:
        """Return the Docker image id, in hexadecimal. Call it in a thread, after `sha256`."""
        return self._image_id or hashlib.sha256(self.etag.encode()).hexdigest()


def etag_of(*identity: object) -> str:
    """Return the strong validator of what these values tell, quotes included."""
    return f'"{hashlib.md5(repr(identity).encode(), usedforsecurity=False).hexdigest()}"'


@lru_cache(maxsize=4)
def _block(seed: int, length: int) -> memoryview:
    return memoryview(random.Random(seed).randbytes(length))  # noqa: S311 - test data, not a secret


def drawn_content(size: int, seed: int) -> Content:
    length = min(size, _PERIOD)
    return Content(size, etag_of(seed, size), lambda: [(size, _block(seed, length), _PERIOD)])


def whole(data: bytes) -> Part:
    """Return the part that is these bytes."""
    return len(data), memoryview(data), len(data)


def given_content(given: bytes) -> Content:
    return Content(len(given), etag_of(hashlib.sha256(given).digest()), lambda: [whole(given)])


class FileContent(Content):
    """Somebody's file, read when it is asked for."""

    def __init__(self, path: Path) -> None:
        stat = path.stat()
        super().__init__(stat.st_size, etag_of(stat.st_mtime_ns, stat.st_size), lambda: ())
        self.path = path

    def slices(self, start: int, stop: int) -> Iterator[Buffer]:
        with self.path.open("rb") as file:
            file.seek(start)
            for at in range(start, stop, _SLICE):
                yield file.read(min(_SLICE, stop - at))


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
    modified: datetime
    content_type: str = "application/octet-stream"
    has_etag: bool = True
    direct: bool = False
    location: Callable[[str], str] | None = None
    extra_headers: Mapping[str, str] = field(factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        etag = {"etag": self.content.etag} if self.has_etag else {}
        return {
            "content-type": self.content_type,
            "content-disposition": f'attachment; filename="{self.filename}"',
            "accept-ranges": "bytes",
            "last-modified": format_datetime(self.modified.replace(microsecond=0), usegmt=True),
            **etag,
            **self.extra_headers,
        }


def answer_range(stored: StoredObject, request: Request) -> Answer:
    """Decide between 200, 206, 412 and 416 (RFC 9110, sections 13 and 14)."""
    fault, size, own = request.fault, stored.content.size, stored.headers
    everything = Answer(headers=own, content=stored.content, stop=size)
    if_match = request.headers.get("if-match", "*").strip()
    if if_match != "*" and stored.content.etag not in [tag.strip() for tag in if_match.split(",")]:
        raise Problem(412, "At least one of the pre-conditions did not hold.", code="PreconditionFailed")
    span = _span(request.headers.get("range", "").strip(), size)
    if request.headers.get("if-range") not in (None, own.get("etag"), own["last-modified"]):
        span = None
    if span is None or fault.ignore_range or fault.gzip:
        return everything
    start, stop = span
    if not start < stop:
        headers = {"content-range": f"bytes */{size}"}
        raise Problem(416, "The requested range is not satisfiable", code="InvalidRange", headers=headers)
    start = min(start + (fault.shift or 0), stop - 1)
    headers = {**own, "content-range": f"bytes {start}-{stop - 1}/{size}"}
    return evolve(everything, status=206, headers=headers, start=start, stop=stop)


def _span(header: str, size: int) -> tuple[int, int] | None:
    """Return start and stop, exclusive, an empty span where nothing is there.

    `None`: no valid range, several ranges or another unit. A server may ignore such a header, and S3 does.
    """
    matched = _SINGLE_RANGE.fullmatch(header)
    if matched is None:
        return None
    first, last = (int(digits) if digits else None for digits in matched.groups())
    if first is None:
        return None if last is None else (max(0, size - last), size)
    if last is not None and last < first:
        return None
    return first, size if last is None else min(size, last + 1)


class Signer:
    """Issues queries and checks them byte for byte: a client that re-encodes a URL gets a 403."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._revoked_until = 0.0

    def sign(self, path: str, *, filename: str, seconds: float) -> str:
        """Return the query that opens `path` for a `GET` during `seconds`."""
        now = time.time()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        disposition = quote(f'attachment; filename="{filename}"', safe="")
        query = (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Credential=ASIAEMULATOR%2F{stamp[:8]}%2Fus-east-1%2Fs3%2Faws4_request"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={math.ceil(min(seconds, _WEEK))}"
            # The true limits, in fractions of a second. With temporary credentials it is the same at
            # S3: a URL ends with its signer's own token, which can be earlier than its stamp says.
            f"&X-Amz-Security-Token={now:.6f}%2B{now + seconds:.6f}"
            f"&X-Amz-SignedHeaders=host&response-content-disposition={disposition}"
            # Escapes that a client must not touch: the signature covers them.
            "&x-id=a%2Fb%7E+c~%c3%a9&empty="
        )
        return query + _SIGNATURE + self._signature(path, query)

    def check(self, request: Request) -> None:
        """Refuse a request that its query does not allow; the signature covers the method, too."""
        if _SIGNATURE not in request.query:
            raise Problem(403, "Access Denied", code="AccessDenied")
        signed, _, given = request.query.partition(_SIGNATURE)
        expected = self._signature(request.path, signed, method=request.method)
        if not hmac.compare_digest(expected.encode(), given.encode()):
            reason = "The request signature we calculated does not match."
            raise Problem(403, reason, code="SignatureDoesNotMatch")
        issued, expires = signed.partition("X-Amz-Security-Token=")[2].partition("&")[0].split("%2B")
        is_over = time.time() >= float(expires) or float(issued) < self._revoked_until
        if is_over or request.fault.expired:
            raise Problem(403, "Request has expired", code="AccessDenied")

    def revoke(self) -> None:
        self._revoked_until = time.time()

    def _signature(self, path: str, query: str, *, method: str = "GET") -> str:
        message = f"{method}\n{path}\n{query}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def answer_from_storage(state: State, request: Request) -> Answer:
    fault, key = request.fault, unquote(request.path)
    if fault.changed is not None:
        state.apply_change(key, fault.changed)
    if "authorization" in request.headers:
        raise Problem(400, "Only one auth mechanism allowed", code="InvalidArgument")
    state.signer.check(request)
    stored = state.objects.get(key)
    if stored is None:
        raise Problem(404, "The specified key does not exist.", code="NoSuchKey")
    return answer_range(stored, request)
