"""Bytes of any size drawn from a seed: never on a disk, any offset at once, the same every time."""

from __future__ import annotations

import hashlib
import random
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# A prime, so that no two pieces of a download that start at multiples of one piece size are alike:
# a client that swaps two of them gets another digest, as it would with a real image.
_PERIOD = 4_194_301
_SLICE = 1 << 20


class ContentDiscardedError(Exception):
    """The emulator stopped while a digest was being computed."""


@lru_cache(maxsize=4)
def _block(seed: int, length: int) -> memoryview:
    """Draw one period, followed by its own beginning so that a slice never has to cross the seam."""
    drawn = random.Random(seed).randbytes(length)  # noqa: S311 - test data, not a secret
    if length < _PERIOD:
        return memoryview(drawn)
    return memoryview(drawn + drawn[:_SLICE])


class Content:
    """An immutable run of bytes that is computed where it is read.

    Args:
        size: Length in bytes.
        seed: The same seed and size are the same bytes, in every process.
    """

    def __init__(self, size: int, seed: int) -> None:
        if size < 0:
            raise ValueError(f"size must not be negative, got {size}")
        self.size = size
        self.seed = seed
        self.etag = hashlib.md5(f"{seed}:{size}".encode(), usedforsecurity=False).hexdigest()
        self._digest: str | None = None
        self._digest_lock = threading.Lock()

    def slices(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield the bytes from `start` to `stop` (exclusive) in views of at most 1 MiB, copying nothing."""
        block = _block(self.seed, min(self.size, _PERIOD))
        while start < stop:
            at = start % _PERIOD
            length = min(_SLICE, stop - start)
            yield block[at : at + length]
            start += length

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
        with self._digest_lock:
            if self._digest is None:
                self._digest = self._compute_sha256(stopping)
            return self._digest

    def _compute_sha256(self, stopping: threading.Event | None) -> str:
        digest = hashlib.sha256()
        for view in self.slices(0, self.size):
            if stopping is not None and stopping.is_set():
                raise ContentDiscardedError
            digest.update(view)
        return digest.hexdigest()
