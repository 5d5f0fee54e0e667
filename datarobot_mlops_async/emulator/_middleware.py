"""What every request passes, to the API and to the storage: faults, latency, token, log, corruption."""

from __future__ import annotations

import asyncio
import json
import re
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from inspect import isawaitable
from typing import TYPE_CHECKING

from ._control import control
from ._faults import FIRST, NO_FAULT
from ._http import BODY_LIMIT, Answer, Buffer, Problem, not_found, phrase_of, write_head
from ._objects import answer_from_storage
from ._routing import route

if TYPE_CHECKING:
    from ._faults import Fault
    from ._http import Request
    from ._server import Connection
    from ._state import State

# How often a slowed body is sent on, in seconds.
_PACE = 0.05
_TRICKLE_RATE = 10.0
_CREDENTIALS = re.compile(r"(?:bearer|token) +(\S+)", re.IGNORECASE)
_HTML = """<!DOCTYPE html>
<html><head><title>{status} {phrase}</title></head>
<body><center><h1>{status} {phrase}</h1></center><hr><center>gateway</center></body></html>
"""

Write = Callable[[Buffer], Awaitable[None]]


class Corruption:
    """Cuts, falsifies, compresses and slows one body."""

    def __init__(self, fault: Fault, write: Write, *, offset: int = 0, rate: float | None = None) -> None:
        self._write = write
        self._position = offset
        self._sent = 0
        self._corrupt = offset if fault.corrupt == FIRST else fault.corrupt
        self._rate = rate if fault.rate is None else fault.rate
        self._trickle = fault.trickle
        self._compressor = zlib.compressobj(level=1, wbits=31) if fault.gzip else None
        self._limit, self.ending = fault.ending

    def is_over(self) -> bool:
        """Tell whether the connection is to end here, in the way that `ending` says."""
        return self._sent >= self._limit

    async def send(self, chunk: Buffer) -> None:
        start, self._position = self._position, self._position + len(chunk)
        if self._corrupt is not None and start <= self._corrupt < self._position:
            changed = bytearray(chunk)
            changed[self._corrupt - start] ^= 0xFF
            chunk = bytes(changed)
        await self._pass_on(chunk if self._compressor is None else self._compressor.compress(chunk))

    async def finish(self) -> None:
        """Write what compression still holds back; then the body is over, however long it was."""
        if self._compressor is not None:
            await self._pass_on(self._compressor.flush())
        if self.ending:
            self._limit = self._sent

    async def _pass_on(self, chunk: Buffer) -> None:
        if self.ending:
            chunk = chunk[: int(self._limit) - self._sent]
        while chunk:
            rate, step = self._speed(len(chunk))
            piece, chunk = chunk[:step], chunk[step:]
            if rate is not None:
                await asyncio.sleep(len(piece) / rate)
            await self._write(piece)
            self._sent += len(piece)

    def _speed(self, length: int) -> tuple[float | None, int]:
        """Return bytes a second from here on, and how many bytes go out at a time."""
        if self._trickle is not None and self._sent >= self._trickle:
            return self._rate or _TRICKLE_RATE, 1
        if self._trickle is not None:
            return None, self._trickle - self._sent
        return self._rate, length if self._rate is None else max(1, int(self._rate * _PACE))


async def respond(state: State, request: Request, connection: Connection) -> bool:
    """Answer one request; tell whether the connection can be used for another."""
    request.fault = NO_FAULT
    is_storage = request.origin == "storage"
    answer = None if is_storage else control(state, request)
    if answer is not None:
        return await _send(state, request, answer, connection, logged=False)
    path = request.path if is_storage else request.path.removeprefix(state.api_root)
    fault = request.fault = state.faults.draw(request, path)
    await asyncio.sleep(fault.latency + (0.0 if is_storage else state.settings.latency))
    if fault.before is not None:
        await asyncio.to_thread(fault.before)
    state.settle()
    try:
        answer = await _choose(state, request, path)
    except Problem as problem:
        answer = problem.answer(request.origin)
    answer = answer if fault is NO_FAULT else answer.altered(fault)
    return await _send(state, request, answer, connection, logged=True)


async def _choose(state: State, request: Request, path: str) -> Answer:
    if request.fault.status is not None or request.fault.body is not None:
        return _replaced(request.fault)
    if request.origin == "storage":
        return answer_from_storage(state, request)
    matched = _CREDENTIALS.fullmatch(request.headers.get("authorization", ""))
    if matched is None or matched[1] != state.settings.token:
        message = "Invalid Authorization header. No credentials provided."
        raise Problem(401, message, headers={"www-authenticate": "Bearer"})
    if len(request.body) > BODY_LIMIT:
        raise Problem(413, "The request body is too large")
    if not request.path.startswith(f"{state.api_root}/"):
        raise not_found()
    answer: Answer | Awaitable[Answer] = route.call(state, request, path)
    return await answer if isawaitable(answer) else answer


def _replaced(fault: Fault) -> Answer:
    status = 200 if fault.status is None else fault.status
    phrase, body = phrase_of(status), fault.body
    if body == "empty" or status in (204, 304):
        return Answer(status=status)
    if body is None:
        raise Problem(status, phrase)
    document = body.encode() if isinstance(body, str) else body
    media_type = "text/plain; charset=utf-8"
    if body == "html":
        document, media_type = _HTML.format(status=status, phrase=phrase).encode(), "text/html"
    with suppress(ValueError):
        json.loads(document)
        media_type = "application/json"
    return Answer(status=status, headers={"content-type": media_type}, document=document)


async def _send(
    state: State, request: Request, answer: Answer, connection: Connection, *, logged: bool
) -> bool:
    async def write(chunk: Buffer) -> None:
        framed = b"%x\r\n%b\r\n" % (len(chunk), bytes(chunk)) if answer.framing == "chunked" else chunk
        await connection.send(framed)
        state.bytes_sent += len(chunk) if answer.content is not None else 0

    rate = state.settings.storage_rate if request.origin == "storage" else None
    corruption = Corruption(request.fault, write, offset=answer.start, rate=rate)
    silent = corruption.is_over()
    request.status = None if silent else answer.status
    request.answered_at = time.monotonic()
    if logged:
        state.log.append(request)
    head = write_head(request, answer)
    has_body = request.method != "HEAD" and answer.status not in (204, 304)
    if request.fault is NO_FAULT and answer.content is None:
        await connection.send(head + answer.document if has_body else head)
    elif not silent:
        await connection.send(head)
        if has_body:
            await _send_body(answer, corruption, connection)
    if corruption.is_over() and corruption.ending == "reset":
        await connection.reset()
    elif corruption.is_over() and corruption.ending == "stall":
        await connection.wait_closed()
    return request.keeps_alive and answer.framing != "close" and not corruption.ending


async def _send_body(answer: Answer, corruption: Corruption, connection: Connection) -> None:
    if answer.content is None:
        await corruption.send(answer.document)
    else:
        for view in answer.content.slices(answer.start, answer.stop):
            await corruption.send(view)
            if corruption.is_over():
                return
    await corruption.finish()
    if answer.framing == "chunked" and not corruption.ending:
        await connection.send(b"0\r\n\r\n")
