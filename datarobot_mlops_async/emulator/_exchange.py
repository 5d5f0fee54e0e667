"""One request of the API and its answer on the way out."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

from ._damage import Buffer, Damage, prepare_reset
from ._log import RequestRecord

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from ._faults import Fault
    from ._world import World


class ConnectionCut(OSError):  # noqa: N818 - an order to stop answering, carried out by the gate
    """A fault has ended the connection: nothing more can be sent."""


class Exchange:
    """Logs the answer, gives it the headers that every answer has, and damages it as a fault says."""

    def __init__(
        self, world: World, scope: Scope, receive: Receive, send: Send, *, body: bytes, started_at: float
    ) -> None:
        self._world = world
        self._scope = scope
        self._transport: asyncio.Transport = scope["emulator.transport"]
        self._receive = receive
        self._send = send
        self._body = body
        self._started_at = started_at
        fault: Fault | None = scope["emulator.fault"]
        self._fault = fault
        self._damage = None if fault is None else Damage(fault)
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on, in the place of the server's own `send`."""
        # A large body would otherwise be written without a pause, also to a client that has left.
        await asyncio.sleep(0)
        if self._transport.is_closing():
            raise ConnectionCut
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._damage is None:
            await self._send(message)
        else:
            await self._send_damaged(message, self._damage)

    async def _begin(self, message: Message) -> None:
        request_id = uuid.uuid4().hex
        message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
        self._alter_headers(message)
        silent = self._damage is not None and self._damage.is_over()
        self._record(None if silent else message["status"], request_id)
        if self._damage is not None and silent:
            await self._end(self._damage)
        await self._send(message)

    def _alter_headers(self, message: Message) -> None:
        if self._fault is None:
            return
        extra = [(name.encode(), value.encode()) for name, value in self._fault.extra_headers]
        if self._fault.gzip:
            dropped = (b"content-length",)
            message["headers"] = [pair for pair in message["headers"] if pair[0].lower() not in dropped]
            extra.append((b"content-encoding", b"gzip"))
        message["headers"] = [*message["headers"], *extra]

    async def _send_damaged(self, message: Message, damage: Damage) -> None:
        async def write(chunk: Buffer) -> None:
            await self._send({"type": "http.response.body", "body": bytes(chunk), "more_body": True})

        await damage.send(message.get("body", b""), write)
        if not damage.is_over() and not message.get("more_body", False):
            await damage.finish(write)
        if damage.is_over():
            await self._end(damage)
        if not message.get("more_body", False):
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _end(self, damage: Damage) -> None:
        if damage.ending == "reset":
            await prepare_reset(self._transport.get_extra_info("socket"))
            self._transport.abort()
        elif damage.ending == "truncate":
            self._transport.close()
        # What a connection reports after a request is its end: a stall waits for it, and uvicorn does
        # not complain about the unfinished answer once it is over.
        await self._receive()
        raise ConnectionCut

    def _record(self, status: int | None, request_id: str) -> None:
        self._world.log.append(
            RequestRecord(
                method=self._scope["method"],
                path=self._scope["raw_path"].decode("latin-1"),
                query=self._scope["query_string"].decode("latin-1"),
                raw_headers=tuple(self._scope["headers"]),
                body=self._body,
                status=status,
                started_at=self._started_at,
                answered_at=time.monotonic(),
                request_id=request_id,
                origin="api",
            )
        )
