"""What is known about one deployment besides itself: capabilities, features, champion history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

from datarobot_mlops_async.emulator._details import draw_capabilities, draw_features, draw_history
from datarobot_mlops_async.emulator._fleet import encode
from datarobot_mlops_async.emulator._listing import answer_page
from datarobot_mlops_async.emulator._parameters import Parameters

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from datarobot_mlops_async.emulator._world import World

_FEATURE_ORDERS = ("name", "-name", "importance", "-importance")


class DetailRoutes:
    """Read-only resources below a deployment."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return this family's routes, relative to the endpoint."""
        one = "/deployments/{deployment_id}"
        return [
            Route(f"{one}/capabilities/", self._capabilities, methods=["GET"]),
            Route(f"{one}/features/", self._features, methods=["GET"]),
            Route(f"{one}/modelHistory/", self._history, methods=["GET"]),
        ]

    async def _capabilities(self, request: Request) -> Response:
        return JSONResponse({"data": draw_capabilities(self._world.deployment(request).body)})

    async def _features(self, request: Request) -> Response:
        row = self._world.deployment(request)
        parameters = Parameters(request.query_params)
        offset, limit = parameters.page(default=1000, maximum=1000, zero_is_all=True)
        features = draw_features(row.body)
        if not parameters.boolean("includeNonPredictionFeatures"):
            features = [feature for feature in features if feature.used]
        if parameters.boolean("forSegmentedAnalysis"):
            features = [feature for feature in features if feature.segments]
        needle = (parameters.text("search") or "").casefold()
        found = [feature.body for feature in features if needle in feature.body["name"].casefold()]
        order = parameters.choice("orderBy", _FEATURE_ORDERS)
        if order is not None:
            key = order.removeprefix("-")
            found.sort(key=lambda body: (body[key] is not None, body[key]), reverse=order.startswith("-"))
        page = [encode(body) for body in found[offset : offset + limit]]
        return answer_page(request, page, offset=offset, limit=limit, total=len(found))

    async def _history(self, request: Request) -> Response:
        row = self._world.deployment(request)
        offset, limit = Parameters(request.query_params).page(default=20, maximum=100)
        history = draw_history(row.body, created=row.created, now=self._world.settings.epoch)
        page = [encode(entry) for entry in history[offset : offset + limit]]
        return answer_page(request, page, offset=offset, limit=limit, total=len(history))
