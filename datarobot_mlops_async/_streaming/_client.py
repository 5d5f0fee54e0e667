"""Large bodies off the event loop: the transport of downloads.

httpx and httpcore pass every byte of a body through h11, their nested generators and the event loop; with a
hash and a write that leaves a quarter of what the machine can do. Here the loop sees heads only, and a thread
reads each body from its socket. One `StreamingClient` belongs to one download: connections are kept alive between
its pieces and closed with it.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
from anyio import CapacityLimiter
from attrs import define

from datarobot_mlops_async._streaming._connection import Connection
from datarobot_mlops_async._streaming._http import exchange_heads
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async._transport import (
    Handshake,
    Route,
    dial_route,
    name_request,
    proxy_for,
    tls_context,
)
from datarobot_mlops_async.errors import (
    ConnectTimeoutError,
    ProtocolError,
    ReadError,
    TimeoutError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from datarobot_mlops_async._config import Settings
    from datarobot_mlops_async._streaming._http import Exchange, Sink

T = TypeVar("T")


class StreamingResponse(Protocol):
    """An answer whose body is still on the way. Its header fields have lower-case names."""

    status: int
    headers: Mapping[str, str]
    url: str

    async def drain(self, sink: Sink) -> None:
        """Put the body, as it is on the connection, into a sink until either ends; off the event loop."""
        ...

    def interrupt(self) -> None:
        """Make `drain` raise `ReadError` at once."""
        ...

    async def aclose(self) -> None:
        """Keep the connection if its body was read to the end, close it otherwise."""
        ...


class StreamingClient:
    """One download's connections. It sends what it is told and follows nothing.

    Args:
        settings: For proxy, trusted authorities and the connect timeout.
        read_timeout: Seconds of silence that end a request.
        max_threads: How many bodies are read at the same time.
        foreign_transport: The caller's own transport, used in place of connections of our own.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        read_timeout: float,
        max_threads: int,
        foreign_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._read_timeout = read_timeout
        self._limiter = CapacityLimiter(max_threads)
        self._foreign = foreign_transport
        self._routes: dict[str, Route] = {}
        self._idle: dict[tuple[str, str, int], list[Connection]] = {}

    async def get(self, url: str, headers: Mapping[str, str]) -> StreamingResponse:
        """Send a GET and return its answer, the body unread.

        Args:
            url: An absolute URL; it goes out byte for byte.
            headers: All header fields but ``Host``.

        Raises:
            TransportError: No answer came.
        """
        try:
            if self._foreign is None:
                return await self._get_directly(url, self._route_to(url), headers)
            # It brings httpx, which most processes need not wait for.
            from datarobot_mlops_async._streaming._general import send_general

            connect, read = self._settings.connect_timeout, self._read_timeout
            timeouts = {"connect": connect, "read": read, "write": read, "pool": None}
            return await send_general(self._foreign, url, headers, timeouts=timeouts, limiter=self._limiter)
        except TransportError as error:
            raise name_request(error, "GET", url)  # noqa: B904 - the same error

    def _route_to(self, url: str) -> Route:
        # Looking through the environment for each piece would be felt.
        if url not in self._routes:
            self._routes[url] = Route.find(url, proxy_for(url, self._settings))
        return self._routes[url]

    async def aclose(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def _get_directly(self, url: str, route: Route, headers: Mapping[str, str]) -> StreamingResponse:
        connection = self._reuse(route.key)
        if connection is not None:
            try:
                return await self._exchange(url, connection, route, headers)
            except (ReadError, ProtocolError):
                # The server closed an idle connection just then, or said more than was asked: a GET may be sent again.
                pass
        return await self._exchange(url, await self._connect(url, route), route, headers)

    def _reuse(self, key: tuple[str, str, int]) -> Connection | None:
        connections = self._idle.get(key, [])
        while connections:
            connection = connections.pop()
            if not connection.is_stale():
                return connection
            connection.close()
        return None

    async def _connect(self, url: str, route: Route) -> Connection:
        timeout = self._settings.connect_timeout
        try:
            with anyio.fail_after(timeout):
                sock = await dial_route(route)
                connection = Connection(sock, read_timeout=self._read_timeout)
                if route.address.scheme == "https" or (route.proxy and route.proxy.speaks_tls):
                    await self._in_thread(connection, lambda: self._shake_hands(connection, url, route))
                return connection
        except builtins.TimeoutError as error:
            raise ConnectTimeoutError(f"no connection within {timeout:g} s") from error

    def _shake_hands(self, connection: Connection, url: str, route: Route) -> None:
        # Reading the trusted authorities takes a while too.
        if route.proxy is not None and route.proxy.speaks_tls:
            proxy = proxy_for(url, self._settings) or ""
            connection.open_tunnel(
                tls_context(self._settings, proxy, proxy=True), route.proxy.host, Handshake(route)
            )
        if route.address.scheme == "https":
            connection.start_tls(tls_context(self._settings, url), route.address.host)

    async def _exchange(
        self, url: str, connection: Connection, route: Route, headers: Mapping[str, str]
    ) -> StreamingResponse:
        fields = route.request_headers(headers)
        try:
            with anyio.fail_after(self._read_timeout):
                exchange = await self._in_thread(
                    connection, lambda: exchange_heads(connection, "GET", route.target, fields)
                )
        except builtins.TimeoutError as error:
            raise TimeoutError(f"no answer within {self._read_timeout:g} s") from error

        def keep() -> None:
            self._idle.setdefault(route.key, []).append(connection)

        return _DirectResponse(
            url, exchange.status, exchange.headers, connection, exchange, self._limiter, keep
        )

    async def _in_thread(self, connection: Connection, function: Callable[[], T]) -> T:
        """Let a thread use a connection, which is closed should that fail."""
        try:
            return await run_interruptible(function, interrupt=connection.interrupt, limiter=self._limiter)
        except BaseException:
            connection.close()
            raise


@define(eq=False, repr=False)
class _DirectResponse:
    """An answer on a connection of our own."""

    url: str
    status: int
    headers: Mapping[str, str]
    _connection: Connection
    _exchange: Exchange
    _limiter: CapacityLimiter
    _keep: Callable[[], None]
    _closed: bool = False

    async def drain(self, sink: Sink) -> None:
        def interrupt() -> None:
            self._connection.interrupt()
            sink.abandon()

        await run_interruptible(
            lambda: self._exchange.drain(sink), interrupt=interrupt, limiter=self._limiter
        )

    def interrupt(self) -> None:
        self._connection.interrupt()

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._exchange.reusable:
            self._keep()
        else:
            self._connection.close()
