"""What is said to a proxy before the server can be spoken to: HTTP's ``CONNECT``, or SOCKS5 (RFC 1928). No I/O.

httpcore's SOCKS takes each read for a whole message, waits for a mute proxy without end, lets its parser's own
exceptions out, and leaves the socket of a proxy that refuses open.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from datarobot_mlops_async.errors import ConfigError, ConnectError, Hint

if TYPE_CHECKING:
    from datarobot_mlops_async._transport._route import Proxy, Route

_Steps = Generator[bytes, bytes, None]

MOST_TUNNEL_HEAD = 64 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_NO_PASSWORD, _PASSWORD = b"\x00", b"\x02"
_REFUSALS = {
    2: "its rules do not allow it",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the server refused the connection",
    6: "it took too long",
}
_UNREACHABLE = {3, 4, 5, 6}


class Handshake:
    """What opens the way through a route's proxy; nothing where there is none, or where it forwards.

    ::

        while (out := handshake.out) is not None:
            connection.sendall(out)
            handshake.feed(connection.recv(65536))

    Attributes:
        out: What to send now, which may be nothing; ``None`` when the way is open.
    """

    def __init__(self, route: Route) -> None:
        self._steps = _open(route)
        self.out = next(self._steps, None)

    def feed(self, data: bytes) -> None:
        """Take what came, which is empty at the end of the stream.

        Raises:
            ConnectError: The proxy refuses, or speaks something else.
        """
        try:
            self.out = self._steps.send(data)
        except StopIteration:
            self.out = None


def _open(route: Route) -> _Steps:
    if route.proxy is not None and not route.forwards:
        yield from _socks(route, route.proxy) if route.proxy.speaks_socks else _connect(route)


def refused(why: str, *, hint: Hint = Hint.CHECK_PROXY) -> ConnectError:
    """Return the error for a proxy that does not do what it was asked."""
    return ConnectError(f"the proxy {why}", hint=hint)


def _ask(out: bytes) -> Generator[bytes, bytes, bytes]:
    came = yield out
    if not came:
        raise refused("closed the connection before it answered")
    return came


def _connect(route: Route) -> _Steps:
    head = yield from _ask(route.connect_request())
    while b"\r\n\r\n" not in head:
        if len(head) > MOST_TUNNEL_HEAD:
            raise refused("answered without end")
        head += yield from _ask(b"")
    status = _STATUS_LINE.match(head)
    # The server says nothing before it was spoken to: bytes behind the head are not its own.
    if status is None or not status[1].startswith(b"2") or not head.endswith(b"\r\n\r\n"):
        why = status[1].decode() if status else "its answer is not HTTP"
        raise refused(f"refused the tunnel ({why})")


def _socks(route: Route, proxy: Proxy) -> _Steps:
    credentials = proxy.credentials
    methods = _NO_PASSWORD if credentials is None else _NO_PASSWORD + _PASSWORD
    version, method = yield from _read(b"\x05%c%b" % (len(methods), methods))
    if version != 5:
        raise refused("does not speak SOCKS5")
    if method not in methods:
        raise refused("wants a user name and a password" if credentials is None else "wants another login")
    if credentials is not None and method == _PASSWORD[0]:
        user, password = credentials
        if max(len(user), len(password)) > 255:
            raise ConfigError("a SOCKS proxy takes a user name and a password of at most 255 bytes")
        _, status = yield from _read(b"\x01%c%b%c%b" % (len(user), user, len(password), password))
        if status:
            raise refused("refused the user name or the password")
    address = route.address
    request = b"\x05\x01\x00" + _socks_host(address.host) + address.port.to_bytes(2, "big")
    reply = yield from _read(request, _reply_length)
    if reply[1]:
        why = _REFUSALS.get(reply[1], f"code {reply[1]}")
        hint = Hint.CHECK_ENDPOINT if reply[1] in _UNREACHABLE else Hint.CHECK_PROXY
        raise refused(f"cannot connect to {address.host}:{address.port} ({why})", hint=hint)


def _read(out: bytes, length: Callable[[bytes], int] = lambda _: 2) -> Generator[bytes, bytes, bytes]:
    """Send something and read an answer, whose length its beginning tells."""
    data = b""
    while len(data) < length(data):
        data += yield from _ask(out)
        out = b""
    if len(data) > length(data):
        raise refused("said more than it was asked")
    return data


def _reply_length(reply: bytes) -> int:
    # No reply is shorter; one with a name says in its fifth byte how long that is.
    return 5 if len(reply) < 5 else {1: 10, 4: 22}.get(reply[3], 7 + reply[4])


def _socks_host(host: str) -> bytes:
    # A name is the proxy's to resolve: often nobody else can.
    try:
        packed = ipaddress.ip_address(host).packed
    except ValueError:
        return b"\x03%c%b" % (len(host), host.encode("ascii"))
    return (b"\x01" if len(packed) == 4 else b"\x04") + packed
