"""Small proxies, HTTP (tunnels and forwarding, also under TLS) and SOCKS5, with or without a password."""

from __future__ import annotations

import base64
import ipaddress
import select
import socket
import socketserver
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

if TYPE_CHECKING:
    import ssl


class Proxy:
    """Listens on a port of 127.0.0.1 and notes the first line of each request, or what SOCKS asks for.

    Attributes:
        lines: What was asked for.
        password: The user name and password that it wants.
        hosts: Where names lead that nobody else knows.
        replies: What a SOCKS proxy says in the place of its "method", "login" or "reply"; empty to hang up,
            ``None`` to say nothing more.
    """

    def __init__(self, *, socks: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.lines: list[str] = []
        self.password: tuple[str, str] | None = None
        self.hosts: dict[str, str] = {}
        self.replies: dict[str, bytes | None] = {}
        self.tls = tls
        self.closing = threading.Event()
        owner = self

        class Handler(_Socks if socks else _HTTP):
            proxy = owner

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        scheme = "socks5" if socks else "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="proxy", daemon=True).start()

    def url_for(self, user: str, password: str) -> str:
        return self.url.replace("//", f"//{quote(user, safe='')}:{quote(password, safe='')}@")

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

    def setup(self):
        if self.proxy.tls is not None:
            self.request = self.proxy.tls.wrap_socket(self.request, server_side=True)

    def finish(self):
        self.request.close()

    def _connect(self, host, port):
        return socket.create_connection((self.proxy.hosts.get(host, host), port))

    def _pump(self, upstream):
        pairs = {self.request: upstream, upstream: self.request}
        while not self.proxy.closing.is_set():
            for ready in select.select(list(pairs), [], [], 0.05)[0]:
                data = ready.recv(262_144)
                if not data:
                    return
                pairs[ready].sendall(data)


class _HTTP(_Handler):
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
            with self._connect(host, int(port)) as upstream:
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._pump(upstream)
        else:
            parts = urlsplit(target)
            path = target.split(parts.netloc, 1)[1]
            with self._connect(parts.hostname, parts.port or 80) as upstream:
                # One request for each connection: the next one may go elsewhere.
                upstream.sendall(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode() + rest)
                self._pump(upstream)

    def _credentials(self):
        pair = ":".join(self.proxy.password or ())
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


class _Socks(_Handler):
    def handle(self):
        methods = self._read(2)
        methods = self._read(methods[1])
        wanted = 2 if self.proxy.password else 0
        if not self._say("method", bytes([5, wanted if wanted in methods else 255])):
            return
        if wanted:
            user = self._read(self._read(2)[1])
            password = self._read(self._read(1)[0])
            known = (user.decode(), password.decode()) == self.proxy.password
            if not self._say("login", bytes([1, not known])):
                return
        host, port = self._address()
        self.proxy.lines.append(f"{host}:{port}")
        if not self._say("reply", b"\x05\x00\x00\x03\x01x\x00\x00"):
            return
        with self._connect(host, port) as upstream:
            self._pump(upstream)

    def _address(self):
        kind = self._read(4)[3]
        if kind == 3:
            host = self._read(self._read(1)[0]).decode()
        else:
            host = str(ipaddress.ip_address(self._read(4 if kind == 1 else 16)))
        return host, int.from_bytes(self._read(2), "big")

    def _read(self, count):
        data = b""
        while len(data) < count:
            more = self.request.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def _say(self, what, reply):
        usual = what not in self.proxy.replies
        answer = reply if usual else self.proxy.replies[what]
        if answer is None:
            self.proxy.closing.wait(30)
            return False
        if usual:
            for each in answer:
                # No read of the client's may take a message for whole.
                self.request.sendall(bytes([each]))
        else:
            self.request.sendall(answer)
        return usual and answer[1] in {0, 2}


@pytest.fixture
def proxy():
    made = Proxy()
    yield made
    made.close()


@pytest.fixture
def tls_proxy(tls):
    made = Proxy(tls=tls.server_context())
    yield made
    made.close()


@pytest.fixture
def socks_proxy():
    made = Proxy(socks=True)
    yield made
    made.close()
