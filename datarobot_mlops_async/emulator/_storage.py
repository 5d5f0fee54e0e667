"""The object storage: a second origin that serves signed URLs as S3 does.

It is a server of its own rather than an ASGI application because it must not be what a benchmark
measures: requests are parsed in a dozen lines, and bodies go from the seed's block to the socket in
views of 1 MiB without a copy in Python. On two cores of a virtual machine that curl shares, over
loopback, it sends 2 to 5 GB/s on one connection, and about as much on eight, for 0.1 to 0.2 CPU seconds
a GiB, nearly all of them in the kernel. To measure it, send a large image into nothing:

    python -m datarobot_mlops_async.emulator --image-size 14GiB
    curl --oauth2-bearer emulator-token -so /dev/null -w '%{redirect_url}' \\
        $DATAROBOT_ENDPOINT/mlops/portablePredictionServerImage/ \\
        | xargs curl -so /dev/null -w '%{speed_download}\\n'
"""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ._damage import Buffer, Damage, prepare_reset
from ._log import RequestRecord
from ._ranges import answer_range
from ._refusals import fault_body, fault_status
from ._wire import Answer, Request, error_answer, receive, write_head

if TYPE_CHECKING:
    from ._faults import Fault
    from ._world import World


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
                while (request := await receive(connection, received)) is not None:
                    if not await self._respond(connection, request):
                        return
            except OSError:
                return  # the client went away; there is nobody to tell

    async def _respond(self, connection: socket.socket, request: Request) -> bool:
        """Answer one request; tell whether the connection can be used for another."""
        fault = self._world.faults.draw(request.method, request.path, storage=True)
        if fault is not None:
            await asyncio.sleep(fault.latency)
            if fault.changed is not None:
                self._world.apply_change(unquote(request.path), fault.changed)
        answer = self._answer(request, fault)
        rate = self._world.settings.storage_rate
        damage = None if fault is None and rate is None else Damage(fault, offset=answer.start, rate=rate)
        silent = damage is not None and damage.is_over()
        request_id = self._record(request, None if silent else answer.status)
        if damage is None:
            await self._send_whole(connection, request, answer, request_id)
        else:
            await self._send_damaged(connection, request, answer, request_id, damage)
        return request.keeps_alive and not answer.closes and (damage is None or damage.ending is None)

    async def _send_whole(
        self, connection: socket.socket, request: Request, answer: Answer, request_id: str
    ) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, write_head(request, answer, request_id))
        for view in answer.body(request):
            await loop.sock_sendall(connection, view)
            await asyncio.sleep(0)  # to a client that reads fast enough, sending alone never pauses

    async def _send_damaged(
        self, connection: socket.socket, request: Request, answer: Answer, request_id: str, damage: Damage
    ) -> None:
        loop = asyncio.get_running_loop()

        async def write(chunk: Buffer) -> None:
            await loop.sock_sendall(connection, chunk)

        if not damage.is_over():
            await write(write_head(request, answer, request_id))
            for view in answer.body(request):
                await damage.send(view, write)
                if damage.is_over():
                    break
            else:
                await damage.finish(write)
        if damage.is_over():
            await _end(connection, damage)

    def _answer(self, request: Request, fault: Fault | None) -> Answer:
        if fault is not None and fault.replaces_answer:
            media_type, document = fault_body(fault, storage=True)
            headers = {"content-type": media_type, "content-length": str(len(document))}
            replaced = Answer(status=fault_status(fault), headers=headers, document=document)
            return replaced.altered(fault)
        answer = self._stored_answer(request, fault)
        return answer if fault is None else answer.altered(fault)

    def _stored_answer(self, request: Request, fault: Fault | None) -> Answer:
        refused = self._refusal(request, fault)
        if refused is not None:
            return error_answer(*refused)
        stored = self._world.objects.get(unquote(request.path))
        if stored is None:
            return error_answer(404, "NoSuchKey", "The specified key does not exist.")
        ranged = answer_range(
            request.headers,
            size=stored.content.size,
            etag=stored.etag,
            last_modified=stored.last_modified,
            ignore=fault is not None and (fault.ignore_range or fault.gzip),
        )
        if ranged.status == 412:
            return error_answer(412, "PreconditionFailed", "At least one of the pre-conditions did not hold.")
        if ranged.status == 416:
            return error_answer(416, "InvalidRange", "The requested range is not satisfiable", ranged.headers)
        return Answer(
            status=ranged.status,
            headers={
                "content-type": stored.content_type,
                **stored.headers(ranged.stop - ranged.start),
                **ranged.headers,
            },
            stored=stored,
            start=ranged.start,
            stop=ranged.stop,
        )

    def _refusal(self, request: Request, fault: Fault | None) -> tuple[int, str, str] | None:
        if request.method != "GET":
            # The signature covers the method: a URL signed for GET opens nothing else, HEAD included.
            return 403, "SignatureDoesNotMatch", "The request signature we calculated does not match."
        if "authorization" in request.headers:
            return 400, "InvalidArgument", "Only one auth mechanism allowed"
        if fault is not None and fault.expired:
            return 403, "AccessDenied", "Request has expired"
        refused = self._world.signer.refusal(request.path, request.query)
        return None if refused is None else (403, *refused)

    def _record(self, request: Request, status: int | None) -> str:
        request_id = uuid.uuid4().hex
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
        return request_id


async def _end(connection: socket.socket, damage: Damage) -> None:
    if damage.ending == "reset":
        await prepare_reset(connection)
    elif damage.ending == "stall":
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(connection, 65_536):
            pass  # silent until the client gives up
