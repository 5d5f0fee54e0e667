"""The first of a host's addresses that answers. In the event loop, where it can be cancelled at any time."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import anyio

from datarobot_mlops_async.errors import ConnectError

if TYPE_CHECKING:
    from collections.abc import Sequence

_STAGGER = 0.25
_IN_PROGRESS = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)})

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int, ...]]


async def open_socket(host: str, port: int) -> socket.socket:
    """Connect to the first of a host's addresses that answers.

    A second address is tried next to the first when that has not answered after a quarter of a second
    (RFC 8305, abridged).

    Raises:
        ConnectError: The name is unknown, or no address accepts.
    """
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectError(f"{host}: the name cannot be resolved ({error})") from error
    race = _Race()
    try:
        async with anyio.create_task_group() as group:
            for family, _, protocol, _, address in _interleaved(found):
                lost = anyio.Event()
                group.start_soon(race.run, family, protocol, address, lost, group.cancel_scope)
                with anyio.move_on_after(_STAGGER):
                    await lost.wait()
    except BaseException:
        # Cancelled in the moment in which somebody won.
        race.call_off()
        raise
    if race.winner is None:
        raise ConnectError(f"{host}:{port}: cannot connect ({race.error})") from race.error
    return race.winner


def _interleaved(addresses: Sequence[_Address]) -> list[_Address]:
    first = addresses[0][0]
    same = [each for each in addresses if each[0] == first]
    other = [each for each in addresses if each[0] != first]
    longest = max(len(same), len(other))
    return [each for index in range(longest) for group in (same, other) for each in group[index : index + 1]]


class _Race:
    """Several connection attempts, of which the first to succeed wins."""

    def __init__(self) -> None:
        self.winner: socket.socket | None = None
        self.error: OSError | None = None

    async def run(
        self,
        family: socket.AddressFamily,
        protocol: int,
        address: tuple[str | int, ...],
        lost: anyio.Event,
        scope: anyio.CancelScope,
    ) -> None:
        sock = socket.socket(family, socket.SOCK_STREAM, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await _establish(sock, address)
        except OSError as error:
            self.error = error
            sock.close()
            lost.set()
        except BaseException:
            sock.close()
            raise
        else:
            # Two may arrive together, and one is enough.
            self.call_off()
            self.winner = sock
            scope.cancel()

    def call_off(self) -> None:
        """Close the winner's socket, if there is one."""
        if self.winner is not None:
            self.winner.close()


async def _establish(sock: socket.socket, address: tuple[str | int, ...]) -> None:
    code = sock.connect_ex(address)
    if code not in _IN_PROGRESS:
        raise OSError(code, os.strerror(code))
    if code:
        await anyio.wait_writable(sock.fileno())
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
