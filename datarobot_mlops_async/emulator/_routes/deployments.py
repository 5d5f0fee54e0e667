"""`deployments/`: the list, one deployment, and what can be done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from datarobot_mlops_async.emulator._bodies import Body
from datarobot_mlops_async.emulator._dialects import encode_deployment
from datarobot_mlops_async.emulator._listing import answer_page
from datarobot_mlops_async.emulator._parameters import Parameters
from datarobot_mlops_async.emulator._problems import Problem, invalid_field
from datarobot_mlops_async.emulator._selection import select
from datarobot_mlops_async.emulator._starting import answer_operation, begin_operation

if TYPE_CHECKING:
    from starlette.requests import Request

    from datarobot_mlops_async.emulator._world import World

_IMPORTANCES = ("CRITICAL", "HIGH", "MODERATE", "LOW")
_ON_THE_WAY = {"active": "launching", "inactive": "stopping"}
_CHANGING = ("launching", "stopping", "replacingModel")


class DeploymentRoutes:
    """The deployments themselves."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return this family's routes, relative to the endpoint."""
        one = "/deployments/{deployment_id}/"
        return [
            Route("/deployments/", self._list, methods=["GET"]),
            Route("/deployments/fromLearningModel/", self._create, methods=["POST"]),
            Route(one, self._get, methods=["GET"]),
            Route(one, self._update, methods=["PATCH"]),
            Route(one, self._delete, methods=["DELETE"]),
            Route(f"{one}status/", self._set_status, methods=["PATCH"]),
            Route(f"{one}onDemandReports/", self._report, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        parameters = Parameters(request.query_params)
        offset, limit = parameters.page(default=20, maximum=100)
        rows = select(self._world.fleet, parameters)
        page = [encode_deployment(row, self._world.settings) for row in rows[offset : offset + limit]]
        return answer_page(request, page, offset=offset, limit=limit, total=len(rows))

    async def _get(self, request: Request) -> Response:
        row = self._world.deployment(request)
        return Response(encode_deployment(row, self._world.settings), media_type="application/json")

    async def _update(self, request: Request) -> Response:
        row = self._world.deployment(request)
        body = await Body.read(request)
        fields: dict[str, str | None] = {}
        label = body.text("label", nullable=True, longest=512, shortest=1)
        importance = body.choice("importance", _IMPORTANCES)
        description = body.text("description", nullable=True, longest=10_000)
        if label is not None:
            fields["label"] = label
        if importance is not None:
            fields["importance"] = importance
        if "description" in body:
            fields["description"] = description
        self._world.fleet.change(row, **fields)
        return Response(status_code=204)

    async def _delete(self, request: Request) -> Response:
        row = self._world.deployment(request)
        Parameters(request.query_params).boolean("ignoreManagementAgent")
        if row.body["status"] in _CHANGING:
            raise Problem(422, "Deployment is in process of status change and cannot be deleted.")
        self._world.delete(row)
        return Response(status_code=204)

    async def _set_status(self, request: Request) -> Response:
        row = self._world.deployment(request)
        body = await Body.read(request)
        wanted = body.choice("status", tuple(_ON_THE_WAY), required=True) or ""
        _check_transition(row.body["status"], wanted)
        fleet = self._world.fleet
        fleet.change(row, status=_ON_THE_WAY[wanted])

        def settle(succeeded: bool) -> None:
            fleet.change(row, status=wanted if succeeded else "errored", hasError=not succeeded)

        resource = f"deployments/{row.deployment_id}/"
        operation = begin_operation(
            self._world, request, "Deployment status change", resource=resource, then=settle
        )
        return answer_operation(request, operation)

    async def _report(self, request: Request) -> Response:
        self._world.deployment(request)
        body = await Body.read(request)
        body.text("id", required=True, shortest=1)
        # Nothing that could be fetched comes of it: the report is sent to those it is scheduled for.
        operation = begin_operation(self._world, request, "Deployment report")
        return answer_operation(request, operation, status=200)

    async def _create(self, request: Request) -> Response:
        settings = self._world.settings
        if not settings.can_create:
            raise Problem(403, "You do not have permission to create a deployment.")
        body = await Body.read(request)
        model_id = body.text("modelId", required=True, shortest=1) or ""
        fields, wanted = self._read_creation(body)
        if settings.max_deployments is not None and len(self._world.fleet) >= settings.max_deployments:
            raise Problem(409, "Your organization has reached the maximum number of deployments.")
        row = self._world.fleet.add(fields | {"status": "launching", "hasError": False}, model_id=model_id)

        def settle(succeeded: bool) -> None:
            status = wanted if succeeded else "errored"
            self._world.fleet.change(row, status=status, hasError=not succeeded)

        resource = f"deployments/{row.deployment_id}/"
        operation = begin_operation(
            self._world, request, "Deployment creation", resource=resource, then=settle
        )
        return answer_operation(request, operation, body={"id": row.deployment_id})

    def _read_creation(self, body: Body) -> tuple[dict[str, object], str]:
        """Return the fields of the new deployment and the status that it shall have."""
        label = body.text("label", required=True, longest=512, shortest=1)
        # The page requires a description, null at least; the service has to do without one, as the
        # official SDK leaves null out.
        description = body.text("description", nullable=True, longest=10_000)
        importance = body.choice("importance", _IMPORTANCES, nullable=True) or "LOW"
        wanted = body.choice("status", tuple(_ON_THE_WAY), nullable=True) or "active"
        body.number("predictionThreshold", lowest=0, highest=1)
        body.boolean("grantInitialDeploymentRolesFromProject")
        fields: dict[str, object] = {"label": label, "description": description, "importance": importance}
        server_id = body.text("defaultPredictionServerId")
        if server_id is not None:
            fields["defaultPredictionServer"] = self._server(server_id)
        return fields, wanted

    def _server(self, server_id: str) -> object:
        for server in self._world.fleet.surroundings.servers:
            if server["id"] == server_id:
                return server
        raise invalid_field("defaultPredictionServerId", "prediction server does not exist")


def _check_transition(before: str, wanted: str) -> None:
    if before == wanted:
        raise Problem(409, f"Deployment is already {wanted}.")
    if before in _CHANGING:
        raise Problem(409, "Deployment is already in process of status change.")
    if before == "archived":
        raise Problem(422, "The status of an archived deployment cannot be changed.")
