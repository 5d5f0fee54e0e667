"""A real HTTP server that answers from a script, for what the emulator would never send."""

from __future__ import annotations

import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from attrs import define, field, frozen


@frozen(kw_only=True)
class Answer:
    """One answer: sent as written, ``Content-Length`` included unless the headers say otherwise."""

    status: int = 200
    headers: dict = field(factory=dict)
    body: bytes = b"{}"
    # What happens instead of a whole answer: "reset" before the head, "cut" inside the body, "hang".
    instead: str | None = None


@frozen
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict
    body: bytes


@define
class Script:
    """Answers in order; the last one is repeated. A function is called with the request."""

    answers: list
    asked: list = field(factory=list)
    lock: threading.Lock = field(factory=threading.Lock)
    release: threading.Event = field(factory=threading.Event)

    def next(self, asked):
        with self.lock:
            self.asked.append(asked)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(asked) if callable(answer) else answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            # Cut off by a caller who went away: that is no request.
            self.close_connection = True
            return
        script = self.server.script
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = script.next(Asked(self.command, self.path, headers, body))
        if answer.instead == "hang":
            script.release.wait(30)
        if answer.instead in {"hang", "reset"}:
            # Linger 0 makes close() send a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        lines = [f"HTTP/1.1 {answer.status} Scripted"]
        extra = {"Content-Length": str(len(answer.body)), "Content-Type": "application/json"}
        for name, value in {**extra, **answer.headers}.items():
            values = value if isinstance(value, list) else [value]
            lines += [f"{name}: {each}" for each in values]
        body = answer.body[: len(answer.body) // 2] if answer.instead == "cut" else answer.body
        self.wfile.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        self.close_connection = answer.instead == "cut"

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer

    def log_message(self, *args):
        pass


class ScriptedServer:
    """``with ScriptedServer(Answer(...), ...) as server: server.endpoint``."""

    def __init__(self, *answers, tls=None):
        self.script = Script(list(answers))
        self._tls = tls

    @property
    def asked(self):
        return list(self.script.asked)

    def __enter__(self):
        self._server = _Server(("127.0.0.1", 0), _Handler)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._server.script = self.script
        self.port = self._server.server_port
        self.origin = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        self.endpoint = f"{self.origin}/api/v2"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self.script.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # server_close() would join handlers that wait for a next request on a kept connection.
    block_on_close = False

    def handle_error(self, request, client_address):
        pass
