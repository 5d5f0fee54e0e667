"""Exchanges over httpx transports: on trio, through TLS proxies, and over a transport of the caller's own."""

from __future__ import annotations

import builtins
import ssl
import time
from collections import deque
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, cast

import anyio
import anyio.lowlevel
import httpx
from attrs import define, field

from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async._transport._answer import AnswerReader
from datarobot_mlops_async._transport._certificates import tls_context
from datarobot_mlops_async._transport._failures import UnansweredError
from datarobot_mlops_async._transport._pool import KEEP_IDLE
from datarobot_mlops_async._transport._route import Route, proxy_for
from datarobot_mlops_async._transport._translate import quiet, translate_error
from datarobot_mlops_async._transport._tunnel import MOST_TUNNEL_HEAD, Handshake
from datarobot_mlops_async.errors import ConnectTimeoutError, ProtocolError, ReadError, TimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from datarobot_mlops_async._config import Settings

# Of the same generation as httpx, and without types that mypy could follow.
httpcore: Any = import_module(httpx.__name__.replace("httpx", "httpcore"))


@define(eq=False)
class HttpxExchanger:
    """Exchanges with one origin over httpx transports."""

    _settings: Settings
    _foreign: httpx.AsyncBaseTransport | None
    _pool: TransportPool | None = field(default=None, init=False)
    _opening: anyio.Lock = field(init=False, factory=anyio.Lock)
    _running: set[anyio.CancelScope] = field(init=False, factory=set)

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, timeout: float
    ) -> tuple[int, httpx.Headers, bytes]:
        # The limiter before the pool keeps requests from ever waiting in it.
        connect = min(timeout, self._settings.connect_timeout)
        timeouts = {"connect": connect, "read": timeout, "write": timeout, "pool": None}
        try:
            request = httpx.Request(
                method, url, headers=headers, content=content or None, extensions={"timeout": timeouts}
            )
        except httpx.InvalidURL:
            raise ProtocolError("the address cannot be sent") from None
        request.stream = _Content(content)
        with quiet(), anyio.move_on_after(timeout) as scope:
            self._running.add(scope)
            try:
                return await self._exchange(request)
            except (httpx.HTTPError, ssl.SSLError) as error:
                raise translate_error(error, method=method, url=url) from error
            finally:
                self._running.discard(scope)
        raise TimeoutError(f"no whole answer within {timeout:g} s")

    async def aclose(self) -> None:
        for scope in self._running:
            scope.cancel()
        while self._running:
            await anyio.lowlevel.checkpoint()
        with quiet():
            if self._foreign is not None:
                await self._foreign.aclose()
            if self._pool is not None:
                await self._pool.aclose()

    async def _exchange(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        if self._foreign is not None:
            return await _read_whole(self._foreign, request)
        if (pool := self._pool) is None:
            # The first requests may come together, and connections belong to one pool.
            async with self._opening:
                if (pool := self._pool) is None:
                    # Reading the system's authorities takes 20 to 40 ms.
                    pool = self._pool = await run_interruptible(partial(_pool_for, self._settings))
        async with pool.connection() as transport:
            try:
                return await _read_whole(transport, request)
            except (httpx.HTTPError, ssl.SSLError) as error:
                ours = translate_error(error, method=request.method, url=str(request.url))
                if isinstance(ours, ReadError) and not transport.begun:
                    ours = UnansweredError(ours.message, method=ours.method, url=ours.url)
                raise ours from error


class _Content(httpx.ByteStream):
    """A request's body; httpx reads its own by a generator, which a cancelled request leaves unfinished."""

    def __aiter__(self) -> Self:
        self._chunks = iter(self)
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


async def _read_whole(
    transport: httpx.AsyncBaseTransport, request: httpx.Request
) -> tuple[int, httpx.Headers, bytes]:
    response = await transport.handle_async_request(request)
    try:
        # Nothing else may fail while the stream is being read: its generators would stay unfinished.
        raw = b"".join([chunk async for chunk in cast("httpx.AsyncByteStream", response.stream)])
    finally:
        with anyio.CancelScope(shield=True):
            await response.aclose()
    return response.status_code, response.headers, raw


def _pool_for(settings: Settings) -> TransportPool:
    url = settings.endpoint
    proxy = proxy_for(url, settings)
    route = Route.find(url, proxy)
    # A plain-http endpoint never needs the time that reading the authorities takes.
    context = tls_context(settings, url) if url.startswith("https:") else None
    proxy_options = {}
    if proxy is not None and route.proxy is not None and not route.proxy.speaks_socks:
        parts = httpx.Proxy(proxy)
        tls = tls_context(settings, proxy, proxy=True) if route.proxy.speaks_tls else None
        proxy_options["proxy"] = httpcore.Proxy(str(parts.url), auth=parts.raw_auth, ssl_context=tls)
    return TransportPool(lambda: SingleTransport(route, ssl_context=context, **proxy_options))


class SingleTransport(httpx.AsyncHTTPTransport):
    """httpx's transport with one connection, which must not be used again when `reusable` is false."""

    def __init__(self, route: Route, **options: Any) -> None:
        self._backend = _Backend(route)
        # httpx's own constructor gives no way to the network, nor to a proxy's TLS.
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=1, keepalive_expiry=KEEP_IDLE, network_backend=self._backend, **options
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._backend.expect(request.method)
        return await super().handle_async_request(request)

    @property
    def begun(self) -> bool:
        """Whether a byte of the last answer came."""
        return self._backend.reader.begun

    @property
    def reusable(self) -> bool:
        """Whether the last answer was whole and nothing came behind it."""
        return self._backend.reader.reusable


@define(eq=False)
class TransportPool:
    """One httpx transport for each connection, the one used last taken first.

    httpcore's own pool looks at all of its connections for each request, twice: with 16 of them that is
    half of the cost of a small request. The session's limiter bounds how many are taken at a time.
    """

    _make: Callable[[], SingleTransport]
    _clock: Callable[[], float] = time.monotonic
    # From the one idle for longest to the one used last.
    _idle: deque[tuple[float, SingleTransport]] = field(init=False, factory=deque)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[SingleTransport]:
        """Check out a transport. After anything but a clean answer it is closed and forgotten."""
        transport = self._idle.pop()[1] if self._idle else self._make()
        try:
            yield transport
        except BaseException:
            await _close(transport)
            raise
        now = self._clock()
        if not transport.reusable:
            await _close(transport)
        else:
            self._idle.append((now, transport))
        if self._idle and self._idle[0][0] < now - KEEP_IDLE:
            # One a request is enough to shrink again after a burst.
            await _close(self._idle.popleft()[1])

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.pop()[1].aclose()


async def _close(connection: Any) -> None:
    # A cancelled task must still close its sockets.
    with anyio.CancelScope(shield=True):
        await connection.aclose()


class _Backend:
    """The network as httpcore wants it, with what passes looked at by the reader that asyncio has too.

    h11 takes bytes behind an answer for the next one, and reads informational answers without end.
    """

    def __init__(self, route: Route) -> None:
        self._network = httpcore.AnyIOBackend()
        self._route = route
        self.expect("")

    def expect(self, method: str) -> None:
        self.method = method
        self.reader = AnswerReader()
        self.reader.expect(method)

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **options: Any
    ) -> _Stream:
        proxy = self._route.proxy
        if proxy is None or not proxy.speaks_socks:
            return _Stream(await self._network.connect_tcp(host, port, timeout, **options), self)
        # httpcore knows nothing of it.
        stream = await self._network.connect_tcp(proxy.host, proxy.port, timeout, **options)
        try:
            with anyio.fail_after(timeout):
                handshake = Handshake(self._route)
                while (out := handshake.out) is not None:
                    await stream.write(out)
                    handshake.feed(await stream.read(MOST_TUNNEL_HEAD))
        except BaseException as error:
            await _close(stream)
            if isinstance(error, builtins.TimeoutError):
                raise ConnectTimeoutError(f"no connection within {timeout:g} s") from error
            raise
        return _Stream(stream, self)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class _Stream:
    def __init__(self, stream: Any, backend: _Backend) -> None:
        self._stream = stream
        self._backend = backend
        self.write, self.aclose = stream.write, stream.aclose
        self.get_extra_info = stream.get_extra_info

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = await self._stream.read(max_bytes, timeout)
        if data:
            self._backend.reader.feed(data)
        return data

    async def start_tls(self, *args: Any, **options: Any) -> _Stream:
        # So far only a proxy has answered.
        self._backend.expect(self._backend.method)
        try:
            return _Stream(await self._stream.start_tls(*args, **options), self._backend)
        except BaseException:
            # Cancelled, httpcore leaves the socket open.
            await _close(self._stream)
            raise
