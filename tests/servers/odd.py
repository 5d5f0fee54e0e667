"""A server that answers with any bytes at all, one connection in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


class OddServer:
    """``with OddServer(answer) as server``: ``answer(connection, request, number)`` is called for each request.

    A connection is closed when ``answer`` returns ``False``; ``request`` is head and body as they came.
    """

    def __init__(self, answer: Callable, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self.release = threading.Event()

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.origin = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, name="odd")]
        self._threads[0].start()
        return self

    def __exit__(self, *exc):
        self.release.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)
        for each in self._threads:
            each.join()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name="odd")
            with self._lock:
                self.connections += 1
                self.open += 1
                self._sockets.add(connection)
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        plain = connection
        with contextlib.suppress(OSError, ValueError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._sockets.add(connection)
            while (request := _read_request(connection)) is not None:
                with self._lock:
                    self.requests.append(request)
                    number = len(self.requests)
                if self._answer(connection, request, number) is False:
                    break
        with self._lock:
            self._sockets -= {plain, connection}
        connection.close()
        with self._lock:
            self.open -= 1


def _read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        0,
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def says(*parts: bytes, then: str = "close") -> Callable:
    """Return an answer: some bytes, and then the connection is kept, closed or reset."""

    def answer(connection, request, number):
        for part in parts:
            connection.sendall(part)
        if then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return then == "keep"

    return answer
