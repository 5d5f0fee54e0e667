"""Connections that are kept between requests."""

from __future__ import annotations

import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx

_KEEP_IDLE = 30.0


class ConnectionPool:
    """One httpx transport for each connection, the one used last taken first.

    httpcore's own pool looks at all of its connections for each request, twice: with 16 of them that is
    half of the cost of a small request. The session's limiter bounds how many are taken at a time.

    Args:
        make: Makes a transport for one connection.
        clock: Tells the time in seconds.
    """

    def __init__(
        self, make: Callable[[], httpx.AsyncBaseTransport], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._clock = clock
        # From the one idle for longest to the one used last.
        self._idle: deque[tuple[float, httpx.AsyncBaseTransport]] = deque()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[httpx.AsyncBaseTransport]:
        """Have a transport for oneself."""
        transport = self._idle.pop()[1] if self._idle else self._make()
        try:
            yield transport
        finally:
            now = self._clock()
            self._idle.append((now, transport))
            if self._idle[0][0] < now - _KEEP_IDLE:
                # One a request is enough to shrink again after a burst.
                with anyio.CancelScope(shield=True):
                    await self._idle.popleft()[1].aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        while self._idle:
            await self._idle.pop()[1].aclose()
