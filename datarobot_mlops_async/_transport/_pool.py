"""HTTP/1.1 on asyncio: connections to one origin, kept, replaced and never left behind; answers read whole."""

from __future__ import annotations

import asyncio
import builtins
import select
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from attrs import define, field

from datarobot_mlops_async._transport._answer import AnswerReader
from datarobot_mlops_async._transport._dialing import dial_route
from datarobot_mlops_async._transport._failures import broken, handshake_failed
from datarobot_mlops_async.errors import ConnectTimeoutError, ReadError, TimeoutError, TransportError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from datarobot_mlops_async._transport._route import Route

KEEP_IDLE = 30.0
"""Seconds for which an idle connection is kept."""
_TURNS = 100
_PIECE = 256 * 1024

RawAnswer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, header fields in order, and the body, all as they came."""


@define(eq=False)
class ConnectionPool:
    """Connections to one origin, the one used last taken first. The session's limiter bounds how many are in use."""

    route: Route
    _tls_context: Callable[[], Awaitable[ssl.SSLContext]]
    _clock: Callable[[], float] = time.monotonic
    _idle: list[Connection] = field(init=False, factory=list)
    _open: set[Connection] = field(init=False, factory=set)
    _connecting: set[asyncio.Timeout] = field(init=False, factory=set)
    _loop: asyncio.AbstractEventLoop = field(init=False, factory=asyncio.get_running_loop)

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


class Connection(asyncio.Protocol):
    """A connection that is open, idle or in use by one request at a time; registered as long as it has a socket."""

    def __init__(self, register: set[Connection]) -> None:
        self.idle_since = 0.0
        self._register = register
        self._answer = AnswerReader()
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    async def exchange(
        self, method: str, head: bytes, body: bytes, *, ends: float, timeout: float
    ) -> RawAnswer:
        """Send a request and read its answer. Whatever ends this early closes the connection.

        Args:
            ends: When to give up, in the loop's time; ``timeout`` only words it.

        Raises:
            TransportError: No whole answer came.
        """
        answer = self._answer
        answer.expect(method)
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_at(ends, self._expire, timeout)
        sent = False
        try:
            if len(body) <= _PIECE:
                self._transport.write(head + body)
            else:
                await self._send_slowly(head, body, waiter)
            sent = not waiter.done()
            await waiter
            return answer.status, answer.headers, bytes(answer.body)
        finally:
            timer.cancel()
            self._waiter = None
            if not (sent and answer.reusable):
                self.close()

    @property
    def usable(self) -> bool:
        """Whether a further request can be sent."""
        return not self._transport.is_closing()

    def is_stale(self) -> bool:
        """Tell whether something came while the connection was idle: the end of the stream, or nobody's answer."""
        return not self.usable or bool(self._look())

    def close(self, error: Exception | None = None) -> None:
        """Close the socket at once; a request that is on its way fails.

        A TLS connection is closed without a word: waiting for the server's last one would keep the socket.
        """
        if error is not None:
            self._fail(error)
        self._transport.abort()

    async def _send_slowly(self, head: bytes, body: bytes, waiter: asyncio.Future[None]) -> None:
        self._transport.write(head)
        view = memoryview(body)
        for start in range(0, len(view), _PIECE):
            self._transport.write(view[start : start + _PIECE])
            if self._writable is not None:
                await asyncio.wait([self._writable, waiter], return_when=asyncio.FIRST_COMPLETED)
            if waiter.done():
                # An answer before the whole request was sent: a refusal, such as 413.
                return

    def _expire(self, timeout: float) -> None:
        self._fail(TimeoutError(f"no whole answer within {timeout:g} s"))

    def _fail(self, error: BaseException) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._look = _looker(transport.get_extra_info("socket").fileno())
        self._register.add(self)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            # Nobody's answer, which must never become the next one.
            self.close()
            return
        try:
            if self._answer.feed(data):
                self._finish()
        except TransportError as error:
            self.close(error)

    def eof_received(self) -> None:
        if self._waiter is not None and self._answer.end():
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(broken(exc, begun=self._answer.begun))
        self._register.discard(self)
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None


def _looker(descriptor: int) -> Callable[[], list[Any]]:
    """Return what tells whether a socket has something to read, by a list that is empty or not."""
    if not hasattr(select, "poll"):  # pragma: no cover - Windows
        return lambda: select.select([descriptor], [], [], 0)[0]
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return partial(poll.poll, 0)
