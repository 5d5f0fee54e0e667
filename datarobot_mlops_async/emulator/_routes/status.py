"""`status/{statusId}/` and `version/`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from datarobot_mlops_async.emulator._links import links_of
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
            Route("/status/{status_id}/", self._status),
            Route("/version/", self._version),
        ]

    async def _status(self, request: Request) -> Response:
        operation = self._world.operations.get(request.path_params["status_id"])
        if operation is None:
            raise not_found("Status")
        now = time.monotonic()
        if operation.status(now) == "COMPLETED" and operation.resource is not None:
            location = links_of(request).absolute(f"{self._world.api_root}/{operation.resource}")
            return JSONResponse(operation.describe(now), status_code=303, headers={"location": location})
        return JSONResponse(operation.describe(now))

    async def _version(self, _request: Request) -> Response:
        text = self._world.settings.version
        numbers = [int(part) if part.isdecimal() else 0 for part in f"{text}.0".split(".")]
        return JSONResponse(
            {"versionString": text, "major": numbers[0], "minor": numbers[1], "releasedVersion": text}
        )
