"""`deployments/`: the list, one deployment, its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from datarobot_mlops_async.emulator._bodies import Body
from datarobot_mlops_async.emulator._links import links_of
from datarobot_mlops_async.emulator._listing import answer_page
from datarobot_mlops_async.emulator._parameters import Parameters
from datarobot_mlops_async.emulator._problems import Problem, not_found
from datarobot_mlops_async.emulator._selection import select

if TYPE_CHECKING:
    from starlette.requests import Request

    from datarobot_mlops_async.emulator._fleet import Row
    from datarobot_mlops_async.emulator._world import World

_ON_THE_WAY = {"active": "launching", "inactive": "stopping"}


class DeploymentRoutes:
    """The deployments themselves."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return this family's routes, relative to the endpoint."""
        return [
            Route("/deployments/", self._list, methods=["GET"]),
            Route("/deployments/{deployment_id}/", self._get, methods=["GET"]),
            Route("/deployments/{deployment_id}/status/", self._set_status, methods=["PATCH"]),
        ]

    def _row(self, request: Request) -> Row:
        row = self._world.fleet.get(request.path_params["deployment_id"])
        if row is None:
            raise not_found("Deployment")
        return row

    async def _list(self, request: Request) -> Response:
        parameters = Parameters(request.query_params)
        offset, limit = parameters.page(default=20, maximum=100)
        rows = select(self._world.fleet, parameters)
        page = [row.encoded for row in rows[offset : offset + limit]]
        return answer_page(request, page, offset=offset, limit=limit, total=len(rows))

    async def _get(self, request: Request) -> Response:
        return Response(self._row(request).encoded, media_type="application/json")

    async def _set_status(self, request: Request) -> Response:
        row = self._row(request)
        body = await Body.read(request)
        wanted = body.choice("status", ("active", "inactive"), required=True)
        assert wanted is not None
        before = row.body["status"]
        if before == wanted:
            raise Problem(409, f"Deployment is already {wanted}.")
        if before in ("launching", "stopping", "replacingModel"):
            raise Problem(409, "Deployment is already in process of status change.")
        if before == "archived":
            raise Problem(422, "The status of an archived deployment cannot be changed.")
        fleet = self._world.fleet
        fleet.change(row, status=_ON_THE_WAY[wanted])

        def settle(succeeded: bool) -> None:
            fleet.change(row, status=wanted if succeeded else "errored", hasError=not succeeded)

        operation = self._world.operations.begin(
            "Deployment status change",
            seconds=self._world.settings.operation_seconds,
            resource=f"deployments/{row.deployment_id}/",
            then=settle,
        )
        location = links_of(request).absolute(f"{self._world.api_root}/status/{operation.status_id}/")
        return JSONResponse({}, status_code=202, headers={"location": location})
