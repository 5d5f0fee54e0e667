"""One HTTP/1.1 connection on asyncio: a request out, its answer in, read whole."""

from __future__ import annotations

import asyncio
import select
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from datarobot_mlops_async._transport._answer import AnswerReader
from datarobot_mlops_async._transport._failures import broken
from datarobot_mlops_async.errors import TimeoutError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 256 * 1024

RawAnswer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, header fields in order, and the body, all as they came."""


class Connection(asyncio.Protocol):
    """A connection that is open, idle or in use by one request at a time.

    Args:
        register: Where the connection is noted as long as it has a socket.

    Attributes:
        idle_since: When it was last given back, in seconds of the pool's clock.
    """

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
        """The connection is open, TLS included."""
        self._transport = cast("asyncio.Transport", transport)
        self._look = _looker(transport.get_extra_info("socket").fileno())
        self._register.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
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
        """The server will send nothing more."""
        if self._waiter is not None and self._answer.end():
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._fail(broken(exc, begun=self._answer.begun))
        self._register.discard(self)
        self.resume_writing()

    def pause_writing(self) -> None:
        """The send buffer is full."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The send buffer has room again."""
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
