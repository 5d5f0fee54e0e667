"""The portable prediction server's image: its metadata, and the way to its bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from datarobot_mlops_async.emulator._problems import Problem
from datarobot_mlops_async.emulator._ranges import answer_range

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from datarobot_mlops_async.emulator._faults import Fault
    from datarobot_mlops_async.emulator._objects import Image, StoredObject
    from datarobot_mlops_async.emulator._world import World

_PATH = "/mlops/portablePredictionServerImage/"


class ImageRoutes:
    """`mlops/portablePredictionServerImage/` and its metadata."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return this family's routes, relative to the endpoint."""
        return [
            Route(_PATH, self._image, methods=["GET"]),
            Route(f"{_PATH}metadata/", self._metadata, methods=["GET"]),
        ]

    def _latest(self, request: Request) -> Image:
        fault: Fault | None = request.scope["emulator.fault"]
        image = self._world.image
        if image is None:
            raise Problem(404, "No PPS images found in the system")
        if fault is not None and fault.changed is not None:
            self._world.apply_change(image.key, fault.changed)
        return self._world.image or image

    async def _metadata(self, request: Request) -> Response:
        image = self._latest(request)
        # A digest takes seconds a GiB: never on the event loop, and only once for an image.
        digest = await asyncio.to_thread(image.stored.content.sha256, self._world.stopping)
        return JSONResponse(image.metadata(digest))

    async def _image(self, request: Request) -> Response:
        image = self._latest(request)
        settings = self._world.settings
        stored = self._world.objects[image.key]
        if settings.image_redirect is None:
            return _serve(request, stored)
        fault: Fault | None = request.scope["emulator.fault"]
        seconds = 0.0 if fault is not None and fault.expired else settings.signature_seconds
        query = self._world.signer.sign(image.key, filename=stored.filename, seconds=seconds)
        # Set as it is: the signature covers these very bytes.
        location = f"{self._world.storage_origin}{image.key}?{query}"
        return Response(status_code=settings.image_redirect, headers={"location": location})


def _serve(request: Request, stored: StoredObject) -> Response:
    fault: Fault | None = request.scope["emulator.fault"]
    ranged = answer_range(
        request.headers,
        size=stored.content.size,
        etag=stored.etag,
        last_modified=stored.last_modified,
        ignore=fault is not None and (fault.ignore_range or fault.gzip),
    )
    if ranged.status in (412, 416):
        refusal = {"message": "The range or the precondition does not hold", "errors": {}}
        return JSONResponse(refusal, status_code=ranged.status, headers=ranged.headers)

    async def stream() -> AsyncIterator[memoryview]:
        for view in stored.content.slices(ranged.start, ranged.stop):
            yield view

    return StreamingResponse(
        stream(),
        status_code=ranged.status,
        headers=stored.headers(ranged.stop - ranged.start) | ranged.headers,
        media_type=stored.content_type,
    )
