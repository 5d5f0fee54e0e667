"""One connected socket: the event loop drives it for heads, a thread drains it for bodies.

Event-loop streams hand over one TLS record (16 KiB) at a time and copy it on the way. A body is read here
with ``recv_into`` into buffers that are used again, by a thread that holds no lock while the kernel or
OpenSSL works; what the loop does with the same socket is connecting, the TLS handshake and a few hundred
bytes of head. It works the same on asyncio, uvloop and trio, because neither half needs their streams.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING

import anyio

from datarobot_mlops_async.errors import (
    CertificateError,
    ConnectError,
    ReadError,
    TimeoutError,  # noqa: A004 - ours
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD_CHUNK = 32 * 1024
_STAGGER = 0.25
_IN_PROGRESS = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)})


class Connection:
    """A connected socket, plain or under TLS.

    Args:
        sock: A connected, non-blocking socket.
        read_timeout: Seconds of silence, in a body, that mean it is over.
    """

    def __init__(self, sock: socket.socket, *, read_timeout: float) -> None:
        self._sock = sock
        self._read_timeout = read_timeout
        self._interrupted = False

    async def start_tls(self, context: ssl.SSLContext, hostname: str) -> None:
        """Wrap the socket in TLS.

        Raises:
            CertificateError: The server's certificate is not trusted, or is another host's.
            ConnectError: The handshake failed.
        """
        try:
            self._sock = wrapped = context.wrap_socket(
                self._sock, server_hostname=hostname, do_handshake_on_connect=False
            )
            await self._handshake(wrapped)
        except ssl.SSLCertVerificationError as error:
            raise CertificateError(
                f"{hostname}: the server's certificate is not trusted ({error.verify_message})"
            ) from error
        except (OSError, ValueError) as error:
            raise ConnectError(f"{hostname}: the TLS handshake failed ({error})") from error

    async def _handshake(self, wrapped: ssl.SSLSocket) -> None:
        while True:
            try:
                wrapped.do_handshake()
            except ssl.SSLWantReadError:
                await anyio.wait_readable(wrapped.fileno())
            except ssl.SSLWantWriteError:  # pragma: no cover - a handshake fits into an empty send buffer
                await anyio.wait_writable(wrapped.fileno())
            else:
                return

    async def send(self, data: bytes) -> None:
        """Send all bytes."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                await anyio.wait_writable(self._sock.fileno())
            except ssl.SSLWantReadError:  # pragma: no cover - renegotiation, which TLS 1.3 has no more
                await anyio.wait_readable(self._sock.fileno())
            except OSError as error:
                raise ReadError(f"the connection broke ({error})") from error

    async def receive(self) -> bytes:
        """Return the next bytes; empty at the end of the stream."""
        while True:
            try:
                return self._sock.recv(_HEAD_CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                await anyio.wait_readable(self._sock.fileno())
            except ssl.SSLWantWriteError:  # pragma: no cover - renegotiation, which TLS 1.3 has no more
                await anyio.wait_writable(self._sock.fileno())
            except OSError as error:
                raise ReadError(f"the connection broke ({error})") from error

    def lend_to_thread(self) -> None:
        """Let `read_into` block, with the read timeout; called before a thread drains a body."""
        self._sock.settimeout(self._read_timeout)

    def return_to_loop(self) -> None:
        """Make the socket non-blocking again."""
        self._sock.setblocking(False)

    def read_into(self, view: memoryview) -> int:
        """Read at least one byte, in a thread; 0 at the end of the stream.

        Raises:
            ReadError: The connection broke, or `interrupt` was called.
            TimeoutError: Nothing came for the read timeout.
        """
        try:
            return self._sock.recv_into(view)
        except builtins.TimeoutError as error:
            raise TimeoutError(f"no bytes for {self._read_timeout:g} s") from error
        except OSError as error:
            raise ReadError(f"the connection broke ({error})") from error

    def interrupt(self) -> None:
        """Make a thread that is blocked in `read_into` return at once. Safe in any thread, any time."""
        self._interrupted = True
        # Not SSLSocket.shutdown(): it would take the TLS object from under the thread that reads.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def is_stale(self) -> bool:
        """Tell whether an idle connection was closed by the server, or cannot be used again."""
        if self._interrupted:
            return True
        try:
            # Under TLS there may be a session ticket waiting, which is no reason to distrust it.
            data = socket.socket.recv(self._sock, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not (data and isinstance(self._sock, ssl.SSLSocket))

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


async def connect(host: str, port: int, *, read_timeout: float) -> Connection:
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
    return Connection(race.winner, read_timeout=read_timeout)


_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int, ...]]


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
