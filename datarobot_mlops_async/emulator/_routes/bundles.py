"""`mlops/compute/bundles/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

from datarobot_mlops_async.emulator._bundles import BUNDLES, USE_CASES
from datarobot_mlops_async.emulator._dialects import word_bundle
from datarobot_mlops_async.emulator._fleet import encode
from datarobot_mlops_async.emulator._listing import answer_page
from datarobot_mlops_async.emulator._parameters import Parameters, path_id
from datarobot_mlops_async.emulator._problems import Problem, not_found

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from datarobot_mlops_async.emulator._world import World


class ResourceBundleRoutes:
    """Resource bundles, where the organization has them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return this family's routes, relative to the endpoint."""
        return [
            Route("/mlops/compute/bundles/", self._list, methods=["GET"]),
            Route("/mlops/compute/bundles/{bundle_id}/", self._get, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        self._check_enabled()
        parameters = Parameters(request.query_params)
        offset, limit = parameters.page(default=20, maximum=100)
        use_cases = parameters.repeated_choice("useCases", USE_CASES)
        found = [
            bundle for bundle in BUNDLES if use_cases is None or not use_cases.isdisjoint(bundle["useCases"])
        ]
        page = [
            encode(word_bundle(bundle, self._world.settings)) for bundle in found[offset : offset + limit]
        ]
        return answer_page(request, page, offset=offset, limit=limit, total=len(found))

    async def _get(self, request: Request) -> Response:
        self._check_enabled()
        bundle_id = path_id(request, "bundle_id")
        for bundle in BUNDLES:
            if bundle["id"] == bundle_id:
                return JSONResponse(word_bundle(bundle, self._world.settings))
        raise not_found("Resource bundle")

    def _check_enabled(self) -> None:
        if not self._world.settings.resource_bundles:
            raise Problem(403, "Resource bundles are not enabled.")
