"""Exchanges over httpx transports: on trio, through TLS and SOCKS proxies, and over a transport of the caller's own."""

from __future__ import annotations

import builtins
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import anyio
import httpx

from datarobot_mlops_async._transport._network import proxy_for, tls_context
from datarobot_mlops_async._transport._pool import KEEP_IDLE
from datarobot_mlops_async._transport._quiet import quiet
from datarobot_mlops_async._transport._translate import translate_error
from datarobot_mlops_async.errors import (
    ProtocolError,
    TimeoutError,  # noqa: A004 - ours
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from datarobot_mlops_async._config import Settings


class HttpxExchanger:
    """Exchanges with one origin.

    It drives httpx transports and not an `httpx.AsyncClient`: the client's own redirects, cookies and
    INFO log of whole URLs are the things that leak a token, and its request building is most of the
    cost of a small request.
    """

    def __init__(self, settings: Settings, foreign_transport: httpx.AsyncBaseTransport | None) -> None:
        self._connect_timeout = settings.connect_timeout
        self._foreign = foreign_transport
        self._pool = TransportPool(lambda: _transport(settings))

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, timeout: float
    ) -> tuple[int, httpx.Headers, bytes]:
        """Send a request and read its answer; as `AsyncioExchanger.exchange`."""
        # The limiter before the pool keeps requests from ever waiting in it.
        timeouts = {
            "connect": min(timeout, self._connect_timeout),
            "read": timeout,
            "write": timeout,
            "pool": None,
        }
        try:
            request = httpx.Request(
                method, url, headers=headers, content=content or None, extensions={"timeout": timeouts}
            )
            with quiet(), anyio.fail_after(timeout):
                return await self._exchange(request)
        except httpx.HTTPError as error:
            raise translate_error(error, method=method, url=url) from error
        except httpx.InvalidURL:
            raise ProtocolError("the address cannot be sent") from None
        except builtins.TimeoutError as error:
            raise TimeoutError(f"no whole answer within {timeout:g} s") from error

    async def aclose(self) -> None:
        """Close all connections."""
        with quiet():
            if self._foreign is not None:
                await self._foreign.aclose()
            await self._pool.aclose()

    async def _exchange(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        if self._foreign is not None:
            return await _exchange(self._foreign, request)
        async with self._pool.connection() as transport:
            return await _exchange(transport, request)


async def _exchange(
    transport: httpx.AsyncBaseTransport, request: httpx.Request
) -> tuple[int, httpx.Headers, bytes]:
    response = await transport.handle_async_request(request)
    try:
        # Nothing else may fail while the stream is being read: its generators would stay unfinished.
        raw = b"".join([chunk async for chunk in cast("httpx.AsyncByteStream", response.stream)])
    finally:
        # Cancelled or not, the connection is kept for the next request or closed.
        with anyio.CancelScope(shield=True):
            await response.aclose()
    return response.status_code, response.headers, raw


def _transport(settings: Settings) -> httpx.AsyncBaseTransport:
    proxy = proxy_for(settings.endpoint, settings)
    # A plain-http endpoint never needs the 20 ms that reading the authorities takes.
    verify = (
        tls_context(settings, settings.endpoint) if settings.endpoint.startswith("https:") or proxy else False
    )
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_IDLE)
    return httpx.AsyncHTTPTransport(verify=verify, proxy=proxy, trust_env=False, limits=limits)


class TransportPool:
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
        """Check out a transport; after any exception it is closed and forgotten."""
        transport = self._idle.pop()[1] if self._idle else self._make()
        try:
            yield transport
        except BaseException:
            with anyio.CancelScope(shield=True):
                await transport.aclose()
            raise
        now = self._clock()
        self._idle.append((now, transport))
        if self._idle[0][0] < now - KEEP_IDLE:
            # One a request is enough to shrink again after a burst.
            with anyio.CancelScope(shield=True):
                await self._idle.popleft()[1].aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        while self._idle:
            await self._idle.pop()[1].aclose()
