"""Requests, answers, and HTTP/1.1 as far as the emulator needs it."""

from __future__ import annotations

import json
import os
import re
import time
from email.utils import formatdate
from functools import cached_property
from http.client import responses
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

from attrs import define, evolve, field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._faults import Fault
    from ._objects import Content
    from ._server import Connection

Buffer = bytes | memoryview

BODY_LIMIT = 8 * 2**20
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")
_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[!->@-~]*)(?:\?([!-~]*))? HTTP/1\.([01])")
_STORAGE_ERROR = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>{code}</Code><Message>{message}</Message></Error>"""


@define(kw_only=True, slots=False, eq=False)
class RequestRecord:
    """One request as the emulator received it.

    Attributes:
        method: Upper case.
        path: Undecoded, with the `/api/v2` part.
        query: Undecoded, without the question mark.
        raw_headers: Every header line in its order, names in lower case.
        body: The request's body.
        status: The answer's status; `None` when the connection was cut before one was sent.
        started_at: When the request had arrived, on the clock of `time.monotonic()`, in seconds.
        answered_at: When the answer's first byte was about to be sent, on the same clock.
        request_id: The answer's `x-request-id`.
        origin: Which of the two servers it reached.
    """

    method: str
    path: str
    query: str
    raw_headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    status: int | None = None
    started_at: float = field(factory=time.monotonic)
    answered_at: float = 0.0
    request_id: str = field(factory=lambda: os.urandom(16).hex())
    origin: Literal["api", "storage"]
    keeps_alive: bool = field(default=True, repr=False)
    fault: Fault = field(init=False, repr=False)

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers by lower-case name; lines of the same name joined by a comma."""
        joined: dict[str, str] = {}
        for raw_name, raw_value in self.raw_headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return joined

    @property
    def authorization(self) -> str | None:
        """The `Authorization` header, `None` where there was none."""
        return self.headers.get("authorization")

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The query, decoded: every value of every name, blank ones included."""
        return parse_qs(self.query, keep_blank_values=True)

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


Request = RequestRecord


@frozen(kw_only=True)
class Answer:
    """Status, headers and either a document or a part of stored content.

    Attributes:
        stop: End of the part of `content` that is sent, exclusive; it begins with `start`.
        framing: How the body's end is told; by default with `Content-Length`.
        extra: Header lines that a fault adds.
    """

    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    document: bytes = b""
    content: Content | None = None
    start: int = 0
    stop: int = 0
    framing: Literal["length", "chunked", "close"] = "length"
    extra: tuple[tuple[str, str], ...] = ()

    def altered(self, fault: Fault) -> Answer:
        is_chunked = fault.chunked or (fault.gzip and not fault.unsized)
        framing = "chunked" if is_chunked else "close" if fault.unsized else self.framing
        headers = {**self.headers, **({"content-encoding": "gzip"} if fault.gzip else {})}
        return evolve(self, headers=headers, framing=framing, extra=tuple(fault.extra_headers))


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer in JSON; bytes are JSON already."""
    typed = {"content-type": "application/json", **(headers or {})}
    return Answer(status=status, headers=typed, document=value if isinstance(value, bytes) else encode(value))


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def write_head(request: Request, answer: Answer) -> bytes:
    headers = {"date": formatdate(usegmt=True)}
    if answer.framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    elif answer.framing == "length" and answer.status not in (204, 304):
        length = len(answer.document) if answer.content is None else answer.stop - answer.start
        headers["content-length"] = str(length)
    headers.update(answer.headers)
    headers["x-request-id"] = request.request_id
    if request.origin == "storage":
        headers |= {"server": "AmazonS3", "x-amz-request-id": request.request_id}
    if answer.framing == "close" or not request.keeps_alive:
        headers["connection"] = "close"
    for name, _ in answer.extra:
        headers.pop(name, None)
    lines = [f"HTTP/1.1 {answer.status} {phrase_of(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in (*headers.items(), *answer.extra)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def phrase_of(status: int) -> str:
    return responses.get(status, "Unregistered")


async def receive(connection: Connection, origin: Literal["api", "storage"]) -> Request | None:
    """Read the next request; `None` when the client has left or does not speak HTTP, which it is told."""
    # At the first byte, as servers do: a client that speaks TLS must not wait.
    first = await connection.peek()
    head = await connection.until(b"\r\n\r\n") if first.isalpha() else None
    request_line, *lines = (head or b"").split(b"\r\n")
    matched = _REQUEST_LINE.fullmatch(request_line)
    if matched is None and first:
        await connection.send(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    if matched is None:
        return None
    method, path, query, minor = (group.decode() for group in matched.groups(default=b""))
    split = (line.partition(b":") for line in lines)
    pairs = tuple((name.strip().lower(), value.strip()) for name, _, value in split)
    request = Request(method=method, path=path, query=query, raw_headers=pairs, origin=origin)
    request.keeps_alive = minor == "1" and "close" not in request.headers.get("connection", "").lower()
    body = await _receive_body(connection, request.headers)
    request.body = body or b""
    return None if body is None else request


async def _receive_body(connection: Connection, headers: Mapping[str, str]) -> bytes | None:
    if "100-continue" in headers.get("expect", "").lower():
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _receive_chunks(connection)
    length = headers.get("content-length", "0")
    return await connection.take(int(length), keep=BODY_LIMIT + 1) if _LENGTH.fullmatch(length) else None


async def _receive_chunks(connection: Connection) -> bytes | None:
    body = bytearray()
    while (line := await connection.until(b"\r\n")) is not None:
        digits = line.partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(digits):
            return None
        size = int(digits, 16)
        chunk = await connection.take(size, keep=max(0, BODY_LIMIT + 1 - len(body)))
        if chunk is None or await connection.until(b"\r\n") is None:
            return None
        if not size:
            return bytes(body)  # trailers are nothing that a client of this API sends
        body += chunk
    return None


@define(eq=False, slots=False)
class Problem(Exception):  # noqa: N818 - an answer of the server, not an error of the program
    """A refusal with a status; `errors` names the fields at fault, `code` is what the storage calls it."""

    status: int
    message: str
    errors: dict[str, str] = field(factory=dict)
    code: str = field(default="", kw_only=True)
    headers: dict[str, str] = field(factory=dict, kw_only=True)

    def answer(self, origin: Literal["api", "storage"]) -> Answer:
        """Return the answer that says so: in JSON, in the XML of S3 by the storage."""
        if origin == "api":
            return json_answer({"message": self.message, "errors": self.errors}, self.status, self.headers)
        headers = {"content-type": "application/xml", **self.headers}
        document = _STORAGE_ERROR.format(code=self.code or self.message, message=self.message)
        return Answer(status=self.status, headers=headers, document=document.encode())


def invalid_field(name: str, reason: str, *, status: int = 422) -> Problem:
    return Problem(status, "Invalid field data", {name: reason})


def not_found(what: str | None = None) -> Problem:
    return Problem(404, "Not Found" if what is None else f"{what} not found")
