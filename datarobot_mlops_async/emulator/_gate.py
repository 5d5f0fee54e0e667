"""What every request of the API passes before it reaches its route: log, token, latency and faults."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from ._exchange import ConnectionCut, Exchange
from ._links import Links
from ._refusals import fault_body, fault_status

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ._faults import Fault
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
        started_at = time.monotonic()
        body = await _read_body(receive)
        if body is None:
            return  # the client left in the middle of its own request
        # Routes are matched on the undecoded path: an id that contains a quoted slash is still one id.
        scope["path"] = scope["raw_path"].decode("latin-1")
        fault = self._world.faults.draw(scope["method"], scope["path"].removeprefix(self._world.api_root))
        scope["emulator.fault"] = fault
        scope["emulator.links"] = Links(
            origin=self._world.api_origin,
            root=self._world.api_root,
            form=None if fault is None else fault.links,
        )
        await asyncio.sleep(self._world.settings.latency + (0.0 if fault is None else fault.latency))
        self._world.settle()
        exchange = Exchange(self._world, scope, receive, send, body=body, started_at=started_at)
        try:
            await self._choose(scope, body, fault)(scope, _replay(body, receive), exchange.send)
        except ConnectionCut:
            return

    def _choose(self, scope: Scope, body: bytes, fault: Fault | None) -> ASGIApp:
        if fault is not None and fault.replaces_answer:
            media_type, content = fault_body(fault, storage=False)
            return Response(content, status_code=fault_status(fault), media_type=media_type)
        if not self._is_authorized(scope):
            return _UNAUTHORIZED
        return self._app if len(body) <= _BODY_LIMIT else _TOO_LARGE

    def _is_authorized(self, scope: Scope) -> bool:
        header = dict(scope["headers"]).get(b"authorization", b"")
        matched = _CREDENTIALS.fullmatch(header.strip())
        return matched is not None and matched[1] == self._world.settings.token.encode()


_UNAUTHORIZED = JSONResponse(
    {"message": "Invalid Authorization header. No credentials provided.", "errors": {}},
    status_code=401,
    headers={"www-authenticate": "Bearer"},
)
_TOO_LARGE = JSONResponse({"message": "The request body is too large", "errors": {}}, status_code=413)


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body, at most a little more than the limit; `None` when the client has left."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        if size <= _BODY_LIMIT:
            parts.append(part)
        size += len(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        # After the body comes whatever the connection reports next, which is the client's leaving.
        return pending.pop() if pending else await receive()

    return replay
