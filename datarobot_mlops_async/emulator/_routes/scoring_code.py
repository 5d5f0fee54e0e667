"""Scoring code and its builds."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from datarobot_mlops_async.emulator._archives import build_archive
from datarobot_mlops_async.emulator._bodies import Body
from datarobot_mlops_async.emulator._details import has_scoring_code
from datarobot_mlops_async.emulator._parameters import Parameters
from datarobot_mlops_async.emulator._problems import Problem
from datarobot_mlops_async.emulator._starting import answer_operation, begin_operation

if TYPE_CHECKING:
    from starlette.requests import Request

    from datarobot_mlops_async.emulator._fleet import Row
    from datarobot_mlops_async.emulator._world import World

_OPTIONS = ("includeAgent", "includePredictionExplanations", "includePredictionIntervals")


class ScoringCodeRoutes:
    """`scoringCode/` and `scoringCodeBuilds/` below a deployment."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return this family's routes, relative to the endpoint."""
        one = "/deployments/{deployment_id}"
        return [
            Route(f"{one}/scoringCode/", self._download, methods=["GET"]),
            Route(f"{one}/scoringCodeBuilds/", self._build, methods=["POST"]),
        ]

    async def _download(self, request: Request) -> Response:
        row = self._row(request)
        parameters = Parameters(request.query_params)
        source_code = parameters.boolean("sourceCode") or False
        options = {name for name in _OPTIONS if parameters.boolean(name)}
        if parameters.boolean("includePe"):
            options.add("includePredictionExplanations")
        if source_code and "includeAgent" in options:
            raise Problem(422, "Cannot retrieve source code if agent is included.")
        chosen = frozenset(options)
        if chosen and (row.deployment_id, chosen) not in self._world.built:
            raise Problem(404, "This Scoring Code has not been built: POST scoringCodeBuilds first.")
        return self._archive(row, chosen, source_code=source_code)

    def _archive(self, row: Row, options: frozenset[str], *, source_code: bool) -> Response:
        kind = "-source" if source_code else ""
        content = build_archive(
            f"{row.deployment_id}{kind}", options=options, size=self._world.settings.scoring_code_size
        )
        return Response(
            content,
            media_type="application/java-archive",
            headers={"content-disposition": f'attachment; filename="{row.body["model"]["id"]}{kind}.jar"'},
        )

    async def _build(self, request: Request) -> Response:
        row = self._row(request)
        body = await Body.read(request)
        options = frozenset(name for name in _OPTIONS if body.boolean(name))

        def settle(succeeded: bool) -> None:
            if succeeded:
                self._world.built.add((row.deployment_id, options))

        query = urlencode([(name, "true") for name in _OPTIONS if name in options])
        resource = f"deployments/{row.deployment_id}/scoringCode/{'?' * bool(query)}{query}"
        operation = begin_operation(
            self._world, request, "Scoring Code build", resource=resource, then=settle
        )
        return answer_operation(request, operation)

    def _row(self, request: Request) -> Row:
        row = self._world.deployment(request)
        if not has_scoring_code(row.body):
            raise Problem(404, "Scoring Code is not available for the model of this deployment.")
        return row
