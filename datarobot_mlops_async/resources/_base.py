"""What resources are made of: requests that begin operations, lists, and the results of both."""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from datarobot_mlops_async._api import rebase
from datarobot_mlops_async.errors import ProtocolError
from datarobot_mlops_async.models import Deployment
from datarobot_mlops_async.operations import Operation
from datarobot_mlops_async.pagination import ListRequest, Paginator
from datarobot_mlops_async.resources._arguments import query_from, whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

    from datarobot_mlops_async._api import Api, Response
    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.operations import Poller
    from datarobot_mlops_async.resources._arguments import Check

T = TypeVar("T")
_DEPLOYMENT = re.compile(r"deployments/[^/?]+/?")
_SCORING_CODE = re.compile(r"deployments/[^/?]+/scoringCode.*")
_LOG = re.compile(r"customModelDeployments/[^/?]+/logs/.*")


class Resource:
    """One family of routes."""

    def __init__(self, api: Api, poller: Poller) -> None:
        self._api = api
        self._poller = poller

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._api.settings.endpoint}>"

    def _operation(
        self,
        response: Response,
        resolve: Callable[[str | None], Awaitable[T]],
        *,
        status_id: str | None = None,
    ) -> Operation[T]:
        """Return the operation that an answer began.

        The sign is the ``Location`` and not the status code: 200, 201 and 202 all come with it. Without one
        (and without a status id in the body) the server finished at once.
        """
        location = response.headers.get("location")
        path = rebase(location) if location else f"status/{status_id}/" if status_id else None
        return Operation(self._poller, () if path is None else (path,), resolve)

    def _paginator(
        self,
        item_type: type[T],
        route: str,
        arguments: Mapping[str, Any],
        filters: Mapping[str, Check] | None = None,
        *,
        key: Callable[[Any], Hashable] | None = attrgetter("id"),
        largest_page: int = 100,
    ) -> Paginator[T]:
        """Return a method's list, given its ``locals()``: filters, ``page_size``, ``limit`` and the id in the route."""
        whole("page_size", arguments["page_size"], lowest=1, highest=largest_page)
        if arguments["limit"] is not None:
            whole("limit", arguments["limit"])
        request = ListRequest(
            route=route,
            item_type=item_type,
            ids={name: arguments[name] for name in ("deployment_id",) if name in arguments},
            query=query_from(arguments, filters or {}),
            key=key,
            page_size=arguments["page_size"],
            limit=arguments["limit"],
        )
        return Paginator(self._api, request)


async def nothing(_resource: str | None) -> None:
    """Resolve an operation that has no result."""


async def result_at(api: Api, path: str | None) -> Deployment | Artifact | None:
    """Return what a path below the API's root names; ``None`` for none and for kinds this library does not read."""
    if path is None:
        return None
    if _DEPLOYMENT.fullmatch(path):
        return await deployment_at(api, path)
    if _SCORING_CODE.fullmatch(path):
        return artifact_at(api, path, "jar")
    return artifact_at(api, path, "text") if _LOG.fullmatch(path) else None


async def deployment_at(api: Api, path: str | None) -> Deployment:
    """Read the deployment at a path."""
    if path is None:
        raise ProtocolError("the server did not say which deployment it created: list the deployments")
    return api.decode(await api.follow(path), Deployment, f"GET /{path}")


def artifact_at(api: Api, path: str, kind: str) -> Artifact:
    """Return what can be downloaded at a path."""
    from datarobot_mlops_async.artifacts import Artifact  # with the engine behind it

    return Artifact(api, path, kind=kind)
