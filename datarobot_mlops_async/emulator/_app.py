"""The routes, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Mount, Router

from ._gate import Gate
from ._problems import Problem, answer_problem
from ._routes.bundles import ResourceBundleRoutes
from ._routes.custom_models import CustomModelDeploymentRoutes
from ._routes.deleted import DeletedDeploymentRoutes
from ._routes.deployments import DeploymentRoutes
from ._routes.details import DetailRoutes
from ._routes.image import ImageRoutes
from ._routes.scoring_code import ScoringCodeRoutes
from ._routes.status import StatusRoutes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from ._world import World


def build_app(world: World) -> ASGIApp:
    """Return the ASGI application that serves a world."""
    families = (
        StatusRoutes(world),
        DeploymentRoutes(world),
        DetailRoutes(world),
        ScoringCodeRoutes(world),
        DeletedDeploymentRoutes(world),
        CustomModelDeploymentRoutes(world),
        ResourceBundleRoutes(world),
        ImageRoutes(world),
    )
    routes = [route for family in families for route in family.routes()]
    # A path without its slash at the end is another path: a redirect would hide a client's mistake.
    api = Router(routes, redirect_slashes=False)
    app = Starlette(
        routes=[Mount(world.api_root, app=api)],
        exception_handlers={Problem: answer_problem, HTTPException: _answer_http_exception},
    )
    app.router.redirect_slashes = False
    return Gate(app, world)


async def _answer_http_exception(_request: Request, exception: Exception) -> JSONResponse:
    # Starlette hands an exception handler the class it was registered for, but types it as Exception.
    refusal = cast("HTTPException", exception)
    body = {"message": refusal.detail, "errors": {}}
    return JSONResponse(body, status_code=refusal.status_code, headers=refusal.headers)
