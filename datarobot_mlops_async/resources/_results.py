"""What a finished operation gives its user, told by the resource that the server names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from datarobot_mlops_async.errors import ProtocolError
from datarobot_mlops_async.models import Deployment

if TYPE_CHECKING:
    from datarobot_mlops_async._api import Api
    from datarobot_mlops_async.artifacts import Artifact

_DEPLOYMENT = re.compile(r"deployments/[^/?]+/?")
_SCORING_CODE = re.compile(r"deployments/[^/?]+/scoringCode.*")
_LOG = re.compile(r"customModelDeployments/[^/?]+/logs/.*")


@frozen
class Results:
    """Makes results from paths that are relative to the API's root."""

    api: Api

    async def deployment(self, resource: str | None) -> Deployment:
        """Read the deployment at a path."""
        if resource is None:
            raise ProtocolError("the server did not say which deployment it created: list the deployments")
        response = await self.api.follow(resource)
        operation = f"GET /{resource}"
        self.api.require_ok(response, operation)
        return self.api.decoder.decode(response.content, Deployment, operation=operation)

    def jar(self, path: str) -> Artifact:
        """Return the JAR at a path."""
        return self._artifact(path, "jar")

    def log(self, path: str) -> Artifact:
        """Return the log at a path."""
        return self._artifact(path, "text")

    async def any(self, resource: str | None) -> Deployment | Artifact | None:
        """Return what a path names; ``None`` for none and for kinds this library does not read."""
        if resource is None:
            return None
        if _DEPLOYMENT.fullmatch(resource):
            return await self.deployment(resource)
        if _SCORING_CODE.fullmatch(resource):
            return self.jar(resource)
        return self.log(resource) if _LOG.fullmatch(resource) else None

    def _artifact(self, path: str, kind: str) -> Artifact:
        from datarobot_mlops_async.artifacts import Artifact  # with the engine behind it

        return Artifact(self.api, path, kind=kind)
