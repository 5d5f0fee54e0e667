"""An API that redirects to a strict object store, and a store that misbehaves on request.

Two origins in two threads: the API wants the token, redirects to a signed URL on the store, and the store answers 400
to a request that has both signature and ``Authorization``, as S3 does.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import random
import re
import socket
import struct
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "storage-test-token"


@attrs.frozen
class Request:
    """One request as it came."""

    server: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def range(self) -> tuple[int, int | None] | None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        return (int(match[1]), int(match[2]) + 1 if match[2] else None) if match else None


@attrs.define(kw_only=True)
class Fault:
    """What goes wrong, and with which requests.

    Attributes:
        status: Answer with this status, and no body to speak of.
        after: Bytes of the body that go out before the following happens.
        stall: Send nothing more.
        trickle: Seconds between single bytes from there on.
        reset: Break the connection with a TCP reset.
        close: End the connection in an orderly way.
        corrupt: Flip a bit of the first byte of the body.
        whole: Answer 200 with everything, whatever the range.
        shift: Answer with a range that begins so many bytes later.
        headers: Header fields to add or replace.
        encode: Encode the body with gzip.
        chunked: Send the body chunked, without a length.
        endless: Send neither length nor chunks: the body ends with the connection.
        before: Called before anything is sent.
        server: Which of the two servers does it.
        times: How often.
        when: Which requests.
    """

    status: int | None = None
    after: int = 0
    stall: bool = False
    trickle: float | None = None
    reset: bool = False
    close: bool = False
    corrupt: bool = False
    whole: bool = False
    shift: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    encode: bool = False
    chunked: bool = False
    endless: bool = False
    before: Callable[[], object] = lambda: None
    server: str = "store"
    times: int = 1
    when: Callable[[Request], bool] = lambda request: True


@attrs.define
class Stored:
    data: bytes
    etag: str | None
    modified: str
    headers: dict[str, str] = attrs.field(factory=dict)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


class Storage:
    """Both servers. Objects are at ``files/NAME`` of the API."""

    def __init__(self, context=None) -> None:
        self.objects: dict[str, Stored] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.bytes_sent = 0
        self.generation = 0
        self.valid_from = 0
        self.redirect: Callable[[str], str] | None = None
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._api = self._serve("api", context)
        self._store = self._serve("store", context)
        scheme = "https" if context else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self._api.server_port}/api/v2"
        self.store_url = f"{scheme}://127.0.0.1:{self._store.server_port}"

    def put(self, name: str, size: int | bytes, *, etag: bool = True, **headers: str) -> Stored:
        """Store random bytes, or the given ones, under a name."""
        data = size if isinstance(size, bytes) else random.Random(f"{name}{size}").randbytes(size)
        stored = Stored(
            data,
            f'"{hashlib.md5(data).hexdigest()}"' if etag else None,
            formatdate(1_700_000_000, usegmt=True),
            {key.replace("_", "-"): value for key, value in headers.items()},
        )
        self.objects[name] = stored
        return stored

    def fault(self, **fields) -> Fault:
        made = Fault(**fields)
        self.faults.append(made)
        return made

    def expire(self) -> None:
        """Make every signed URL that was handed out useless."""
        self.valid_from = self.generation + 1

    def of(self, server: str) -> list[Request]:
        return [each for each in self.requests if each.server == server]

    def close(self) -> None:
        self.closing.set()
        for server in (self._api, self._store):
            server.shutdown()
            server.server_close()

    def _serve(self, name, context):
        storage = self

        class Handler(_Handler):
            server_name = name
            owner = storage

        server = _Server(("127.0.0.1", 0), Handler)
        server.context = context
        threading.Thread(
            target=server.serve_forever, args=(0.02,), name=f"storage {name}", daemon=True
        ).start()
        return server

    def take_fault(self, request: Request) -> Fault:
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times and fault.server == request.server and fault.when(request):
                    fault.times -= 1
                    return fault
        return Fault()

    def count(self, sent: int) -> None:
        with self._lock:
            self.bytes_sent += sent


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    context = None

    def finish_request(self, request, client_address):
        if self.context is not None:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        try:
            super().finish_request(request, client_address)
        finally:
            request.close()

    def handle_error(self, request, client_address):
        """A client that goes away is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_name: str
    owner: Storage
    timeout = 20

    def log_message(self, format, *args):  # noqa: A002 - the base class's name
        pass

    def do_GET(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.server_name, self.path, headers)
        fault = self.owner.take_fault(request)
        fault.before()
        if fault.status is not None:
            self._plain(fault.status, b'{"message": "as asked"}', fault.headers)
        elif self.server_name == "api":
            self._api(request, fault)
        else:
            self._store(request, fault)

    def _api(self, request, fault):
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            self._plain(401, b'{"message": "no token"}')
            return
        name = request.path.rpartition("/files/")[2]
        if name.startswith("direct/"):
            self._object(name.removeprefix("direct/"), request, fault)
            return
        self.owner.generation += 1
        # Escapes that a client must not touch: the signature covers them.
        signature = f"X-Signature=a%2Fb%7E+c~{self.owner.generation}&empty=&x=%c3%a9"
        location = f"{self.owner.store_url}/{name}?{signature}"
        if self.owner.redirect is not None:
            location = self.owner.redirect(location)
        self._plain(302, b"", {"Location": location, **fault.headers})

    def _store(self, request, fault):
        match = re.fullmatch(
            r"X-Signature=a%2Fb%7E\+c~(\d+)&empty=&x=%c3%a9", request.target.partition("?")[2]
        )
        if match is None:
            self._plain(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        elif "authorization" in request.headers:
            self._plain(400, b"<Error><Code>InvalidArgument</Code></Error>")
        elif int(match[1]) < self.owner.valid_from:
            self._plain(403, b"<Error><Code>AccessDenied</Code><Message>expired</Message></Error>")
        else:
            self._object(request.path.lstrip("/"), request, fault)

    def _object(self, name, request, fault):
        stored = self.owner.objects.get(name)
        if stored is None:
            self._plain(404, b'{"message": "no such object"}')
            return
        data, total = stored.data, len(stored.data)
        headers = {"Last-Modified": stored.modified, "Accept-Ranges": "bytes", **stored.headers}
        if stored.etag:
            headers["ETag"] = stored.etag
        condition = request.headers.get("if-range")
        fits = condition in {None, stored.etag, stored.modified}
        if request.range is None or fault.whole or not fits:
            status = 200
        elif request.range[0] >= total:
            self._plain(416, b"", {"Content-Range": f"bytes */{total}"})
            return
        else:
            start = request.range[0] + fault.shift
            end = min(request.range[1] or total, total)
            status, data = 206, data[start:end]
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{total}"
        if fault.encode:
            data = gzip.compress(data, 1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if fault.corrupt:
            data = bytes([data[0] ^ 1]) + data[1:]
        self._send(status, {**headers, **fault.headers}, data, fault)

    def _plain(self, status, body, headers=None):
        self._send(status, headers or {}, body, Fault())

    def _send(self, status, headers, data, fault):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if fault.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif fault.endless:
            self.send_header("Connection", "close")
            self.close_connection = True
        elif "content-length" not in {name.lower() for name in headers}:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            if fault.chunked:
                self._send_chunks(data, fault)
            else:
                self._send_body(data, fault)

    def _send_chunks(self, data, fault):
        for start in range(0, len(data), 50_000):
            if (fault.close or fault.reset) and start > fault.after:
                self._break(fault)
                return
            part = data[start : start + 50_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.owner.count(len(part))
        self.wfile.write(b"0\r\n\r\n")

    def _send_body(self, data, fault):
        misbehaves = fault.stall or fault.reset or fault.close or fault.trickle is not None
        first = data[: fault.after] if misbehaves else data
        for start in range(0, len(first), 256 * 1024):
            part = first[start : start + 256 * 1024]
            self.wfile.write(part)
            self.owner.count(len(part))
        if not misbehaves:
            return
        if fault.stall:
            self._wait_for_client()
        elif fault.trickle is not None:
            self._trickle(data[fault.after :], fault.trickle)
        else:
            self._break(fault)

    def _break(self, fault):
        self.close_connection = True
        self.wfile.flush()
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _trickle(self, data, pause):
        for byte in data:
            self.wfile.write(bytes([byte]))
            if self.owner.closing.wait(pause):
                return

    def _wait_for_client(self):
        """Stay silent until the client gives up."""
        self.close_connection = True
        self.connection.settimeout(0.05)
        while not self.owner.closing.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


@pytest.fixture
def storage():
    made = Storage()
    yield made
    made.close()
    time.sleep(0)


@pytest.fixture
def tls_storage(tls):
    made = Storage(tls.server_context())
    yield made
    made.close()
