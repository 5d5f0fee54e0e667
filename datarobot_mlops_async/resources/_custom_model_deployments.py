"""Deployments of custom models and their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datarobot_mlops_async._api import route_path
from datarobot_mlops_async.errors import ProtocolError
from datarobot_mlops_async.models import AcceptedOperation, CustomModelDeployment
from datarobot_mlops_async.resources._arguments import texts
from datarobot_mlops_async.resources._base import Resource, artifact_at

if TYPE_CHECKING:
    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.operations import Operation
    from datarobot_mlops_async.pagination import Paginator
    from datarobot_mlops_async.resources._arguments import OneOrMore

_LOGS = "customModelDeployments/{deployment_id}/logs/"


class CustomModelDeployments(Resource):
    """``session.custom_model_deployments``: routes under ``/customModelDeployments/``.

    ::

        async for deployment in session.custom_model_deployments.list(page_size=1000):
            print(deployment.label, deployment.custom_model.name)
        log = session.custom_model_deployments.deployment_log(deployment.id)
        await log.download("logs/")
    """

    def list(
        self,
        *,
        custom_model_ids: OneOrMore[str] | None = None,
        environment_ids: OneOrMore[str] | None = None,
        page_size: int = 100,
        limit: int | None = None,
    ) -> Paginator[CustomModelDeployment]:
        """List the user's custom model deployments, newest first. Implements ``GET /customModelDeployments/``.

        Args:
            custom_model_ids: Only those of these custom models.
            environment_ids: Only those of these execution environments.
            page_size: Rows a request, 1 to 1,000.
            limit: The most rows wanted; ``None`` for all.
        """
        filters = {"custom_model_ids": texts, "environment_ids": texts}
        return self._paginator(
            CustomModelDeployment, "customModelDeployments/", locals(), filters, largest_page=1000
        )

    def deployment_log(self, deployment_id: str) -> Artifact:
        """Return the log of the model's deployment. Implements ``GET /customModelDeployments/{deploymentId}/logs/``.

        Nothing is sent until it is downloaded or streamed.
        """
        return artifact_at(self._api, route_path(_LOGS, {"deployment_id": deployment_id}), "text")

    async def begin_prediction_log(self, deployment_id: str) -> Operation[Artifact]:
        """Ask for the log of predictions. Implements ``POST /customModelDeployments/{deploymentId}/logs/``.

        Returns:
            An operation whose result is the log to download.

        Raises:
            UnprocessableEntityError: The deployed model is not a custom model.
        """
        response = await self._api.send("POST", _LOGS, ids={"deployment_id": deployment_id})
        accepted = self._api.decoder.decode(
            response.content or b"{}", AcceptedOperation, operation=f"POST /{_LOGS}"
        )

        async def log(resource: str | None) -> Artifact:
            if resource is None:
                raise ProtocolError("the server did not say where the log is: ask for it again")
            return artifact_at(self._api, resource, "text")

        return self._operation(response, log, status_id=accepted.status_id)

    def prediction_log(self, deployment_id: str, log_id: str) -> Artifact:
        """Return a log of predictions that was asked for before.

        Nothing is sent until it is downloaded or streamed. Implements
        ``GET /customModelDeployments/{deploymentId}/logs/{logId}/``.
        """
        path = route_path(_LOGS + "{log_id}/", {"deployment_id": deployment_id, "log_id": log_id})
        return artifact_at(self._api, path, "text")
