"""Both servers, API and storage, in a background thread with an event loop of its own.

Plain connections are sockets without a transport, so that a large body goes from the seed's block to the
kernel in views of 1 MiB without a copy in Python: the emulator must not be what a benchmark measures. On
two cores of a virtual machine that curl shares, over loopback, it sends 2 to 5 GB/s.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from attrs import define, field

from ._http import Buffer, receive
from ._middleware import respond

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from ._state import State

T = TypeVar("T")
_CHUNK = 65_536
_HEAD_LIMIT = 65_536
# How long a reset waits for what was sent before it, in seconds: it overtakes bytes that still lie in
# the sender's queue.
_GRACE = 0.02
_TLS_TIMEOUT = 10.0
# How long to wait before accepting again where it has failed, in seconds.
_PAUSE = 0.05


@define(eq=False)
class Connection:
    """Reads what is asked for, sends what it is given."""

    _socket: socket.socket
    _read: Callable[[], Awaitable[bytes]]
    _write: Callable[[Buffer], Awaitable[None]]
    close: Callable[[], None]
    _received: bytearray = field(factory=bytearray)

    @classmethod
    async def open(cls, connection: socket.socket, tls: ssl.SSLContext | None) -> Connection:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        if tls is not None:
            return cls(*await _encrypt(connection, tls))
        receive = partial(loop.sock_recv, connection, _CHUNK)
        return cls(connection, receive, partial(loop.sock_sendall, connection), connection.close)

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
        await self._write(data)
        await asyncio.sleep(0)  # to a client that reads fast enough, sending alone never pauses

    async def wait_closed(self) -> None:
        """Be silent until the client gives up."""
        while await self._receive():
            self._received.clear()

    async def reset(self) -> None:
        """Let the coming close be a reset that arrives after the bytes sent so far."""
        await asyncio.sleep(_GRACE)
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _receive(self) -> bool:
        received = await self._read()
        self._received += received
        return bool(received)


async def _encrypt(connection: socket.socket, context: ssl.SSLContext) -> tuple[Any, Any, Any, Any]:
    """Shake hands; return what a connection is made of."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, connection, ssl=context, ssl_handshake_timeout=_TLS_TIMEOUT
    )
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    async def send(data: Buffer) -> None:
        writer.write(data)
        await writer.drain()

    return writer.get_extra_info("socket"), partial(reader.read, _CHUNK), send, transport.abort


def listen(host: str, port: int) -> socket.socket:
    """Bind a listening socket, so that its port is known before anything runs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=1024)
    listener.setblocking(False)
    return listener


class ServerThread:
    """Serves a state on two listening sockets until it is stopped."""

    def __init__(self, state: State, listeners: dict[Literal["api", "storage"], socket.socket]) -> None:
        self._state = state
        self._tls = state.settings.tls
        self._listeners = listeners
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="datarobot-emulator", daemon=True)
        # Until the loop runs, connections wait in the sockets' queues.
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        async def run() -> T:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())  # the runner cancels the connections' tasks at its end

    async def _serve(self) -> None:
        for origin, listener in self._listeners.items():
            self._listen(origin, listener)
        await self._stop.wait()
        for listener in self._listeners.values():
            self._loop.remove_reader(listener)
            listener.close()

    def _listen(self, origin: Literal["api", "storage"], listener: socket.socket) -> None:
        if not self._stop.is_set():
            self._loop.add_reader(listener, self._accept, origin, listener)

    def _accept(self, origin: Literal["api", "storage"], listener: socket.socket) -> None:
        # Not by `sock_accept`: stopped between the accepting and the waking, it loses the connection.
        try:
            connection, _ = listener.accept()
        except BlockingIOError:  # the client has left already
            return
        except OSError:  # the process has no file left
            self._loop.remove_reader(listener)
            self._loop.call_later(_PAUSE, self._listen, origin, listener)
            return
        task = self._loop.create_task(self._converse(origin, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # However it ends: also stopped before its first step, or inside of a TLS handshake.
        task.add_done_callback(lambda _: connection.close())

    async def _converse(self, origin: Literal["api", "storage"], accepted: socket.socket) -> None:
        with suppress(OSError):  # the client went away; there is nobody to tell
            connection = await Connection.open(accepted, self._tls)
            try:
                while (request := await receive(connection, origin)) is not None:
                    if not await respond(self._state, request, connection):
                        return
            finally:
                connection.close()
