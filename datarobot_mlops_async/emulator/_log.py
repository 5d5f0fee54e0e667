"""The request log: what arrived, as it arrived, for tests to assert on."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._http import RequestRecord


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
