"""`customModelDeployments/`: the list and the logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse
from starlette.routing import Route

from datarobot_mlops_async.emulator._custom_models import (
    describe_custom_model_deployment,
    write_deployment_log,
    write_prediction_log,
)
from datarobot_mlops_async.emulator._fleet import encode
from datarobot_mlops_async.emulator._listing import answer_page
from datarobot_mlops_async.emulator._parameters import Parameters, path_id
from datarobot_mlops_async.emulator._problems import Problem, not_found
from datarobot_mlops_async.emulator._starting import answer_operation, begin_operation

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from datarobot_mlops_async.emulator._fleet import Row
    from datarobot_mlops_async.emulator._world import World


class CustomModelDeploymentRoutes:
    """Deployments of custom models, and what they have logged."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return this family's routes, relative to the endpoint."""
        logs = "/customModelDeployments/{deployment_id}/logs/"
        return [
            Route("/customModelDeployments/", self._list, methods=["GET"]),
            Route(logs, self._deployment_log, methods=["GET"]),
            Route(logs, self._request_log, methods=["POST"]),
            Route(f"{logs}{{log_id}}/", self._prediction_log, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        parameters = Parameters(request.query_params, status=400)
        offset, limit = parameters.page(default=20, maximum=1000)
        model_ids, environment_ids = (
            parameters.repeated("customModelIds"),
            parameters.repeated("environmentIds"),
        )
        rows = self._world.fleet.select(
            ("custom models", model_ids, environment_ids), lambda: self._choose(model_ids, environment_ids)
        )
        page = [encode(describe_custom_model_deployment(row.body)) for row in rows[offset : offset + limit]]
        return answer_page(request, page, offset=offset, limit=limit, total=len(rows), last="")

    def _choose(self, model_ids: frozenset[str] | None, environment_ids: frozenset[str] | None) -> list[Row]:
        chosen = []
        for row in self._world.fleet:
            image = row.body["model"].get("customModelImage")
            if image is None or (model_ids is not None and image["customModelId"] not in model_ids):
                continue
            if environment_ids is None or image["executionEnvironmentId"] in environment_ids:
                chosen.append(row)
        return sorted(chosen, key=lambda row: row.created, reverse=True)

    async def _deployment_log(self, request: Request) -> Response:
        row = self._row(request)
        return _attachment(write_deployment_log(row.body), f"deployment-{row.deployment_id}.log")

    async def _request_log(self, request: Request) -> Response:
        row = self._row(request)
        log_id = self._world.fleet.new_id()

        def settle(succeeded: bool) -> None:
            if succeeded:
                self._world.prediction_logs[log_id] = row.deployment_id

        resource = f"customModelDeployments/{row.deployment_id}/logs/{log_id}/"
        operation = begin_operation(
            self._world, request, "Prediction log request", resource=resource, then=settle
        )
        return answer_operation(request, operation, body={"statusId": operation.status_id})

    async def _prediction_log(self, request: Request) -> Response:
        row = self._row(request)
        log_id = path_id(request, "log_id")
        if self._world.prediction_logs.get(log_id) != row.deployment_id:
            raise not_found("Log")
        return _attachment(write_prediction_log(row.body, log_id), f"predictions-{log_id}.log")

    def _row(self, request: Request) -> Row:
        row = self._world.deployment(request)
        if "customModelImage" not in row.body["model"]:
            raise Problem(422, "Deployed model is not a Custom Model.")
        return row


def _attachment(text: str, filename: str) -> Response:
    return PlainTextResponse(text, headers={"content-disposition": f'attachment; filename="{filename}"'})
