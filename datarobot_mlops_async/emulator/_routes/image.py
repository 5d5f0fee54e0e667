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

    from datarobot_mlops_async.emulator._objects import Image, StoredObject
    from datarobot_mlops_async.emulator._world import World


class ImageRoutes:
    """`mlops/portablePredictionServerImage/` and its metadata."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return this family's routes, relative to the endpoint."""
        path = "/mlops/portablePredictionServerImage/"
        return [
            Route(path, self._image, methods=["GET"]),
            Route(f"{path}metadata/", self._metadata, methods=["GET"]),
        ]

    def _latest(self) -> Image:
        if self._world.image is None:
            raise Problem(404, "No PPS images found in the system")
        return self._world.image

    async def _metadata(self, _request: Request) -> Response:
        image = self._latest()
        # A digest takes seconds a GiB: never on the event loop, and only once for an image.
        digest = await asyncio.to_thread(image.stored.content.sha256, self._world.stopping)
        return JSONResponse(image.metadata(digest))

    async def _image(self, request: Request) -> Response:
        image = self._latest()
        settings = self._world.settings
        if settings.image_redirect is None:
            return _serve(request, image.stored)
        query = self._world.signer.sign(
            image.key, filename=image.stored.filename, seconds=settings.signature_seconds
        )
        # Set as it is: the signature covers these very bytes.
        location = f"{self._world.storage_origin}{image.key}?{query}"
        return Response(status_code=settings.image_redirect, headers={"location": location})


def _serve(request: Request, stored: StoredObject) -> Response:
    ranged = answer_range(
        request.headers, size=stored.content.size, etag=stored.etag, last_modified=stored.last_modified
    )
    if ranged.status in (412, 416):
        raise Problem(ranged.status, "The requested range or precondition does not hold")

    async def stream() -> AsyncIterator[bytes | memoryview]:
        for view in stored.content.slices(ranged.start, ranged.stop):
            yield view

    headers = {
        "content-length": str(ranged.stop - ranged.start),
        "content-disposition": f'attachment; filename="{stored.filename}"',
        "accept-ranges": "bytes",
        "etag": stored.etag,
        "last-modified": stored.last_modified,
    }
    return StreamingResponse(
        stream(), status_code=ranged.status, headers=headers | ranged.headers, media_type=stored.content_type
    )
