"""A connected socket to a host: all of its addresses, and the tunnel of a proxy."""

from __future__ import annotations

import errno
import os
import socket
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import anyio
from anyio import CapacityLimiter, to_thread

from datarobot_mlops_async._transport._tunnel import MOST_TUNNEL_HEAD, Handshake, refused
from datarobot_mlops_async.errors import ConnectError, Hint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datarobot_mlops_async._transport._route import Route

_STAGGER = 0.25
_IN_PROGRESS = frozenset(
    {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS)}
)


async def dial_route(route: Route) -> socket.socket:
    """Return a socket to a route's server, behind the proxy's tunnel where it has one; TLS is the caller's.

    To a proxy that is spoken to under TLS it is a socket to that: the tunnel is the caller's too.

    Raises:
        ConnectError: No connection; nothing was sent to the server.
    """
    if route.proxy is None:
        return await dial(route.address.host, route.address.port)
    try:
        sock = await dial(route.proxy.host, route.proxy.port)
    except ConnectError as error:
        raise ConnectError(f"the proxy: {error.message}", hint=Hint.CHECK_PROXY) from error
    if not route.proxy.speaks_tls:
        try:
            await _open_tunnel(sock, route)
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError):
                raise refused(f"broke the connection ({error.strerror})") from error
            raise
    return sock


async def _open_tunnel(sock: socket.socket, route: Route) -> None:
    handshake = Handshake(route)
    while (out := handshake.out) is not None:
        view = memoryview(out)
        while view:
            await anyio.wait_writable(sock)
            view = view[sock.send(view) :]
        await anyio.wait_readable(sock)
        handshake.feed(sock.recv(MOST_TUNNEL_HEAD))


async def dial(host: str, port: int) -> socket.socket:
    """Connect to the first of a host's addresses that answers.

    A second address is tried next to the first when that has not answered after a quarter of a second
    (RFC 8305, abridged).

    Returns:
        A connected, non-blocking socket.

    Raises:
        ConnectError: The name is unknown, or no address accepts.
    """
    addresses = await _resolve(host, port)
    connected: list[socket.socket] = []
    failures: list[OSError] = []

    async def attempt(address: _Address, failed: anyio.Event) -> None:
        try:
            connected.append(await _establish(address))
        except OSError as error:
            failures.append(error)
            failed.set()
        else:
            group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for address in _interleaved(addresses):
                failed = anyio.Event()
                group.start_soon(attempt, address, failed)
                with anyio.move_on_after(_STAGGER):
                    await failed.wait()
        # Two may arrive together, and one is enough.
        sock = connected.pop() if connected else None
    finally:
        # All of them when cancelled in the moment in which somebody won.
        for each in connected:
            each.close()
    if sock is None:
        error = failures[-1]
        raise ConnectError(f"cannot connect to {host}:{port} ({error.strerror})") from error
    return sock


async def _resolve(host: str, port: int) -> Any:
    try:
        # An IP address needs no thread.
        found: Any = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        found = None
    try:
        # The loop's own way is through threads that others may hold, and wait for us.
        return found or await to_thread.run_sync(
            partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM),
            abandon_on_cancel=True,
            limiter=CapacityLimiter(1),
        )
    except OSError as error:
        raise ConnectError(f"the name {host} cannot be resolved ({error.strerror})") from error


_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int, ...]]


def _interleaved(addresses: Sequence[_Address]) -> list[_Address]:
    first = addresses[0][0]
    same = [each for each in addresses if each[0] == first]
    other = [each for each in addresses if each[0] != first]
    return [each for pair in zip_longest(same, other) for each in pair if each]


async def _establish(address: _Address) -> socket.socket:
    family, kind, protocol, _, place = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(place)
        if code in _IN_PROGRESS:
            await anyio.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock
