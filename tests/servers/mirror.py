"""A plain file server with ranges, as anybody runs one: a mirror of an artifact."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Mirror(ThreadingHTTPServer):
    """Serves one file.

    Attributes:
        data: The file.
        asked: First bytes of the ranges that were asked for.
        tokens: How many requests brought credentials.
        breaks: Whether each answer breaks off in the middle.
        status: The status of every answer, in place of 206.
    """

    daemon_threads = True

    def __init__(self, data):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data = data
        self.asked = []
        self.tokens = 0
        self.breaks = False
        self.status = 206

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/image?X-Signature=s3cret"

    def handle_error(self, request, client_address):
        """A client that goes away is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        mirror = self.server
        start, last = (int(each) for each in re.findall(r"\d+", self.headers["Range"]))
        body = mirror.data[start : last + 1]
        mirror.asked.append(start)
        mirror.tokens += "Authorization" in self.headers
        self.send_response(mirror.status)
        self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(mirror.data)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{self.server.server_port}"')
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mirror.breaks else body)
        self.close_connection = mirror.breaks

    def log_message(self, *_arguments):
        """Nobody reads it."""


@contextmanager
def mirroring(data):
    """Run a mirror in a thread."""
    with Mirror(data) as mirror:
        thread = threading.Thread(target=mirror.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield mirror
        finally:
            mirror.shutdown()
            thread.join()
