"""One client's connection, plain or TLS.

Plain connections are sockets without a transport, so that a large body goes from the seed's block to the
kernel in views of 1 MiB without a copy in Python: the emulator must not be what a benchmark measures. On
two cores of a virtual machine that curl shares, over loopback, it sends 2 to 5 GB/s.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

Buffer = bytes | memoryview

_CHUNK = 65_536
_HEAD_LIMIT = 65_536
# How long a reset waits for what was sent before it, in seconds: it overtakes bytes that still lie in
# the sender's queue.
_GRACE = 0.02
_TLS_TIMEOUT = 10.0


class _Plain:
    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self.socket, _CHUNK)

    async def send(self, data: Buffer) -> None:
        await self._loop.sock_sendall(self.socket, data)
        await asyncio.sleep(0)  # to a client that reads fast enough, sending alone never pauses

    def close(self) -> None:
        self.socket.close()


class _Encrypted:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.socket: socket.socket = writer.get_extra_info("socket")
        self._reader = reader
        self._writer = writer

    async def receive(self) -> bytes:
        return await self._reader.read(_CHUNK)

    async def send(self, data: Buffer) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.transport.abort()


async def _encrypt(connection: socket.socket, context: ssl.SSLContext) -> _Encrypted:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    try:
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, connection, ssl=context, ssl_handshake_timeout=_TLS_TIMEOUT
        )
    except BaseException:
        connection.close()
        raise
    return _Encrypted(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


class Connection:
    """Reads what is asked for, sends what it is given."""

    def __init__(self, stream: _Plain | _Encrypted) -> None:
        self._stream = stream
        self._received = bytearray()

    @classmethod
    async def open(cls, connection: socket.socket, tls: ssl.SSLContext | None) -> Connection:
        """Take over an accepted socket.

        Raises:
            OSError: The client does not agree on TLS.
        """
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(_Plain(connection) if tls is None else await _encrypt(connection, tls))

    async def peek(self) -> bytes:
        """Return the next byte, which stays; nothing when the client has left."""
        if not self._received:
            await self._receive()
        return bytes(self._received[:1])

    async def until(self, separator: bytes) -> bytes | None:
        """Return what comes before a separator; `None` when the client has left or goes on too long."""
        while (end := self._received.find(separator)) < 0:
            if len(self._received) > _HEAD_LIMIT or not await self._receive():
                return None
        head = bytes(self._received[:end])
        del self._received[: end + len(separator)]
        return head

    async def take(self, count: int, *, keep: int) -> bytes | None:
        """Read `count` bytes and return the first `keep` of them; `None` when the client has left."""
        kept = bytearray()
        while True:
            part = self._received[:count]
            del self._received[: len(part)]
            kept += part[: keep - len(kept)]
            count -= len(part)
            if not count:
                return bytes(kept)
            if not await self._receive():
                return None

    async def send(self, data: Buffer) -> None:
        """Send bytes as fast as the client reads them."""
        await self._stream.send(data)

    async def wait_closed(self) -> None:
        """Be silent until the client gives up."""
        while await self._receive():
            self._received.clear()

    async def reset(self) -> None:
        """Let the coming close be a reset that arrives after the bytes sent so far."""
        await asyncio.sleep(_GRACE)
        with suppress(OSError):
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        """Close at once."""
        self._stream.close()

    async def _receive(self) -> bool:
        received = await self._stream.receive()
        self._received += received
        return bool(received)
