"""A small HTTP proxy: tunnels and forwarding, with or without a password."""

from __future__ import annotations

import base64
import select
import socket
import socketserver
import threading
from urllib.parse import urlsplit

import pytest


class Proxy:
    """Listens on a port of 127.0.0.1 and notes the first line of each request."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.password: tuple[str, str] | None = None
        self.closing = threading.Event()
        owner = self

        class Handler(_Handler):
            proxy = owner

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="proxy", daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A client that goes away is nothing to report."""


class _Handler(socketserver.BaseRequestHandler):
    proxy: Proxy

    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.request.recv(65536)
            if not data:
                return
            head += data
        line, _, rest = head.partition(b"\r\n")
        self.proxy.lines.append(line.decode())
        method, target, _ = line.decode().split(" ")
        if self.proxy.password and self._credentials() not in rest.decode("latin-1"):
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as upstream:
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._pump(upstream)
        else:
            parts = urlsplit(target)
            path = target.split(parts.netloc, 1)[1]
            with socket.create_connection((parts.hostname, parts.port)) as upstream:
                # One request for each connection: the next one may go elsewhere.
                upstream.sendall(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode() + rest)
                self._pump(upstream)

    def _credentials(self):
        pair = ":".join(self.proxy.password or ())
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    def _pump(self, upstream):
        pairs = {self.request: upstream, upstream: self.request}
        while not self.proxy.closing.is_set():
            for ready in select.select(list(pairs), [], [], 0.05)[0]:
                data = ready.recv(262_144)
                if not data:
                    return
                pairs[ready].sendall(data)


@pytest.fixture
def proxy():
    made = Proxy()
    yield made
    made.close()
