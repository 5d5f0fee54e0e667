"""HTTP/1.1 for bodies that are large: h11 speaks the heads, the bytes of a body never pass through it.

The body of an answer with a ``Content-Length`` goes from the socket straight into the caller's buffers.
A chunked one, or one that ends with the connection, is unwrapped by h11, in the thread that reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import h11

from datarobot_mlops_async._transport._translate import without_quotes
from datarobot_mlops_async.errors import ProtocolError, ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datarobot_mlops_async._streaming._connection import Connection

_MAX_HEAD = 128 * 1024
_CHUNK = 256 * 1024
# TLS hands over one record of 16 KiB at a time: what happens per read should happen less often than that, and
# yet so often that a slow connection is seen to move.
_READS = 8


class Sink(Protocol):
    """Where a body goes. `get_buffer` and `buffer_updated` may block, and are called in a worker thread."""

    def get_buffer(self) -> memoryview:
        """Return where the next bytes go; it is empty when no more bytes are wanted."""
        ...

    def buffer_updated(self, count: int) -> None:
        """Accept the first bytes of what `get_buffer` returned last."""
        ...

    def abandon(self) -> None:
        """Make `get_buffer` and `buffer_updated` raise, also where they block now; called in the event loop."""
        ...


class Head:
    """The head of an answer, and what the body needs: how long it is, and bytes of it that came along."""

    def __init__(self, connection: h11.Connection, response: h11.Response) -> None:
        self.status = response.status_code
        self.headers = _mapping(response)
        self._connection = connection
        self._persistent = (
            response.http_version == b"1.1" and "close" not in self.headers.get("connection", "").lower()
        )

    def body(self, wire: Connection) -> Body:
        """Return the body, to be drained from the connection the head came from."""
        length = self.headers.get("content-length")
        if length is None or "transfer-encoding" in self.headers or self.status in {204, 304}:
            return FramedBody(wire, self._connection)
        return PlainBody(wire, int(length), self._connection.trailing_data[0], persistent=self._persistent)


def _mapping(response: h11.Response) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
        # A second Location or ETag must not make a third of both; lists (RFC 9110, 5.3) are joined.
        if name in headers and name in {"location", "etag", "content-disposition", "content-range"}:
            continue
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def exchange_heads(wire: Connection, method: str, target: str, headers: Mapping[str, str]) -> Head:
    """Send a request without a body and return the head of its answer.

    Raises:
        ReadError: The connection broke first.
        ProtocolError: What came is not HTTP.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    try:
        request = h11.Request(method=method, target=target, headers=list(headers.items()))
        await wire.send((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                return Head(connection, event)
            if event is h11.NEED_DATA:
                await _feed(wire, connection)
    except h11.LocalProtocolError as error:
        raise ProtocolError(f"the request cannot be sent ({error})") from error
    except h11.RemoteProtocolError as error:
        raise ProtocolError(f"the answer is not valid HTTP ({without_quotes(error)})") from error


async def _feed(wire: Connection, connection: h11.Connection) -> None:
    data = await wire.receive()
    if not data:
        raise ReadError("the server closed the connection before it answered")
    connection.receive_data(data)


class Body(Protocol):
    """A body on a connection."""

    reusable: bool
    """Whether the connection can take another request: all of the body was read and the server stays."""

    def drain(self, sink: Sink) -> None:
        """Put the body into a sink until either ends. Blocks; for a worker thread."""
        ...


class PlainBody:
    """A body of known length: socket to buffer, nothing in between."""

    def __init__(self, wire: Connection, length: int, prefix: bytes, *, persistent: bool) -> None:
        self._wire = wire
        self._left = length
        self._prefix = memoryview(prefix)[:length]
        # More than the body says that the two sides disagree about where it ends.
        self._persistent = persistent and len(prefix) <= length
        self.reusable = self._persistent and not length

    def drain(self, sink: Sink) -> None:
        while self._left:
            room = sink.get_buffer()[: self._left]
            if not room:
                return
            filled = 0
            try:
                for filled in self._fill(room):  # noqa: B007 - counted also when it breaks off
                    pass
            finally:
                self._left -= filled
                sink.buffer_updated(filled)
        self.reusable = self._persistent

    def _fill(self, room: memoryview) -> Iterator[int]:
        """Read a few times, and yield after each how much of the room is filled."""
        filled = min(len(self._prefix), len(room))
        room[:filled] = self._prefix[:filled]
        self._prefix = self._prefix[filled:]
        yield filled
        for _ in range(_READS):
            if filled == len(room):
                return
            count = self._wire.read_into(room[filled:])
            if not count:
                raise ReadError(f"the connection closed with {self._left - filled} bytes of the body missing")
            filled += count
            yield filled


class FramedBody:
    """A body whose end is in the bytes (chunked) or is the connection's."""

    def __init__(self, wire: Connection, connection: h11.Connection) -> None:
        self._wire = wire
        self._connection = connection
        self.reusable = False

    def drain(self, sink: Sink) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        try:
            while self._pump(sink, buffer):
                pass
        except h11.RemoteProtocolError as error:
            raise ReadError(f"the body broke off ({without_quotes(error)})") from error

    def _pump(self, sink: Sink, buffer: memoryview) -> bool:
        event = self._connection.next_event()
        if event is h11.NEED_DATA:
            self._connection.receive_data(bytes(buffer[: self._wire.read_into(buffer)]))
            return True
        if isinstance(event, h11.Data):
            return pour(event.data, sink)
        self.reusable = self._connection.their_state is h11.DONE and self._connection.trailing_data == (
            b"",
            False,
        )
        return False


def pour(data: bytes | bytearray, sink: Sink) -> bool:
    """Put bytes into a sink; tell whether it wants more."""
    view = memoryview(data)
    while view:
        room = sink.get_buffer()
        count = min(len(room), len(view))
        if not count:
            return False
        room[:count] = view[:count]
        sink.buffer_updated(count)
        view = view[count:]
    return True
