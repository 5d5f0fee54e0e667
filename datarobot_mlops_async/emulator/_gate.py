"""What every request of the API passes before it reaches its route: the log, the token, the latency."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from ._links import Links
from ._log import RequestRecord

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ._world import World

_CREDENTIALS = re.compile(rb"(?:bearer|token) +(\S+)", re.IGNORECASE)
_BODY_LIMIT = 8 * 2**20


class Gate:
    """Pure ASGI middleware around the routes."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, send, self._world)
        body = await _read_body(receive)
        if body is None:
            return  # the client left in the middle of its own request
        exchange.body = body
        # Routes are matched on the undecoded path: an id that contains a quoted slash is still one id.
        scope["path"] = scope["raw_path"].decode("latin-1")
        scope["root_path"] = ""
        scope["emulator.links"] = Links(origin=self._world.api_origin)
        await asyncio.sleep(self._world.settings.latency)
        self._world.operations.settle()
        app = self._app if self._is_authorized(scope) else _UNAUTHORIZED
        if len(body) > _BODY_LIMIT:
            app = _TOO_LARGE
        await app(scope, _replay(body, receive), exchange.send)

    def _is_authorized(self, scope: Scope) -> bool:
        header = dict(scope["headers"]).get(b"authorization", b"")
        matched = _CREDENTIALS.fullmatch(header.strip())
        return matched is not None and matched[1] == self._world.settings.token.encode()


class Exchange:
    """One request and its answer on the way out."""

    def __init__(self, scope: Scope, send: Send, world: World) -> None:
        self._scope = scope
        self._send = send
        self._world = world
        self._started_at = time.monotonic()
        self.body = b""

    async def send(self, message: Message) -> None:
        """Pass a message on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            request_id = uuid.uuid4().hex
            message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            self._record(message["status"], request_id)
        await self._send(message)

    def _record(self, status: int, request_id: str) -> None:
        self._world.log.append(
            RequestRecord(
                method=self._scope["method"],
                path=self._scope["raw_path"].decode("latin-1"),
                query=self._scope["query_string"].decode("latin-1"),
                raw_headers=tuple(self._scope["headers"]),
                body=self.body,
                status=status,
                started_at=self._started_at,
                answered_at=time.monotonic(),
                request_id=request_id,
                origin="api",
            )
        )


_UNAUTHORIZED = JSONResponse(
    {"message": "Invalid Authorization header. No credentials provided.", "errors": {}},
    status_code=401,
    headers={"www-authenticate": "Bearer"},
)
_TOO_LARGE = JSONResponse({"message": "The request body is too large", "errors": {}}, status_code=413)


async def _read_body(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        if size <= _BODY_LIMIT + 1:
            parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        # After the body comes whatever the connection reports next, which is the client's leaving.
        return pending.pop() if pending else await receive()

    return replay
