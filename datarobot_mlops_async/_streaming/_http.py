"""HTTP/1.1 for bodies that are large: h11 speaks the heads, the bytes of a body never pass through it.

The body of an answer with a ``Content-Length`` goes from the connection straight into the caller's buffers.
A chunked one, or one that ends with the connection, is unwrapped by h11. Everything blocks: for worker threads.
(`http.client` would not be less: it reads bodies through a buffer of its own that cannot be looked into, so what
comes behind an answer goes unnoticed, and it accepts heads that h11 refuses.)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urljoin

import h11

from datarobot_mlops_async._transport import Address, without_quotes
from datarobot_mlops_async.errors import ProtocolError, ReadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datarobot_mlops_async._streaming._connection import Connection

_MAX_HEAD = 128 * 1024
_CHUNK = 256 * 1024
_SINGLE = frozenset({"location", "etag", "content-disposition", "content-range"})


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


class Exchange:
    """The head of an answer, and its body, which is still on the connection.

    The connection is reusable when all of the body was read, nothing came behind it and the server stays.
    """

    def __init__(self, connection: Connection, http: h11.Connection, response: h11.Response) -> None:
        self.status = response.status_code
        self.headers = _mapping(response)
        self.reusable = False
        self._connection = connection
        self._http = http
        length = self.headers.get("content-length")
        self._framed = length is None or "transfer-encoding" in self.headers or self.status in {204, 304}
        self._left = 0 if self._framed else int(length or 0)
        self._persistent = (
            response.http_version == b"1.1" and "close" not in self.headers.get("connection", "").lower()
        )

    def drain(self, sink: Sink) -> None:
        """Put the body into a sink until either ends."""
        if self._framed:
            self._drain_framed(sink)
        else:
            self._drain_plain(sink)

    def _drain_plain(self, sink: Sink) -> None:
        early = self._http.trailing_data[0]
        if not pour(early[: self._left], sink):
            return
        self._left -= min(self._left, len(early))
        while self._left:
            view = sink.get_buffer()[: self._left]
            if not view:
                return
            count = self._connection.read_into(view)
            if not count:
                raise ReadError(f"the connection closed with {self._left} bytes of the body missing")
            self._left -= count
            sink.buffer_updated(count)
        # More than the body says that the two sides disagree about where it ends.
        self.reusable = self._persistent and len(early) <= int(self.headers["content-length"])

    def _drain_framed(self, sink: Sink) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        try:
            while not isinstance(event := self._http.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    if not pour(event.data, sink):
                        return
                else:
                    self._http.receive_data(bytes(buffer[: self._connection.read_into(buffer)]))
        except h11.RemoteProtocolError as error:
            raise ReadError(f"the body broke off ({without_quotes(error)})") from error
        done = self._http.their_state is h11.DONE and self._http.trailing_data == (b"", False)
        self.reusable = done and self._persistent


def _mapping(response: h11.Response) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
        # A second Location or ETag must not make a third of both; lists (RFC 9110, 5.3) are joined.
        if name in headers and name in _SINGLE:
            continue
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def exchange_heads(connection: Connection, method: str, target: str, headers: Mapping[str, str]) -> Exchange:
    """Send a request without a body and return the head of its answer.

    Raises:
        ReadError: The connection broke first.
        ProtocolError: What came is not HTTP.
    """
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    buffer = memoryview(bytearray(_MAX_HEAD // 4))
    try:
        # As they came: an ETag may hold any byte, and goes back in If-Range.
        fields = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        request = h11.Request(method=method, target=target, headers=fields)
        connection.send((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
        received = 0
        while not isinstance(event := http.next_event(), h11.Response):
            if event is h11.NEED_DATA:
                if received > _MAX_HEAD:
                    # h11 bounds one head, not how many informational ones come before the answer's own.
                    raise ProtocolError(f"the server sent more than {_MAX_HEAD} bytes and no answer")
                count = connection.read_into(buffer)
                if not count:
                    raise ReadError("the server closed the connection before it answered")
                received += count
                http.receive_data(bytes(buffer[:count]))
    except h11.LocalProtocolError as error:
        raise ProtocolError(f"the request cannot be sent ({error})") from error
    except h11.RemoteProtocolError as error:
        raise ProtocolError(f"the answer is not valid HTTP ({without_quotes(error)})") from error
    return Exchange(connection, http, event)


def pour(data: bytes | bytearray, sink: Sink) -> bool:
    """Put bytes into a sink; tell whether it took them all."""
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


_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)


def resolve_location(base: str, location: str) -> str:
    """Return the absolute URL that a ``Location`` means; an absolute one comes back as it is.

    Raises:
        ProtocolError: It means no http(s) URL.
    """
    location = location.strip()
    try:
        target = location if _ABSOLUTE.match(location) else urljoin(base, location)
    except ValueError:
        raise ProtocolError("the server sent a Location that is not a URL") from None
    Address.parse(target)
    return target
