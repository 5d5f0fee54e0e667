"""HTTP/1.1 as far as the object storage needs it."""

from __future__ import annotations

import asyncio
import re
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from ._refusals import phrase_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping

    from ._damage import Buffer
    from ._faults import Fault
    from ._objects import StoredObject

_HEAD_LIMIT = 65_536
_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[!->@-~]*)(?:\?([!-~]*))? HTTP/1\.([01])")


@frozen(kw_only=True)
class Request:
    """The head of one request; header names are in lower case."""

    method: str
    path: str
    query: str
    http_1_1: bool
    raw_headers: tuple[tuple[bytes, bytes], ...]
    headers: Mapping[str, str]
    started_at: float

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may be used on after the answer."""
        # A body would have to be read first. Nothing that is answered here has one.
        has_body = "content-length" in self.headers or "transfer-encoding" in self.headers
        wants_close = "close" in self.headers.get("connection", "").lower()
        return self.http_1_1 and not has_body and not wants_close


@frozen(kw_only=True)
class Answer:
    """Status, headers and either a document or a part of an object."""

    status: int
    headers: Mapping[str, str]
    document: bytes = b""
    stored: StoredObject | None = None
    start: int = 0
    stop: int = 0

    @property
    def closes(self) -> bool:
        """Whether nothing but the end of the connection can end the body."""
        return "content-length" not in self.headers

    def body(self, request: Request) -> Iterable[Buffer]:
        """Return the body in parts."""
        if request.method == "HEAD":
            return ()
        return (self.document,) if self.stored is None else self.stored.content.slices(self.start, self.stop)

    def altered(self, fault: Fault) -> Answer:
        """Return the answer with the headers that a fault makes of them."""
        headers = dict(self.headers) | dict(fault.extra_headers)
        if fault.gzip:
            del headers["content-length"]
            headers["content-encoding"] = "gzip"
        return evolve(self, headers=headers)


def error_answer(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a refusal in the XML of S3."""
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    ).encode()
    own = {"content-type": "application/xml", "content-length": str(len(document))}
    return Answer(status=status, headers=own | dict(headers or {}), document=document)


def write_head(request: Request, answer: Answer, request_id: str) -> bytes:
    """Return status line and headers as they go over the wire."""
    keeps_alive = request.keeps_alive and not answer.closes
    headers = {
        "date": formatdate(usegmt=True),
        "server": "AmazonS3",
        "x-request-id": request_id,
        "x-amz-request-id": request_id,
        **answer.headers,
        "connection": "keep-alive" if keeps_alive else "close",
    }
    lines = [f"HTTP/1.1 {answer.status} {phrase_of(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def receive(connection: socket.socket, received: bytearray) -> Request | None:
    """Read the next request's head; `None` when the client has closed or does not speak HTTP."""
    loop = asyncio.get_running_loop()
    while (end := received.find(b"\r\n\r\n")) < 0:
        if len(received) > _HEAD_LIMIT:
            return None
        chunk = await loop.sock_recv(connection, _HEAD_LIMIT)
        if not chunk:
            return None
        received += chunk
    head = bytes(received[:end])
    del received[: end + 4]
    return _parse(head)


def _parse(head: bytes) -> Request | None:
    request_line, *lines = head.split(b"\r\n")
    matched = _REQUEST_LINE.fullmatch(request_line)
    if matched is None:
        return None
    raw_headers = []
    for line in lines:
        name, _, value = line.partition(b":")
        raw_headers.append((name.strip().lower(), value.strip()))
    method, path, query, minor = matched.groups(default=b"")
    return Request(
        method=method.decode(),
        path=path.decode(),
        query=query.decode(),
        http_1_1=minor == b"1",
        raw_headers=tuple(raw_headers),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in raw_headers},
        started_at=time.monotonic(),
    )
