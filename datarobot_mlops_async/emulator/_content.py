"""Bytes that are served: drawn from a seed, never on a disk, any offset at once; or somebody's own file."""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from ._connection import Buffer

SLICE = 1 << 20
# A prime, so that no two pieces of a download that start at multiples of one piece size are alike:
# a client that swaps two of them gets another digest, as it would with a real image.
_PERIOD = 4_194_301


class ContentDiscardedError(Exception):
    """The emulator stopped while a digest was being computed."""


class Content:
    """An immutable run of bytes with a strong validator and a digest."""

    size: int
    etag: str
    # Where the bytes begin that take time to compute.
    tail: int | None = None

    def __init__(self) -> None:
        self._digest: str | None = None
        self._lock = threading.Lock()

    def slices(self, start: int, stop: int) -> Iterator[Buffer]:
        """Yield the bytes from `start` to `stop` (exclusive) in views of at most 1 MiB, copying nothing."""
        raise NotImplementedError

    def finish(self, stopping: threading.Event | None = None) -> None:
        """Compute what takes time, once: call it in a thread. Nothing does, by default."""

    async def stream(self, start: int, stop: int, stopping: threading.Event) -> AsyncIterator[Buffer]:
        """Yield as `slices` does, never blocking the event loop."""
        if self.tail is not None and stop > self.tail:
            for view in self.slices(start, self.tail):
                yield view
            await asyncio.to_thread(self.finish, stopping)
            start = max(start, self.tail)
        for view in self.slices(start, stop):
            yield view

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return the bytes from `start` to `stop` (exclusive; default: the end)."""
        return b"".join(self.slices(start, self.size if stop is None else stop))

    def sha256(self, stopping: threading.Event | None = None) -> str:
        """Compute the hexadecimal SHA-256 once and keep it. It takes seconds a GiB: call it in a thread.

        Args:
            stopping: Ends the computation early when it is set.

        Raises:
            ContentDiscardedError: `stopping` was set.
        """
        with self._lock:
            if self._digest is None:
                self._digest = self._compute_sha256(stopping)
            return self._digest

    def image_id(self) -> str:
        """Return the Docker image id, in hexadecimal. Call it in a thread, after `sha256`."""
        return hashlib.sha256(self.etag.encode()).hexdigest()

    def _compute_sha256(self, stopping: threading.Event | None) -> str:
        digest = hashlib.sha256()
        for view in self.slices(0, self.size):
            check_going_on(stopping)
            digest.update(view)
        return digest.hexdigest()


def check_going_on(stopping: threading.Event | None) -> None:
    """Raise `ContentDiscardedError` when the emulator stops."""
    if stopping is not None and stopping.is_set():
        raise ContentDiscardedError


def etag_of(seed: int, size: int) -> str:
    """Return the validator of what is drawn."""
    return hashlib.md5(f"{seed}:{size}".encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=4)
def _block(seed: int, length: int) -> memoryview:
    """Draw one period, followed by its own beginning so that a slice never has to cross the seam."""
    drawn = random.Random(seed).randbytes(length)  # noqa: S311 - test data, not a secret
    return memoryview(drawn if length < _PERIOD else drawn + drawn[:SLICE])


class DrawnContent(Content):
    """Bytes of chance.

    Args:
        size: Length in bytes.
        seed: The same seed and size are the same bytes, in every process.
    """

    def __init__(self, size: int, seed: int) -> None:
        super().__init__()
        self.size = size
        self.etag = etag_of(seed, size)
        self._seed = seed

    def slices(self, start: int, stop: int) -> Iterator[Buffer]:
        """See `Content`."""
        yield from periodic(_block(self._seed, min(self.size, _PERIOD)), _PERIOD, start, stop)


def periodic(block: memoryview, period: int, start: int, stop: int) -> Iterator[memoryview]:
    """Yield views of a block that repeats itself without end."""
    while start < stop:
        at = start % period
        length = min(SLICE, stop - start)
        yield block[at : at + length]
        start += length


class GivenContent(Content):
    """Bytes that somebody gives."""

    def __init__(self, given: bytes) -> None:
        super().__init__()
        self._view = memoryview(given)
        self.size = len(given)
        self.etag = hashlib.md5(given, usedforsecurity=False).hexdigest()

    def slices(self, start: int, stop: int) -> Iterator[Buffer]:
        """See `Content`."""
        for at in range(start, stop, SLICE):
            yield self._view[at : min(stop, at + SLICE)]


class FileContent(Content):
    """Somebody's file, read when it is asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        stat = path.stat()
        self.path = path
        self.size = stat.st_size
        self.etag = hashlib.md5(
            f"{stat.st_mtime_ns}:{stat.st_size}".encode(), usedforsecurity=False
        ).hexdigest()

    def slices(self, start: int, stop: int) -> Iterator[Buffer]:
        """See `Content`."""
        with self.path.open("rb") as file:
            file.seek(start)
            for at in range(start, stop, SLICE):
                yield file.read(min(SLICE, stop - at))
