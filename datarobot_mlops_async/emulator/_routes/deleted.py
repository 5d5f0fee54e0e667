"""`deletedDeployments/`: the list and erasing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from datarobot_mlops_async.emulator._bodies import Body
from datarobot_mlops_async.emulator._fleet import encode
from datarobot_mlops_async.emulator._listing import answer_page
from datarobot_mlops_async.emulator._parameters import Parameters
from datarobot_mlops_async.emulator._problems import Problem, invalid_field
from datarobot_mlops_async.emulator._starting import answer_operation, begin_operation

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from datarobot_mlops_async.emulator._world import World


class DeletedDeploymentRoutes:
    """Deployments that have been deleted and whose data is still there."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return this family's routes, relative to the endpoint."""
        return [
            Route("/deletedDeployments/", self._list, methods=["GET"]),
            Route("/deletedDeployments/", self._erase, methods=["PATCH"]),
        ]

    async def _list(self, request: Request) -> Response:
        self._check_permission()
        offset, limit = Parameters(request.query_params).page(default=20, maximum=100)
        newest_first = list(reversed(self._world.deleted.values()))
        page = [encode(deleted) for deleted in newest_first[offset : offset + limit]]
        return answer_page(
            request, page, offset=offset, limit=limit, total=len(newest_first), show_total=False, last=""
        )

    async def _erase(self, request: Request) -> Response:
        self._check_permission()
        body = await Body.read(request)
        body.choice("action", ("PermanentlyErase",), required=True)
        deployment_ids = body.texts("deploymentIds", fewest=1, most=100)
        unknown = [name for name in deployment_ids if name not in self._world.deleted]
        if unknown:
            raise invalid_field("deploymentIds", f"not deleted deployments: {', '.join(unknown)}")

        def settle(succeeded: bool) -> None:
            for deployment_id in deployment_ids if succeeded else ():
                self._world.deleted.pop(deployment_id, None)

        operation = begin_operation(self._world, request, "Permanent erasure", then=settle)
        return answer_operation(request, operation)

    def _check_permission(self) -> None:
        if not self._world.settings.can_erase:
            raise Problem(403, "You need the CAN_DELETE_APP_PROJECTS permission.")
