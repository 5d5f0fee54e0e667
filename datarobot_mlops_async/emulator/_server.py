"""Both servers, API and storage, in a background thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any, Literal

from ._connection import Connection
from ._http import receive
from ._middleware import respond

if TYPE_CHECKING:
    import ssl

    from ._state import State


def listen(host: str, port: int) -> socket.socket:
    """Bind a listening socket, so that its port is known before anything runs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
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


class ServerThread:
    """Serves a state on two listening sockets until it is stopped."""

    def __init__(self, state: State, listeners: dict[Literal["api", "storage"], socket.socket]) -> None:
        self._state = state
        self._tls: ssl.SSLContext | None = state.settings.tls
        self._listeners = listeners
        self._tasks: set[asyncio.Task[None]] = set()
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
        for origin, listener in self._listeners.items():
            self._begin(self._accept(origin, listener))
        await self._stop.wait()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, origin: Literal["api", "storage"], listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                connection, _ = await loop.sock_accept(listener)
                self._begin(self._converse(origin, connection))

    async def _converse(self, origin: Literal["api", "storage"], accepted: socket.socket) -> None:
        try:
            connection = await Connection.open(accepted, self._tls)
        except OSError:
            return
        try:
            while (request := await receive(connection, origin)) is not None:
                if not await respond(self._state, request, connection):
                    return
        except OSError:
            return  # the client went away; there is nobody to tell
        finally:
            connection.close()
