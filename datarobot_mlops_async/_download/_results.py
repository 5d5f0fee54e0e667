"""What callers learn of a download: progress, from committed state and at most ten times a second, and the result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from attrs import evolve, field, frozen

from datarobot_mlops_async._download._controller import RateMeter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_INTERVAL = 0.1
_RATE_WINDOW = 3.0


@frozen(kw_only=True)
class Progress:
    """How far a download is. Counts never go down.

    Attributes:
        fetched: Bytes of the artifact that are here: on disk, or in the window of a stream.
        verified: Bytes, from the first, that were hashed (and, with a file, written).
        total: The artifact's size in bytes; ``None`` if the server does not say.
        rate: Bytes a second that arrived over the last seconds.
        elapsed: Seconds since the download began.
        connections: Connections in use.
        resumed_from: Bytes that an earlier, interrupted download had left.
        is_waiting: Whether another process downloads to the same destination, and is waited for.
    """

    fetched: int
    verified: int
    total: int | None
    rate: float
    elapsed: float
    connections: int
    resumed_from: int = 0
    is_waiting: bool = False


@frozen(kw_only=True)
class DownloadResult:
    """A verified download.

    Attributes:
        path: Where the file is; ``None`` when the bytes went to a pipe or a file object.
        size: Bytes.
        sha256: SHA-256 of the bytes, computed, in lower-case hexadecimal.
        resumed_from: Bytes that an earlier, interrupted download had left.
        elapsed: Seconds.
        bytes_fetched: Bytes that came over the network this time, repeated ones included.
        already_present: Whether the destination had the right bytes before, and was left alone.
        verified_by: What the digest was compared with: ``expected_sha256``, ``metadata`` or names of
            response headers. Empty when nobody said what it should be: then size and transfer were checked.
        docker_image_id: Docker's id of an image, from the metadata; ``None`` if unknown.
        version: An image's version, from the metadata; ``None`` if unknown.
    """

    path: Path | None
    size: int
    sha256: str
    resumed_from: int
    elapsed: float
    bytes_fetched: int = 0
    already_present: bool = False
    verified_by: tuple[str, ...] = field(default=())
    docker_image_id: str | None = None
    version: str | None = None


class Reporter:
    """Tells a callback how far a download is; leaving its ``with`` closes one that has a ``close``."""

    def __init__(
        self, callback: Callable[[Progress], object] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._callback = callback
        self._clock = clock
        self._started = clock()
        self._called = float("-inf")
        self._meter = RateMeter(self._started)
        self._fed = 0
        self._last = Progress(fetched=0, verified=0, total=None, rate=0.0, elapsed=0.0, connections=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if callable(close := getattr(self._callback, "close", None)):
            close()

    @property
    def elapsed(self) -> float:
        """Seconds since the download began."""
        return self._clock() - self._started

    def wait(self) -> None:
        """Report that another process is waited for."""
        if self._callback is not None:
            self._callback(evolve(self._last, elapsed=self.elapsed, is_waiting=True))

    def begin(self, *, resumed_from: int, total: int | None) -> None:
        """Say what an earlier download had left, before anything is fetched."""
        self._last = evolve(self._last, resumed_from=resumed_from, total=total)
        self._meter = RateMeter(self._clock(), resumed_from)

    def update(self, *, fetched: int, verified: int, total: int | None, connections: int) -> None:
        """Report unless the last report was less than a tenth of a second ago."""
        now = self._clock()
        if self._callback is not None and now - self._called >= _INTERVAL:
            self._meter.sample(now, fetched, _RATE_WINDOW)
            self._callback(self._report(now, fetched, verified, total, connections))

    def finish(self, size: int) -> None:
        """Report the end, however short ago the last report was."""
        if self._callback is not None:
            self._callback(self._report(self._clock(), size, size, size, 0))

    def _report(
        self, now: float, fetched: int, verified: int, total: int | None, connections: int
    ) -> Progress:
        self._called = now
        # An object that changed is fetched anew; what was reported is not taken back.
        self._last = Progress(
            fetched=max(fetched, self._last.fetched),
            verified=max(verified, self._last.verified),
            total=total if total is not None else self._last.total,
            rate=max(0.0, self._meter.rate_so_far()),
            elapsed=now - self._started,
            connections=connections,
            resumed_from=self._last.resumed_from,
        )
        return self._last
