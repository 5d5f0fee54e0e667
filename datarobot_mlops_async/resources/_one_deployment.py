"""One deployment: read, change and delete it, switch it on and off, and what can be had of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from datarobot_mlops_async._api import route_path
from datarobot_mlops_async.models import Deployment, DeploymentCapability, Importance, TargetDeploymentStatus
from datarobot_mlops_async.resources._arguments import (
    UNSET,
    Unset,
    checked,
    choice,
    flag,
    given,
    query_from,
    text,
)
from datarobot_mlops_async.resources._base import Resource, artifact_at, nothing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datarobot_mlops_async._api import Response
    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.operations import Operation
    from datarobot_mlops_async.resources._arguments import Check, ImportanceWord, TargetDeploymentStatusWord

_ROUTE = "deployments/{deployment_id}/"
ATTRIBUTES: Final[Mapping[str, Check]] = {
    "label": partial(text, longest=512),
    "description": partial(text, longest=10_000),
    "importance": partial(choice, enum=Importance),
}
_EXTRAS: Final[Mapping[str, Check]] = {
    "include_agent": flag,
    "include_prediction_explanations": flag,
    "include_prediction_intervals": flag,
}
_JARS: Final[Mapping[str, Check]] = {
    "source_code": flag,
    "include_agent": flag,
    "include_pe": flag,
    **_EXTRAS,
}


class OneDeployment(Resource):
    """What `Deployments` can do with one deployment: routes under ``/deployments/{deploymentId}/``."""

    async def get(self, deployment_id: str) -> Deployment:
        """Read one deployment. Implements ``GET /deployments/{deploymentId}/``."""
        return await self._api.get(Deployment, _ROUTE, ids={"deployment_id": deployment_id})

    async def update(
        self,
        deployment_id: str,
        *,
        label: str | Unset | None = UNSET,
        description: str | Unset | None = UNSET,
        importance: ImportanceWord | Unset | None = UNSET,
    ) -> None:
        """Change a deployment's label, description or importance.

        What is not passed is not sent; ``None`` is sent as null. Implements
        ``PATCH /deployments/{deploymentId}/``.

        Args:
            deployment_id: The deployment.
            label: At most 512 characters.
            description: At most 10,000 characters.
            importance: An `Importance`.

        Raises:
            ValueError: Nothing to change was passed, or a value is out of bounds. Nothing was sent.
        """
        body = checked({"label": label, "description": description, "importance": importance}, ATTRIBUTES)
        if not body:
            raise ValueError("update() needs at least one of label, description and importance")
        await self._send("PATCH", deployment_id, json=body)

    async def delete(self, deployment_id: str, *, ignore_management_agent: bool | None = None) -> None:
        """Delete a deployment. It may stay readable for a while after this returns.

        A 404 to a repeated attempt whose predecessor's answer was lost counts as deleted. Implements
        ``DELETE /deployments/{deploymentId}/``.

        Args:
            deployment_id: The deployment.
            ignore_management_agent: Do not wait for a management agent to delete it first.

        Raises:
            UnprocessableEntityError: The server cannot delete it, for example while it is active.
        """
        query = query_from(locals(), {"ignore_management_agent": flag})
        await self._send("DELETE", deployment_id, query=query, gone_is_done=True)

    async def begin_set_status(
        self, deployment_id: str, status: TargetDeploymentStatusWord
    ) -> Operation[Deployment]:
        """Activate or deactivate a deployment. Implements ``PATCH /deployments/{deploymentId}/status/``.

        Args:
            deployment_id: The deployment.
            status: ``active`` or ``inactive``.

        Returns:
            An operation whose result is the refreshed deployment.

        Raises:
            ConflictError: It already has that status, or is changing.
            UnprocessableEntityError: The server cannot change it.
        """
        body = {"status": choice("status", status, TargetDeploymentStatus)}
        response = await self._send("PATCH", deployment_id, "status/", json=body)
        return self._operation(response, lambda _resource: self.get(deployment_id))

    async def begin_activate(self, deployment_id: str) -> Operation[Deployment]:
        """Begin to activate a deployment; see `begin_set_status`."""
        return await self.begin_set_status(deployment_id, TargetDeploymentStatus.ACTIVE)

    async def begin_deactivate(self, deployment_id: str) -> Operation[Deployment]:
        """Begin to deactivate a deployment; see `begin_set_status`."""
        return await self.begin_set_status(deployment_id, TargetDeploymentStatus.INACTIVE)

    async def capabilities(self, deployment_id: str) -> tuple[DeploymentCapability, ...]:
        """Read what a deployment supports, and why not.

        Implements ``GET /deployments/{deploymentId}/capabilities/``.
        """
        response = await self._send("GET", deployment_id, "capabilities/")
        return self._api.decode_page(response, DeploymentCapability, f"GET /{_ROUTE}capabilities/").items

    async def begin_report(self, deployment_id: str, report_id: str) -> Operation[None]:
        """Run a scheduled report now. Implements ``POST /deployments/{deploymentId}/onDemandReports/``.

        Args:
            deployment_id: The deployment.
            report_id: The scheduled report.
        """
        body = {"id": text("report_id", report_id)}
        response = await self._send("POST", deployment_id, "onDemandReports/", json=body)
        return self._operation(response, nothing)

    async def begin_scoring_code_build(
        self,
        deployment_id: str,
        *,
        include_agent: bool | None = None,
        include_prediction_explanations: bool | None = None,
        include_prediction_intervals: bool | None = None,
    ) -> Operation[Artifact]:
        """Build a JAR with extras. Implements ``POST /deployments/{deploymentId}/scoringCodeBuilds/``.

        Args:
            deployment_id: The deployment.
            include_agent: With the tracking agent.
            include_prediction_explanations: With prediction explanations.
            include_prediction_intervals: With prediction intervals.

        Returns:
            An operation whose result is the JAR to download.
        """
        path = _scoring_code_path(locals(), _EXTRAS)
        body = given(locals(), _EXTRAS)
        response = await self._send("POST", deployment_id, "scoringCodeBuilds/", json=body)

        async def built(resource: str | None) -> Artifact:
            return artifact_at(self._api, resource or path, "jar")

        return self._operation(response, built)

    async def scoring_code(
        self,
        deployment_id: str,
        *,
        source_code: bool | None = None,
        include_agent: bool | None = None,
        include_pe: bool | None = None,
        include_prediction_explanations: bool | None = None,
        include_prediction_intervals: bool | None = None,
        build: bool | None = None,
    ) -> Artifact:
        """Return the JAR of a deployment's current model, for predictions outside of a prediction server.

        An agent, prediction explanations and prediction intervals need a build, which is begun and awaited
        first. Implements ``GET /deployments/{deploymentId}/scoringCode/``.

        Args:
            deployment_id: The deployment.
            source_code: The source archive (not executable) instead of the executable JAR.
            include_agent: With the tracking agent.
            include_pe: The page's older name of ``include_prediction_explanations``; goes out as given.
            include_prediction_explanations: With prediction explanations.
            include_prediction_intervals: With prediction intervals.
            build: Whether to build first; by default where an extra needs it. ``False`` asks for the extras
                of a JAR that the server has built already.

        Returns:
            The JAR to download. A download checks that it is a ZIP archive.

        Raises:
            ValueError: Source code with an agent: the two exclude each other. Nothing was sent.
            OperationFailedError: The build failed.
        """
        if source_code and include_agent:
            raise ValueError("source_code and include_agent exclude each other")
        asked = locals()
        extras = {name: asked[name] for name in _EXTRAS}
        if not (any(extras.values()) if build is None else build):
            return artifact_at(self._api, _scoring_code_path(asked, _JARS), "jar")
        if source_code:
            raise ValueError("source_code cannot be built with extras: pass build=False or leave them out")
        operation = await self.begin_scoring_code_build(deployment_id, **extras)
        return await operation

    async def _send(self, method: str, deployment_id: str, route: str = "", **more: Any) -> Response:
        return await self._api.send(method, _ROUTE + route, ids={"deployment_id": deployment_id}, **more)


def _scoring_code_path(arguments: Mapping[str, Any], flags: Mapping[str, Check]) -> str:
    query = query_from(arguments, flags)
    ids = {"deployment_id": arguments["deployment_id"]}
    return route_path(f"{_ROUTE}scoringCode/", ids, query)
