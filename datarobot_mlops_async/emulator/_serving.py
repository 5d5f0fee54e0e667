"""Both servers in a background thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ._storage import Storage

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ._world import World


def listen(host: str, port: int) -> socket.socket:
    """Bind a listening socket, so that its port is known before anything runs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only for sockets that say they are TCP; left on, it holds
    # back the second part of every answer for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


class _Protocol(H11Protocol):
    """Lets the application reach the connection, for the faults that happen below HTTP."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._application = self.app
        self.app = self._call_application

    async def _call_application(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["emulator.transport"] = self.transport
        # Only the end of the emulator cancels a request, and uvicorn would report that as an error.
        with suppress(asyncio.CancelledError):
            await self._application(scope, receive, send)


class ServerThread:
    """Serves a world on two listening sockets until it is stopped."""

    def __init__(self, world: World, app: ASGIApp, *, api: socket.socket, storage: socket.socket) -> None:
        self._world = world
        self._app = app
        self._api = api
        self._storage = storage
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="datarobot-emulator", daemon=True)

    def start(self) -> None:
        """Start serving. Connections wait in the sockets' queues until the loop runs."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, close every connection and wait for the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def call(self, function: Any, *arguments: Any) -> Any:
        """Run a function in the servers' thread and return what it returns."""

        async def run() -> Any:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        config = uvicorn.Config(
            self._app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=75,
        )  # fmt: skip
        config.load()
        state = ServerState()

        def connect() -> _Protocol:
            return _Protocol(config=config, server_state=state, app_state={}, _loop=loop)

        server = await loop.create_server(connect, sock=self._api)
        storage = asyncio.create_task(Storage(self._world).serve(self._storage))
        await self._stop.wait()
        server.close()
        storage.cancel()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(storage, *state.tasks, return_exceptions=True)
        self._storage.close()
