"""`status/{statusId}/` and `version/`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from datarobot_mlops_async.emulator._links import links_of
from datarobot_mlops_async.emulator._parameters import path_id
from datarobot_mlops_async.emulator._problems import not_found

if TYPE_CHECKING:
    from starlette.requests import Request

    from datarobot_mlops_async.emulator._world import World


class StatusRoutes:
    """Where operations are polled, and what clients ask first."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return this family's routes, relative to the endpoint."""
        return [
            Route("/status/{status_id}/", self._status, methods=["GET"]),
            Route("/version/", self._version, methods=["GET"]),
        ]

    async def _status(self, request: Request) -> Response:
        operation = self._world.operations.get(path_id(request, "status_id"))
        if operation is None:
            raise not_found("Status")
        now = time.monotonic()
        body = operation.describe(now)
        if body["status"] == "COMPLETED" and operation.resource is not None:
            return JSONResponse(body, status_code=303, headers=links_of(request).headers(operation.resource))
        return JSONResponse(body)

    async def _version(self, _request: Request) -> Response:
        text = self._world.settings.version
        major, minor, *_ = [*text.split("."), "0", "0"]
        return JSONResponse(
            {"versionString": text, "major": int(major), "minor": int(minor), "releasedVersion": text}
        )
