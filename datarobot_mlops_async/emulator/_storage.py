"""The object storage: a second origin that serves signed URLs as S3 does.

It is a server of its own rather than an ASGI application because it must not be what a benchmark
measures: requests are parsed in a dozen lines and bodies go from the seed's block to the socket in
views of 1 MiB, without a copy in Python.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
import uuid
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from attrs import frozen

from ._log import RequestRecord
from ._ranges import RangeAnswer, answer_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._objects import StoredObject
    from ._world import World

_HEAD_LIMIT = 65_536
_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[^ ?]*)(?:\?([^ ]*))? HTTP/1\.([01])")


@frozen(kw_only=True)
class Request:
    """One request of the storage."""

    method: str
    path: str
    query: str
    http_1_1: bool
    raw_headers: tuple[tuple[bytes, bytes], ...]
    headers: Mapping[str, str]
    started_at: float

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection stays open after the answer."""
        # What the body of anything but a GET means is not looked at, so the connection cannot be used on.
        wants_close = "close" in self.headers.get("connection", "").lower()
        return (
            self.http_1_1
            and self.method == "GET"
            and not wants_close
            and "content-length" not in self.headers
        )


@frozen(kw_only=True)
class Answer:
    """Status, headers and either a document or a part of an object."""

    status: int
    headers: dict[str, str]
    document: bytes = b""
    stored: StoredObject | None = None
    start: int = 0
    stop: int = 0


class Storage:
    """Serves the objects of a world on a listening socket."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections until cancelled; then every connection is closed."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                connection, _ = await loop.sock_accept(listener)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                task = asyncio.create_task(self._serve_connection(connection))
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)
        finally:
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve_connection(self, connection: socket.socket) -> None:
        with connection:
            connection.setblocking(False)
            received = bytearray()
            try:
                while (request := await _receive(connection, received)) is not None:
                    await self._respond(connection, request)
                    if not request.keeps_alive:
                        return
            except OSError:
                return  # the client went away; there is nobody to tell

    async def _respond(self, connection: socket.socket, request: Request) -> None:
        loop = asyncio.get_running_loop()
        answer = self._answer(request)
        request_id = uuid.uuid4().hex
        self._record(request, answer.status, request_id)
        await loop.sock_sendall(connection, _head(request, answer, request_id))
        if request.method == "HEAD":
            return
        if answer.stored is None:
            await loop.sock_sendall(connection, answer.document)
            return
        for view in answer.stored.content.slices(answer.start, answer.stop):
            await loop.sock_sendall(connection, view)

    def _answer(self, request: Request) -> Answer:
        refused = self._refusal(request)
        if refused is not None:
            return _error(*refused)
        stored = self._world.objects.get(unquote(request.path))
        if stored is None:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        ranged = answer_range(
            request.headers, size=stored.content.size, etag=stored.etag, last_modified=stored.last_modified
        )
        return _object_answer(stored, ranged)

    def _refusal(self, request: Request) -> tuple[int, str, str] | None:
        if request.method != "GET":
            # The signature covers the method: a URL signed for GET opens nothing else, HEAD included.
            return 403, "SignatureDoesNotMatch", "The request signature we calculated does not match."
        if "authorization" in request.headers:
            return 400, "InvalidArgument", "Only one auth mechanism allowed"
        refused = self._world.signer.refusal(request.path, request.query)
        return None if refused is None else (403, *refused)

    def _record(self, request: Request, status: int, request_id: str) -> None:
        self._world.log.append(
            RequestRecord(
                method=request.method,
                path=request.path,
                query=request.query,
                raw_headers=request.raw_headers,
                body=b"",
                status=status,
                started_at=request.started_at,
                answered_at=time.monotonic(),
                request_id=request_id,
                origin="storage",
            )
        )


def _object_answer(stored: StoredObject, ranged: RangeAnswer) -> Answer:
    if ranged.status == 412:
        return _error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold.")
    if ranged.status == 416:
        error = _error(416, "InvalidRange", "The requested range is not satisfiable")
        return Answer(status=416, headers=error.headers | ranged.headers, document=error.document)
    headers = {
        "content-type": stored.content_type,
        "content-length": str(ranged.stop - ranged.start),
        "content-disposition": f'attachment; filename="{stored.filename}"',
        "accept-ranges": "bytes",
        "etag": stored.etag,
        "last-modified": stored.last_modified,
    }
    return Answer(
        status=ranged.status,
        headers=headers | ranged.headers,
        stored=stored,
        start=ranged.start,
        stop=ranged.stop,
    )


def _error(status: int, code: str, message: str) -> Answer:
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    ).encode()
    headers = {"content-type": "application/xml", "content-length": str(len(document))}
    return Answer(status=status, headers=headers, document=document)


def _head(request: Request, answer: Answer, request_id: str) -> bytes:
    headers = {
        "date": formatdate(usegmt=True),
        "server": "AmazonS3",
        "x-request-id": request_id,
        "x-amz-request-id": request_id,
        **answer.headers,
        "connection": "keep-alive" if request.keeps_alive else "close",
    }
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _receive(connection: socket.socket, received: bytearray) -> Request | None:
    """Read one request's head; `None` when the client has closed or does not speak HTTP."""
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
        path=path.decode("latin-1"),
        query=query.decode("latin-1"),
        http_1_1=minor == b"1",
        raw_headers=tuple(raw_headers),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in raw_headers},
        started_at=time.monotonic(),
    )
