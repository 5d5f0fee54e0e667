"""Connections to one origin on asyncio: kept, replaced, and never left behind."""

from __future__ import annotations

import asyncio
import builtins
import time
from typing import TYPE_CHECKING

from datarobot_mlops_async._transport._connection import Connection
from datarobot_mlops_async._transport._dialing import dial_route
from datarobot_mlops_async._transport._failures import handshake_failed
from datarobot_mlops_async.errors import ConnectTimeoutError, ReadError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from datarobot_mlops_async._transport._connection import RawAnswer
    from datarobot_mlops_async._transport._route import Route

KEEP_IDLE = 30.0
"""Seconds for which an idle connection is kept."""
_TURNS = 100


class ConnectionPool:
    """Connections to one origin, the one used last taken first. The session's limiter bounds how many are in use."""

    def __init__(
        self,
        route: Route,
        tls_context: Callable[[], Awaitable[ssl.SSLContext]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.route = route
        self._tls_context = tls_context
        self._clock = clock
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._connecting: set[asyncio.Timeout] = set()
        self._loop = asyncio.get_running_loop()

    async def exchange(
        self, method: str, head: bytes, body: bytes, *, connect_timeout: float, timeout: float
    ) -> RawAnswer:
        """Send a request and read its answer.

        An idle connection that the server has closed is replaced; nothing is ever sent twice. The timeouts are in
        seconds: one for connecting, one for the whole exchange.

        Raises:
            TransportError: No whole answer came.
        """
        ends = self._loop.time() + timeout
        connection = self._take() or await self._connect(ends, connect_timeout)
        answer = await connection.exchange(method, head, body, ends=ends, timeout=timeout)
        if connection.usable:
            self._give_back(connection)
        return answer

    async def aclose(self) -> None:
        """Close all connections; requests on their way fail."""
        self._idle.clear()
        if self._loop.is_closed():
            # Without having ended what ran in it: nothing can be closed but by the garbage collector.
            self._open.clear()
            return
        for connection in list(self._open):
            connection.close(ReadError("the connection was closed"))
        for clock in self._connecting:
            if not clock.expired():
                clock.reschedule(self._loop.time())
        for _ in range(_TURNS):
            # Sockets are closed in one of the loop's next turns.
            await asyncio.sleep(0)
            if not (self._open or self._connecting):
                break
        await asyncio.sleep(0)

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since >= self._clock() - KEEP_IDLE and not connection.is_stale():
                return connection
            connection.close()
        return None

    def _give_back(self, connection: Connection) -> None:
        connection.idle_since = self._clock()
        self._idle.append(connection)
        if self._idle[0].idle_since < connection.idle_since - KEEP_IDLE:
            # One a request is enough to shrink again after a burst.
            self._idle.pop(0).close()

    async def _connect(self, ends: float, connect_timeout: float) -> Connection:
        try:
            async with asyncio.timeout_at(min(ends, self._loop.time() + connect_timeout)) as clock:
                self._connecting.add(clock)
                try:
                    return await self._open_connection()
                finally:
                    self._connecting.discard(clock)
        except builtins.TimeoutError:
            raise ConnectTimeoutError(f"no connection within {connect_timeout:g} s") from None

    async def _open_connection(self) -> Connection:
        address = self.route.address
        context = await self._tls_context() if address.scheme == "https" else None
        connection = Connection(self._open)
        sock = await dial_route(self.route)
        try:
            await self._loop.create_connection(
                lambda: connection, sock=sock, ssl=context, server_hostname=address.host if context else None
            )
        except BaseException as error:
            # Cancelled when it was just made, asyncio would close it at the server's leisure, uvloop without a word.
            if connection in self._open:
                connection.close()
                self._open.discard(connection)
            if isinstance(error, (OSError, ValueError)):
                raise handshake_failed(error, address.host) from error
            raise
        return connection
