"""The request log: what arrived, as it arrived, for tests to assert on."""

from __future__ import annotations

import threading
from collections import deque
from json import loads
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen(kw_only=True)
class RequestRecord:
    """One request as the emulator received it.

    Attributes:
        method: Upper case.
        path: Undecoded, with the `/api/v2` part.
        query: Undecoded, without the question mark.
        raw_headers: Every header line in its order, names in lower case.
        body: The request's body.
        status: The answer's status; `None` when the connection was cut before one was sent.
        started_at: When the request had arrived, on the clock of `time.monotonic()`, in seconds.
        answered_at: When the answer's first byte was about to be sent, on the same clock.
        request_id: The answer's `x-request-id`.
        origin: Which of the two servers it reached.
    """

    method: str
    path: str
    query: str
    raw_headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    body: bytes = field(repr=False)
    status: int | None
    started_at: float
    answered_at: float
    request_id: str
    origin: Literal["api", "storage"]

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by lower-case name; lines of the same name joined by a comma."""
        joined: dict[str, str] = {}
        for raw_name, raw_value in self.raw_headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return joined

    @property
    def authorization(self) -> str | None:
        """The `Authorization` header, `None` where there was none."""
        return self.headers.get("authorization")

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The query, decoded: every value of every name, blank ones included."""
        return parse_qs(self.query, keep_blank_values=True)

    @property
    def json(self) -> Any:
        """The body, decoded.

        Raises:
            ValueError: It is not JSON.
        """
        return loads(self.body)


class RequestLog:
    """A thread-safe list of records, oldest first, bounded by their number and by their bytes."""

    def __init__(self, limit: int, byte_limit: int) -> None:
        self._limit = limit
        self._byte_limit = byte_limit
        self._bytes = 0
        self._records: deque[RequestRecord] = deque()
        self._lock = threading.Lock()

    def append(self, record: RequestRecord) -> None:
        """Add a record; the oldest ones leave when the log is full. The newest one always stays."""
        with self._lock:
            self._records.append(record)
            self._bytes += _size(record)
            while len(self._records) > 1 and (
                len(self._records) > self._limit or self._bytes > self._byte_limit
            ):
                self._bytes -= _size(self._records.popleft())

    def snapshot(self) -> tuple[RequestRecord, ...]:
        """Return what is in the log now."""
        with self._lock:
            return tuple(self._records)

    def clear(self) -> None:
        """Forget every record."""
        with self._lock:
            self._records.clear()
            self._bytes = 0


def _size(record: RequestRecord) -> int:
    headers = sum(len(name) + len(value) for name, value in record.raw_headers)
    return len(record.body) + len(record.path) + len(record.query) + headers
